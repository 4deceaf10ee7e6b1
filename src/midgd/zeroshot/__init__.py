"""miRNAs that the training data did not measure, from what their names bring: host gene, place, relatives, sequence."""

from midgd.zeroshot.facts import Descriptors, MirnaFacts, describe, kin
from midgd.zeroshot.fit import Rows, ZeroShotOptions, fit_zero_shot
from midgd.zeroshot.maps import ZeroShotMaps
from midgd.zeroshot.schemes import SCHEMES, left_out

__all__ = [
    "SCHEMES",
    "Descriptors",
    "MirnaFacts",
    "Rows",
    "ZeroShotMaps",
    "ZeroShotOptions",
    "describe",
    "fit_zero_shot",
    "kin",
    "left_out",
]
