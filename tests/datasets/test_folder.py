from __future__ import annotations

import gzip
import logging

import numpy as np
import pandas as pd
import pytest

from midgd.datasets import _folder, _tables, read_folder

RNG = np.random.default_rng(3)
SAMPLES = ["s1", "s2", "s3", "s4"]
MRNA = pd.DataFrame(RNG.poisson(3.0, (4, 5)), index=SAMPLES, columns=["A", "B", "C", "D", "E"])
MIRNA = pd.DataFrame(
    RNG.poisson(9.0, (4, 3)), index=SAMPLES, columns=["hsa-miR-1-3p", "hsa-miR-21-5p", "hsa-let-7a-5p"]
)
OBS = pd.DataFrame({"cohort": ["x", "x", "y", "y"], "age": [1, 2, 3, 4]}, index=SAMPLES)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mine"


def write(folder, ending=".tsv", **tables):
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / (name + ending), sep="," if "csv" in ending else "\t")


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".csv", ".csv.gz", ".txt"])
@pytest.mark.parametrize("flip_mrna", [False, True])
@pytest.mark.parametrize("flip_mirna", [False, True])
@pytest.mark.parametrize("with_obs", [False, True])
def test_every_layout_gives_the_same(folder, ending, flip_mrna, flip_mirna, with_obs):
    shuffled = MIRNA.iloc[::-1]
    write(folder, ending, mrna=MRNA.T if flip_mrna else MRNA, mirna=shuffled.T if flip_mirna else shuffled)
    if with_obs:
        write(folder, ".csv", obs=OBS.iloc[[2, 0, 1, 3]])
    pairs = read_folder(folder)
    assert list(pairs.obs_names) == SAMPLES
    assert pairs["rna"].to_df().equals(MRNA.astype(np.float32)) and pairs["mirna"].to_df().equals(MIRNA.astype("f4"))
    assert list(pairs.obs["cohort"]) == (["x", "x", "y", "y"] if with_obs else ["mine"] * 4)
    assert list(pairs.obs["patient"]) == SAMPLES == list(pairs.obs["sample"])
    assert set(pairs.obs["sample_type"]) == {"unknown"}
    assert not with_obs or list(pairs.obs["age"]) == [1, 2, 3, 4]


def test_common_samples_only(folder, caplog, monkeypatch):
    monkeypatch.setattr(_folder.logger, "propagate", True)
    write(folder, mrna=MRNA, mirna=MIRNA.iloc[1:], obs=OBS.iloc[:3])
    with caplog.at_level(logging.WARNING, "midgd"):
        assert list(read_folder(folder).obs_names) == ["s2", "s3"]
    assert "2 samples are in all tables, of [4, 3, 3]" in caplog.text
    write(folder, obs=OBS.iloc[:1])
    with pytest.raises(ValueError, match=r"no sample is in all tables.*\['s1'\]"):
        read_folder(folder, orientation="samples_by_features")


def test_features_of_one_name_are_summed(folder):
    write(folder, mrna=pd.concat([MRNA, MRNA[["B"]] + 1], axis=1).T, mirna=MIRNA)
    rna = read_folder(folder)["rna"].to_df()
    assert list(rna) == list(MRNA) and rna["B"].tolist() == (2 * MRNA["B"] + 1).tolist()


def test_ambiguous_orientation(folder):
    write(folder, mrna=MRNA.set_axis(["1", "2", "3", "4"], axis=0), mirna=MIRNA)
    with pytest.raises(ValueError, match=r"mrna\.tsv: cannot tell samples from features.*orientation="):
        read_folder(folder)
    square = pd.DataFrame(np.eye(2, dtype=int), index=["s1", "s2"], columns=["s2", "s1"])
    write(folder, mrna=square, mirna=square * 2)
    with pytest.raises(ValueError, match="cannot tell"):
        read_folder(folder)
    first = read_folder(folder, orientation="samples_by_features")
    other = read_folder(folder, orientation="features_by_samples")
    assert list(first.obs_names) == ["s1", "s2"] and list(other.obs_names) == ["s2", "s1"]
    with pytest.raises(ValueError, match="'rows'"):
        read_folder(folder, orientation="rows")


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (-1, r"has negative values, first in row 0 \('s1'\) \(smallest -1\)"),
        (np.nan, r"has NaN or infinite values, first in row 0 \('s1'\)"),
        ("high", "column 'A' holds text"),
    ],
)
def test_bad_values(folder, value, match):
    bad = MRNA.astype(object)
    bad.iloc[0, 0] = value
    write(folder, mrna=bad, mirna=MIRNA)
    with pytest.raises(ValueError, match=rf"mrna\.tsv:? .*{match}"):
        read_folder(folder)


