"""Pairs of the toy world as MuData and AnnData, and a model trained on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

if TYPE_CHECKING:
    from midgd.model import MIDGD

SIZES: dict[str, Any] = {"n_latent": 6, "n_hidden": 12, "n_components": 3}

if hasattr(mudata, "set_options"):  # from mudata 0.4 on this is how it is
    mudata.set_options(pull_on_update=False)


@pytest.fixture
def make_mudata(toy_pairs: Any) -> Callable[..., MuData]:
    """Function that gives a fresh MuData of the pairs; miRNA first, so that no position or size tells them apart."""

    def make(mrna: Any = None, mirna: Any = None) -> MuData:
        obs = toy_pairs.obs
        names = {"rna": toy_pairs.genes, "mirna": toy_pairs.stem_loops}
        counts = {"rna": toy_pairs.mrna if mrna is None else mrna, "mirna": toy_pairs.mirna if mirna is None else mirna}
        modalities = {
            key: ad.AnnData(counts[key].copy(), obs=pd.DataFrame(index=obs.index), var=pd.DataFrame(index=names[key]))
            for key in ("mirna", "rna")
        }
        mdata = MuData(modalities)
        mdata.obs = obs.copy()
        return mdata

    return make


@pytest.fixture
def mdata(make_mudata: Callable[..., MuData]) -> MuData:
    """The pairs."""
    return make_mudata()


@pytest.fixture(scope="session")
def _trained(toy_pairs: Any) -> tuple[MIDGD, MuData]:
    from midgd.model import MIDGD

    obs = pd.DataFrame(index=toy_pairs.obs.index)
    mdata = MuData(
        {
            "mirna": ad.AnnData(toy_pairs.mirna.copy(), obs=obs.copy(), var=pd.DataFrame(index=toy_pairs.stem_loops)),
            "rna": ad.AnnData(toy_pairs.mrna.copy(), obs=obs.copy(), var=pd.DataFrame(index=toy_pairs.genes)),
        }
    )
    mdata.obs = toy_pairs.obs.copy()
    MIDGD.setup_mudata(mdata)
    model = MIDGD(mdata, **SIZES)
    model.train(20, "cpu", batch_size=16, validation_indices=np.flatnonzero(~toy_pairs.train))
    return model, mdata


@pytest.fixture
def model(_trained: tuple[MIDGD, MuData]) -> MIDGD:
    """Trained on the train patients, the test patients held out; shared by the tests, so leave it as it is."""
    return _trained[0]


@pytest.fixture
def make_model() -> Callable[..., MIDGD]:
    """Function that sets up a MuData and gives a small untrained model."""
    from midgd.model import MIDGD

    def make(mdata: MuData, *, readout: bool = True, **setup: Any) -> MIDGD:
        MIDGD.setup_mudata(mdata, **setup)
        return MIDGD(mdata, readout=readout, **SIZES)

    return make
