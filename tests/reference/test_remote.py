from __future__ import annotations

import base64
import hashlib
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from werkzeug import Response

import midgd.tl
from midgd.reference import Reference, load, pull, push_to_hub, remote
from midgd.reference.store import CARD, WEIGHTS


@pytest.fixture
def cache(cache):
    return cache / "references"


def zipped(*entries: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def files(toy_reference_path):
    return {name: (toy_reference_path / name).read_bytes() for name in (CARD, WEIGHTS)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def left(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*")) if folder.exists() else []


def same(a: Reference, b: Reference) -> bool:
    states = [(r.decoder.state_dict(), r.prior.state_dict(), r.readout.state_dict()) for r in (a, b)]
    return a.card == b.card and all(
        np.array_equal(x[key], y[key]) for x, y in zip(*states, strict=True) for key in x | y
    )


# Addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "toy/"])
def test_zip_at_an_address(httpserver, nowhere, cache, files, toy_reference, folder):
    extra = [("README.md", b"hello"), ("__MACOSX/toy/._card.json", b"x")]
    body = zipped(*extra, *((folder + name, content) for name, content in files.items()))
    httpserver.expect_oneshot_request("/models/toy.zip").respond_with_data(body)
    digest = sha256(body)
    reference = load(httpserver.url_for("/models/toy.zip?download=1"), sha256=digest.upper())
    assert same(reference, toy_reference)
    name = f"toy-{digest[:12]}"
    assert left(cache) == [name, f"{name}/{CARD}", f"{name}/{WEIGHTS}"]
    # from now on without a network, by address or by name
    assert same(load(f"{nowhere}/elsewhere/toy.zip", sha256=digest), toy_reference)
    assert same(load(name), toy_reference)


def test_hash_in_the_address_reaches_the_tools(httpserver, cache, files, toy_query, toy_reference):
    body = zipped(*files.items())
    httpserver.expect_request("/toy.zip").respond_with_data(body)
    url = f"{httpserver.url_for('/toy.zip')}#sha256={sha256(body)}"
    found = midgd.tl.infer_mirna(toy_query, url, copy=True).obsm["mirna"]
    expected = midgd.tl.infer_mirna(toy_query, toy_reference, copy=True).obsm["mirna"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("digest", [None, "", "abc", "sha256:12", "g" * 64])
def test_hash_is_required(httpserver, cache, digest):
    with pytest.raises(ValueError, match="needs the sha256"):
        load(httpserver.url_for("/toy.zip"), sha256=digest)
    assert not httpserver.log and left(cache) == []


def test_wrong_hash_keeps_nothing(httpserver, cache, files):
    httpserver.expect_request("/toy.zip").respond_with_data(zipped(*files.items()))
    with pytest.raises(ValueError, match="does not have the sha256 000"):
        load(httpserver.url_for("/toy.zip"), sha256="0" * 64)
    assert left(cache) == []


def test_hash_without_an_address(toy_reference_path, toy_reference):
    for reference in (toy_reference_path, toy_reference, "default"):
        with pytest.raises(ValueError, match="sha256= is the hash of a file at an address"):
            load(reference, sha256="0" * 64)


def test_offline_message_and_a_file_put_there_by_hand(nowhere, cache, files, toy_reference):
    body = zipped(*files.items())
    target = cache / f"toy-{sha256(body)[:12]}.zip"
    with pytest.raises(ConnectionError, match="by hand") as error:
        load(f"{nowhere}/toy.zip", sha256=sha256(body))
    assert str(target) in str(error.value) and left(cache) == []
    target.write_bytes(body)
    assert same(load(f"{nowhere}/toy.zip", sha256=sha256(body)), toy_reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: zipped(*f.items(), ("../evil.txt", b"x")), "points out of its folder"),
        (lambda f: zipped(*f.items(), ("/etc/evil", b"x")), "points out of its folder"),
        (lambda f: zipped(*f.items(), ("a\\..\\..\\evil", b"x")), "points out of its folder"),
        (lambda f: zipped(*f.items(), ("C:\\evil", b"x")), "points out of its folder"),
        (lambda f: zipped((f"../{CARD}", f[CARD]), (f"../{WEIGHTS}", f[WEIGHTS])), "points out of its folder"),
        (lambda f: zipped((CARD, f[CARD])), "must hold"),
        (lambda f: zipped((f"a/{CARD}", f[CARD]), (f"b/{WEIGHTS}", f[WEIGHTS])), "must hold"),
        (lambda f: zipped(*f.items(), (f"a/{CARD}", f[CARD])), "must hold"),
        (lambda f: zipped(("./", b""), ("deep/er/" + CARD, f[CARD])), "must hold"),
        (lambda f: zipped((CARD, f[CARD]), (WEIGHTS, f[WEIGHTS][:-8])), "damaged"),
        (lambda f: zipped((CARD, b"{}"), (WEIGHTS, f[WEIGHTS])), "damaged"),
        (lambda f: f[WEIGHTS], "not a zip"),
        (lambda f: zipped(*f.items()).replace(f[WEIGHTS][-64:], b"\0" * 64), "not a zip"),
    ],
)
def test_no_reference_in_the_zip_keeps_nothing(httpserver, cache, files, change, message):
    body = change(files)
    httpserver.expect_request("/toy.zip").respond_with_data(body)
    with pytest.raises(ValueError, match=message):
        load(httpserver.url_for("/toy.zip"), sha256=sha256(body))
    assert left(cache) == [] and left(cache.parent) in ([], ["references"])


@pytest.mark.parametrize("path", ["/", "/a/..", "/.hidden.zip", "/x/content"])
def test_odd_addresses_give_plain_names(httpserver, cache, files, path):
    body = zipped(*files.items())
    httpserver.expect_request("/" if path == "/a/.." else path).respond_with_data(body)
    httpserver.expect_request(path).respond_with_data(body)
    load(httpserver.url_for(path), sha256=sha256(body))
    (folder,) = cache.iterdir()
    assert folder.name.endswith(sha256(body)[:12]) and not folder.name.startswith(".")


def packed(size: int, method: int) -> bytes:
    """A zip whose card unpacks to so many bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(WEIGHTS, b"x")
        with archive.open(CARD, "w") as entry:
            for _ in range(size >> 20):
                entry.write(bytes(1 << 20))
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_unpacks_to_much_or_is_broken(httpserver, cache, monkeypatch, method):
    monkeypatch.setitem(remote.FILES, CARD, 4 << 20)
    whole = packed(8 << 20, method)
    broken = bytearray(whole)
    start = broken.index(CARD.encode()) + len(CARD) + 30
    broken[start : start + 40] = b"\xff" * 40
    for body, message in ((whole, "longer than it may be"), (bytes(broken), "not a zip file that can be read|longer")):
        httpserver.clear()
        httpserver.expect_request("/toy.zip").respond_with_data(body)
        with pytest.raises(ValueError, match=message):
            load(httpserver.url_for("/toy.zip"), sha256=sha256(body))
        assert left(cache) == []


def test_a_zip_of_many_files(httpserver, cache, files):
    body = zipped(*files.items(), *((f"f{i}", b"") for i in range(2_000)))
    httpserver.expect_request("/toy.zip").respond_with_data(body)
    with pytest.raises(ValueError, match="more than 1000 files"):
        load(httpserver.url_for("/toy.zip"), sha256=sha256(body))


def test_killed_at_every_event_and_called_again(httpserver, cache, files, at_every_event):
    body = zipped(*files.items())
    httpserver.expect_request("/toy.zip").respond_with_data(body)
    url, digest = httpserver.url_for("/toy.zip"), sha256(body)

    def reset() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)

    reset()
    n_kills = 0
    for event in at_every_event(lambda: load(url, sha256=digest), cache, reset):
        n_kills = event + 1
        assert load(url, sha256=digest).name == "toy"
        name = f"toy-{digest[:12]}"
        assert [p for p in left(cache) if not p.startswith(name + "/")] == [name]
    assert n_kills >= 8


# The hub -----------------------------------------------------------------------------------------------------------


def test_without_huggingface_hub(monkeypatch, toy_reference):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: pull("me/toy"), lambda: push_to_hub(toy_reference, "me/toy")):
        with pytest.raises(ImportError, match=r"pip install midgd\[hub\]"):
            call()


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A client that keeps repositories in folders; calls are checked against the real one if it is installed."""
    calls = []

    class HfApi:
        def __init__(self, **options):
            calls.append(("HfApi", options))

        def create_repo(self, repo_id, **options):
            calls.append(("create_repo", options))
            (tmp_path / repo_id).mkdir(parents=True, exist_ok=options["exist_ok"])

        def upload_folder(self, *, repo_id, folder_path, **options):
            calls.append(("upload_folder", options))
            for name in options["allow_patterns"]:
                (tmp_path / repo_id / name).write_bytes((folder_path / name).read_bytes())
            return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

        def get_paths_info(self, repo_id, paths, **options):
            calls.append(("get_paths_info", options))
            found = [tmp_path / repo_id / path for path in paths]
            return [SimpleNamespace(path=p.name, size=p.stat().st_size) for p in found if p.exists()]

        def snapshot_download(self, repo_id, **options):
            calls.append(("snapshot_download", options))
            return str(tmp_path / repo_id)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=HfApi))
    return calls


