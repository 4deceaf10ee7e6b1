"""From counts of the genes present to the miRNA profile: latent, decoding, readout, levels, units."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from midgd._torch import apart
from midgd.infer.batch import Batch
from midgd.infer.diversity import Diversity
from midgd.infer.domain import expected_sd, misfit, out_of_domain
from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.infer.parallel import Counts, map_rows
from midgd.nn import view_of
from midgd.nn.readout import MILLION
from midgd.reference.reference import Reference

UNITS = ("log1p_cpm", "cpm", "share")


@dataclass(frozen=True)
class Prediction:
    """Inferred miRNA of some samples.

    Attributes
    ----------
    latent
        (n, d) MAP latents.
    share
        (n, n_outputs) shares of the miRNA library, of stem-loops, then of mature miRNAs if the reference has them. From
        a readout those of a level add up to about 1: every log share is predicted by itself, and forcing the sum would
        hand the errors of the few abundant miRNAs on to all others.
    evidence
        (n,) share of evidence in single genes, see :mod:`midgd.nn.readout`.
    misfit
        (n,) how badly the counts fit the decoded means, see :mod:`midgd.infer.domain`.
    ood
        (n,) out-of-domain score in [0, 1]; NaN without calibration, 1 for samples without counts.
    converged
        (n,) whether the latent reached the optimum within tolerance.
    """

    latent: NDArray[np.float32]
    share: NDArray[np.float32]
    evidence: NDArray[np.float32]
    misfit: NDArray[np.float32]
    ood: NDArray[np.float32]
    converged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.share)

    def __getitem__(self, rows: slice) -> Prediction:
        return Prediction(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def concatenate(cls, parts: list[Prediction]) -> Prediction:
        """Stack predictions of consecutive rows."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


class Predictor:
    """A reference applied to queries with a fixed set of genes.

    Parameters
    ----------
    reference
        The trained model.
    genes
        Indices of its genes present in the query, (G,), sorted.
    device
        Where to compute.
    options
        Of the latent optimisation.
    """

    @apart
    def __init__(
        self,
        reference: Reference,
        genes: NDArray[np.int64],
        *,
        device: torch.device | str = "cpu",
        options: InferenceOptions | None = None,
    ) -> None:
        self.reference = reference
        self.device = torch.device(device)
        self.genes = torch.from_numpy(genes).to(self.device)
        self.decoder, self.prior = reference.decoder.to(self.device), reference.prior.to(self.device)
        self.readout = None if reference.readout is None else copy.deepcopy(reference.readout).to(self.device)
        self.breadth = 0.0 if self.readout is None else self.readout.breadth(self.genes)
        self.coverage = 0.0 if self.readout is None else self.readout.coverage(self.genes)
        self.diversity = self._diversity() if self.coverage else None
        self.everything = len(genes) == self.decoder.head("mrna").n_features
        posterior = LogPosterior(self.decoder, self.prior, self.genes, device=self.device)
        encoder = None if reference.encoder is None else copy.deepcopy(reference.encoder).to(self.device)
        self.infer = LatentInference(posterior, options, encoder)

    def __call__(self, counts: Counts) -> Prediction:
        """Predict rows of counts (n, G), dense or CSR."""
        return Prediction.concatenate(map_rows(self._predict, counts, self.device))

    @torch.no_grad()
    def _diversity(self) -> Diversity:
        typical = self.decoder.log_share(self.prior.mean[None], "mrna", self.genes)[0]
        return Diversity(self.decoder.head("mrna"), typical, self.genes)

    @torch.no_grad()
    def _predict(self, counts: Counts) -> Prediction:
        optimum = self.infer.solve(counts)
        batch = self.infer.batch(counts)
        z = torch.zeros(batch.n_slots, self.prior.n_latent, device=self.device)
        parts = []
        for rows in batch.blocks():
            n = rows.stop - rows.start
            z[:n] = optimum.z[rows]
            parts.append([tensor[:n].cpu().numpy() for tensor in self._decode(z, batch)])
        share, evidence, unlike, empty = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        ood = self._score(unlike, evidence, empty)
        return Prediction(optimum.z.cpu().numpy(), share, evidence, unlike, ood, optimum.converged.cpu().numpy())

    def _decode(self, z: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Shares of miRNAs, evidence, misfit, and whether a row is empty."""
        head = self.decoder.head("mrna")
        features = self.decoder(z)
        log_share = head.log_share(features)
        tissue = None if self.diversity is None else self.coverage * self.diversity(batch.counts)
        view = view_of(head, log_share, batch.counts, None if self.everything else self.genes, tissue)
        if self.readout is None:
            share = self.decoder.head("mirna").log_share(features).exp()
        else:
            share = self.readout(view, self.breadth).expm1() / MILLION
        present = log_share if self.everything else torch.log_softmax(log_share[:, self.genes], 1)
        return share, view.evidence, misfit(head, present, batch.counts, self.genes), batch.library[:, 0] == 0

    def _score(
        self, unlike: NDArray[np.float32], evidence: NDArray[np.float32], empty: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        calibration = self.reference.calibration
        known = np.full_like(unlike, np.nan) if calibration is None else out_of_domain(calibration, unlike, evidence)
        return np.where(empty, np.float32(1.0), known).astype(np.float32)


def at_level(reference: Reference, share: NDArray[np.float32], level: str) -> NDArray[np.float32]:
    """Shares of a level from shares of all outputs (n, n_outputs); mature miRNAs are bound to their stem-loops."""
    own = share[:, reference.outputs(level)]
    if level == "mature" and reference.arms is not None:
        return reference.arms.bound(own, share[:, reference.outputs("stem-loop")])
    return own


def in_units(share: NDArray[np.float32], units: str) -> NDArray[np.float32]:
    """Shares as ``"share"``, ``"cpm"`` (counts per million miRNA reads) or natural ``"log1p_cpm"``."""
    if units not in UNITS:
        raise ValueError(f"units={units!r} is unknown; choose among {UNITS}.")
    if units == "share":
        return share
    cpm = share * np.float32(MILLION)
    return cpm if units == "cpm" else np.log1p(cpm)


def uncertainty(reference: Reference, prediction: Prediction, level: str, units: str) -> NDArray[np.float32]:
    """Standard deviations in the units of the output, (n, n_mirnas): held-out errors by depth, miRNA and domain."""
    if reference.calibration is None:
        raise ValueError(f"Reference {reference.name!r} has no held-out errors: uncertainty=True is not available.")
    sd = expected_sd(reference.calibration, prediction.evidence, prediction.ood)[:, reference.outputs(level)]
    # To first order: d cpm = (1 + cpm) d log1p(cpm)
    if units == "cpm":
        sd = sd * (1.0 + at_level(reference, prediction.share, level) * MILLION)
    elif units == "share":
        sd = sd * (1.0 / MILLION + at_level(reference, prediction.share, level))
    return sd.astype(np.float32)
