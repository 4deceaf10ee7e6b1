"""Fitting the model on pairs and mosaics of counts: arrays in, a decoder and a prior out."""

from midgd.train.fit import Fit, fit
from midgd.train.mosaic import Modality, Mosaic
from midgd.train.options import TrainOptions

__all__ = ["Fit", "Modality", "Mosaic", "TrainOptions", "fit"]
