from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from werkzeug.wrappers import Response

import midgd
from midgd.datasets import _gdc
from midgd.datasets._tcga import read_star_counts

STAR_HEAD = (
    "# gene-model: GENCODE v36\n"
    "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t"
    "tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded\n"
    "N_unmapped\t\t\t900\t900\t900\t\t\t\nN_multimapping\t\t\t800\t800\t800\t\t\t\n"
    "N_noFeature\t\t\t700\t700\t700\t\t\t\nN_ambiguous\t\t\t600\t600\t600\t\t\t\n"
)
GENES = [("ENSG00000000003.15", "TSPAN6"), ("ENSG00000000005.6", "TNMD"), ("ENSG00000002586.20_PAR_Y", "CD99")]


def star(counts):
    rows = (f"{i}\t{n}\tprotein_coding\t{c}\t1\t2\t0.1\t0.2\t0.3\n" for (i, n), c in zip(GENES, counts, strict=True))
    return (STAR_HEAD + "".join(rows)).encode()


def stem_loops(counts):
    rows = (f"hsa-mir-{i}\t{c}\t1.5\tN\n" for i, c in enumerate(counts))
    return ("miRNA_ID\tread_count\treads_per_million_miRNA_mapped\tcross-mapped\n" + "".join(rows)).encode()


def isoforms(rows):
    head = "miRNA_ID\tisoform_coords\tread_count\treads_per_million_miRNA_mapped\tcross-mapped\tmiRNA_region\n"
    lines = (f"{mir}\thg38:chr9:1-22:+\t{count}\t1.0\tN\t{region}\n" for mir, count, region in rows)
    return (head + "".join(lines)).encode()


class FakeGDC:
    """Answers /files and /data/<id> as the GDC does; notes what was asked."""

    def __init__(self, httpserver):
        self.files, self.asked, self.trouble = {}, [], {}
        httpserver.expect_request("/files", method="POST").respond_with_handler(self.search)
        httpserver.expect_request(re.compile("/data/.+")).respond_with_handler(self.data)
        self.url = httpserver.url_for("")

    def add(self, kind, sample, body, project="TCGA-ACC", **changes):
        file_id = f"{len(self.files):08d}-aaaa-bbbb-cccc-dddddddddddd"
        hit = {
            "id": file_id,
            "file_id": file_id,
            "file_name": f"{len(self.files)}.{kind}.txt",
            "md5sum": hashlib.md5(body).hexdigest(),
            "file_size": len(body),
            "cases": [
                {
                    "submitter_id": sample[:12],
                    "project": {"project_id": project},
                    "samples": [{"submitter_id": sample, "sample_type": "Primary Tumor"}],
                }
            ],
        }
        self.files[file_id] = ({"star": 0, "mirna": 1, "isoform": 2}[kind], {**hit, **changes}, body)
        return file_id

    def search(self, request):
        query = json.loads(request.data)
        wanted = {part["content"]["field"]: part["content"]["value"] for part in query["filters"]["content"]}
        assert wanted["access"] == ["open"] and query["filters"]["op"] == "and"
        kind = list(_gdc.WORKFLOWS).index(wanted["data_type"][0])
        assert wanted["analysis.workflow_type"] == [["STAR - Counts"], ["BCGSC miRNA Profiling"]][kind > 0]
        hits = [
            hit
            for of_kind, hit, _ in self.files.values()
            if of_kind == kind and hit["cases"][0]["project"]["project_id"] in wanted["cases.project.project_id"]
        ]
        page = hits[query["from"] : query["from"] + query["size"]]
        data = {"hits": page, "pagination": {"count": len(page), "total": len(hits), "from": query["from"]}}
        return Response(json.dumps({"data": data, "warnings": {}}), content_type="application/json")

    def data(self, request):
        file_id = request.path.removeprefix("/data/")
        begin = request.headers.get("Range")
        self.asked.append((file_id, begin))
        body = self.files[file_id][2]
        if self.trouble.get(file_id):
            return self.trouble[file_id].pop(0)(body)
        if begin:
            start = int(begin.removeprefix("bytes=").removesuffix("-"))
            return Response(body[start:], 206, headers={"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"})
        return Response(body)


@pytest.fixture
def gdc(httpserver, cache):
    return FakeGDC(httpserver)


