"""From a server like the GDC's to a benchmark table, as someone does who has nothing but the package."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Response

from midgd.bench import run
from midgd.bench.data import load
from midgd.cli import main
from midgd.datasets import split_of, tcga_folder
from midgd.datasets._gdc import WORKFLOWS
from midgd.settings import logger

N_PATIENTS, N_GENES, N_STEM_LOOPS = 40, 30, 12  # patients of each of two projects
PROJECTS = ("TCGA-ACC", "TCGA-UVM")


class SmallGDC:
    """Two projects whose mRNA and miRNA depend on one hidden number a sample."""

    def __init__(self, server):
        self.files, self.downloads = {}, []
        rng = np.random.default_rng(0)
        slope, mirna_slope = rng.normal(size=N_GENES), rng.normal(size=N_STEM_LOOPS)
        for project in PROJECTS:
            for i in range(N_PATIENTS):
                hidden = rng.normal()
                mrna = rng.poisson(np.exp(5 + hidden * slope))
                mirna = rng.poisson(np.exp(6 + hidden * mirna_slope))
                sample = f"TCGA-{project[-2:]}-{i:04d}-01A"
                self.add(0, sample, project, star(mrna))
                self.add(1, sample, project, stem_loops(mirna))
                self.add(2, sample, project, isoforms(mirna))
            only = f"TCGA-{project[-2:]}-9999-11A"  # without mRNA
            self.add(1, only, project, stem_loops(range(N_STEM_LOOPS)))
            self.add(2, only, project, isoforms(range(N_STEM_LOOPS)))
        server.expect_request("/files", method="POST").respond_with_handler(self.search)
        server.expect_request(re.compile("/data/.+")).respond_with_handler(self.data)
        server.expect_request("/hsa.gff3").respond_with_data(gff())
        self.url, self.mirbase = server.url_for(""), server.url_for("/hsa.gff3")

    def add(self, kind, sample, project, text):
        body, file_id = text.encode(), f"{len(self.files):036d}"
        kind_of_sample = "Primary Tumor" if "-01" in sample else "Solid Tissue Normal"
        hit = {
            "file_id": file_id,
            "file_name": f"{file_id}.txt",
            "md5sum": hashlib.md5(body).hexdigest(),
            "file_size": len(body),
            "cases": [
                {
                    "submitter_id": sample[:12],
                    "project": {"project_id": project},
                    "samples": [{"submitter_id": sample, "sample_type": kind_of_sample}],
                }
            ],
        }
        self.files[file_id] = (kind, project, hit, body)

    def search(self, request):
        query = json.loads(request.data)
        wanted = {part["content"]["field"]: part["content"]["value"] for part in query["filters"]["content"]}
        kind = list(WORKFLOWS).index(wanted["data_type"][0])
        projects = wanted["cases.project.project_id"]
        hits = [hit for own, project, hit, _ in self.files.values() if own == kind and project in projects]
        page = hits[query["from"] : query["from"] + query["size"]]
        data = {"hits": page, "pagination": {"count": len(page), "total": len(hits), "from": query["from"]}}
        return Response(json.dumps({"data": data, "warnings": {}}), content_type="application/json")

    def data(self, request):
        self.downloads.append(request.path)
        return Response(self.files[request.path.removeprefix("/data/")][3])


def star(counts):
    names = [(f"ENSG{i:011d}.1", f"GENE{i:02d}", "protein_coding") for i in range(N_GENES)]
    extra = [("ENSG90000000000.2_PAR_Y", "GENE00", "protein_coding", 0), ("ENSG90000000001.1", "LNC1", "lncRNA", 77)]
    rows = [(*name, count) for name, count in zip(names, counts, strict=True)] + extra
    head = "# gene-model\ngene_id\tgene_name\tgene_type\tunstranded\nN_unmapped\t\t\t900\n"
    return head + "".join("\t".join(map(str, row)) + "\n" for row in rows)


def stem_loops(counts):
    return "miRNA_ID\tread_count\n" + "".join(f"hsa-mir-{i + 1}\t{n}\n" for i, n in enumerate(counts))


def isoforms(counts):
    rows = [f"{n}\tmature,MIMAT{i + 1:07d}\n" for i, n in enumerate(counts)]
    return "read_count\tmiRNA_region\n5\tstemloop\n" + "".join(rows)


def gff():
    lines = ["##gff-version 3"]
    for i in range(1, N_STEM_LOOPS + 1):
        stem, mature = f"MI{i:07d}", f"MIMAT{i:07d}"
        rest = f"ID={stem};Alias={stem};Name=hsa-mir-{i}"
        lines.append(f"chr1\t.\tmiRNA_primary_transcript\t1\t80\t.\t+\t.\t{rest}")
        rest = f"ID={mature}_1;Alias={mature};Name=hsa-miR-{i}-5p;Derives_from={stem}"
        lines.append(f"chr1\t.\tmiRNA\t5\t26\t.\t+\t.\t{rest}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def gdc(httpserver, cache):
    return SmallGDC(httpserver)


def test_fetched_by_the_command_and_read_by_the_benchmark(gdc, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("midgd.datasets._training_folder.tcga_folder.__kwdefaults__", _addresses(gdc))
    folder = tmp_path / "tcga"
    assert main(["fetch", "tcga", str(folder), "--projects", *PROJECTS]) == 0
    assert capsys.readouterr().out.strip() == str(folder)

    full, mature = load("full", folder), load("mature", folder)
    assert full.x.shape == (2 * N_PATIENTS, N_GENES) and full.y.shape == (2 * N_PATIENTS, N_STEM_LOOPS)
    assert list(full.genes) == [f"GENE{i:02d}" for i in range(N_GENES)]  # no lncRNA, the second GENE00 added
    sent = next(body for kind, _, hit, body in gdc.files.values() if kind == 0)
    counts = [int(line.split(b"\t")[3]) for line in sent.splitlines()[3 : 3 + N_GENES]]
    np.testing.assert_array_equal(full.x[full.obs.index.get_loc("TCGA-CC-0000-01")], counts)
    np.testing.assert_array_equal(mature.y[:, mature.mirnas.get_indexer(["hsa-miR-3-5p"])[0]], full.y[:, 2])
    alone = load("mirna-only", folder)
    assert len(alone) == 2 * N_PATIENTS + 2 and set(alone.obs["sample_type"]) == {"primary_tumor", "normal_adjacent"}
    links = pd.read_csv(folder / "knowledge/mirbase_v22_precursor_to_mature.csv.gz")
    assert links.loc[0].to_list() == ["hsa-mir-1", "hsa-miR-1-5p", "MIMAT0000001", "MI0000001"]
    genes = pd.read_csv(folder / "knowledge/gene_id_map_ensembl_symbol_entrez_biotype.csv.gz")
    assert genes.loc[0, ["ensemblID", "geneSymbol"]].to_list() == ["ENSG00000000000", "GENE00"]
    assert len(genes) == N_GENES

    table = run(["mean", "ridge"], ["bulk", "mature"], data_dir=folder, n_boot=0, downstream=False)
    rho = table[table["metric"] == "spearman"].pivot(index="setting", columns="arm", values="value")["ridge"]
    assert (rho > 0.6).all() and list(rho.index) == ["bulk", "mature"]


def test_tables_that_cannot_be_fetched_are_left_out_with_a_warning(gdc, tmp_path, monkeypatch, caplog):
    folder = tcga_folder(tmp_path / "tcga", PROJECTS, base_url=gdc.url, mirbase_url=gdc.mirbase)
    monkeypatch.setattr(logger, "propagate", True)
    table = run(["mean"], data_dir=folder, n_boot=0, downstream=False)
    assert set(table["family"]) == {
        "bulk",
        "depth",
        "missing",
        "mixture",
        "mature",
        "panels",
        "loco-full",
        "loco-full-5000",
    }
    for family in ("quantification", "tpm", "loco-common"):
        assert f"{family} is left out: " in caplog.text
    with pytest.raises(FileNotFoundError, match="tcga_lihc_tpm"):
        run(["mean"], ["tpm"], data_dir=folder)
    with pytest.raises(FileNotFoundError, match="tcga_counts_full"):
        run(["mean"], data_dir=tmp_path)  # a folder without any table is no empty benchmark


def test_a_second_call_downloads_nothing_and_keeps_the_split_of_known_patients(gdc, tmp_path):
    addresses = {"base_url": gdc.url, "mirbase_url": gdc.mirbase}
    folder = tcga_folder(tmp_path / "tcga", PROJECTS[0], **addresses)
    path = folder / "patient_splits.csv"
    first = pd.read_csv(path).set_index("patient")["split"]
    assert first.to_dict() == {patient: split_of(patient) for patient in first.index}
    own = first.map({"train": "test", "val": "val", "test": "train"})  # someone else's division
    own.reset_index().to_csv(path, index=False)
    gdc.downloads.clear()
    tcga_folder(folder, PROJECTS, **addresses)
    assert not {f"/data/{name}" for name, file in gdc.files.items() if file[1] == PROJECTS[0]} & set(gdc.downloads)
    again = pd.read_csv(path).set_index("patient")["split"]
    assert again[own.index].equals(own) and len(again) == 2 * N_PATIENTS
    assert all(again[patient] == split_of(patient) for patient in again.index.difference(own.index))
    path.write_text("who,split\nTCGA-CC-0000,train\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['patient'\]"):
        tcga_folder(folder, PROJECTS[0], **addresses)


def test_what_is_not_mirbase_is_refused(gdc, tmp_path, httpserver):
    httpserver.expect_request("/other.gff3").respond_with_data("chr1\t.\tgene\t1\t2\t.\t+\t.\tID=x\n")
    with pytest.raises(ValueError, match="no miRNA with its stem-loop"):
        tcga_folder(tmp_path / "tcga", PROJECTS, base_url=gdc.url, mirbase_url=httpserver.url_for("/other.gff3"))
    assert not (tmp_path / "tcga").exists()


@given(st.integers(0, 3))
def test_the_rule_divides_three_to_one(seed):
    splits = pd.Series([split_of(f"TCGA-AA-{i:04d}", seed) for i in range(2_000)]).value_counts(normalize=True)
    assert abs(splits["train"] - 0.75) < 0.05 and abs(splits["val"] - 0.1) < 0.04 and abs(splits["test"] - 0.15) < 0.04


def test_the_rule_never_changes():
    # As computed with `printf 0:TCGA-OR-A5J1 | sha256sum` and so on: a changed rule would mix training and test.
    assert [split_of(f"TCGA-OR-A5J{i}") for i in (1, 3, 5, 10)] == ["train", "train", "test", "val"]


def _addresses(gdc):
    return {"seed": 0, "data_dir": None, "n_workers": 4, "base_url": gdc.url, "mirbase_url": gdc.mirbase}
