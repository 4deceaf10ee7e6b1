"""Held-out score of a model in training: the likelihood of miRNA counts given latents from mRNA alone."""

from __future__ import annotations

import copy

import numpy as np
import torch

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.nn import Decoder, GaussianMixture
from midgd.train.mosaic import Modality, Mosaic


@torch.no_grad()
def held_out_log_likelihood(decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic) -> float:
    """Mean log likelihood per sample of the miRNA, latents from the mRNA.

    Samples that lack either modality are left out.

    Parameters
    ----------
    decoder, prior
        The trained model.
    mosaic
        Samples that it has not seen.

    Returns
    -------
    Natural log likelihood, mean over samples.

    Raises
    ------
    ValueError
        If no sample has both modalities.
    """
    source, goal = mosaic["mrna"], mosaic["mirna"]
    rows = np.flatnonzero(source.present & goal.present)
    if not len(rows):
        raise ValueError("No validation sample has both mRNA and miRNA.")
    device = next(decoder.parameters()).device
    total = 0.0
    for positions, genes in source.groups(rows):
        group = rows[positions]
        posterior = LogPosterior(decoder, prior, torch.from_numpy(genes), device=device)
        infer = LatentInference(posterior, InferenceOptions(max_steps=30, tolerance=1e-2))
        features = decoder(infer(source.counts[np.ix_(group, genes)]).z)
        total += _log_likelihood(decoder, goal.take(group), features)
    return total / len(rows)


def _log_likelihood(decoder: Decoder, goal: Modality, features: torch.Tensor) -> float:
    # float64: in float32 lgamma is off by tens at counts of ten million. On the CPU, for not every device has float64.
    head, exact, total = decoder.head("mirna"), copy.deepcopy(decoder.head("mirna")).cpu().double(), 0.0
    for positions, measured in goal.groups(np.arange(len(goal.counts))):
        index = torch.from_numpy(measured)
        counts = torch.from_numpy(goal.counts[np.ix_(positions, measured)])
        log_share = head.log_share(features[positions], index.to(features.device)).cpu()
        log_mean = counts.sum(1, keepdim=True).clamp_min(1e-8).log() + log_share
        total += float(exact.log_prob(counts.double(), log_mean.double(), index).sum())
    return total
