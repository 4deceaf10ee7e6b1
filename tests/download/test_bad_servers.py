"""Servers that send too much, too slowly, or something else; and several processes that want one file."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from werkzeug.wrappers import Response

from midgd._checks import list_of, record, whole
from midgd.download import fetch as fetching
from midgd.download import http
from midgd.download.fetch import fetch, fetch_json

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
HEAD = b"HTTP/1.1 200 OK\r\n"
Send = Callable[[bytes], None]


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[Send], None]], str]]:
    """Function that starts a server which answers every request as it is told, byte by byte; its address."""
    stop = threading.Event()
    listeners = []

    def serve(listener: socket.socket, answer: Callable[[Send], None]) -> None:
        while not stop.is_set():
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(wire, answer), daemon=True).start()

    def talk(wire: socket.socket, answer: Callable[[Send], None]) -> None:
        def send(content: bytes) -> None:
            if stop.is_set():
                raise OSError
            wire.sendall(content)

        with wire:
            try:
                wire.recv(65_536)
                answer(send)
            except OSError:
                return

    def start(answer: Callable[[Send], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file.tsv"

    yield start
    stop.set()
    for listener in listeners:
        listener.close()


def slowly(content: bytes, then: bytes = b"x") -> Callable[[Send], None]:
    def answer(send: Send) -> None:
        send(content)
        while True:
            time.sleep(0.02)
            send(then)

    return answer


DRIPS = {
    "status": slowly(b"HTTP/1."),
    "header": slowly(HEAD + b"X-A: "),
    "many headers": slowly(HEAD, b"X-A: a\r\n"),
    "body": slowly(HEAD + b"Content-Length: 100000000\r\n\r\n"),
    "chunks": slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "length of a chunk": slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "no length": slowly(HEAD + b"\r\n"),
    "redirect": slowly(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 100000000\r\n\r\n"),
    "error": slowly(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000000\r\n\r\n"),
}


@pytest.mark.parametrize("known_hash", [SHA, None])
@pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS)
def test_slow_drips_end(raw, cache, monkeypatch, drip, known_hash):
    """No read waits long, yet the whole would never end."""
    monkeypatch.setattr(http, "START", 0.4)
    began = time.monotonic()
    with pytest.raises((ConnectionError, ValueError)):
        fetch(raw(drip), known_hash=known_hash, folder=cache)
    with pytest.raises((ConnectionError, ValueError)):
        fetch_json(raw(drip), cache / "a.json", check=record({}, more=True))
    assert time.monotonic() - began < 20
    assert not (cache / "file.tsv").exists() and not (cache / "a.json").exists()


def endless(head: bytes, piece: bytes) -> Callable[[Send], None]:
    def answer(send: Send) -> None:
        send(head)
        while True:
            send(piece)

    return answer


MEGABYTE = bytes(1 << 20)
ENDLESS = {
    "chunks": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + MEGABYTE + b"\r\n"),
    "no length": endless(HEAD + b"\r\n", MEGABYTE),
    "error": endless(b"HTTP/1.1 503 Busy\r\n\r\n", MEGABYTE),
    "not found": endless(b"HTTP/1.1 404 No\r\n\r\n", MEGABYTE),
    "redirect": endless(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", MEGABYTE),
    "gzip": endless(
        HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(gzip.compress(MEGABYTE * 8)), gzip.compress(MEGABYTE * 8)),
    ),
}


@pytest.mark.parametrize("known_hash", [SHA, None])
@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_endless_bodies_end_with_little_memory(raw, cache, monkeypatch, outcome, answer, known_hash):
    monkeypatch.setattr(fetching, "MAX_JSON", 3 << 20)
    url = raw(answer)
    for action in (
        lambda: fetch(url, known_hash=known_hash, folder=cache, longest=3 << 20),
        lambda: fetch_json(url, cache / "a.json", check=record({}, more=True)),
    ):
        kind, message = outcome(action, seconds=20, megabytes=300)
        assert kind in ("ConnectionError", "ValueError") and "127.0.0.1" in message, (kind, message)
    assert not cache.exists() or list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"<!DOCTYPE html><html>Log in</html>", {}, "web page"),
        (b"\n <HTML><body>", {"Content-Type": "application/octet-stream"}, "web page"),
        (b"a\tb", {"Content-Type": "text/html; charset=utf-8"}, "web page"),
        (b"", {}, "empty"),
    ],
)
@pytest.mark.parametrize("known_hash", [SHA, None])
def test_pages_and_nothing_are_no_data(httpserver, cache, body, headers, message, known_hash):
    httpserver.expect_request("/file.tsv").respond_with_data(body, headers={"Content-Type": "text/plain"} | headers)
    with pytest.raises(ValueError, match=message):
        fetch(httpserver.url_for("/file.tsv"), known_hash=known_hash, folder=cache)
    assert list(cache.iterdir()) == []


def test_without_a_length_a_part_is_not_taken_for_the_whole(raw, cache):
    url = raw(lambda send: send(HEAD + b"\r\n" + BODY[:100]))
    with pytest.raises(ValueError, match="does not say how long"):
        fetch(url, known_hash=None, folder=cache)
    with pytest.raises(ValueError, match="does not have the sha256"):
        fetch(url, known_hash=SHA, folder=cache)
    assert list(cache.iterdir()) == []
    assert fetch(raw(lambda send: send(HEAD + b"\r\n" + BODY)), known_hash=SHA, folder=cache).read_bytes() == BODY


NUMBERS = record({"n": list_of(whole(0))})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "no answer"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"n": [1], "n": [2]}', "twice"),
        (b'{"n": [-1]}', r"answer\.n\[0\]"),
        (b'{"n": [1]', "no answer"),
        (b'{"m": []}', r"answer\.n is missing"),
        (b'{"n": [' + b"9" * 5_000 + b"]}", "digits"),
        (b"<html>", "web page"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_answers_that_are_none(httpserver, cache, body, message):
    httpserver.expect_request("/q").respond_with_data(body, content_type="application/json")
    with pytest.raises(ValueError, match=message) as error:
        fetch_json(httpserver.url_for("/q"), cache / "a.json", check=NUMBERS)
    assert len(str(error.value)) < 1_500 and not cache.exists()
    (cache).mkdir()
    (cache / "a.json").write_bytes(body)
    with pytest.raises(ValueError, match=r"a\.json is damaged .*delete it"):
        fetch_json(httpserver.url_for("/q"), cache / "a.json", check=NUMBERS)
    (cache / "a.json").write_text('{"n": [3]}')
    assert fetch_json(httpserver.url_for("/q"), cache / "a.json", check=NUMBERS) == {"n": [3]}


@pytest.mark.parametrize("known_hash", [SHA, None])
def test_eight_processes_fetch_one_file(httpserver, cache, known_hash):
    def answer(_request: object) -> Response:
        time.sleep(0.3)
        return Response(BODY)

    httpserver.expect_request("/file.bin").respond_with_handler(answer)
    url, children = httpserver.url_for("/file.bin"), []
    for _ in range(8):
        child = os.fork()
        if not child:
            try:
                os._exit(0 if fetch(url, known_hash=known_hash, folder=cache).read_bytes() == BODY else 1)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert [p.name for p in cache.iterdir()] == ["file.bin"] and len(httpserver.log) == 1


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("known_hash", [SHA, None])
def test_killed_at_every_event(httpserver, cache, at_every_event, known_hash, power):
    httpserver.expect_request("/file.bin").respond_with_data(BODY)
    url, n_kills = httpserver.url_for("/file.bin"), 0

    def reset() -> None:
        cache.mkdir(exist_ok=True)
        for left in cache.iterdir():
            left.unlink()

    for event in at_every_event(lambda: fetch(url, known_hash=known_hash, folder=cache), cache, reset, power=power):
        n_kills = event + 1
        assert not (cache / "file.bin").exists() or (cache / "file.bin").read_bytes() == BODY
        assert fetch(url, known_hash=known_hash, folder=cache).read_bytes() == BODY
        assert [p.name for p in cache.iterdir()] == ["file.bin"]
    assert n_kills >= 4


def test_a_folder_that_cannot_be_written(httpserver, cache, monkeypatch):
    """What is there can be used; otherwise the message says what can be chosen."""
    httpserver.expect_request("/file.bin").respond_with_data(BODY)
    url = httpserver.url_for("/file.bin")
    fetch(url, known_hash=SHA, folder=cache)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert fetch(url, known_hash=SHA, folder=cache).read_bytes() == BODY
    with pytest.raises(PermissionError, match="MIDGD_DATA_DIR"):
        fetch(url, known_hash=SHA, folder=cache, fname="other.bin")
