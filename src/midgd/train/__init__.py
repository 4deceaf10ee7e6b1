"""Fitting the model on pairs and mosaics of counts: arrays in, a decoder and a prior out."""

from midgd.train.arms import MatureLevel, fit_mature_level
from midgd.train.calibrate import calibrate
from midgd.train.encoder import EncoderOptions, fit_encoder
from midgd.train.fit import Fit, fit
from midgd.train.mosaic import Modality, Mosaic
from midgd.train.options import TrainOptions
from midgd.train.readout import ReadoutOptions, fit_readout

__all__ = [
    "EncoderOptions",
    "Fit",
    "MatureLevel",
    "Modality",
    "Mosaic",
    "ReadoutOptions",
    "TrainOptions",
    "calibrate",
    "fit",
    "fit_encoder",
    "fit_mature_level",
    "fit_readout",
]
