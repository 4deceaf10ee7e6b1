from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import midgd
from midgd.infer.centres import KindMap, kind_centres


@pytest.fixture
def inferred(toy_query, toy_reference):
    midgd.tl.infer_mirna(toy_query, toy_reference, sample_kind="cell")
    return toy_query


def test_kinds_and_query_lie_where_their_latents_are(inferred, toy_reference, unreadable):
    before = inferred.obsm["X_midgd"].copy()
    axis = midgd.pl.reference_map(inferred, toy_reference, show=False)
    names = list(toy_reference.kind_names)
    share = inferred.obs["mirna_nearest"].astype(str).value_counts(normalize=True).reindex(names).fillna(0).to_numpy()
    centres = kind_centres(toy_reference.prior, toy_reference.kinds)
    plane = KindMap.of(centres, (share + 1e-3) / (share + 1e-3).sum())
    drawn = {part.get_label(): np.asarray(part.get_offsets()) for part in axis.collections}
    np.testing.assert_allclose(drawn["cells"], plane.place(centres.mean[[names.index("CCC")]]))
    near = (inferred.obs["mirna_ood"] < 0.5).to_numpy()
    np.testing.assert_allclose(drawn["query"], plane.place(before[near].astype(float)))
    assert drawn.get("query outside the reference", np.empty((0, 2))).shape == ((~near).sum(), 2)
    assert {text.get_text() for text in axis.texts} == {n for n, s in zip(names, share, strict=True) if s >= 0.01}
    np.testing.assert_array_equal(inferred.obsm["X_midgd"], before)


def test_the_reference_alone(toy_reference, unreadable):
    axis = midgd.pl.reference_map(reference=toy_reference, show=False)
    assert {text.get_text() for text in axis.texts} <= set(toy_reference.kind_names)
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["draws of the prior", "cells", "tissues and tumours"]
    assert unreadable(axis.figure) == []


def test_another_reference_or_none_is_refused(inferred, toy_reference):
    inferred.uns["mirna"]["reference"]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match="come from reference 'toy', sha256 000000000000, and 'toy' has"):
        midgd.pl.reference_map(inferred, toy_reference, show=False)
    with pytest.raises(KeyError, match="no latents 'X_other'"):
        midgd.pl.reference_map(inferred, toy_reference, key="other", show=False)
    with pytest.raises(ValueError, match="'toy' knows no kinds"):
        midgd.pl.reference_map(reference=replace(toy_reference, kinds=None), show=False)
