"""Measured miRNA beside the inferred: whichever way it is given, the same rows and names."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import midgd

mudata = pytest.importorskip("mudata")


@pytest.fixture(scope="module")
def pairs(toy_pairs, toy_reference) -> tuple[ad.AnnData, pd.DataFrame]:
    """Samples that the reference was not trained on, inferred, and their measured mature miRNAs."""
    rows = ~toy_pairs.train
    obs = toy_pairs.obs[rows]
    samples = ad.AnnData(toy_pairs.mrna[rows], obs=obs, var=pd.DataFrame(index=toy_pairs.genes))
    midgd.tl.infer_mirna(samples, toy_reference)
    return samples, pd.DataFrame(toy_pairs.mature[rows], obs.index, toy_pairs.matures)


def test_correlations_are_those_of_scipy_on_log_cpm(pairs):
    samples, measured = pairs
    found = midgd.tl.compare_measured(samples, measured, groupby="cohort")
    logs = np.log1p(1e6 * measured.div(measured.sum(axis=1), axis=0))
    inferred = samples.obsm["mirna"]
    for name in found.mirnas.index[::7]:
        assert found.mirnas.loc[name, "spearman"] == pytest.approx(stats.spearmanr(logs[name], inferred[name])[0])
        assert found.mirnas.loc[name, "pearson"] == pytest.approx(
            stats.pearsonr(logs[name], inferred[name])[0], abs=1e-5
        )
    row = measured.index[3]
    slow = stats.spearmanr(logs.loc[row, found.mirnas.index], inferred.loc[row, found.mirnas.index])[0]
    assert found.samples.loc[row, "spearman"] == pytest.approx(slow)
    assert found.summary["n_samples"] == len(measured)
    assert found.summary["spearman_per_mirna"] == pytest.approx(
        found.mirnas["spearman"][found.mirnas["present"]].mean()
    )
    assert found.summary["spearman_per_mirna"] > 0.5 and found.summary["fold_difference"] > 0.7


def test_however_it_is_given(pairs):
    samples, measured = pairs
    expected = midgd.tl.compare_measured(samples, measured)
    shuffled = measured.sample(frac=1, random_state=0)[measured.columns[::-1]]
    own = samples.copy()
    own.obsm["array"] = measured
    both = mudata.MuData({"rna": samples.copy(), "array": ad.AnnData(measured)})
    for data, given in ((samples, shuffled), (samples, ad.AnnData(shuffled)), (own, "array"), (both, "array")):
        found = midgd.tl.compare_measured(data, given)
        pd.testing.assert_frame_equal(found.mirnas, expected.mirnas)
        pd.testing.assert_series_equal(found.summary, expected.summary)


def test_units_and_missing_values(pairs):
    samples, measured = pairs
    expected = midgd.tl.compare_measured(samples, measured)
    cpm = 1e6 * measured.div(measured.sum(axis=1), axis=0)
    for values, units in ((cpm, "cpm"), (np.log1p(cpm), "log1p_cpm"), (np.log2(1 + cpm), "log2_cpm")):
        found = midgd.tl.compare_measured(samples, values, units=units)
        pd.testing.assert_frame_equal(found.mirnas, expected.mirnas, atol=1e-6)
    cpm.iloc[2, 5] = np.nan
    assert len(midgd.tl.compare_measured(samples, cpm, units="cpm").mirnas) == len(expected.mirnas) - 1


def test_names_of_others_are_matched(pairs, toy_reference):
    samples, measured = pairs
    expected = midgd.tl.compare_measured(samples, measured)
    accession = dict(zip(*(toy_reference.mirna_table("mature")[k] for k in ("name", "accession")), strict=True))
    renamed = measured.rename(columns={"hsa-miR-223-3p": "mir-223-3p"})
    renamed = renamed.rename(columns={"hsa-miR-155-5p": accession["hsa-miR-155-5p"]})
    found = midgd.tl.compare_measured(samples, renamed)
    assert found.mirnas.loc["hsa-miR-223-3p", "measured_as"] == "mir-223-3p"
    pd.testing.assert_frame_equal(
        found.mirnas.drop(columns="measured_as").loc[expected.mirnas.index], expected.mirnas.drop(columns="measured_as")
    )


def test_a_name_without_an_arm_is_the_only_arm_there_is(pairs):
    samples, measured = pairs
    one_arm = samples.copy()
    one_arm.obsm["mirna"] = one_arm.obsm["mirna"].drop(columns=["hsa-miR-150-3p"])
    without = measured.rename(columns={"hsa-miR-150-5p": "hsa-miR-150", "hsa-miR-31-5p": "hsa-miR-31"})
    found = midgd.tl.compare_measured(one_arm, without).mirnas
    assert found.loc["hsa-miR-150-5p", "measured_as"] == "hsa-miR-150"
    assert "hsa-miR-31-5p" not in found.index  # of two arms, which one is not known


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda m: m.set_axis([f"x{i}" for i in range(len(m))]), {}, ValueError, "0 samples are both"),
        (lambda m: m.set_axis([f"g{i}" for i in range(m.shape[1])], axis=1), {}, ValueError, "none of the .* measured"),
        (lambda m: np.log1p(m), {}, ValueError, "look like logarithms"),
        (lambda m: m, {"units": "log1p_cpm"}, ValueError, "no logarithms"),
        (lambda m: m, {"units": "tpm"}, ValueError, "units='tpm' is unknown"),
        (lambda m: -m, {}, ValueError, "below 0"),
        (lambda m: pd.concat([m, m]), {}, ValueError, "occurs more than once"),
        (lambda m: "nowhere", {}, KeyError, "no modality or table of obsm"),
        (lambda m: m.to_numpy(), {}, TypeError, "need names"),
        (lambda m: m, {"groupby": "type"}, KeyError, "groupby='type'"),
    ],
)
def test_bad_input(pairs, change, arguments, error, message):
    samples, measured = pairs
    with pytest.raises(error, match=message):
        midgd.tl.compare_measured(samples, change(measured), **arguments)
