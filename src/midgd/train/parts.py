"""The parts of a model that are chosen by name: likelihood, prior, encoder, readout, objective."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from midgd.nn import HEADS, DecoderSpec
from midgd.train.options import OBJECTIVES, TrainOptions
from midgd.train.readout import ReadoutOptions

MODALITIES = ("mrna", "mirna")
#: Prior of the latents to its number of components; None is as many as asked for.
PRIORS: dict[str, int | None] = {"mixture": None, "gaussian": 1}
#: Where the search for a latent starts: a trained network, or the prior.
ENCODERS = ("none", "mlp")
#: Readout to what it changes of the options, see :class:`Parts`; None decodes miRNA from the latent.
READOUTS: dict[str, Callable[[ReadoutOptions], ReadoutOptions] | None] = {
    "ridges": lambda options: options,
    "without_counts": lambda options: replace(options, draws=()),
    "without_smoothing": lambda options: replace(options, noise=None),
    "ridge": lambda options: replace(options, adaptive=None, draws=(), noise=None),
    "none": None,
}
#: Part to the names that there are.
CHOICES: dict[str, Iterable[str]] = {
    "likelihood": HEADS,
    "prior": PRIORS,
    "encoder": ENCODERS,
    "readout": READOUTS,
    "objective": OBJECTIVES,
}


@dataclass(frozen=True)
class Parts:
    """One name for each part of a model; the defaults are those of :class:`midgd.model.MIDGD`.

    Parameters
    ----------
    likelihood
        Of counts: a name in :data:`midgd.nn.HEADS`, such as ``"nb"`` (negative binomial) or ``"poisson"``; one for
        both modalities, or ``{"mrna": ..., "mirna": ...}``, where ``"nb"`` need not be named.
    prior
        Of latents: ``"mixture"`` of Gaussians, or one ``"gaussian"``; mean and variances are learned in both.
    encoder
        Where the search for a latent starts: ``"none"``, from the prior, or ``"mlp"``, from a network trained for it.
    readout
        From the denoised profile to miRNA. ``"ridges"``: shared and adaptive ridge regressions, maps from counts and
        smoothing over miRNAs. ``"without_counts"``, ``"without_smoothing"``: all but that. ``"ridge"``: the shared
        regressions alone. ``"none"``: miRNA as decoded from the latent.
    objective
        What training maximises, see :class:`midgd.train.TrainOptions`.

    Raises
    ------
    ValueError
        If a name is unknown; lists the names that there are.
    """

    likelihood: str | Mapping[str, str] = field(default="nb", compare=False)
    prior: str = "mixture"
    encoder: str = "none"
    readout: str = "ridges"
    objective: str = "map"
    _likelihoods: dict[str, str] = field(init=False, repr=False, hash=False)

    def __post_init__(self) -> None:
        own = self.likelihood
        by_modality = dict(own) if isinstance(own, Mapping) else dict.fromkeys(MODALITIES, own)
        for modality, name in by_modality.items():
            _known("modality of likelihood", modality, MODALITIES)
            _known("likelihood", name, HEADS)
        for part, names in CHOICES.items():
            if part != "likelihood":
                _known(part, getattr(self, part), names)
        object.__setattr__(self, "_likelihoods", {k: v for k, v in by_modality.items() if v != "nb"})

    def spec(self, spec: DecoderSpec) -> DecoderSpec:
        """The decoder with these likelihoods.

        Parameters
        ----------
        spec
            Sizes of the decoder.

        Returns
        -------
        The same where all likelihoods are the default.
        """
        return replace(spec, likelihoods=self._likelihoods) if self._likelihoods else spec

    def n_components(self, n: int) -> int:
        """Components of the prior.

        Parameters
        ----------
        n
            Number that is asked for.

        Returns
        -------
        The number, or 1 for one Gaussian.
        """
        return PRIORS[self.prior] or n

    def train_options(self, options: TrainOptions) -> TrainOptions:
        """The schedule with this objective.

        Parameters
        ----------
        options
            Schedule.

        Returns
        -------
        A copy.
        """
        return replace(options, objective=self.objective)

    def readout_options(self, options: ReadoutOptions) -> ReadoutOptions | None:
        """How the readout is fitted.

        Parameters
        ----------
        options
            Of the whole readout.

        Returns
        -------
        Options of this one; None for no readout.
        """
        change = READOUTS[self.readout]
        return None if change is None else change(options)

    @property
    def card(self) -> dict[str, Any]:
        """The names, as they stand on a card and in a configuration."""
        own = self.likelihood if isinstance(self.likelihood, str) else dict(self.likelihood)
        names = {field.name: getattr(self, field.name) for field in fields(self) if field.init}
        return names | {"likelihood": own}


def read_parts(path: str | Path, default: Parts | None = None) -> Parts:
    """Parts from a TOML file, one line for each that is not the default: ``prior = "gaussian"``.

    Parameters
    ----------
    path
        The file.
    default
        Of the parts that the file does not name; None for those of :class:`Parts`.

    Returns
    -------
    The parts.

    Raises
    ------
    ValueError
        If the file is no TOML, or names a part or a choice that is unknown.
    """
    default = default or Parts()
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        if unknown := sorted(set(found) - set(default.card)):
            raise ValueError(f"{unknown[0]!r} is no part of a model; the parts are {', '.join(default.card)}.")
        return replace(default, **found)
    except ValueError as error:  # tomllib's own is one of these
        raise ValueError(f"{path}: {error}") from error


def _known(part: str, name: object, names: Iterable[str]) -> None:
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"{part}={name!r} is unknown; choose among {', '.join(map(repr, names))}.")
