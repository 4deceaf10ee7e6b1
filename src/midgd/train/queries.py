"""Training samples as queries: seen through their mRNA alone, with the latent that a query would get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.infer.predict import Prediction, Predictor
from midgd.infer.profiles import Shown, counts_profiles, shown_by
from midgd.infer.weights import mixing_weights
from midgd.nn import Decoder, GaussianMixture, ProfileReadout
from midgd.nn.readout import Profiles
from midgd.reference.reference import Reference
from midgd.train.downsampling import downsample
from midgd.train.mosaic import Modality, Mosaic

Floats = NDArray[np.float32]

# Measured: regressions learn the same from latents that are ten log units short of the optimum.
COARSE = InferenceOptions(tolerance=10.0)
BLOCK = 256  # rows that are decoded at a time


class Queries(NamedTuple):
    """Some queries.

    Attributes
    ----------
    mrna
        Their counts.
    parts
        (n, n_samples) what part the samples of the mosaic have in each; rows sum to 1.
    latent
        (n, d) found from the mRNA.
    profile
        (n, n_genes) denoised.
    """

    mrna: Modality
    parts: Floats
    latent: Floats
    profile: Floats

    def __len__(self) -> int:
        return len(self.latent)


@torch.no_grad()
def query(decoder: Decoder, prior: GaussianMixture, mrna: Modality, parts: Floats) -> Queries:
    """Latents and denoised profiles of samples, from the genes that each measured.

    Parameters
    ----------
    decoder, prior
        The trained model.
    mrna
        Counts of n samples.
    parts
        (n, n_samples) part of each training sample in each sample; carried along.

    Returns
    -------
    The samples with what the model finds of them.
    """
    latent = np.zeros((len(parts), prior.n_latent), np.float32)
    for rows, genes in mrna.groups(np.arange(len(parts))):
        posterior = LogPosterior(decoder, prior, torch.from_numpy(genes))
        latent[rows] = LatentInference(posterior, COARSE)(mrna.counts[np.ix_(rows, genes)]).z
    profile = np.zeros((len(parts), mrna.n_features), np.float32)
    for rows, shown, *_ in blocks(decoder, mrna, latent):
        profile[rows] = shown.denoised.numpy()
    return Queries(mrna, parts, latent, profile)


def blocks(
    decoder: Decoder, mrna: Modality, latent: Floats, *, with_counts: bool = False
) -> Iterator[tuple[NDArray[np.int64], Shown, Tensor | None, Tensor]]:
    """What samples show at their latents, in blocks of samples that measured the same genes.

    Parameters
    ----------
    decoder
        The trained model.
    mrna
        Counts of n samples.
    latent
        (n, d) their latents.
    with_counts
        Also make the profiles of the counts as they are.

    Returns
    -------
    Blocks of rows (k,), what they show, their counts profiles, and the indices of the genes that they measured.
    """
    for group, genes in mrna.groups(np.arange(len(latent))):
        everything, index = len(genes) == mrna.n_features, torch.from_numpy(genes)
        for start in range(0, len(group), BLOCK):
            rows = group[start : start + BLOCK]
            counts = torch.from_numpy(np.ascontiguousarray(mrna.counts[np.ix_(rows, genes)]))
            head = decoder.head("mrna")
            logits = head.logits(decoder(torch.from_numpy(latent[rows])))
            present = None if everything else index
            shown = shown_by(head, logits, counts, present)
            own = counts_profiles(head, logits, counts, shown.molecules, present) if with_counts else None
            yield rows, shown, own, index


@torch.no_grad()
def read_out(decoder: Decoder, readout: ProfileReadout, queries: Queries) -> Floats:
    """What a readout answers for queries.

    Parameters
    ----------
    decoder
        The trained model.
    readout
        The readout.
    queries
        Samples with their latents.

    Returns
    -------
    (n, n_mirnas) log1p CPM.
    """
    answer = np.zeros((len(queries), readout.sizes["n_mirnas"]), np.float32)
    parts = blocks(decoder, queries.mrna, queries.latent, with_counts=readout.with_counts)
    for rows, shown, own, genes in parts:
        weights = mixing_weights(shown.reliability, shown.molecules, readout.part_of_others(genes))
        answer[rows] = readout(Profiles(shown.denoised, own), weights).numpy()
    return answer


@torch.no_grad()
def profiles_at(
    reference: Reference, mosaic: Mosaic, depth: float | None, generator: np.random.Generator
) -> tuple[Prediction, Floats]:
    """Predictions and denoised profiles of samples at a depth.

    Parameters
    ----------
    reference
        The trained model.
    mosaic
        The samples.
    depth
        Expected sum of the counts that are drawn from each; None takes them as they are.
    generator
        Of the draws.

    Returns
    -------
    Predictions of the n samples, and their denoised profiles, (n, n_genes).
    """
    mrna = mosaic["mrna"]
    counts = Modality(
        downsample(np.where(mrna.measured, mrna.counts, 0), depth, generator), mrna.patterns, mrna.pattern
    )
    parts, order = [], []
    for rows, genes in counts.groups(np.arange(len(mosaic))):
        parts.append(Predictor(reference, genes)(counts.counts[np.ix_(rows, genes)]))
        order.append(rows)
    stacked, back = Prediction.concatenate(parts), np.argsort(np.concatenate(order))
    prediction = Prediction(*(getattr(stacked, name)[back] for name in Prediction.__dataclass_fields__))
    profile = np.zeros(mrna.counts.shape, np.float32)
    for rows, shown, *_ in blocks(reference.decoder, counts, prediction.latent):
        profile[rows] = shown.denoised.numpy()
    return prediction, profile