@pytest.fixture
def filled(gdc):
    """Two pairs, one sample without miRNA, and one without mRNA."""
    gdc.add("star", "TCGA-OR-A5J2-01A", star([5, 0, 7]))
    gdc.add("star", "TCGA-OR-A5J1-01A", star([1, 2, 3]))
    gdc.add("star", "TCGA-OR-A5J3-01A", star([9, 9, 9]))
    gdc.add("mirna", "TCGA-OR-A5J1-01A", stem_loops([10, 0]))
    gdc.add("mirna", "TCGA-OR-A5J2-01A", stem_loops([0, 21]))
    gdc.add("mirna", "TCGA-OR-A5J4-01A", stem_loops([8, 8]))
    return gdc


def files(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.parent.name != "listings")


def test_pairs_of_a_project(filled, cache):
    pairs = midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    assert list(pairs.obs_names) == ["TCGA-OR-A5J1-01", "TCGA-OR-A5J2-01"]
    rna, mirna = pairs["rna"], pairs["mirna"]
    assert isinstance(rna.X, sparse.csr_matrix) and rna.X.dtype == np.float32
    assert rna.X.toarray().tolist() == [[1, 2, 3], [5, 0, 7]]
    assert mirna.X.toarray().tolist() == [[10, 0], [0, 21]]
    assert list(rna.var_names) == [g for g, _ in GENES] and list(rna.var["gene_name"]) == [n for _, n in GENES]
    assert list(mirna.var_names) == ["hsa-mir-0", "hsa-mir-1"]
    assert list(pairs.obs["cohort"]) == ["ACC", "ACC"]
    assert list(pairs.obs["patient"]) == ["TCGA-OR-A5J1", "TCGA-OR-A5J2"]
    assert list(pairs.obs["sample"]) == ["TCGA-OR-A5J1-01A", "TCGA-OR-A5J2-01A"]
    assert set(pairs.obs["sample_type"]) == {"Primary Tumor"}
    assert files(cache) == ["0.star.txt", "1.star.txt", "3.mirna.txt", "4.mirna.txt"]


def test_second_call_downloads_nothing_and_a_damaged_file_again(filled, cache):
    first = midgd.datasets.tcga(["TCGA-ACC"], base_url=filled.url, n_workers=1)
    filled.asked.clear()
    midgd.datasets.tcga(["TCGA-ACC"], base_url=filled.url)
    assert filled.asked == []
    damaged = next(cache.rglob("1.star.txt"))
    damaged.write_bytes(b"x")
    again = midgd.datasets.tcga(["TCGA-ACC"], base_url=filled.url + "/")
    assert [file_id[:8] for file_id, _ in filled.asked] == ["00000001"]
    assert np.array_equal(again["rna"].X.toarray(), first["rna"].X.toarray())


def test_files_without_exactly_one_sample_are_left_out(filled):
    for samples in ([], [{"submitter_id": "a", "sample_type": "b"}] * 2, None):
        file_id = filled.add("star", "TCGA-OR-A5J4-01A", star([1, 1, 1]))
        case = filled.files[file_id][1]["cases"][0]
        case.pop("samples")
        if samples is not None:
            case["samples"] = samples
    assert midgd.datasets.tcga("TCGA-ACC", base_url=filled.url).n_obs == 2


def test_pages(filled, monkeypatch):
    monkeypatch.setattr(_gdc, "PAGE", 1)
    assert midgd.datasets.tcga("TCGA-ACC", base_url=filled.url).n_obs == 2


def test_offline_after_the_first_call(filled, cache, nowhere, monkeypatch):
    midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    monkeypatch.setattr("midgd.download.http.RETRIES", 0)
    with pytest.raises(ConnectionError, match="by hand") as error:
        midgd.datasets.tcga("TCGA-ACC", base_url=nowhere)
    # What the message says works: the answer of that address, saved at that path.
    address, path = re.search(r"download (\S+) \(.*save it as (\S+), and", str(error.value)).groups()
    assert address.startswith(f"{nowhere}/files?filters=%7B") and path.startswith(str(cache / "gdc" / "listings"))
    for kind in ("Gene Expression Quantification", "miRNA Expression Quantification"):
        _gdc.list_files(["TCGA-ACC"], kind, cache / "gdc", filled.url)
        filters = _gdc._filters(["TCGA-ACC"], kind)
        old, new = (
            hashlib.sha256(json.dumps([u, filters, _gdc.PAGE], sort_keys=True).encode()).hexdigest()[:16]
            for u in (filled.url, nowhere)
        )
        listings = cache / "gdc" / "listings"
        (listings / f"{old}-0.json").rename(listings / f"{new}-0.json")
    assert midgd.datasets.tcga("TCGA-ACC", base_url=nowhere).n_obs == 2


