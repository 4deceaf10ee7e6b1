"""Trained models as files: safetensors weights beside a JSON card."""

from midgd.reference.arms import Arms
from midgd.reference.paper import convert_midgd_paper
from midgd.reference.reference import Calibration, Reference, minimal_card
from midgd.reference.registry import available, load
from midgd.reference.remote import pull, push_to_hub

__all__ = [
    "Arms",
    "Calibration",
    "Reference",
    "available",
    "convert_midgd_paper",
    "load",
    "minimal_card",
    "pull",
    "push_to_hub",
]
