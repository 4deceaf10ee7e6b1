"""Copies of AnnData that scipy cannot copy: everything is there and nothing is shared."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from midgd.tl._copy import copy_of


def odd(x: np.ndarray, dtype: str) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(x)
    matrix.data = matrix.data.astype(dtype)
    return matrix


@pytest.mark.parametrize("place", ["X", "layers", "raw"])
@pytest.mark.parametrize("dtype", ["float16", ">f4"])
def test_a_copy_has_all_parts_and_shares_none(place: str, dtype: str) -> None:
    x = np.random.default_rng(0).poisson(1.0, (6, 4)).astype(np.float32)
    matrix = {name: odd(x, dtype) if name == place else sparse.csr_matrix(x) for name in ("X", "layers", "raw")}
    obs, var = pd.DataFrame({"a": range(6)}, index=list("abcdef")), pd.DataFrame({"b": range(4)}, index=list("wxyz"))
    cells = ad.AnnData(matrix["X"], obs=obs, var=var, layers={"l": matrix["layers"]}, uns={"u": {"v": [1]}})
    cells.obsm["m"], cells.obsp["p"] = np.zeros((6, 2)), sparse.eye(6, format="csr")
    cells.raw = ad.AnnData(matrix["raw"], obs=obs, var=var)
    copy = copy_of(cells)
    for values in (copy.X, copy.layers["l"], copy.raw.X):
        np.testing.assert_array_equal(values.toarray(), x)
    assert copy.obs.equals(obs) and copy.var.equals(var) and set(copy.obsm) == {"m"} and set(copy.obsp) == {"p"}
    copy.uns["u"]["v"].append(2)
    copy.obs["a"], copy.obsm["m"][:] = 0, 1
    assert cells.uns["u"]["v"] == [1] and cells.obs["a"].sum() == 15 and not cells.obsm["m"].any()