def cut(body):
    return Response(iter([body[:2048]]), headers={"Content-Length": str(len(body))})


def big(counts):
    return star(counts) + b"#" + b"x" * 5000 + b"\n"


def test_interrupted_download_goes_on_in_the_next_call(gdc, cache, monkeypatch):
    rna = gdc.add("star", "TCGA-OR-A5J1-01A", big([1, 2, 3]))
    gdc.add("mirna", "TCGA-OR-A5J1-01A", stem_loops([4, 5]))
    gdc.trouble[rna] = [cut]
    monkeypatch.setattr("midgd.download.http.RETRIES", 0)
    with pytest.raises(ConnectionError, match="by hand"):
        midgd.datasets.tcga("TCGA-ACC", base_url=gdc.url, n_workers=1)
    assert "0.star.txt" not in files(cache) and ".midgd-new-0.star.txt" in files(cache)
    pairs = midgd.datasets.tcga("TCGA-ACC", base_url=gdc.url, n_workers=1)
    assert [begin for file_id, begin in gdc.asked if file_id == rna] == [None, "bytes=2048-"]
    assert pairs["rna"].X.toarray().tolist() == [[1, 2, 3]]
    assert files(cache) == ["0.star.txt", "1.mirna.txt"]


def test_cut_and_busy_server_within_one_call(filled, cache):
    def busy(_body):
        return Response("busy", 500)

    first, second, *_ = filled.files
    filled.files[first] = (0, filled.files[first][1], big([5, 0, 7]))
    body = filled.files[first][2]
    filled.files[first][1].update(md5sum=hashlib.md5(body).hexdigest(), file_size=len(body))
    filled.trouble = {first: [cut], second: [busy, busy]}
    pairs = midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    assert pairs["rna"].X.toarray().tolist() == [[1, 2, 3], [5, 0, 7]]
    assert not [name for name in files(cache) if name.startswith(".midgd")]


def test_part_that_is_too_long_is_started_again(filled, cache):
    first, (_, hit, body) = next(iter(filled.files.items()))
    part = cache / "gdc" / first / (".midgd-new-" + hit["file_name"])
    part.parent.mkdir(parents=True)
    part.write_bytes(body + b"more")
    midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    assert not part.exists() and (part.parent / hit["file_name"]).read_bytes() == body


def test_part_of_another_file_is_started_again(filled, cache):
    first, (_, hit, body) = next(iter(filled.files.items()))
    part = cache / "gdc" / first / (".midgd-new-" + hit["file_name"])
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * len(body))
    filled.trouble[first] = [lambda _body: Response(status=416)]
    midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    assert not part.exists() and (part.parent / hit["file_name"]).read_bytes() == body


def test_listings_that_never_end(filled, monkeypatch):
    monkeypatch.setattr(_gdc, "PAGE", 1)
    monkeypatch.setattr(_gdc, "MAX_PAGES", 2)
    with pytest.raises(ValueError, match="more than 2 pages"):
        midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"md5sum": "no"}, "md5sum"),
        ({"file_size": 1 << 50}, "file_size"),
        ({"file_id": 7}, "file_id"),
        ({"file_name": None}, "file_name"),
    ],
)
def test_listings_of_another_form_name_the_field(gdc, changes, field):
    gdc.add("star", "TCGA-OR-A5J1-01A", star([1, 2, 3]), **changes)
    with pytest.raises(ValueError, match=rf"answer\.data\.hits\[0\]\.{field} is"):
        midgd.datasets.tcga("TCGA-ACC", base_url=gdc.url)


def test_wrong_md5_is_tried_again_then_refused(filled, cache):
    first = next(iter(filled.files))
    filled.trouble[first] = [lambda _body: Response(b"wrong")]
    assert midgd.datasets.tcga("TCGA-ACC", base_url=filled.url).n_obs == 2
    next(cache.rglob("0.star.txt")).unlink()
    filled.trouble[first] = [lambda _body: Response(b"wrong")] * 2
    with pytest.raises(ValueError, match=f"{first} does not have the md5"):
        midgd.datasets.tcga("TCGA-ACC", base_url=filled.url)
    assert "0.star.txt" not in files(cache) and ".midgd-new-0.star.txt" not in files(cache)


