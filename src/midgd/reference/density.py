r"""Where the latents of samples lie, and how counts and miRNA scatter around what a latent says.

The prior of the decoder guides training and inference. It is a poor source of new samples: its 20 diagonal components
are wider than any kind of sample, and the head's dispersion is that of a first guess. This density is fitted to the
latents that the trained model finds (:mod:`midgd.generate.fit`):

.. math:: z = \mu_c + a \, (s_c L \epsilon + D_c^T \eta), \qquad
          x_g \sim \mathrm{NB}(N p_g(z),\; r_g / (b \, t_c)), \qquad
          y = f(z) + u F + \sigma \epsilon'

Component c is a kind of sample from one table of the training data; :math:`L L^T` is the covariance of latents within
components, which all share, :math:`s_c` how wide component c is, and the rows of :math:`D_c` the directions in which
its own samples differ more. Samples of one kind are not alike in how odd they
are: the pair (a, b) is drawn for each. :math:`f(z)` is the answer of the reference at the latent; the rest of the
miRNA's variation, which mRNA does not show, has the factors F.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


class Latents(NamedTuple):
    """Latents of n new samples.

    Attributes
    ----------
    latent
        (n, d).
    component
        (n,) index of the component that each comes from.
    noise
        (n,) by what factor the relative variance of its counts exceeds that of the genes.
    """

    latent: Floats
    component: Indices
    noise: Floats


@dataclass(frozen=True)
class LatentDensity:
    """Parameters of the density; sizes: C components, d latents, G genes, M outputs of the reference.

    Parameters
    ----------
    mean
        (C, d) mean latents of the components.
    weight
        (C,) parts of the samples, above 0.
    kind
        (C,) index of the kind of sample among those of the reference, -1 for none.
    scale
        (C, 2) standard deviation of the latents and relative variance of the counts, both relative to all components.
    within
        (d, d) lower triangle L with :math:`L L^T` the covariance within components.
    direction
        (n_directions, d) directions in which the latents of one component vary more, as long as their standard
        deviations.
    direction_of
        (n_directions,) the component of each.
    oddness
        (levels, 2) by how much a sample's latent and counts scatter more than the others of its component; each level
        is as likely.
    log_depth
        (C, 2) mean and standard deviation of the natural log of the counts of a sample, over all genes of the model.
    mirna_factors
        (n_factors, M) how the miRNAs of a sample deviate together from the answer, in log1p CPM.
    mirna_sd
        (M,) standard deviation of what is left of each.
    dispersion
        (G,) inverse dispersion r of every gene around the decoded mean; None for what the head says, which heads
        without a dispersion do anyway.
    """

    mean: Floats
    weight: Floats
    kind: Indices
    scale: Floats
    within: Floats
    direction: Floats
    direction_of: Indices
    oddness: Floats
    log_depth: Floats
    mirna_factors: Floats
    mirna_sd: Floats
    dispersion: Floats | None = None

    def draw(self, n: int, rng: np.random.Generator, kinds: Indices | None = None) -> Latents:
        """Draw latents of new samples, exactly: a component, how odd the sample is, and a Gaussian.

        Parameters
        ----------
        n
            Number of samples.
        rng
            Source of randomness.
        kinds
            (n,) kind of each; None draws components as often as the training data have them.

        Returns
        -------
        The latents, and what else belongs to each sample.

        Raises
        ------
        ValueError
            If no component is of a kind that is asked for.
        """
        component = self._components(n, rng, kinds)
        latent_part, noise_part = self.oddness[rng.integers(len(self.oddness), size=n)].T
        step = rng.standard_normal((n, self.mean.shape[1]), np.float32) @ self.within.T
        along = rng.standard_normal((n, len(self.direction)), np.float32) * (component[:, None] == self.direction_of)
        step = self.scale[component, :1] * step + along @ self.direction
        latent = self.mean[component] + latent_part[:, None] * step
        return Latents(latent.astype(np.float32), component, noise_part * self.scale[component, 1])

    def _components(self, n: int, rng: np.random.Generator, kinds: Indices | None) -> Indices:
        if kinds is None:
            return rng.choice(len(self.weight), n, p=_normalised(self.weight))
        component = np.empty(n, np.int64)
        for kind in np.unique(kinds):
            own, wanted = np.flatnonzero(self.kind == kind), kinds == kind
            if not len(own):
                raise ValueError(f"the density has no component of kind {kind}.")
            component[wanted] = rng.choice(own, int(wanted.sum()), p=_normalised(self.weight[own]))
        return component

    def deviations(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw how the miRNAs of new samples deviate from the answer of the reference.

        Parameters
        ----------
        n
            Number of samples.
        rng
            Source of randomness.

        Returns
        -------
        (n, M) in log1p CPM.
        """
        shared = rng.standard_normal((n, len(self.mirna_factors)), np.float32) @ self.mirna_factors
        return np.asarray(shared + self.mirna_sd * rng.standard_normal(shared.shape, np.float32), np.float32)

    def deviation_covariance(self, outputs: Indices) -> Floats:
        """How the deviations of all outputs go with those of some.

        Parameters
        ----------
        outputs
            (t,) indices of outputs.

        Returns
        -------
        (t, M) covariances.
        """
        covariance = self.mirna_factors[:, outputs].T @ self.mirna_factors
        covariance[np.arange(len(outputs)), outputs] += self.mirna_sd[outputs] ** 2
        return np.asarray(covariance, np.float32)

    def draw_depths(self, component: Indices, rng: np.random.Generator) -> Floats:
        """Draw numbers of counts as the training samples of each component have them.

        Parameters
        ----------
        component
            (n,) components.
        rng
            Source of randomness.

        Returns
        -------
        (n,) counts of all genes of the model.
        """
        mean, sd = self.log_depth[component].T
        return np.exp(mean + sd * rng.standard_normal(len(component))).astype(np.float32)


def _normalised(weight: Floats) -> NDArray[np.float64]:
    exact = weight.astype(np.float64)
    return exact / exact.sum()
