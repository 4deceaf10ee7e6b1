"""Reading an address: tried again after server errors, gone on with after cuts, bounded in size and time."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from midgd.settings import settings

if TYPE_CHECKING:
    import requests

    from midgd.download.deadline import Deadline

# Further attempts after the first, about 7 seconds of waiting in all.
RETRIES = 4
BACKOFF = 0.5  # seconds; doubles with every further attempt
TIMEOUT = (10, 60)  # seconds to connect, and between two reads
# Answers of a server that may be others a moment later (RFC 9110, and 429 of RFC 6585).
BUSY = (429, 500, 502, 503, 504)
CHUNK = 1 << 16  # bytes; at most this much is lost by a cut
MAX_BYTES = 16 << 30  # of a file whose size is not known beforehand
# A transfer gets so many seconds, and one more for so many bytes that have come; no transfer gets more than a day.
START, SLOWEST, LONGEST = 120.0, 10_000.0, 86_400.0


class NotTheFile(ValueError):
    """What a server sends cannot be what was asked for."""


def http_session() -> requests.Session:
    """Session that tries again after dropped connections; POST too, as we only search with it."""
    import requests
    from urllib3.util import Retry

    from midgd.download.deadline import BoundedAdapter, Deadline

    retry = Retry(
        total=RETRIES,
        connect=min(RETRIES, 2),  # without a network nobody wants to wait for all of them
        backoff_factor=BACKOFF,
        allowed_methods={"GET", "POST"},
        status=False,  # busy servers: see _open
    )
    session = requests.Session()
    adapter = BoundedAdapter(Deadline(), max_retries=retry)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # Bytes as they lie on the server: a transparent compression would break both Range and checksum.
    session.headers["Accept-Encoding"] = "identity"
    session.hooks["response"].append(_drop_content_of_redirect)
    return session


def _drop_content_of_redirect(response: requests.Response, **_: object) -> None:
    """The content beside a redirect would be read to its end, however long it is."""
    if response.is_redirect:
        response.close()
        response.raw = io.BytesIO()


def _deadline(session: requests.Session) -> Deadline:
    deadline: Deadline = session.get_adapter("https://").deadline  # type: ignore[attr-defined]
    return deadline


def _pause(deadline: Deadline, attempt: int) -> None:
    time.sleep(max(min(BACKOFF * 2**attempt, deadline.end - time.monotonic()), 0))


def _open(session: requests.Session, verb: str, url: str, **options: Any) -> requests.Response:
    """Ask an address, again if it is busy. What it sends beside an error is not read."""
    for attempt in range(RETRIES + 1):
        response = session.request(verb, url, timeout=TIMEOUT, stream=True, **options)
        if response.status_code not in BUSY or attempt == RETRIES:
            break
        response.close()
        _pause(_deadline(session), attempt)
    if response.status_code >= 400:
        response.close()
    return response


def _rest_of(session: requests.Session, url: str, file: BinaryIO, tag: str) -> requests.Response:
    """Open the address at the byte where the file ends; empty the file if the server only gives the whole."""
    have = file.seek(0, 2)
    headers = {"Range": f"bytes={have}-"} | ({"If-Range": tag} if tag else {}) if have else {}
    response = _open(session, "GET", url, headers=headers)
    if response.status_code == 416:  # nothing after that byte: what we have is of another file
        response = _open(session, "GET", url)
    response.raise_for_status()
    if not (response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
        file.seek(0)
        file.truncate()
    return response


def _size(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None


def _receive(response: requests.Response, deadline: Deadline, write: Callable[[bytes], object], room: int) -> int:
    """Hand on what comes, at most so many bytes and not too slowly; their number."""
    import requests
    from urllib3.exceptions import HTTPError

    received = 0
    size = _size(response)
    if size is not None and size > room:
        raise NotTheFile(f"it has {size:,} bytes, at most {room:,} were expected")
    latest = deadline.end - START + LONGEST
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            received += len(chunk)
            if received > room:
                raise NotTheFile(f"it has more than {room:,} bytes")
            write(chunk)
            deadline.end = min(deadline.end + len(chunk) / SLOWEST, latest)
    except HTTPError as error:
        raise _too_slow(received) if deadline.passed else requests.ConnectionError(error) from error
    if deadline.passed:  # without a length, an end that we made looks like that of the content
        raise _too_slow(received)
    if size is not None and received < size:
        raise requests.ConnectionError(f"{received:,} of {size:,} bytes came")
    return received


def _too_slow(received: int) -> requests.Timeout:
    import requests

    return requests.Timeout(f"too slow: {received:,} bytes when time was up")


def _check_kind(response: requests.Response, complete_needed: bool) -> None:
    """Refuse a page instead of a file, and content whose end could not be told from a cut."""
    if "text/html" in response.headers.get("Content-Type", "").lower():
        raise NotTheFile("it is a web page, perhaps of a login or of a proxy")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if complete_needed and _size(response) is None and not chunked:
        raise NotTheFile("the server does not say how long it is, so that a part could not be told from the whole")


def _check_begin(content: bytes) -> None:
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise NotTheFile("it is a web page, perhaps of a login or of a proxy")


def download(
    session: requests.Session,
    url: str,
    file: BinaryIO,
    *,
    longest: int = MAX_BYTES,
    checked: bool = True,
    progress: bool = False,
) -> None:
    """Write an address into an open file, starting after the bytes that it holds.

    Parameters
    ----------
    session
        From :func:`http_session`.
    url
        ``http(s)://`` address.
    file
        Opened for reading and writing, binary.
    longest
        Bytes that the file may have.
    checked
        A checksum of the whole is compared afterwards. Otherwise a part is gone on with only if the server says that
        the file is the same, and the server must say how long it is.
    progress
        Show a bar if :data:`midgd.settings` allow it.

    Raises
    ------
    requests.RequestException
        After the last attempt, or when time is up; ``file`` then holds the beginning.
    NotTheFile
        If it is too long, empty, a web page, or of a length that nobody knows.
    """
    import requests
    from tqdm.auto import tqdm

    deadline, tag = _deadline(session), ""
    with deadline.within(START):
        for attempt in range(RETRIES + 1):
            if not checked and not tag:
                file.seek(0)
                file.truncate()
            with _rest_of(session, url, file, tag) as response:
                _check_kind(response, not checked)
                have, size = file.tell(), _size(response)
                total = None if size is None else have + size
                tag = "" if (sent := response.headers.get("ETag", "")).startswith("W/") else sent
                hidden = not (progress and settings.progress)
                try:
                    with tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=hidden) as bar:

                        def write(chunk: bytes, bar: Any = bar) -> None:
                            if file.tell() == 0:
                                _check_begin(chunk)
                            file.write(chunk)
                            bar.update(len(chunk))

                        _receive(response, deadline, write, longest - have)
                    break
                except requests.ConnectionError:
                    if attempt == RETRIES:
                        raise
            _pause(deadline, attempt)
    if file.tell() == 0:
        raise NotTheFile("it is empty")


def ask(session: requests.Session, url: str, payload: dict[str, Any] | None, longest: int) -> bytes:
    """The answer of an address, asked by POST if there is a payload; errors as those of :func:`download`."""
    content = io.BytesIO()
    deadline = _deadline(session)
    with deadline.within(START):
        with _open(session, "GET" if payload is None else "POST", url, json=payload) as response:
            response.raise_for_status()
            _check_kind(response, complete_needed=True)
            _receive(response, deadline, content.write, longest)
    _check_begin(content.getvalue())
    return content.getvalue()
