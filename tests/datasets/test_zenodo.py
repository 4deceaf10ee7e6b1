from __future__ import annotations

import hashlib

import pytest

import midgd

BODIES = {"1-tcga.pth": b"weights" * 100, "metadata.tsv": b"sample\tcohort\n"}


@pytest.fixture
def zenodo(httpserver, cache):
    record = "/api/records/21885644"
    files = [
        {
            "id": name,
            "key": name,
            "size": len(body),
            "checksum": "md5:" + hashlib.md5(body).hexdigest(),
            "links": {"self": httpserver.url_for(f"{record}/files/{name}/content")},
        }
        for name, body in BODIES.items()
    ]
    httpserver.expect_request(record).respond_with_json({"id": 21885644, "files": files})
    return httpserver


def serve(zenodo, name, body):
    zenodo.expect_request(f"/api/records/21885644/files/{name}/content").respond_with_data(body)


def names(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_list(zenodo):
    files = midgd.datasets.midgd_paper_files(base_url=zenodo.url_for(""))
    assert list(files.index) == list(BODIES) and files.loc["1-tcga.pth", "size"] == 700
    assert files.loc["1-tcga.pth", "md5"] == hashlib.md5(BODIES["1-tcga.pth"]).hexdigest()


def test_fetch_once_then_offline(zenodo, cache, nowhere):
    serve(zenodo, "1-tcga.pth", BODIES["1-tcga.pth"])
    for base_url in (zenodo.url_for(""), nowhere):
        paths = midgd.datasets.midgd_paper("1-tcga.pth", base_url=base_url)
        assert paths == {"1-tcga.pth": cache / "zenodo" / "21885644" / "1-tcga.pth"}
        assert paths["1-tcga.pth"].read_bytes() == BODIES["1-tcga.pth"]
    assert names(cache) == ["1-tcga.pth", "21885644.json"]
    assert len(zenodo.log) == 2


def test_wrong_md5(zenodo, cache):
    serve(zenodo, "metadata.tsv", b"something else")
    with pytest.raises(ValueError, match=r"metadata\.tsv"):
        midgd.datasets.midgd_paper(["metadata.tsv"], base_url=zenodo.url_for(""))
    assert names(cache) == ["21885644.json"]


def test_unknown_name(zenodo):
    with pytest.raises(KeyError, match=r"no \['x\.pth'\]; it has \['1-tcga\.pth', 'metadata\.tsv'\]"):
        midgd.datasets.midgd_paper(["x.pth"], base_url=zenodo.url_for(""))


def test_offline(nowhere, cache):
    with pytest.raises(ConnectionError, match="by hand") as error:
        midgd.datasets.midgd_paper("1-tcga.pth", base_url=nowhere)
    assert f"{nowhere}/api/records/21885644" in str(error.value) and "21885644.json" in str(error.value)
    assert not cache.exists()
