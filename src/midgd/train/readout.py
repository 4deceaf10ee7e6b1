"""Fitting the readout: kernel ridge on denoised profiles of training samples at several depths.

Latents are found from the mRNA alone, as for a query, so that the readout learns from what a query will show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.nn import Decoder, GaussianMixture, ProfileReadout, denoised_profile
from midgd.train.depths import thin
from midgd.train.mosaic import Mosaic
from midgd.train.start import log1p_cpm


@dataclass(frozen=True)
class ReadoutOptions:
    """How the readout is fitted.

    Parameters
    ----------
    depths
        Expected library of the thinned copies of every training sample; None is the sample as measured
        and comes first.
    ridge
        Penalty relative to the mean squared norm of the centred profiles at full depth.
    rank
        Size of the basis that both maps are reduced to.
    seed
        Of the thinning.
    """

    depths: tuple[float | None, ...] = (None, 10_000.0, 1_000.0)
    ridge: float = 0.3
    rank: int = 128
    seed: int = 0


def fit_readout(
    decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic, options: ReadoutOptions | None = None
) -> ProfileReadout:
    """Fit the readout of a trained decoder on paired samples of a mosaic (samples lacking a modality are skipped)."""
    options = options or ReadoutOptions()
    rows = np.flatnonzero(mosaic["mrna"].present & mosaic["mirna"].present)
    paired = mosaic.take(rows)
    generator = np.random.default_rng(options.seed)
    profiles, targets = [], []
    for depth in options.depths:
        profile, decoded = query_profiles(decoder, prior, paired, depth, generator)
        profiles.append(profile)
        # A miRNA that a source did not measure is completed by the decoder.
        targets.append(np.where(paired["mirna"].measured, log1p_cpm(paired["mirna"]), decoded))
    profile, target, n = np.concatenate(profiles), np.concatenate(targets), len(rows)
    mean = profile[:n].mean(0)
    profile -= mean
    penalty = options.ridge * float(np.einsum("ng,ng->", profile[:n], profile[:n])) / n
    maps = [_ridge(profile, target, penalty), _ridge(profile[:n], target[:n], penalty)]
    readout = ProfileReadout(profile.shape[1], target.shape[1], options.rank)
    basis, slopes = _reduce_rank(profile, np.hstack([m.slopes for m in maps]), options.rank)
    with torch.no_grad():
        readout.mean.copy_(torch.from_numpy(mean))
        readout.basis[:, : basis.shape[1]] = torch.from_numpy(basis)
        readout.slopes[:, : basis.shape[1]] = torch.from_numpy(np.stack(np.hsplit(slopes, 2)))
        readout.intercepts.copy_(torch.from_numpy(np.stack([m.intercept for m in maps])))
    return readout.requires_grad_(False)


@torch.no_grad()
def query_profiles(
    decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic, depth: float | None, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Denoised profile and decoded log1p CPM of miRNAs of samples seen through their mRNA at a depth."""
    mrna = mosaic["mrna"]
    n = len(mosaic)
    profile = np.zeros((n, mrna.n_features), np.float32)
    decoded = np.zeros((n, mosaic["mirna"].n_features), np.float32)
    for rows, genes in mrna.groups(np.arange(n)):
        index = torch.from_numpy(genes)
        counts = thin(mrna.counts[np.ix_(rows, genes)], depth, generator)
        infer = LatentInference(LogPosterior(decoder, prior, index), InferenceOptions(tolerance=1e-2))
        z = infer(counts).z
        log_share = decoder.log_share(z, "mrna")
        profile[rows] = denoised_profile(decoder.head("mrna"), log_share, torch.from_numpy(counts), index)[0].numpy()
        decoded[rows] = torch.log1p(decoder.log_share(z, "mirna").exp() * 1e6).numpy()
    return profile, decoded


class _Map(NamedTuple):
    slopes: NDArray[np.float32]
    intercept: NDArray[np.float32]


def _ridge(profile: NDArray[np.float32], target: NDArray[np.float32], penalty: float) -> _Map:
    """Ridge regression in its dual form: far more genes than samples."""
    centre, offset = profile.mean(0), target.mean(0)
    centred = profile - centre
    kernel = centred @ centred.T
    kernel[np.diag_indices_from(kernel)] += penalty
    slopes = centred.T @ np.linalg.solve(kernel, target - offset)
    return _Map(slopes, offset - centre @ slopes)


def _reduce_rank(
    profile: NDArray[np.float32], slopes: NDArray[np.float32], rank: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors (G, k) and (k, M) of the slopes projected on the k leading directions of their predictions."""
    predicted = profile @ slopes
    _, vectors = np.linalg.eigh(predicted.T @ predicted)
    leading = vectors[:, ::-1][:, :rank]
    return slopes @ leading, np.ascontiguousarray(leading.T)
