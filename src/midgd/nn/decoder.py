"""The shared decoder: one latent, one trunk, one count head per modality (Zamani et al. 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from midgd.nn.count_head import CountHead
from midgd.nn.heads import HEADS


@dataclass(frozen=True)
class DecoderSpec:
    """Everything needed to rebuild a decoder before its weights are loaded.

    Parameters
    ----------
    n_latent
        Dimension of the latent.
    n_hidden
        Width of every hidden layer of the shared trunk; 0 makes the decoder log-linear.
    n_layers
        Number of hidden layers.
    skip
        Whether the heads also see the latent itself (the paper's decoder does not).
    likelihoods
        Modality to a name in :data:`midgd.nn.HEADS`; ``"nb"``, negative binomial, where it is not named.
    dispersion_floor
        See :class:`~midgd.nn.CountHead`.
    activation
        ``"silu"``, ``"leaky_relu"`` (the paper's) or ``"relu"``. A smooth one leaves no kinks for a MAP latent to
        sit on: second-order inference then converges in a few steps.
    """

    n_latent: int = 64
    n_hidden: int = 100
    n_layers: int = 2
    skip: bool = True
    likelihoods: Mapping[str, str] | None = None
    dispersion_floor: float = 0.05
    activation: str = "silu"

    def __post_init__(self) -> None:
        if not self.skip and self.n_hidden == 0:
            raise ValueError("A decoder needs hidden layers (n_hidden > 0), the linear skip (skip=True), or both.")
        unknown = set((self.likelihoods or {}).values()) - set(HEADS)
        if unknown:
            raise ValueError(f"Unknown likelihood {sorted(unknown)}; choose among {sorted(HEADS)}.")

    @property
    def n_features(self) -> int:
        """Number of inputs of every head."""
        return (self.n_latent if self.skip else 0) + self.n_hidden

    def likelihood(self, modality: str) -> str:
        """Name of the head of a modality; negative binomial unless told otherwise.

        Parameters
        ----------
        modality
            ``"mrna"`` or ``"mirna"``.

        Returns
        -------
        A name in :data:`midgd.nn.heads.HEADS`.
        """
        return (self.likelihoods or {}).get(modality, "nb")


ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "leaky_relu": nn.LeakyReLU, "relu": nn.ReLU}


class Decoder(nn.Module):
    """From latents (n, d) to features, and through the heads to shares of every modality.

    Parameters
    ----------
    spec
        Sizes and likelihoods.
    sizes
        Modality to its number of features, for example ``{"mrna": 16875, "mirna": 956}``.
    """

    def __init__(self, spec: DecoderSpec, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.n_latent] + [spec.n_hidden] * spec.n_layers if spec.n_hidden else []
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[spec.activation]()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {
                modality: HEADS[spec.likelihood(modality)](
                    spec.n_features, size, dispersion_floor=spec.dispersion_floor
                )
                for modality, size in sizes.items()
            }
        )

    def forward(self, z: Tensor) -> Tensor:
        """Features that every head sees, (n, n_features).

        Parameters
        ----------
        z
            (n, n_latent) latents.

        Returns
        -------
        (n, n_features): the latent itself without hidden layers, the hidden units with them, both side by side with
        skip.
        """
        if not self.spec.n_hidden:
            return z
        hidden = self.trunk(z)
        return torch.cat([z, hidden], 1) if self.spec.skip else hidden

    def head(self, modality: str) -> CountHead:
        """The head of one modality.

        Parameters
        ----------
        modality
            ``"mrna"`` or ``"mirna"``.

        Returns
        -------
        The head, with its parameters.

        Raises
        ------
        KeyError
            If the model has no such modality.
        """
        head = self.heads[modality]
        assert isinstance(head, CountHead)  # ModuleDict is not generic: tell mypy, not the user
        return head

    def log_share(self, z: Tensor, modality: str, measured: Tensor | None = None) -> Tensor:
        """Log shares of one modality.

        Parameters
        ----------
        z
            (n, n_latent) latents.
        modality
            ``"mrna"`` or ``"mirna"``.
        measured
            (n_measured,) indices of the features that were measured; None for all.

        Returns
        -------
        (n, n_measured) natural logs of shares, which add up to 1 over the measured features.
        """
        return self.head(modality).log_share(self(z), measured)
