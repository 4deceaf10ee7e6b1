"""What was not measured is masked, in training and in queries: missing rows, missing entries, sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from numpy.typing import NDArray

from midgd.model import MIDGD

HIDDEN = np.arange(200, 450)


def _weights(model: MIDGD) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy() for name, value in model.reference.decoder.state_dict().items()}


def _train(make_model: Any, mdata: MuData, **setup: Any) -> MIDGD:
    model = make_model(mdata, **setup)
    # The same rows whatever is missing
    model.train(3, "cpu", batch_size=16, validation_indices=range(60, 80))
    return model


def _assert_same(one: MIDGD, other: MIDGD) -> None:
    # The last digit of a sum depends on where in memory its numbers lie, so on what ran before.
    for name, value in _weights(one).items():
        np.testing.assert_allclose(value, _weights(other)[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("modality", ["rna", "mirna"])
def test_nan_zero_and_absent_rows_are_the_same(make_model: Any, make_mudata: Any, modality: str) -> None:
    models = []
    for blank in (np.nan, 0.0, None):
        mdata = make_mudata()
        if blank is None:
            obs = mdata.obs
            parts = {name: part[20:].copy() if name == modality else part.copy() for name, part in mdata.mod.items()}
            mdata = MuData(parts)
            # The global rows come in another order than those of one modality.
            mdata = mdata[obs.index].copy()
            mdata.obs = obs.loc[mdata.obs_names]
        else:
            mdata[modality].X[:20] = blank
        models.append(_train(make_model, mdata))
    assert np.isfinite(_weights(models[0])["heads.mirna.weight"]).all()
    _assert_same(models[0], models[1])
    _assert_same(models[0], models[2])


def test_masked_rows_change_the_result_if_they_are_not_masked(make_model: Any, make_mudata: Any) -> None:
    full, masked = make_mudata(), make_mudata()
    masked["mirna"].X[:20] = np.nan
    one, other = _train(make_model, full), _train(make_model, masked)
    assert not np.array_equal(_weights(one)["heads.mirna.weight"], _weights(other)["heads.mirna.weight"])


def test_queries_without_mrna_are_nan_and_the_others_as_before(make_model: Any, make_mudata: Any) -> None:
    mdata = make_mudata()
    mdata["rna"].X[:20] = np.nan
    model = _train(make_model, mdata)
    latent, mirna = model.get_latent_representation(), model.infer_mirna()
    assert np.isnan(latent[:20]).all() and np.isfinite(latent[20:]).all()
    assert mirna.iloc[:20].isna().all(axis=None) and list(mirna.index) == list(mdata.obs_names)
    rest = mdata["rna"][20:].copy()
    pd.testing.assert_frame_equal(model.infer_mirna(rest), mirna.iloc[20:])
    assert model.get_normalized_expression(gene_list=["EPCAM"])[:20].isna().all(axis=None)


def test_source_mask_equals_nan_entries(make_model: Any, make_mudata: Any, toy_pairs: Any) -> None:
    narrow = (toy_pairs.obs["cohort"] == "AAA").to_numpy()
    zeros, nans = make_mudata(), make_mudata()
    zeros["rna"].X[np.ix_(narrow, HIDDEN)] = 0
    nans["rna"].X[np.ix_(narrow, HIDDEN)] = np.nan
    by_source = _train(make_model, zeros, source_key="cohort")
    by_entry = _train(make_model, nans)
    _assert_same(by_source, by_entry)
    unmasked = _train(make_model, zeros)
    assert not np.array_equal(_weights(unmasked)["heads.mrna.bias"], _weights(by_source)["heads.mrna.bias"])
    pd.testing.assert_frame_equal(by_source.infer_mirna(), by_entry.infer_mirna())
    # A gene that the source lacks is decoded as elsewhere; taken as zero it nearly vanishes.
    hidden = [toy_pairs.genes[i] for i in HIDDEN]
    share = by_source.get_normalized_expression(gene_list=hidden)[narrow].sum(axis=1)
    true = (toy_pairs.mrna[:, HIDDEN].sum(1) / toy_pairs.mrna.sum(1))[narrow]
    np.testing.assert_allclose(share, true, rtol=0.5)


def test_source_mask_does_not_depend_on_the_rows_of_a_query(make_model: Any, make_mudata: Any, toy_pairs: Any) -> None:
    narrow = (toy_pairs.obs["cohort"] == "AAA").to_numpy()
    mdata = make_mudata()
    mdata["rna"].X[np.ix_(narrow, HIDDEN)] = 0
    model = _train(make_model, mdata, source_key="cohort")
    everything = model.infer_mirna()
    one = mdata[[int(np.flatnonzero(narrow)[3])]].copy()
    pd.testing.assert_frame_equal(model.infer_mirna(one), everything.loc[one.obs_names], rtol=1e-4)
    # Another source measured what it has: nothing is masked.
    other = one.copy()
    other.obs["cohort"] = "unheard of"
    assert not np.allclose(model.infer_mirna(other), everything.loc[one.obs_names], rtol=1e-3)


def test_duplicated_query_genes_survive_nan_in_one_of_them(model: MIDGD, toy_pairs: Any) -> None:
    frame = pd.DataFrame(toy_pairs.mrna[:4], columns=toy_pairs.genes, index=list("abcd"))
    twice = frame.copy()
    twice["EPCAM-1"] = np.nan
    pd.testing.assert_frame_equal(model.infer_mirna(twice), model.infer_mirna(frame))
