"""The generative model of miDGD, readable next to the paper; torch only."""

from midgd.nn.count_head import CountHead
from midgd.nn.decoder import Decoder, DecoderSpec
from midgd.nn.encoder import LatentEncoder
from midgd.nn.heads import HEADS, NegativeBinomialHead, PoissonHead, ZeroInflatedNegativeBinomialHead
from midgd.nn.kinds import KindExperts
from midgd.nn.prior import GaussianMixture
from midgd.nn.readout import ProfileReadout, Profiles, Weights

__all__ = [
    "HEADS",
    "CountHead",
    "Decoder",
    "DecoderSpec",
    "GaussianMixture",
    "KindExperts",
    "LatentEncoder",
    "NegativeBinomialHead",
    "PoissonHead",
    "ProfileReadout",
    "Profiles",
    "Weights",
    "ZeroInflatedNegativeBinomialHead",
]