def test_round_trip_with_a_stand_in(stand_in, toy_reference):
    assert toy_reference.push_to_hub("me/toy", private=True, token="secret") == "https://hub/me/toy/commit/1"
    assert same(Reference.pull("me/toy", revision="v1", token="secret"), toy_reference)
    options = dict(stand_in)
    assert options["create_repo"] == {"private": True, "exist_ok": True, "token": "secret"}
    assert options["upload_folder"]["commit_message"] == "toy 0.0.1"
    assert options["snapshot_download"]["revision"] == "v1" and options["snapshot_download"]["token"] == "secret"


def test_repository_without_a_reference(stand_in, tmp_path):
    (tmp_path / "me" / "other").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=CARD):
        pull("me/other")


def test_a_repository_with_files_that_are_too_large(stand_in, toy_reference, tmp_path):
    toy_reference.push_to_hub("me/toy")
    with (tmp_path / "me" / "toy" / CARD).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="more than a reference may have"):
        pull("me/toy")
    assert "snapshot_download" not in dict(stand_in)


def test_the_real_client_takes_these_arguments(stand_in, toy_reference, monkeypatch):
    push_to_hub(toy_reference, "me/toy")
    pull("me/toy")
    monkeypatch.undo()
    hub = pytest.importorskip("huggingface_hub")
    for name, options in stand_in:
        target = hub.HfApi if name == "HfApi" else getattr(hub.HfApi, name)
        inspect.signature(target).bind_partial(**options)


