from __future__ import annotations

import hashlib
import json
import logging

import pytest
from werkzeug.wrappers import Response

from midgd._checks import record
from midgd.download import fetch as fetching
from midgd.download import http
from midgd.download.fetch import fetch, fetch_json, safe_name

BODY = bytes(range(256)) * 40
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()
ANY = record({}, more=True)
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()


def names(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def broken(_request):
    """Announces the whole file, sends half of it and hangs up."""
    return Response(iter([BODY[: len(BODY) // 2]]), headers={"Content-Length": str(len(BODY))})


@pytest.mark.parametrize("known_hash", [SHA, MD5, SHA.removeprefix("sha256:"), None])
def test_downloads_once(httpserver, cache, known_hash):
    httpserver.expect_ordered_request("/a/file.bin").respond_with_data(BODY)
    for _ in range(2):
        path = fetch(httpserver.url_for("/a/file.bin"), known_hash=known_hash, folder=cache)
        assert path == cache / "file.bin" and path.read_bytes() == BODY
    assert len(httpserver.log) == 1
    assert names(cache) == ["file.bin"]


def test_name_and_query(httpserver, cache):
    httpserver.expect_request("/file").respond_with_data(BODY)
    assert fetch(httpserver.url_for("/file?x=1"), known_hash=None, folder=str(cache)).name == "file"
    assert fetch(httpserver.url_for("/file?x=1"), known_hash=SHA, folder=cache, fname="b.bin").name == "b.bin"


def test_wrong_checksum_leaves_nothing(httpserver, cache):
    httpserver.expect_request("/file.bin").respond_with_data(BODY + b"!")
    with pytest.raises(ValueError, match=r"does not have the sha256 .* nothing was kept"):
        fetch(httpserver.url_for("/file.bin"), known_hash=SHA, folder=cache)
    assert names(cache) == []


def test_stale_file_is_replaced(httpserver, cache):
    cache.mkdir()
    (cache / "file.bin").write_bytes(b"old")
    httpserver.expect_request("/file.bin").respond_with_data(BODY)
    assert fetch(httpserver.url_for("/file.bin"), known_hash=MD5, folder=cache).read_bytes() == BODY


def test_server_error_is_tried_again(httpserver, cache):
    httpserver.expect_ordered_request("/file.bin").respond_with_data("busy", status=500)
    httpserver.expect_ordered_request("/file.bin").respond_with_data("busy", status=503)
    httpserver.expect_ordered_request("/file.bin").respond_with_data(BODY)
    assert fetch(httpserver.url_for("/file.bin"), known_hash=SHA, folder=cache).read_bytes() == BODY


@pytest.mark.parametrize("status", [404, 500])
def test_http_error_names_status_address_and_path(httpserver, cache, status):
    httpserver.expect_request("/file.bin").respond_with_data("no", status=status)
    url = httpserver.url_for("/file.bin")
    with pytest.raises(ConnectionError, match=f"HTTP {status}") as error:
        fetch(url, known_hash=SHA, folder=cache)
    assert url in str(error.value) and str(cache / "file.bin") in str(error.value)
    assert names(cache) == []


def rest(request):
    start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert start == len(BODY) // 2
    return Response(BODY[start:], 206, headers={"Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"})


def test_cut_transfer_without_checksum_leaves_nothing(httpserver, cache):
    httpserver.expect_request("/file.bin").respond_with_handler(broken)
    with pytest.raises(ConnectionError, match="by hand"):
        fetch(httpserver.url_for("/file.bin"), known_hash=None, folder=cache)
    assert names(cache) == []


def test_cut_transfer_with_checksum_goes_on_in_the_next_call(httpserver, cache, monkeypatch):
    monkeypatch.setattr(http, "RETRIES", 0)
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(broken)
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(rest)
    with pytest.raises(ConnectionError, match="by hand"):
        fetch(httpserver.url_for("/file.bin"), known_hash=SHA, folder=cache)
    assert names(cache) == [".midgd-new-file.bin"]
    assert fetch(httpserver.url_for("/file.bin"), known_hash=SHA, folder=cache).read_bytes() == BODY
    assert names(cache) == ["file.bin"]


def test_cut_transfer_goes_on(httpserver, cache):
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(broken)
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(rest)
    assert fetch(httpserver.url_for("/file.bin"), known_hash=SHA, folder=cache).read_bytes() == BODY


@pytest.mark.parametrize(("known_hash", "asks_for_the_rest"), [(SHA, True), (None, False)])
def test_cut_transfer_from_a_server_without_ranges(httpserver, cache, known_hash, asks_for_the_rest):
    """Without a checksum, and without a tag of the version, two parts could be of two files."""
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(broken)
    httpserver.expect_ordered_request("/file.bin").respond_with_data(BODY)
    assert fetch(httpserver.url_for("/file.bin"), known_hash=known_hash, folder=cache).read_bytes() == BODY
    assert ("Range" in httpserver.log[1][0].headers) == asks_for_the_rest


def test_cut_transfer_goes_on_if_the_server_says_that_the_file_is_the_same(httpserver, cache):
    def tagged(request):
        assert request.headers["If-Range"] == '"1"'
        return rest(request)

    httpserver.expect_ordered_request("/file.bin").respond_with_handler(
        lambda r: Response(broken(r).response, headers={"Content-Length": str(len(BODY)), "ETag": '"1"'})
    )
    httpserver.expect_ordered_request("/file.bin").respond_with_handler(tagged)
    assert fetch(httpserver.url_for("/file.bin"), known_hash=None, folder=cache).read_bytes() == BODY


def test_offline_message_and_a_file_put_there_by_hand(nowhere, cache):
    with pytest.raises(ConnectionError, match="by hand") as error:
        fetch(f"{nowhere}/file.bin", known_hash=SHA, folder=cache)
    assert f"{nowhere}/file.bin" in str(error.value) and str(cache / "file.bin") in str(error.value)
    assert "MIDGD_DATA_DIR" in str(error.value) and names(cache) == []
    (cache / "file.bin").write_bytes(BODY)
    assert fetch(f"{nowhere}/file.bin", known_hash=SHA, folder=cache).read_bytes() == BODY


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".", "", "a\\b", "C:x", "a\n", "\x1b[2J", "x" * 201, ".midgd-new-a"]
)
def test_unsafe_names(name):
    with pytest.raises(ValueError, match="not a plain name"):
        safe_name(name)


def test_json_is_kept_for_later(httpserver, nowhere, cache, caplog, monkeypatch):
    monkeypatch.setattr(fetching.logger, "propagate", True)
    target = cache / "deep" / "answer.json"
    httpserver.expect_request("/q", method="POST", json={"a": 1}).respond_with_json({"b": [2]})
    assert fetch_json(httpserver.url_for("/q"), target, check=ANY, payload={"a": 1}) == {"b": [2]}
    assert json.loads(target.read_text()) == {"b": [2]} and names(target.parent) == ["answer.json"]
    with caplog.at_level(logging.WARNING, "midgd"):
        assert fetch_json(f"{nowhere}/q", target, check=ANY, payload={"a": 1}) == {"b": [2]}
    assert "earlier answer" in caplog.text


def test_json_offline_without_an_earlier_answer(nowhere, cache):
    with pytest.raises(ConnectionError, match=r"https://by\.hand/q"):
        fetch_json(f"{nowhere}/q", cache / "answer.json", check=ANY, by_hand="https://by.hand/q")
    assert not cache.exists()
