from __future__ import annotations

import numpy as np
import pandas as pd

from midgd.bench.data import PairedData

FRACTIONS = np.linspace(0.0, 1.0, 11)


def mixtures(data: PairedData, depth: float, rng: np.random.Generator, n_pairs: int = 20) -> PairedData:
    """Mixtures of pairs of measured samples of different cohorts at known fractions.

    Parameters
    ----------
    data
        Samples to mix; at least two cohorts.
    depth
        Expected UMIs of each mixture.
    rng, n_pairs
        Pairs are drawn at random, with replacement over pairs.

    Returns
    -------
    ``n_pairs * 11`` samples. ``x`` are Poisson counts of the mixed gene shares, ``y`` the mixed miRNA shares
    in CPM. ``obs`` has ``pair``, ``fraction`` (of the second sample), and ``patient`` = the pair, so that a
    bootstrap draws whole pairs.
    """
    cohort = data.obs["cohort"].astype(str).to_numpy()
    if len(np.unique(cohort)) < 2:
        raise ValueError("mixtures: the samples are all of one cohort, expected at least two to mix.")
    x, y = (values / np.maximum(values.sum(axis=1, keepdims=True, dtype=float), 1e-12) for values in (data.x, data.y))
    xs, ys, obs = [], [], []
    fraction = FRACTIONS[:, None]
    for pair in range(n_pairs):
        first = rng.integers(len(data))
        second = rng.choice(np.flatnonzero(cohort != cohort[first]))
        xs.append(rng.poisson(depth * ((1 - fraction) * x[first] + fraction * x[second])))
        ys.append(1e6 * ((1 - fraction) * y[first] + fraction * y[second]))
        label = f"{cohort[first]}+{cohort[second]}"
        obs += [{"cohort": label, "patient": str(pair), "pair": pair, "fraction": f} for f in FRACTIONS]
    table = pd.DataFrame(obs).assign(sample_type="mixture").set_index(pd.Index([f"mix{i}" for i in range(len(obs))]))
    return PairedData(np.concatenate(xs), np.concatenate(ys), data.genes, data.mirnas, table)