def test_file_names_cannot_leave_the_folder(gdc, cache):
    gdc.add("star", "TCGA-OR-A5J1-01A", star([1, 2, 3]), file_name="../../evil.txt")
    gdc.add("mirna", "TCGA-OR-A5J1-01A", stem_loops([1, 2]))
    with pytest.raises(ValueError, match="not a plain name"):
        midgd.datasets.tcga("TCGA-ACC", base_url=gdc.url)
    assert "evil.txt" not in files(cache.parent)


def test_mature_sums_isoforms_and_precursors(gdc):
    gdc.add("star", "TCGA-OR-A5J1-01A", star([1, 2, 3]))
    gdc.add("star", "TCGA-OR-A5J2-01A", star([4, 5, 6]))
    let7a, mir21, other = "mature,MIMAT0000062", "mature,MIMAT0000076", "precursor,MIMAT0000076"
    gdc.add("isoform", "TCGA-OR-A5J1-01A", isoforms([("y", 9, "stemloop"), ("hsa-mir-21", 8, mir21), ("x", 1, other)]))
    two = [("hsa-let-7a-1", 3, let7a), ("hsa-let-7a-1", 4, let7a), ("hsa-let-7a-2", 5, let7a), ("hsa-mir-21", 6, mir21)]
    gdc.add("isoform", "TCGA-OR-A5J2-01A", isoforms([*two, ("x", 99, "precursor")]))
    pairs = midgd.datasets.tcga("TCGA-ACC", level="mature", base_url=gdc.url, names={"MIMAT0000062": "hsa-let-7a-5p"})
    mirna = pairs["mirna"]
    assert mirna.X.has_sorted_indices
    assert mirna.to_df().to_dict("list") == {"MIMAT0000076": [8, 6], "hsa-let-7a-5p": [0, 12]}
    assert list(mirna.var["accession"]) == ["MIMAT0000076", "MIMAT0000062"]
    with pytest.raises(ValueError, match="same name"):
        midgd.datasets.tcga(
            "TCGA-ACC", level="mature", base_url=gdc.url, names={"MIMAT0000062": "a", "MIMAT0000076": "a"}
        )


def test_same_vial_is_preferred(gdc):
    gdc.add("star", "TCGA-OR-A5J1-01B", star([2, 2, 2]))
    gdc.add("star", "TCGA-OR-A5J1-01A", star([1, 1, 1]))
    gdc.add("mirna", "TCGA-OR-A5J1-01B", stem_loops([2, 2]))
    gdc.add("star", "TCGA-OR-A5J2-01B", star([4, 4, 4]))
    gdc.add("star", "TCGA-OR-A5J2-01B", star([5, 5, 5]))  # a second aliquot
    gdc.add("mirna", "TCGA-OR-A5J2-01A", stem_loops([3, 3]))
    pairs = midgd.datasets.tcga("TCGA-ACC", base_url=gdc.url)
    assert pairs["rna"].X.toarray()[:, 0].tolist() == [2, 4] and pairs["mirna"].X.toarray()[:, 0].tolist() == [2, 3]
    assert list(pairs.obs["sample"]) == ["TCGA-OR-A5J1-01B", "TCGA-OR-A5J2-01B"]


def test_several_projects_and_unknown_ones(filled, caplog, monkeypatch):
    monkeypatch.setattr(_gdc.logger, "propagate", True)
    filled.add("star", "TCGA-AA-0001-11A", star([1, 1, 1]), project="TCGA-COAD")
    filled.add("mirna", "TCGA-AA-0001-11A", stem_loops([1, 1]), project="TCGA-COAD")
    pairs = midgd.datasets.tcga(["TCGA-ACC", "TCGA-COAD", "TCGA-GBM"], base_url=filled.url)
    assert list(pairs.obs["cohort"]) == ["COAD", "ACC", "ACC"]
    assert "no open samples" in caplog.text and "['TCGA-GBM']" in caplog.text
    with pytest.raises(ValueError, match=r"no open samples .*\['ACC'\].*'TCGA-BRCA'"):
        midgd.datasets.tcga("ACC", base_url=filled.url)


@pytest.mark.parametrize(("kwargs", "match"), [({"level": "hairpin"}, "hairpin"), ({"n_workers": 0}, "n_workers=0")])
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        midgd.datasets.tcga("TCGA-ACC", **kwargs)


def test_not_a_star_table(tmp_path):
    path = tmp_path / "x.tsv"
    pd.DataFrame({"gene_id": ["a"]}).to_csv(path, sep="\t")
    with pytest.raises(ValueError, match=r"x\.tsv is not the table"):
        read_star_counts(path)
