"""Mutants of tables and answers of web APIs: refused in clear words or read; never another error, never a hang."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midgd.datasets import _gdc, _zenodo, read_folder
from midgd.datasets._tables import read_table
from midgd.datasets._tcga import read_isoform_quantification, read_mirna_quantification, read_star_counts
from midgd.download import fetch as fetching

pytestmark = pytest.mark.slow

TABLE = "gene\ts1\ts2\ts3\n" + "".join(f"G{i}\t{i}\t{i * i}\t{7 * i % 5}\n" for i in range(60))
MIRNA = "mirna\ts1\ts2\ts3\n" + "".join(f"hsa-miR-{i}-5p\t{i}\t3\t1\n" for i in range(20))
STAR = "# v36\ngene_id\tgene_name\tgene_type\tunstranded\nN_unmapped\t\t\t9\n" + "".join(
    f"ENSG{i:011d}.1\tG{i}\tprotein_coding\t{i}\n" for i in range(40)
)
STEM = "miRNA_ID\tread_count\trpm\n" + "".join(f"hsa-mir-{i}\t{i}\t1.5\n" for i in range(40))
ISOFORM = "miRNA_ID\tread_count\tmiRNA_region\n" + "".join(f"m\t{i}\tmature,MIMAT{i:07d}\n" for i in range(40))
READERS = {
    "table": (read_table, TABLE),
    "star": (read_star_counts, STAR),
    "stem-loops": (read_mirna_quantification, STEM),
    "isoforms": (read_isoform_quantification, ISOFORM),
}


@pytest.mark.parametrize("packed", [False, True], ids=["text", "gzip"])
@pytest.mark.parametrize("reader", READERS)
def test_tables(fuzzing, tmp_path, reader, packed):
    read, text = READERS[reader]
    content = gzip.compress(text.encode()) if packed else text.encode()
    path = tmp_path / "table.txt"

    def judge(mutant: bytes) -> str:
        path.write_bytes(mutant)
        try:
            read(path)
        except ValueError as error:
            assert "table.txt" in str(error)
            return fuzzing.refusal(error)
        return "read"

    assert fuzzing.campaign(tmp_path, lambda rng: fuzzing.mutate(content, rng), judge)["read"]


def test_folders(fuzzing, tmp_path):
    folder: Path = tmp_path / "mine"
    folder.mkdir()
    (folder / "mirna.tsv").write_text(MIRNA)

    def judge(mutant: bytes) -> str:
        (folder / "mrna.tsv").write_bytes(mutant)
        try:
            pairs = read_folder(folder)
        except ValueError as error:
            return fuzzing.refusal(error)
        values = pairs["rna"].X.toarray()
        assert np.isfinite(values).all() and (values >= 0).all()
        return "read"

    assert fuzzing.campaign(tmp_path, lambda rng: fuzzing.mutate(TABLE.encode(), rng), judge)["read"]


HIT: dict[str, Any] = {
    **{"file_id": "a-1", "file_name": "x.tsv", "md5sum": "0" * 32, "file_size": 9},
    "cases": [
        {
            "submitter_id": "TCGA-OR-A5J1",
            "project": {"project_id": "TCGA-ACC"},
            "samples": [{"submitter_id": "TCGA-OR-A5J1-01A", "sample_type": "Primary Tumor"}],
        }
    ],
}
LISTING = {"data": {"hits": [HIT, HIT | {"file_id": "a-2"}], "pagination": {"total": 2}}}
FILE = {"key": "a.txt", "size": 3, "checksum": "md5:" + "0" * 32, "links": {"self": "http://x/a"}}
RECORD = {"files": [FILE, FILE | {"key": "b"}]}


@pytest.mark.parametrize("structure", [False, True], ids=["bytes", "structure"])
@pytest.mark.parametrize("source", ["gdc", "zenodo"])
def test_answers(fuzzing, tmp_path, monkeypatch, source, structure):
    answer = LISTING if source == "gdc" else RECORD
    cache = tmp_path / "cache"
    monkeypatch.setattr(_gdc, "MAX_PAGES", 3)

    def make(rng: Any) -> bytes:
        if structure:
            return json.dumps(fuzzing.mutate_json(answer, rng)).encode("utf-8", "surrogatepass")
        return fuzzing.mutate(json.dumps(answer).encode(), rng)

    def judge(mutant: bytes) -> str:
        monkeypatch.setattr(fetching, "ask", lambda *_: mutant)
        monkeypatch.setattr(fetching, "write_atomic", lambda *_: None)
        try:
            if source == "zenodo":
                _zenodo.midgd_paper_files(data_dir=cache, base_url="http://x")
            else:
                listed = _gdc.list_files(["TCGA-ACC"], "Gene Expression Quantification", cache, "http://x")
                for _, file in listed.iterrows():
                    _gdc.path_of(file, cache)
        except ValueError as error:
            return fuzzing.refusal(error)
        return "read"

    counts = fuzzing.campaign(tmp_path, make, judge)
    assert counts["refused"] and counts["read"]
