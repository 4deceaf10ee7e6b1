"""From counts to latents to miRNA: arrays in, arrays out."""

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.infer.predict import Prediction, Predictor

__all__ = ["InferenceOptions", "LatentInference", "LogPosterior", "Prediction", "Predictor"]
