"""From stem-loops to mature miRNAs: fractions, and how they deviate with the profile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from midgd.nn import Profiles, Weights
from midgd.train import Modality, Mosaic, ReadoutOptions, fit_mature_level, fit_readout
from midgd.train.mature import fit_arms
from midgd.train.queries import query


def share_of(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(1, keepdims=True)


def log1p_cpm(counts: np.ndarray) -> np.ndarray:
    return np.log1p(1e6 * share_of(counts))


def test_fractions_are_recovered(toy_pairs):
    share, truth = share_of(toy_pairs.mirna), share_of(toy_pairs.mature)
    arms = fit_arms(share, truth, toy_pairs.arms)
    stem, mature = toy_pairs.stem_loops.index("hsa-mir-21"), toy_pairs.matures.index("hsa-miR-21-5p")
    (i,) = np.flatnonzero((arms.stem_loop == stem) & (arms.mature == mature))
    library = toy_pairs.mirna.sum(1) / toy_pairs.mature.sum(1)
    expected = (toy_pairs.mature[:, mature] * library).sum() / toy_pairs.mirna[:, stem].sum()
    assert arms.fraction[i] == pytest.approx(expected, rel=0.02)
    assert np.mean([spearmanr(p, t).statistic for p, t in zip(arms.of(share), truth, strict=True)]) > 0.97


def test_arms_of_a_stem_loop_never_exceed_it():
    """The mature table has more reads than its stem-loop: fractions are scaled down, in proportion."""
    stem, mature = np.array([[0.1, 0.9]], np.float32), np.array([[0.3, 0.3, 0.4]], np.float32)
    arms = fit_arms(stem, mature, np.array([[0, 0], [0, 1], [1, 2]]))
    np.testing.assert_allclose(arms.fraction, [0.5, 0.5, 0.4 / 0.9], rtol=1e-6)


@pytest.fixture
def switching(toy_pairs) -> np.ndarray:
    """Mature counts in which the arms of mir-21 change places where another stem-loop is high."""
    names = [toy_pairs.matures.index(name) for name in ("hsa-miR-21-5p", "hsa-miR-21-3p")]
    marker = log1p_cpm(toy_pairs.mirna)[:, toy_pairs.stem_loops.index("hsa-mir-375")]
    part = 0.1 + 0.8 / (1 + np.exp(-2 * (marker - marker.mean())))
    counts, total = toy_pairs.mature.copy(), toy_pairs.mature[:, names].sum(1)
    counts[:, names] = np.round(np.stack([total * part, total * (1 - part)], 1))
    return counts


def test_deviations_follow_the_profile(toy_pairs, switching):
    """Held-out samples: the level knows from other stem-loops which arm is kept; constant fractions do not."""
    train, test = toy_pairs.train, ~toy_pairs.train
    level = fit_mature_level(toy_pairs.mirna[train], switching[train], toy_pairs.arms)
    stem, truth = log1p_cpm(toy_pairs.mirna[test]), log1p_cpm(switching[test])
    constant = np.log1p(1e6 * level.arms.of(share_of(toy_pairs.mirna[test])))
    for name in ("hsa-miR-21-5p", "hsa-miR-21-3p"):
        j = toy_pairs.matures.index(name)
        errors = [np.square(answer[:, j] - truth[:, j]).mean() for answer in (level(stem), constant)]
        assert errors[0] < 0.5 * errors[1]


def test_without_deviation_the_level_is_the_constant_fractions(toy_pairs):
    level = fit_mature_level(toy_pairs.mirna, toy_pairs.mature, toy_pairs.arms)
    level = level.__class__(level.arms, level.deviation._replace(slopes=0 * level.deviation.slopes, intercept=0.0))
    share = share_of(toy_pairs.mirna)
    np.testing.assert_allclose(level(np.log1p(1e6 * share)), np.log1p(1e6 * level.arms.of(share)), rtol=1e-4, atol=1e-4)


def test_readout_learns_counted_matures_and_completes_the_others(toy_reference, toy_pairs, switching):
    """Where no sample has mature counts the targets are the level's; where all have, they do not use it."""
    level = fit_mature_level(toy_pairs.mirna, switching, toy_pairs.arms)
    other = fit_mature_level(toy_pairs.mirna, toy_pairs.mature, toy_pairs.arms)
    decoder, prior = toy_reference.decoder, toy_reference.prior
    options = ReadoutOptions(depths=(None,), adaptive=None, rank=60, noise=None)
    pairs = toy_pairs.mosaic()
    profile = torch.tensor(query(decoder, prior, pairs["mrna"], np.eye(len(pairs), dtype=np.float32)).profile)
    answers, deep = {}, Weights(torch.ones(len(profile)), torch.zeros(len(profile)))
    for seen in (True, False):
        mature = Modality.from_mask(switching, np.full(switching.shape, seen))
        mosaic = Mosaic(pairs.modalities | {"mature": mature})
        for name, used in (("own", level), ("other", other)):
            readout = fit_readout(decoder, prior, mosaic, options, used).readout
            answers[seen, name] = readout(Profiles(profile), deep).numpy()
    np.testing.assert_array_equal(answers[True, "own"], answers[True, "other"])
    difference = np.abs(answers[False, "own"] - answers[False, "other"])
    assert difference[:, 40:].max() > 0.5 and difference[:, :40].max() < 0.05