def test_not_integers_is_only_a_warning(folder, caplog, monkeypatch):
    monkeypatch.setattr(_folder.logger, "propagate", True)
    write(folder, mrna=MRNA / 4, mirna=MIRNA)
    with caplog.at_level(logging.WARNING, "midgd"):
        read_folder(folder)
    assert "mrna.tsv: values are not all integers" in caplog.text


def test_sample_names_occur_once(folder):
    write(folder, mrna=MRNA.set_axis(["s1", "s1", "s3", "s4"], axis=0), mirna=MIRNA)
    with pytest.raises(ValueError, match=r"mrna\.tsv: sample names occur more than once: \['s1'\]"):
        read_folder(folder)
    write(folder, mrna=MRNA, obs=pd.concat([OBS, OBS.iloc[:1]]))
    with pytest.raises(ValueError, match=r"obs\.tsv: sample names occur more than once: \['s1'\]"):
        read_folder(folder)


@pytest.mark.parametrize("flip", [False, True])
def test_sample_names_twice_in_the_header(folder, flip):
    twice = MRNA.set_axis(["s1", "s1", "s3", "s4"], axis=0)
    write(folder, mrna=twice.T if flip else twice, mirna=MIRNA.T, obs=OBS)
    with pytest.raises(ValueError, match=r"mrna\.tsv: sample names occur more than once: \['s1'\]"):
        read_folder(folder)


def test_a_header_of_r_lacks_the_first_name(folder):
    write(folder, mirna=MIRNA)
    text = MRNA.T.to_csv(sep="\t")
    (folder / "mrna.tsv").write_text(text[1:])  # write.table: no tab before the first sample
    assert read_folder(folder)["rna"].to_df().equals(MRNA.astype(np.float32))


def test_summary_rows_are_no_genes(folder, caplog, monkeypatch):
    monkeypatch.setattr(_folder.logger, "propagate", True)
    summary = pd.DataFrame(10**6, ["__no_feature", "__not_aligned", "N_unmapped"], SAMPLES)
    write(folder, mrna=pd.concat([summary, MRNA.T]), mirna=MIRNA)
    with caplog.at_level(logging.INFO, "midgd"):
        assert list(read_folder(folder)["rna"].var_names) == list(MRNA)
    assert "left out __no_feature, __not_aligned, N_unmapped" in caplog.text


@pytest.mark.parametrize(
    ("change", "looks"), [(lambda x: np.log2(x + 1), "log-normalised"), (lambda x: np.sqrt(x), "square roots")]
)
def test_other_scales_are_refused(folder, change, looks):
    many = pd.DataFrame(RNG.poisson(20.0, (4, 60)), SAMPLES, [f"G{i}" for i in range(60)])
    write(folder, mrna=change(many), mirna=MIRNA)
    with pytest.raises(ValueError, match=rf"mrna\.tsv looks .*{looks}.*\('s1'\).*Give raw counts"):
        read_folder(folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(folder, encoding, caplog, monkeypatch):
    monkeypatch.setattr(_folder.logger, "propagate", True)
    write(folder, mirna=MIRNA)
    MRNA.rename_axis("Gène").to_csv(folder / "mrna.tsv", sep="\t", encoding=encoding)
    assert read_folder(folder)["rna"].to_df().equals(MRNA.astype(np.float32))
    assert ("read as Latin-1" in caplog.text) == (encoding == "latin-1")


def test_missing_tables(folder):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_folder(folder)
    write(folder, mrna=MRNA)
    with pytest.raises(FileNotFoundError, match=r"no mirna table; looked for mirna\.tsv, "):
        read_folder(folder)
    write(folder, ".csv", mrna=MRNA)
    with pytest.raises(ValueError, match=r"more than one table for mrna: \['mrna.tsv', 'mrna.csv'\]"):
        read_folder(folder)


def test_not_a_table(folder):
    write(folder, mirna=MIRNA)
    (folder / "mrna.tsv").write_text("nothing here\n")
    with pytest.raises(ValueError, match="neither a tab nor a comma"):
        read_folder(folder)


def test_gzip_that_unpacks_to_much(tmp_path, monkeypatch):
    monkeypatch.setattr(_tables, "MAX_TEXT", 1 << 20)
    (tmp_path / "mrna.tsv.gz").write_bytes(gzip.compress(b"g\ts\n" + b"a\t1\n" * (1 << 19)))
    with pytest.raises(ValueError, match=r"mrna\.tsv\.gz holds more than 1,048,576 bytes"):
        _tables.read_table(tmp_path / "mrna.tsv.gz")


@pytest.mark.parametrize("length", [3, 12, 40, -1])
def test_gzip_that_is_cut(tmp_path, length):
    whole = gzip.compress("".join(f"g{i}\t{i}\n" for i in range(1_000)).encode())
    (tmp_path / "mrna.tsv.gz").write_bytes(whole[:length])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        _tables.read_table(tmp_path / "mrna.tsv.gz")
