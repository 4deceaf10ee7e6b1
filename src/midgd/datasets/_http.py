"""Reading an address: tried again after server errors, gone on with after cuts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, BinaryIO

from midgd.settings import settings

if TYPE_CHECKING:
    import requests

RETRIES = 4
BACKOFF = 0.5  # seconds; doubles with every further attempt
TIMEOUT = (10, 60)  # seconds to connect, and between two reads
CHUNK = 1 << 16  # bytes; at most this much is lost by a cut


def http_session() -> requests.Session:
    """Session that tries again after 429, 5xx and dropped connections; POST too, as we only search with it."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=RETRIES,
        connect=min(RETRIES, 2),  # without a network nobody wants to wait for all of them
        backoff_factor=BACKOFF,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods={"GET", "POST"},
        raise_on_status=False,
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    # Bytes as they lie on the server: a transparent compression would break both Range and checksum.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _rest_of(session: requests.Session, url: str, file: BinaryIO) -> requests.Response:
    """Open the address at the byte where the file ends; empty the file if the server only gives the whole."""
    have = file.seek(0, 2)
    response = session.get(url, headers={"Range": f"bytes={have}-"} if have else {}, stream=True, timeout=TIMEOUT)
    if response.status_code == 416:  # nothing after that byte: what we have is of another file
        response.close()
        response = session.get(url, stream=True, timeout=TIMEOUT)
    response.raise_for_status()
    if not (response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
        file.seek(0)
        file.truncate()
    return response


def download(session: requests.Session, url: str, file: BinaryIO, *, progress: bool = False) -> None:
    """Write an address into an open file, starting after the bytes that it holds.

    Parameters
    ----------
    session
        From :func:`http_session`.
    url
        ``http(s)://`` address.
    file
        Opened for reading and writing, binary.
    progress
        Show a bar if :data:`midgd.settings` allow it.

    Raises
    ------
    requests.RequestException
        After the last attempt; ``file`` then holds the beginning.
    """
    import requests
    from tqdm.auto import tqdm

    for attempt in range(RETRIES + 1):
        with _rest_of(session, url, file) as response:
            have = file.tell()
            size = have + int(response.headers.get("Content-Length", 0)) or None
            bar = tqdm(
                total=size, initial=have, unit="B", unit_scale=True, disable=not (progress and settings.progress)
            )
            try:
                with bar:
                    for chunk in response.iter_content(CHUNK):
                        file.write(chunk)
                        bar.update(len(chunk))
                return
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if attempt == RETRIES:
                    raise
        time.sleep(BACKOFF * 2**attempt)
