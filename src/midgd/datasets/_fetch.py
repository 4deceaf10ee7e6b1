"""One file from one address into the cache: checked, atomic, with one message when there is no network."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from midgd._file_names import is_plain_name
from midgd.datasets._http import TIMEOUT, download, http_session
from midgd.settings import logger


def unreachable(url: str, target: Path, reason: Exception) -> NoReturn:
    """Raise the one message for every failed download: what to fetch by hand, and where to put it."""
    import requests

    response = reason.response if isinstance(reason, requests.RequestException) else None
    what = type(reason).__name__ if response is None else f"HTTP {response.status_code} {response.reason}"
    raise ConnectionError(
        f"Could not download {url} ({what}). Get it by hand on a machine with a network, save it as {target}, "
        "and call again; MIDGD_DATA_DIR (or midgd.settings.data_dir) chooses another folder."
    ) from reason


def safe_name(name: str) -> str:
    """A file name that a server gave, refused if it could leave the folder it is meant for."""
    if not is_plain_name(name):
        raise ValueError(f"The server gave {name!r} as a file name, which is not a plain name; nothing was written.")
    return name


def write_atomic(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _downloader(url: str, output_file: str, _pooch: object) -> None:
    with http_session() as session, open(output_file, "w+b") as file:
        download(session, url, file, progress=True)


def fetch(url: str, *, known_hash: str | None, folder: Path | str, fname: str | None = None) -> Path:
    """Download a file into a folder unless it is there already.

    Parameters
    ----------
    url
        ``http(s)://`` address.
    known_hash
        ``"sha256:..."``, ``"md5:..."``, a bare sha256, or None for no check. A file already in the folder with
        another checksum is downloaded again; with None it is kept as it is.
    folder
        Where the file goes; made if missing.
    fname
        Name in the folder; default: the last part of the address.

    Returns
    -------
    Path of the complete, checked file.

    Raises
    ------
    ValueError
        If the checksum of what was downloaded is wrong; nothing is kept.
    ConnectionError
        If the address cannot be read; names the address and the path to put the file at by hand.
    """
    import pooch
    import requests

    target = Path(folder).expanduser().resolve() / safe_name(fname or url.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
    if known_hash is None and target.exists():
        return target
    try:
        # pooch downloads to a temporary name beside the target, checks, then renames.
        return Path(pooch.retrieve(url, known_hash, target.name, target.parent, downloader=_downloader))
    except requests.RequestException as error:
        unreachable(url, target, error)


def fetch_json(url: str, target: Path, *, payload: dict[str, Any] | None = None, by_hand: str = "") -> Any:
    """Ask a web API, and keep the answer for a later call without a network.

    Parameters
    ----------
    url
        Address; asked by POST if there is a ``payload``, else by GET.
    target
        File that keeps the answer; read, with a warning, when the address cannot be reached.
    payload
        JSON body.
    by_hand
        Address that gives the same answer in a browser, if ``url`` does not.

    Raises
    ------
    ConnectionError
        If the address cannot be reached and there is no earlier answer.
    """
    import requests

    try:
        with http_session() as session:
            verb = "GET" if payload is None else "POST"
            response = session.request(verb, url, json=payload, timeout=TIMEOUT)
            response.raise_for_status()
            answer = response.json()
    except requests.RequestException as error:
        if not target.exists():
            unreachable(by_hand or url, target, error)
        logger.warning("%s cannot be reached; using its earlier answer in %s", url, target)
        return json.loads(target.read_text())
    write_atomic(target, json.dumps(answer).encode())
    return answer