COMMIT = "a" * 40


@pytest.fixture
def hub_server(httpserver):
    """A small hub: what the real client asks to make a repository, to upload small files and to download a snapshot."""
    repository: dict[str, bytes] = {}

    def commit(request):
        for line in map(json.loads, request.get_data().splitlines()):
            if line["key"] == "file":
                repository[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = httpserver.url_for(f"/me/toy/commit/{COMMIT}")
        return Response(json.dumps({"commitUrl": url, "commitOid": COMMIT}), 200, mimetype="application/json")

    def preupload(request):
        modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in request.json["files"]]
        return Response(json.dumps({"files": modes}), 200, mimetype="application/json")

    def resolve(request):
        body = repository[request.path.rsplit("/", 1)[-1]]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha1(body)}"'}
        return Response(body, 200, headers, mimetype="application/octet-stream")

    def info(_request):
        siblings = [{"rfilename": name} for name in repository]
        body = {"id": "me/toy", "modelId": "me/toy", "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        return Response(json.dumps(body | {"downloads": 0, "likes": 0}), 200, mimetype="application/json")

    def paths(request):
        wanted = {name: repository[name] for name in request.form.getlist("paths") if name in repository}
        files = [{"type": "file", "path": n, "size": len(b), "oid": sha1(b)} for n, b in wanted.items()]
        return Response(json.dumps(files), 200, mimetype="application/json")

    def tree(_request):
        files = [{"type": "file", "path": n, "size": len(b), "oid": sha1(b)} for n, b in repository.items()]
        return Response(json.dumps(files), 200, mimetype="application/json")

    api = "/api/models/me/toy"
    made = {"url": httpserver.url_for("/me/toy"), "id": "1", "name": "me/toy"}
    httpserver.expect_request("/api/repos/create", method="POST").respond_with_json(made)
    httpserver.expect_request("/api/validate-yaml", method="POST").respond_with_json({"errors": [], "warnings": []})
    httpserver.expect_request(re.compile(f"{api}/preupload/.*"), method="POST").respond_with_handler(preupload)
    httpserver.expect_request(re.compile(f"{api}/commit/.*"), method="POST").respond_with_handler(commit)
    httpserver.expect_request(re.compile(f"{api}(/revision/.*)?$"), method="GET").respond_with_handler(info)
    httpserver.expect_request(re.compile(f"{api}/paths-info/.*"), method="POST").respond_with_handler(paths)
    httpserver.expect_request(re.compile(f"{api}/tree/.*"), method="GET").respond_with_handler(tree)
    httpserver.expect_request(re.compile("/me/toy/resolve/.*")).respond_with_handler(resolve)
    return repository


ROUND_TRIP = """
import sys
from midgd.reference import Reference, load
reference = load(sys.argv[1])
print(reference.push_to_hub("me/toy", token="hf_x"))
Reference.pull("me/toy", revision="v1", token="hf_x").save(sys.argv[2])
Reference.pull("me/toy", revision="a" * 40, token="hf_x")
"""


def test_round_trip_with_the_real_client(hub_server, toy_reference, toy_reference_path, httpserver, tmp_path):
    pytest.importorskip("huggingface_hub")
    # The client reads its settings when it is imported: a process of its own.
    hub = {"HF_ENDPOINT": httpserver.url_for("").rstrip("/"), "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", ROUND_TRIP, str(toy_reference_path), str(tmp_path / "pulled")]
    done = subprocess.run(command, env=os.environ | hub, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(hub_server) == [CARD, WEIGHTS] and f"commit/{COMMIT}" in done.stdout
    assert same(load(tmp_path / "pulled"), toy_reference)
    asked = [(request.method, request.path) for request, _ in httpserver.log]
    assert ("GET", "/api/models/me/toy/revision/v1") in asked
    # the commit that v1 stands for is in the client's cache by then
    downloads = [path.rsplit("/", 1)[-1] for method, path in asked if method == "GET" and "/resolve/" in path]
    assert sorted(downloads) == [CARD, WEIGHTS]
