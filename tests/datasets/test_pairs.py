from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from midgd.datasets._pairs import OBS_COLUMNS, one_per_sample, paired_mudata, tcga_obs, without_vial


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("TCGA-OR-A5J1-01A", "TCGA-OR-A5J1-01"),
        ("TCGA-OR-A5J1-11B", "TCGA-OR-A5J1-11"),
        ("TCGA-OR-A5J1-01", "TCGA-OR-A5J1-01"),
        ("TARGET-30-PARACS-01A", "TARGET-30-PARACS-01"),
        ("liverA", "liverA"),
    ],
)
def test_without_vial(sample, expected):
    assert without_vial(sample) == expected


def test_one_per_sample_takes_the_first_vial():
    assert one_per_sample(["T-1-01B", "T-1-01A", "T-1-11A"]) == {"T-1-01": "T-1-01A", "T-1-11": "T-1-11A"}


def test_tcga_obs():
    obs = tcga_obs(["TCGA-OR-A5J1-01A", "TCGA-OR-A5J2-11A", "mouse"], "ACC")
    assert list(obs.index) == ["TCGA-OR-A5J1-01", "TCGA-OR-A5J2-11", "mouse"]
    assert list(obs["patient"]) == ["TCGA-OR-A5J1", "TCGA-OR-A5J2", "mouse"]
    assert list(obs["sample_type"]) == ["Primary Tumor", "Solid Tissue Normal", "unknown"]


def test_paired_mudata_survives_the_disk(tmp_path):
    rng = np.random.default_rng(0)
    rna, mirna = rng.poisson(1.0, (3, 4)), rng.poisson(2.0, (3, 2)).astype(float)
    obs = tcga_obs(["TCGA-AA-0003-01A", "TCGA-AA-0001-01A", "TCGA-AA-0002-11A"], "ACC")
    genes, mirnas = pd.DataFrame(index=list("abcd")), pd.DataFrame(index=["x", "y"])
    pairs = paired_mudata(obs, sparse.coo_matrix(rna), genes, mirna, mirnas)
    pairs.write(tmp_path / "pairs.h5mu")
    assert list(pairs.obs) == list(OBS_COLUMNS)
    for mdata in (pairs, mudata.read_h5mu(tmp_path / "pairs.h5mu")):
        assert list(mdata.mod) == ["rna", "mirna"] and list(mdata.obs_names) == list(obs.index)
        for name, truth in (("rna", rna), ("mirna", mirna)):
            counts = mdata[name].X
            assert isinstance(counts, sparse.csr_matrix) and counts.dtype == np.float32
            assert np.array_equal(counts.toarray(), truth) and np.all(counts.data != 0)
            assert list(mdata[name].obs_names) == list(obs.index)
        for part in (mdata, mdata["rna"], mdata["mirna"]):
            # reading an h5mu, mudata 0.3 adds "rna:cohort" and so on in front
            assert list(part.obs)[-4:] == list(OBS_COLUMNS)
            assert all(list(part.obs[c]) == list(obs[c]) for c in OBS_COLUMNS)
