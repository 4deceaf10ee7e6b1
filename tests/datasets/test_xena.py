from __future__ import annotations

import gzip
import logging

import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.datasets import _xena

SAMPLES = ["TCGA-OR-A5J1-01A", "TCGA-OR-A5J2-11A", "TCGA-OR-A5J3-01A"]
COUNTS = pd.DataFrame([[0, 1, 2], [250_000, 7, 0]], index=["ENSG1.5", "ENSG2.1"], columns=SAMPLES)
RPM = pd.DataFrame([[0.0, 12.5], [3.25, 1000.0]], index=["hsa-mir-21", "hsa-mir-9-1"], columns=[SAMPLES[1], SAMPLES[0]])


def tsv(table, name="Ensembl_ID"):
    return table.rename_axis(name).to_csv(sep="\t").encode()


@pytest.fixture
def hub(httpserver, cache):
    tables = {
        "TCGA-ACC.star_counts.tsv.gz": gzip.compress(tsv(np.log2(COUNTS + 1))),
        "TCGA-ACC.mirna.tsv.gz": tsv(np.log2(RPM + 1), "miRNA_ID"),  # plain in spite of its name, as some servers do
        "TCGA-ACC.clinical.tsv.gz": gzip.compress(
            tsv(
                pd.DataFrame(
                    {
                        "submitter_id": ["P1", "P2"],
                        "project_id.project": ["TCGA-ACC", "TCGA-OV"],
                        "sample_type.samples": ["Metastatic", None],
                    },
                    index=SAMPLES[:2],
                ),
                "sample",
            )
        ),
    }
    for name, body in tables.items():
        httpserver.expect_request(f"/download/{name}").respond_with_data(body)
    return httpserver


def load(hub, *args, **kwargs):
    names = args or ("TCGA-ACC.star_counts.tsv.gz", "TCGA-ACC.mirna.tsv.gz")
    return midgd.datasets.xena(*names, base_url=hub.url_for("/download"), **kwargs)


def test_values_come_back(hub, cache):
    pairs = load(hub)
    assert list(pairs.obs_names) == ["TCGA-OR-A5J1-01", "TCGA-OR-A5J2-11"]
    assert np.array_equal(pairs["rna"].X.toarray(), COUNTS[SAMPLES[:2]].to_numpy().T)
    np.testing.assert_allclose(pairs["mirna"].X.toarray(), RPM[SAMPLES[:2]].to_numpy().T, rtol=1e-6)
    assert list(pairs["rna"].var_names) == ["ENSG1.5", "ENSG2.1"]
    assert list(pairs.obs["cohort"]) == ["ACC", "ACC"]
    assert list(pairs.obs["sample_type"]) == ["Primary Tumor", "Solid Tissue Normal"]
    load(hub)
    assert len(hub.log) == 2
    assert sorted(p.name for p in cache.rglob("*.gz")) == ["TCGA-ACC.mirna.tsv.gz", "TCGA-ACC.star_counts.tsv.gz"]


def test_counts_are_integers_in_spite_of_few_digits(hub):
    hub.expect_request("/download/short.tsv").respond_with_data(tsv(np.log2(COUNTS + 1).round(6)))
    pairs = load(hub, "short.tsv", "TCGA-ACC.mirna.tsv.gz")
    assert np.array_equal(pairs["rna"].X.toarray(), COUNTS[SAMPLES[:2]].to_numpy().T)


def test_phenotype(hub):
    pairs = load(hub, "TCGA-ACC.star_counts.tsv.gz", "TCGA-ACC.mirna.tsv.gz", "TCGA-ACC.clinical.tsv.gz")
    assert pairs.obs.astype(str).to_dict("list") == {
        "cohort": ["ACC", "OV"],
        "patient": ["P1", "P2"],
        "sample_type": ["Metastatic", "Solid Tissue Normal"],
        "sample": SAMPLES[:2],
    }


def test_offset(hub):
    raw = load(hub, log2_offset=None)
    assert raw["rna"].X[0, 1] == np.float32(np.log2(250_001))
    with pytest.raises(ValueError, match=r"log2\(x \+ 2\) gives negative values \(smallest -1\)"):
        load(hub, log2_offset=2)


def test_counts_taken_for_logarithms(hub):
    hub.expect_request("/download/counts.tsv").respond_with_data(tsv(COUNTS))
    with pytest.raises(ValueError, match=r"values up to 250000 .*log2_offset=None"):
        load(hub, "counts.tsv", "TCGA-ACC.mirna.tsv.gz")


def test_missing_values(hub, caplog, monkeypatch):
    monkeypatch.setattr(_xena.logger, "propagate", True)
    holes = np.log2(RPM + 1)
    holes.loc["hsa-mir-empty"] = np.nan
    holes.iloc[0, 1] = np.nan
    hub.expect_request("/download/holes.tsv").respond_with_data(tsv(holes))
    with caplog.at_level(logging.WARNING, "midgd"):
        pairs = load(hub, "TCGA-ACC.star_counts.tsv.gz", hub.url_for("/download/holes.tsv"))
    assert "1 missing values" in caplog.text
    assert list(pairs["mirna"].var_names) == list(RPM.index)
    assert pairs["mirna"].X.toarray()[0, 0] == 0


def test_no_common_sample(hub):
    other = tsv(np.log2(RPM + 1).set_axis(["a", "b"], axis=1))
    hub.expect_request("/download/other.tsv").respond_with_data(other)
    with pytest.raises(ValueError, match=r"no sample in common; .*\['a', 'b'\]"):
        load(hub, "TCGA-ACC.star_counts.tsv.gz", "other.tsv")
    with pytest.raises(ValueError, match="no sample of the tables"):
        load(hub, "TCGA-ACC.star_counts.tsv.gz", "TCGA-ACC.mirna.tsv.gz", "TCGA-ACC.star_counts.tsv.gz")


def test_text_table_is_refused(hub):
    with pytest.raises(ValueError, match=r"clinical.*column 'submitter_id' holds text"):
        load(hub, "TCGA-ACC.clinical.tsv.gz", "TCGA-ACC.mirna.tsv.gz")


def test_offline(nowhere, cache):
    with pytest.raises(ConnectionError, match="by hand") as error:
        midgd.datasets.xena("a.tsv", "b.tsv", base_url=nowhere)
    assert f"{nowhere}/a.tsv" in str(error.value) and str(cache / "xena" / "a.tsv") in str(error.value)
    assert not [p for p in cache.rglob("*") if p.is_file()]
