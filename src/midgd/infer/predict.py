"""From counts of the genes present to the miRNA profile: latent, decoding, readout, levels, units."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midgd._torch import apart
from midgd.infer.batch import Batch
from midgd.infer.domain import Signs, out_of_domain
from midgd.infer.kinds import taken_for
from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.molecules import MoleculeLimit, misfit_of_reads, scaled
from midgd.infer.objective import LogPosterior
from midgd.infer.parallel import Counts, map_chunks, map_rows
from midgd.infer.profiles import counts_profiles, shown_by
from midgd.infer.shares import at_most_all
from midgd.infer.uncertainty import expected_sd
from midgd.infer.units import in_units, sd_in_units
from midgd.infer.weights import mixing_weights, parts_of_answer
from midgd.nn.readout import MILLION, Profiles
from midgd.reference.reference import Calibration, Reference
from midgd.zeroshot.maps import ZeroShotMaps

# Evidence of about 300 counts of all genes. Blood cells thinned to 50 counts are nearest to stomach cancer.
TELLING = 5e-3


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
        (n,) mean reliability of all genes of the model; of a gene that the query lacks it is 0.
    reliability
        (n,) the same of the genes present, see :meth:`midgd.nn.CountHead.posterior_rate`.
    misfit, surprise, ambiguity, unlikeness
        (n,) how unlike the samples that the model knows, see :mod:`midgd.infer.domain`.
    converged
        (n,) whether the latent reached the optimum within tolerance.
    kind
        (n,) index of the kind of sample that the latent is most like, -1 without kinds or counts.
    kind_probability
        (n,) its probability among all kinds of the reference, NaN where there is none.
    weights
        (n, 5) parts of the answer, see :data:`midgd.infer.weights.PARTS`; (n, 0) without a readout.
    counts_kept
        (n,) part of each count that was taken for molecules, see :mod:`midgd.infer.molecules`.
    """

    latent: NDArray[np.float32]
    share: NDArray[np.float32]
    evidence: NDArray[np.float32]
    reliability: NDArray[np.float32]
    misfit: NDArray[np.float32]
    surprise: NDArray[np.float32]
    ambiguity: NDArray[np.float32]
    unlikeness: NDArray[np.float32]
    converged: NDArray[np.bool_]
    kind: NDArray[np.int64]
    kind_probability: NDArray[np.float32]
    weights: NDArray[np.float32]
    counts_kept: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.share)

    @property
    def signs(self) -> Signs:
        """What says that the samples are unlike those that the model knows."""
        return Signs(self.misfit, self.surprise, self.ambiguity, self.unlikeness)

    def __getitem__(self, rows: slice) -> Prediction:
        return Prediction(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def concatenate(cls, parts: list[Prediction]) -> Prediction:
        """Stack predictions of consecutive rows.

        Parameters
        ----------
        parts
            Predictions of one reference, at least one.

        Returns
        -------
        One prediction of all rows, in their order.
        """
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
    zero_shot
        Maps of miRNAs that were not measured, whose shares come after those of the outputs.
    all_molecules
        Take every count for a molecule, also where so few genes do not allow it (:mod:`midgd.infer.molecules`).
    """

    @apart
    def __init__(
        self,
        reference: Reference,
        genes: NDArray[np.int64],
        *,
        device: torch.device | str = "cpu",
        options: InferenceOptions | None = None,
        zero_shot: ZeroShotMaps | None = None,
        all_molecules: bool = False,
    ) -> None:
        self.reference, self.zero_shot = reference, zero_shot
        self.device = torch.device(device)
        self.genes = torch.from_numpy(genes).to(self.device)
        self.decoder, self.prior = reference.decoder.to(self.device), reference.prior.to(self.device)
        self.readout = (
            None if reference.readout is None else copy.deepcopy(reference.readout).fold_means().to(self.device)
        )
        self.part_of_others = None if self.readout is None else self.readout.part_of_others(self.genes)
        self.kinds = None if reference.kinds is None else copy.deepcopy(reference.kinds).to(self.device)
        self.everything = len(genes) == self.decoder.head("mrna").n_features
        posterior = LogPosterior(self.decoder, self.prior, self.genes, device=self.device)
        encoder = None if reference.encoder is None else copy.deepcopy(reference.encoder).to(self.device)
        landmarks = None if reference.density is None else torch.from_numpy(reference.density.mean)
        self.infer = LatentInference(posterior, options, encoder, landmarks)
        self.limit = None if all_molecules else MoleculeLimit(posterior)

    def __call__(self, counts: Counts) -> Prediction:
        """Predict rows of counts (n, G), dense or CSR."""
        return Prediction.concatenate(map_rows(self._predict, counts, self.device))

    def each(self, chunks: Iterable[Counts]) -> Iterator[Prediction]:
        """Predictions of chunks of rows, in order.

        Parameters
        ----------
        chunks
            Counts (n_chunk, G), dense or CSR; best of :func:`midgd.infer.parallel.rows_of_task` rows.

        Yields
        ------
        One prediction a chunk.
        """
        return map_chunks(self._predict, chunks, self.device)

    @torch.no_grad()
    def _predict(self, counts: Counts) -> Prediction:
        kept = np.ones(counts.shape[0]) if self.limit is None else self.limit.kept(counts)
        counts = scaled(counts, kept)
        optimum = self.infer.solve(counts)
        batch = self.infer.batch(counts)
        z = torch.zeros(batch.n_slots, self.prior.n_latent, device=self.device)
        parts = []
        for rows in batch.blocks():
            n = rows.stop - rows.start
            z[:n] = optimum.z[rows]
            parts.append([tensor[:n].cpu().numpy() for tensor in self._decode(z, batch)])
        share, weights, *known, kind, probability = (np.concatenate(a) for a in zip(*parts, strict=True))
        reliability, misfit, surprise, ambiguity, unlikeness = known
        misfit = (misfit - misfit_of_reads(kept)).astype(np.float32)
        evidence = reliability * np.float32(len(self.genes) / self.decoder.head("mrna").n_features)
        latent, converged = optimum.z.cpu().numpy(), optimum.converged.cpu().numpy()
        judged = evidence, reliability, misfit, surprise, ambiguity, unlikeness
        return Prediction(latent, share, *judged, converged, kind, probability, weights, kept.astype(np.float32))

    def _decode(self, z: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """Shares of miRNAs, parts of the answer, reliability, the four signs, nearest kind and its probability."""
        head, memory = self.decoder.head("mrna"), batch.decoding
        features = self.decoder(z)
        logits = torch.addmm(head.bias, features, head.weight, out=memory.share)
        with_counts = self.readout is not None and self.readout.with_counts
        present_genes = None if self.everything else self.genes
        shown = shown_by(head, logits, batch.counts, present_genes, memory.of_head.one)
        taken = taken_for(self.kinds, z, batch.library[:, 0] == 0)
        if self.readout is None:
            share = self.decoder.head("mirna").log_share(features).exp()
            parts = share[:, :0]
        else:
            of_kinds = taken.probabilities, taken.is_cell, taken.likeness
            weights = mixing_weights(shown.reliability, shown.molecules, self.part_of_others, *of_kinds)
            added = None if self.kinds is None or weights.kinds is None else self.kinds.added(weights.kinds)
            profiles = Profiles(shown.denoised)
            if with_counts:
                rows = _with_weight(weights.counts)
                of_rows = present_genes, rows, memory.of_head.other
                counted = counts_profiles(head, logits, batch.counts, shown.molecules, *of_rows)
                profiles = Profiles(shown.denoised, counted, rows)
            share = self.readout(profiles, weights, added).expm1() / MILLION
            for level in self.reference.levels:
                at_most_all(share[:, self.reference.outputs(level)])  # in place: the outputs of a level are a slice
            parts = parts_of_answer(weights, with_counts=with_counts)
        if self.zero_shot is not None:
            mature = torch.log1p(share[:, self.reference.outputs("mature")] * MILLION)
            share = torch.cat([share, self.zero_shot(shown.denoised, mature).expm1() / MILLION], 1)
        signs = shown.misfit, shown.surprise, taken.ambiguity, taken.unlikeness
        return share, parts, shown.reliability, *signs, taken.nearest, taken.probability


def _with_weight(weights: Tensor) -> Tensor:
    """Which samples have a weight (n,); two where there is one, for a single row is summed in another order."""
    rows = torch.nonzero(weights)[:, 0]
    return weights.topk(min(2, len(weights))).indices if len(rows) == 1 else rows


def sample_kind_of(reference: Reference, prediction: Prediction) -> str:
    """``"cell"`` where most samples with counts are nearest to a kind of cell or a cell line, else ``"tissue"``.

    Too few counts (:data:`TELLING`) leave the kind to the prior, of which most is tissue. Such samples count as cells,
    whose errors are the larger ones.

    Parameters
    ----------
    reference
        The reference that made the prediction.
    prediction
        Prediction of samples.

    Returns
    -------
    ``"cell"`` or ``"tissue"``; tissue where the reference knows no kinds.
    """
    known = prediction.kind >= 0
    cells = np.array([group != "tissue" for group in reference.kind_groups])
    if not known.any() or not cells.any():
        return "tissue"
    votes = cells[prediction.kind[known]] | (prediction.evidence[known] < TELLING)
    return "cell" if votes.mean() > 0.5 else "tissue"


def calibration_of(reference: Reference, sample_kind: str) -> Calibration | None:
    """Held-out errors of cells or tissues; those of tissues where cells have none of their own.

    Parameters
    ----------
    reference
        A reference.
    sample_kind
        ``"cell"`` or ``"tissue"``.

    Returns
    -------
    Held-out errors; None if the reference has none.
    """
    cells = reference.cell_calibration
    return cells if sample_kind == "cell" and cells is not None else reference.calibration


def domain_score(reference: Reference, prediction: Prediction, sample_kind: str = "tissue") -> NDArray[np.float32]:
    """Out-of-domain scores, see :mod:`midgd.infer.domain`.

    Parameters
    ----------
    reference
        The reference that made the prediction.
    prediction
        Prediction of n samples.
    sample_kind
        ``"cell"`` or ``"tissue"``: which held-out samples they are compared with.

    Returns
    -------
    (n,) from 0 to 1; NaN without calibration, 1 for samples without counts. NaN for all where the likelihood has no
    evidence (:attr:`midgd.nn.CountHead.rates_scatter`).
    """
    if not reference.decoder.head("mrna").rates_scatter:
        return np.full_like(prediction.misfit, np.nan, dtype=np.float32)
    calibration = calibration_of(reference, sample_kind)
    if calibration is None:
        known = np.full_like(prediction.misfit, np.nan)
    else:
        known = out_of_domain(calibration, prediction.signs, prediction.evidence, prediction.reliability)
    return np.where(prediction.evidence == 0, np.float32(1.0), known).astype(np.float32)


def at_level(reference: Reference, share: NDArray[np.float32], level: str) -> NDArray[np.float32]:
    """Shares of one level from shares of all outputs; mature miRNAs are bound to their stem-loops.

    Parameters
    ----------
    reference
        The reference that made the shares.
    share
        (n, n_outputs) shares of stem-loops and mature miRNAs.
    level
        ``"mature"`` or ``"stem-loop"``, one of ``reference.levels``.

    Returns
    -------
    (n, n_mirnas) shares.
    """
    own = share[:, reference.outputs(level)]
    if level == "mature" and reference.arms is not None:
        return reference.arms.bound(own, share[:, reference.outputs("stem-loop")])
    return own


def uncertainty(
    reference: Reference, prediction: Prediction, level: str, units: str, sample_kind: str = "tissue"
) -> NDArray[np.float32]:
    """Standard deviations in the units of the output, see :mod:`midgd.infer.uncertainty`.

    Parameters
    ----------
    reference
        The reference that made the prediction.
    prediction
        Prediction of n samples.
    level
        ``"mature"`` or ``"stem-loop"``.
    units
        See :func:`in_units`.
    sample_kind
        ``"cell"`` or ``"tissue"``: whose held-out errors are taken.

    Returns
    -------
    (n, n_mirnas).

    Raises
    ------
    ValueError
        If the reference has no held-out errors.
    """
    calibration = calibration_of(reference, sample_kind)
    if calibration is None:
        raise ValueError(f"Reference {reference.name!r} has no held-out errors: uncertainty=True is not available.")
    known = calibration, prediction.signs, prediction.evidence, prediction.reliability
    sd = expected_sd(*known)[:, reference.outputs(level)]
    return sd_in_units(sd, in_units(at_level(reference, prediction.share, level), "log1p_cpm"), units)
