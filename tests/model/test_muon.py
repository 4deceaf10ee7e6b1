"""A cohort's whole way with muon: pairs, four lines of training, an inferred miRNA on an embedding."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")


@pytest.mark.filterwarnings("ignore")
def test_pairs_to_picture(mdata: Any) -> None:
    mu = pytest.importorskip("muon")
    import matplotlib.pyplot as plt
    import scanpy as sc

    from midgd.model import MIDGD

    MIDGD.setup_mudata(mdata, modalities={"mrna": "rna", "mirna": "mirna"}, labels_key="cohort")
    model = MIDGD(mdata, n_latent=6, n_hidden=12, n_components=3)
    model.train(max_epochs=15, batch_size=16, accelerator="cpu")
    inferred = model.infer_mirna(write_to="mirna_inferred")

    mdata.obsm["X_midgd"] = model.get_latent_representation()
    mdata.obsm["X_pca"] = sc.pp.pca(mdata.obsm["X_midgd"], n_comps=2)
    mu.pl.embedding(mdata, basis="X_pca", color=["mirna_inferred:hsa-mir-21", "cohort"], show=False)
    drawn = [np.asarray(axis.collections[0].get_array()) for axis in plt.gcf().axes[:1]]
    plt.close("all")
    np.testing.assert_allclose(np.sort(drawn[0]), np.sort(inferred["hsa-mir-21"]), rtol=1e-5)
