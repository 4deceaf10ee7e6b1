r"""Where the kinds of a reference are in its latent space.

A reference keeps no training samples. What it knows of the latents of a kind follows from the prior and the
probabilities of kinds by Bayes' rule,

.. math:: p(z \mid k) = p(z) \, \pi_k(z) / p(k), \qquad \mu_k = E[z \mid k]
          \approx \sum_s \pi_k(z_s) z_s / \sum_s \pi_k(z_s), \quad z_s \sim p(z).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.nn import GaussianMixture, KindExperts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KindCentres:
    """Latents of the kinds of a reference.

    Attributes
    ----------
    mean
        (n_kinds, d) mean latent of each kind.
    within
        (d, d) mean covariance of latents of one kind.
    draws
        (n, d) latents from the prior, of all kinds.
    """

    mean: Floats
    within: Floats
    draws: Floats


@torch.no_grad()
def kind_centres(prior: GaussianMixture, kinds: KindExperts, *, n_draws: int = 50_000, seed: int = 0) -> KindCentres:
    """Estimate the mean latent of each kind from draws of the prior.

    Parameters
    ----------
    prior, kinds
        Of a reference.
    n_draws
        Draws; 50,000 take less than a second, and the rarest kind of the bundled reference has 200 effective ones.
    seed
        Of the draws.

    Returns
    -------
    Mean latents of the kinds, and how much latents scatter within a kind.
    """
    z = prior.sample(n_draws, generator=torch.Generator(device=prior.means.device).manual_seed(seed))
    probability = kinds(z).double().cpu().numpy()
    draws = z.double().cpu().numpy()
    weight = probability.sum(0)
    mean = probability.T @ draws / weight[:, None]
    # Each draw is of each kind with its probability, and the probabilities of a draw add up to 1.
    within = (draws.T @ draws - (mean.T * weight) @ mean) / n_draws
    return KindCentres(mean, within, draws)


@dataclass(frozen=True)
class KindMap:
    """A plane on which kinds lie apart.

    Where a latent lies depends on its direction from the mean of all, in units of latents of one kind, and not on how
    far off it is: the mean latent of a rare kind is close to that of all, for many draws are a little of it.

    Attributes
    ----------
    origin
        (d,) mean latent.
    whiten
        (d, d) makes latents of one kind uncorrelated, with variance 1.
    axes
        (d, 2) directions.
    """

    origin: Floats
    whiten: Floats
    axes: Floats

    @classmethod
    def of(cls, centres: KindCentres, weight: Floats) -> KindMap:
        """The plane along which some kinds differ most.

        Principal axes of the directions of the kinds, each with its weight, (n_kinds,); they add up to 1.

        Parameters
        ----------
        centres
            Centres of the kinds, with how much latents scatter.
        weight
            (n_kinds,) how much each kind counts, which add up to 1.

        Returns
        -------
        The map from latents to the plane.
        """
        d = len(centres.within)
        ridge = 1e-6 * np.trace(centres.within) / d
        whiten = np.linalg.inv(np.linalg.cholesky(centres.within + ridge * np.eye(d))).T
        plain = cls(centres.draws.mean(0), whiten, np.eye(d))
        directions = plain.place(centres.mean)
        centred = (directions - weight @ directions) * np.sqrt(weight)[:, None]
        axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
        # A direction and its opposite are the same; the largest entry is positive, so that maps do not flip.
        axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
        return cls(plain.origin, whiten, axes.T)

    def place(self, z: Floats) -> Floats:
        """Where latents lie on the plane.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n, 2), within the unit circle.
        """
        scaled = (z - self.origin) @ self.whiten
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        return np.asarray(scaled / np.maximum(length, 1e-12) @ self.axes)
