"""The pooled regression and its maps against plain least squares on one large table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from midgd.zeroshot import ZeroShotOptions, fit_zero_shot, kin
from midgd.zeroshot import fit as fitting
from midgd.zeroshot.fit import SOFT_GENE, SOFT_MIRNA


def answer(maps, rows):
    return maps(torch.from_numpy(rows.profile), torch.from_numpy(rows.outputs)).numpy()


def test_the_regression_is_the_one_of_a_large_table(world):
    """Ridge over every sample and miRNA as a row, solved by least squares with the penalty as further rows."""
    options = ZeroShotOptions(n_factors=3)
    space = fitting._space(world.rows, world.visible, options)
    terms = fitting._terms(world.known.take(world.visible), space, with_relatives=True)
    target = fitting._standard(world.rows.target, world.rows.weight, SOFT_MIRNA).values[:, world.visible]
    importance = np.linspace(0.5, 1.5, target.shape[1])
    beta, a = fitting._pooled_ridge(terms, space, target, world.rows.weight, importance, options)
    table, right = [], []
    values = terms.values(space)
    for m in range(target.shape[1]):
        for i in range(len(target)):
            root = np.sqrt(importance[m] * world.rows.weight[i])
            table.append(
                root * np.concatenate([values[i, m], np.outer(terms.descriptors[m], space.factors[i]).ravel()])
            )
            right.append(root * target[i, m])
    size = importance.sum() * world.rows.weight.sum()
    penalty = np.r_[np.full(len(beta), options.term_penalty), np.full(a.size, options.penalty)] * size
    slow, *_ = np.linalg.lstsq(np.vstack([*table, np.diag(np.sqrt(penalty))]), np.r_[right, np.zeros(len(penalty))])
    np.testing.assert_allclose(np.r_[beta, a.ravel()], slow, atol=1e-6)


@pytest.mark.parametrize("has", [True, False])
def test_maps_give_what_terms_and_levels_give(world, has):
    """From profiles and outputs as they are, the answer is the mean plus the scaled sum of the terms."""
    out = np.arange(24) == 3
    if not has:
        out = np.ones(24, bool)
        out[8:20] = False  # its arm and its cluster are gone; there is no family
    options = ZeroShotOptions(n_factors=3)
    groups = kin(world.names, world.facts)
    asked = world.known.take(np.array([3]))
    maps = fit_zero_shot(world.rows, world.known, asked, world.visible, groups, options, left_out=out)
    learned = world.visible & ~out
    space = fitting._space(world.rows, learned, options)
    assert bool(fitting._has_relatives(asked, learned)[0]) == has
    own, new = (fitting._terms(d, space, with_relatives=has) for d in (world.known.take(learned), asked))
    target = fitting._standard(world.rows.target, world.rows.weight, SOFT_MIRNA)
    size = np.bincount(groups[learned], minlength=groups.max() + 1)[groups[learned]]
    beta, a = fitting._pooled_ridge(own, space, target.values[:, learned], world.rows.weight, size**-0.5, options)
    standard = new.values(space)[:, 0] @ beta + space.factors @ (new.descriptors[0] @ a)
    mean, scale = fitting._levels(world.known, asked, space, target, ~out, world.rows.weight, options)
    expected = np.maximum(mean[0] + scale[0] * standard, 0)
    np.testing.assert_allclose(answer(maps, world.rows)[:, 0], expected, atol=2e-4)


def test_a_host_gene_predicts_a_hidden_mirna(world):
    """Left out with all its kin, a miRNA follows its host; one without a host is not followed as well."""
    groups = kin(world.names, world.facts)
    found = {}
    for m in (0, 18):
        out = groups == groups[m]
        maps = fit_zero_shot(
            world.rows, world.known, world.known.take(np.array([m])), world.visible, groups, left_out=out
        )
        found[m] = np.corrcoef(answer(maps, world.rows)[:, 0], world.rows.target[:, m])[0, 1]
    assert found[0] > 0.5 > abs(found[18])


def test_what_is_left_out_is_not_learned_from(world):
    """Other targets and outputs of left-out miRNAs change nothing."""
    groups = kin(world.names, world.facts)
    out = groups == groups[0]
    asked = world.known.take(out)
    changed = replace(world.rows, target=world.rows.target.copy(), outputs=world.rows.outputs.copy())
    changed.target[:, out] = 9.0 * np.random.default_rng(0).random(changed.target[:, out].shape)
    changed.outputs[:, out] += 5.0
    one, two = (
        fit_zero_shot(rows, world.known, asked, world.visible, groups, left_out=out) for rows in (world.rows, changed)
    )
    np.testing.assert_allclose(answer(one, world.rows), answer(two, world.rows), atol=1e-5)


def test_standardised_columns(world):
    rows = world.rows
    found = fitting._standard(rows.profile, rows.weight, SOFT_GENE)
    mean = (rows.profile * rows.weight[:, None]).sum(0) / rows.weight.sum()
    sd = np.sqrt((((rows.profile - mean) ** 2) * rows.weight[:, None]).sum(0) / rows.weight.sum())
    np.testing.assert_allclose(found.values, (rows.profile - mean) / (sd + SOFT_GENE), atol=1e-4)
