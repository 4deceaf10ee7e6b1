"""What is left out together, and that a miRNA is never answered by what was learned from its group."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from midgd.zeroshot import SCHEMES, left_out
from midgd.zeroshot.schemes import N_FOLDS, folds, groups_of


def test_groups_are_nested(world):
    """Everything that a scheme hides, the next one hides too."""
    found = [groups_of(scheme, world.names, world.facts) for scheme in SCHEMES]
    for inner, outer in pairwise(found):
        for group in np.unique(inner):
            assert len(set(outer[inner == group])) == 1
    assert [len(set(g)) for g in found] == [24, 12, 6, 6]


def test_folds_keep_groups_together():
    groups = np.random.default_rng(0).integers(0, 40, 200)
    masks = list(folds(groups))
    assert len(masks) == N_FOLDS
    np.testing.assert_array_equal(np.sum(masks, axis=0), 1)
    for mask in masks:
        assert not set(groups[mask]) & set(groups[~mask])


def test_more_hidden_is_harder(world):
    """Arms follow each other closely: without them a miRNA is known less well."""
    score = {}
    for scheme in ("alone", "family and cluster"):
        groups = groups_of(scheme, world.names, world.facts)
        found = left_out(world.rows, world.rows, world.known, world.visible, groups, groups)
        r = [np.corrcoef(found[:, m], world.rows.target[:, m])[0, 1] for m in range(24)]
        score[scheme] = np.nanmean(r)
    assert score["alone"] > score["family and cluster"] + 0.1
