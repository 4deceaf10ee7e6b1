"""Fitting the model on pairs and mosaics of counts: arrays in, a decoder and a prior out."""

from midgd.train.calibrate import HeldOut, calibrate
from midgd.train.cells import CellOptions
from midgd.train.decoder import Fit, fit
from midgd.train.encoder import EncoderOptions, fit_encoder
from midgd.train.labels import SampleLabels
from midgd.train.mature import MatureLevel, fit_mature_level, stem_loops_of
from midgd.train.mosaic import Modality, Mosaic
from midgd.train.options import TrainOptions
from midgd.train.parts import Parts, read_parts
from midgd.train.platforms import remove_offset, tied_offset
from midgd.train.readout import FittedReadout, ReadoutOptions, fit_readout

__all__ = [
    "CellOptions",
    "EncoderOptions",
    "Fit",
    "FittedReadout",
    "HeldOut",
    "MatureLevel",
    "Modality",
    "Mosaic",
    "Parts",
    "ReadoutOptions",
    "SampleLabels",
    "TrainOptions",
    "calibrate",
    "fit",
    "fit_encoder",
    "fit_mature_level",
    "fit_readout",
    "read_parts",
    "remove_offset",
    "stem_loops_of",
    "tied_offset",
]
