"""Names of results: those that files can hold, and no others."""

from __future__ import annotations

import anndata as ad
import pytest

import midgd


@pytest.mark.parametrize("key", ["", "a/b", "a\0b", ".", "..", None, 3])
def test_names_that_files_cannot_hold_are_refused_before_the_work(toy_query, toy_reference, key):
    before = set(toy_query.obsm), set(toy_query.uns)
    with pytest.raises(ValueError, match=r"key_added=.* must be a name"):
        midgd.tl.infer_mirna(toy_query, toy_reference, key_added=key)
    assert (set(toy_query.obsm), set(toy_query.uns)) == before


@pytest.mark.parametrize("key", ["mirna of 2026", "a.b", "µ", "it's", "a\nb", "__x"])
def test_other_names_survive_a_file(toy_query, toy_reference, key, tmp_path):
    midgd.tl.infer_mirna(toy_query, toy_reference, key_added=key, uncertainty=True)
    toy_query.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert midgd.get.mirna(again, key).to_df().equals(midgd.get.mirna(toy_query, key).to_df())
    assert midgd.get.interval(again, key=key)[0].equals(midgd.get.interval(toy_query, key=key)[0])
