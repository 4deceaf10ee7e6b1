"""Training the encoder on latents that the decoder itself was found to have, of samples at all depths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.nn import Decoder, GaussianMixture, LatentEncoder
from midgd.nn.loops import chosen_products
from midgd.train.downsampling import downsample
from midgd.train.mosaic import Modality, Mosaic


@dataclass(frozen=True)
class EncoderOptions:
    """How the encoder is trained.

    Parameters
    ----------
    depths
        Expected libraries of the downsampled samples; None is as measured.
    few_genes
        Number of genes of the additional copies that have a random selection only.
    n_hidden, max_epochs, batch_size, lr
        Width and schedule.
    seed
        Of downsampling, selection and weights.
    """

    depths: tuple[float | None, ...] = (None, 100_000.0, 20_000.0, 5_000.0, 2_000.0, 1_000.0, 500.0)
    few_genes: int = 1_000
    n_hidden: int = 256
    max_epochs: int = 40
    batch_size: int = 256
    lr: float = 2e-3
    seed: int = 0


class _Examples(NamedTuple):
    """Features (n, F), latents (n, d), expected curvatures (k, d, d) and which of them each example has (n,)."""

    features: Tensor
    latents: Tensor
    curvatures: Tensor
    which: Tensor


def fit_encoder(
    decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic, options: EncoderOptions | None = None
) -> LatentEncoder:
    """Train an encoder for a trained model on the mRNA of a mosaic.

    The loss is the log of one plus the loss of log posterior to second order, at the expected curvature: a sample
    whose latent lies in another mode of the posterior shall not outweigh all others.

    Parameters
    ----------
    decoder, prior
        The trained model, which stays as it is.
    mosaic
        Training samples with ``"mrna"``.
    options
        Depths, panels, epochs and rates; None for the defaults.

    Returns
    -------
    The encoder.
    """
    options = options or EncoderOptions()
    generator = np.random.default_rng(options.seed)
    parts = [
        _examples(LogPosterior(decoder, prior, torch.from_numpy(genes)), downsample(counts, depth, generator))
        for depth in options.depths
        for genes, counts in _selections(mosaic["mrna"], options.few_genes, generator)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return _train(_join(parts), options)


def _selections(
    mrna: Modality, few: int, generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Counts of every set of genes that some samples measured, and of a random part of it."""
    present = np.flatnonzero(mrna.present)
    for rows, genes in mrna.groups(present):
        selected = np.sort(generator.choice(genes, min(few, len(genes)), replace=False))
        for chosen in (genes, selected):
            yield chosen, mrna.counts[np.ix_(present[rows], chosen)]


@torch.no_grad()
def _examples(posterior: LogPosterior, counts: NDArray[np.float32]) -> _Examples:
    infer = LatentInference(posterior, InferenceOptions(tolerance=1e-1))
    latents, batch = infer(counts).z, infer.batch(counts)
    features, depth = [], []
    for rows in batch.blocks():
        n = rows.stop - rows.start
        features.append(infer.starts.features(batch)[:n])
        depth.append(batch.depth[:n].clone())
    depths, index = torch.unique(torch.cat(depth), return_inverse=True)
    curvatures = torch.stack([torch.linalg.inv(infer.curvatures(d)) for d in depths.tolist()])
    return _Examples(torch.cat(features), latents, curvatures, index)


def _join(parts: list[_Examples]) -> _Examples:
    first = np.cumsum([0, *(len(part.curvatures) for part in parts)])
    index = torch.cat([part.which + int(offset) for part, offset in zip(parts, first, strict=False)])
    features, latents, curvatures = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("features", "latents", "curvatures")
    )
    return _Examples(features, latents, curvatures, index)


def _train(examples: _Examples, options: EncoderOptions) -> LatentEncoder:
    features, latents, curvatures, which = examples
    encoder = LatentEncoder(features.shape[1], latents.shape[1], options.n_hidden)
    encoder.mean, encoder.scale = features.mean(0), features.std(0) + 1e-3
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=options.lr, weight_decay=0.1, fused=True)
    steps = options.max_epochs * math.ceil(len(features) / options.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.lr, total_steps=steps)
    for _ in range(options.max_epochs):
        for rows in torch.randperm(len(features)).split(options.batch_size):
            error = encoder(features[rows]) - latents[rows]
            loss = torch.log1p(_lost(error, curvatures, which[rows])).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return encoder.eval().requires_grad_(False)


def _lost(error: Tensor, curvatures: Tensor, which: Tensor) -> Tensor:
    """Half of the square of errors (n, d) in the metric of chosen curvatures (k, d, d), (n,), and its gradient."""
    slope = chosen_products(error.detach(), curvatures, which)  # of what is lost, by the error
    return (error * slope).sum(1) - 0.5 * (error.detach() * slope).sum(1)
