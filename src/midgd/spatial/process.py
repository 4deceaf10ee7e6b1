r"""Gaussian processes over the plane, several at once, with known relative noise of every place.

.. math:: y_{ic} = \mu_c + f_c(x_i) + e_{ic}, \quad
   \mathrm{cov}\{f_c(x), f_c(x')\} = \tau_c\, g_c\, e^{-|x - x'| / \ell - |t - t'|^2 / 2}, \quad
   e_{ic} \sim N(0, \tau_c \nu_i)

Here t are the traits of a place, such as what kind of tissue it is; places of other traits say less about it. Without
traits only the distance matters.

Columns c are independent of each other. They share the length scale :math:`\ell` and the relative noise :math:`\nu_i`;
gain :math:`g_c`, scale :math:`\tau_c` and mean :math:`\mu_c` are their own. All follow from the marginal likelihood
(Rasmussen and Williams 2006, chapters 2 and 5): mean and scale in closed form, gain and length scale on a grid.
In the distance the kernel is that of Matérn with :math:`\nu = 1/2`: its maps are continuous, but may change quickly at
a border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]

LENGTHS = (0.6, 1.0, 1.8, 3.0, 5.0, 9.0, 16.0)  # in distances of neighbours
GAINS = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 37)])
TILE = 400  # most places of which the likelihood is computed together
NEAREST = 64  # places that a prediction takes


@dataclass(frozen=True)
class Places:
    """Where values are known or wanted, and of which kind it is there.

    Attributes
    ----------
    where
        (n, 2) coordinates.
    traits
        (n, q), q of 0 or more; two places that differ by 1 count e^(-1/2) times as much for each other.
    """

    where: Floats
    traits: Floats

    @classmethod
    def without_traits(cls, where: Floats) -> Places:
        """Places of which nothing is known but where they are."""
        return cls(where, np.zeros((len(where), 1)))

    def take(self, rows: NDArray[np.int64]) -> Places:
        """Some of the places."""
        return Places(self.where[rows], self.traits[rows])

    def kernel(self, other: Places, length: float) -> Floats:
        """Correlation of the map here and at other places, (n, m)."""
        unlike = cdist(self.traits, other.traits, "sqeuclidean")
        return np.exp(-cdist(self.where, other.where) / length - 0.5 * unlike)


@dataclass(frozen=True)
class Process:
    """Fitted parameters.

    Attributes
    ----------
    length
        In units of the coordinates.
    gain, scale, mean
        Of each column, (c,).
    """

    length: float
    gain: Floats
    scale: Floats
    mean: Floats

    def predict(self, at: Places, known: Places, values: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Expected values of the map and their variances, (m, c) each, from the :data:`NEAREST` places.

        Exact where there are no more places.

        Parameters
        ----------
        at
            m places where the map is wanted.
        known, values, noise
            n places, (n, c) and (n,): what is known, as :func:`fit_process` got it.
        """
        found = KDTree(known.where).query(at.where, k=min(NEAREST, len(noise)))[1].reshape(len(at.where), -1)
        mean, variance = np.empty((2, len(found), values.shape[1]))
        for i, near in enumerate(found):
            around, weight = known.take(near), 1.0 / np.sqrt(noise[near])
            e, u = _spectrum(around, weight, self.length)
            to = u.T @ (weight * at.take(np.array([i])).kernel(around, self.length)[0])
            own = u.T @ (weight[:, None] * (values[near] - self.mean))
            shrunk = self.gain / (1.0 + self.gain * e[:, None])
            mean[i] = self.mean + to @ (shrunk * own)
            variance[i] = self.scale * self.gain * np.maximum(1.0 - (to**2) @ shrunk, 0.0)
        return mean, variance


def fit_process(known: Places, values: Floats, noise: Floats, unit: float) -> Process:
    """Parameters by marginal likelihood.

    Parameters
    ----------
    known
        n places.
    values
        (n, c); no column may be constant.
    noise
        (n,) variances of the noise relative to each other, above 0.
    unit
        Distance of neighbours: length scales are looked for from about half of it to sixteen times.

    Notes
    -----
    Beyond ``TILE`` places the plane is cut into tiles, whose likelihoods are multiplied.
    """
    blocks = tiles(known.where)
    best: tuple[float, Process] | None = None
    for length in np.array(LENGTHS) * unit:
        log_likelihood, scale, mean = _likelihood(known, values, noise, blocks, length)
        chosen = log_likelihood.argmax(0)
        total, columns = log_likelihood.max(0).sum(), np.arange(values.shape[1])
        if best is None or total > best[0]:
            best = total, Process(length, GAINS[chosen], scale[chosen, columns], mean[chosen, columns])
    assert best is not None
    return best[1]


def tiles(where: Floats) -> list[NDArray[np.int64]]:
    """Indices of places, halved across the longer side until no tile has more than ``TILE``."""
    parts, done = [np.arange(len(where))], []
    while parts:
        part = parts.pop()
        if len(part) <= TILE:
            done.append(part)
            continue
        longer = int(np.ptp(where[part], axis=0).argmax())
        order = part[np.lexsort((where[part, 1 - longer], where[part, longer]))]
        parts += [order[: len(order) // 2], order[len(order) // 2 :]]
    return done


def _likelihood(
    known: Places, values: Floats, noise: Floats, blocks: list[NDArray[np.int64]], length: float
) -> tuple[Floats, Floats, Floats]:
    """Log likelihood, scale and mean for every gain and column, (n_gains, c) each; constants are left out."""
    squares, cross = np.zeros((2, len(GAINS), values.shape[1]))
    ones, log_det = np.zeros((2, len(GAINS)))
    for block in blocks:
        weight = 1.0 / np.sqrt(noise[block])
        e, u = _spectrum(known.take(block), weight, length)
        y, one = u.T @ (weight[:, None] * values[block]), u.T @ weight
        spread = 1.0 + GAINS[:, None] * e
        squares += (1.0 / spread) @ y**2
        cross += (1.0 / spread) @ (one[:, None] * y)
        ones += (1.0 / spread) @ one**2
        log_det += np.log(spread).sum(1)
    mean = cross / ones[:, None]
    scale = np.maximum(squares - cross * mean, np.finfo(float).tiny) / len(noise)
    return -0.5 * (len(noise) * np.log(scale) + log_det[:, None]), scale, mean


def _spectrum(places: Places, weight: Floats, length: float) -> tuple[Floats, Floats]:
    """Eigenvalues and vectors of the kernel between places in units of their noise."""
    kernel = places.kernel(places, length) * weight[:, None] * weight
    e, u = eigh(kernel)
    return np.maximum(e, 0.0), u
