"""One file from one address into the cache: checked before it gets its name, by one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from midgd._checks import Check, read_json
from midgd._file_names import is_plain_name
from midgd._files import clear_up, locked, move, named_errors, sync, temporary, write_atomic
from midgd._text import one_line, shown
from midgd.download.http import MAX_BYTES, NotTheFile, ask, download, http_session
from midgd.settings import logger

if TYPE_CHECKING:
    import requests

# A file that is wrong twice is wrong at its source.
CHECKSUM_ATTEMPTS = 2
MAX_JSON = 64 << 20  # bytes
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}  # hexadecimal
_BY_HAND = (
    "Get it by hand, save it as {target}, and call again; MIDGD_DATA_DIR (or midgd.settings.data_dir) chooses another"
    " folder."
)


class Checksum(NamedTuple):
    """What a file must have."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """From ``"md5:..."``, or the digits of a sha256 alone; ValueError if it is neither."""
        algorithm, _, digest = text.lower().rpartition(":")
        algorithm = algorithm or "sha256"
        if not re.fullmatch(r"[0-9a-f]+", digest) or len(digest) != _DIGITS.get(algorithm):
            raise ValueError(f"known_hash is {shown(text)}; give 'sha256:' or 'md5:' and the hexadecimal digits.")
        return cls(algorithm, digest)

    def fits(self, path: Path) -> bool:
        """Whether a file is there and has it."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest() == self.digest


def unreachable(url: str, target: Path, reason: Exception) -> NoReturn:
    """Raise the one message for every failed download: what to fetch by hand, and where to put it."""
    import requests

    response = reason.response if isinstance(reason, requests.RequestException) else None
    what = type(reason).__name__ if response is None else f"HTTP {response.status_code} {response.reason}"
    if isinstance(reason, requests.Timeout) and reason.args:
        what = one_line(reason.args[0], 200)
    raise ConnectionError(
        f"Could not download {url} ({one_line(what, 200)}). {_BY_HAND.format(target=target)}"
    ) from reason


def safe_name(name: str) -> str:
    """A file name that a server gave, refused if it could leave the folder it is meant for."""
    if not is_plain_name(name) or not name.isprintable() or len(name.encode()) > 200 or name.startswith(".midgd-"):
        raise ValueError(f"The server gave {shown(name)} as a file name, not a plain name; nothing was written.")
    return name


def get_file(
    session: requests.Session,
    url: str,
    target: Path,
    checksum: Checksum | None,
    *,
    longest: int = MAX_BYTES,
    progress: bool = False,
) -> None:
    """Download a file unless it is there; other processes that want it wait, and find it.

    The content goes to a temporary name beside the target and is flushed and checked before it gets its name. Where a
    checksum is known, what came before an interruption stays there, and the next call goes on after it.

    Raises
    ------
    ConnectionError
        If the address cannot be read, or too slowly.
    ValueError
        If what came has another checksum, is too long, empty or a web page; nothing is kept then.
    OSError
        If it cannot be written.
    """
    if _is_there(target, checksum):  # a folder of others, which cannot be written, will do
        clear_up(target)
        return
    part = temporary(target)
    with _writable(target):
        if _is_there(target, checksum):  # another process was first
            return
        for _ in range(CHECKSUM_ATTEMPTS):
            _get_part(session, url, target, checksum, longest, progress)
            if checksum is None or checksum.fits(part):
                sync(part)
                move(part, target)
                return
            part.unlink()
    assert checksum is not None
    raise ValueError(
        f"{url} does not have the {checksum.algorithm} {checksum.digest} that is known for it, also after"
        f" {CHECKSUM_ATTEMPTS} downloads; nothing was kept. Try again later."
    )


def _is_there(target: Path, checksum: Checksum | None) -> bool:
    return target.is_file() if checksum is None else checksum.fits(target)


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    """The lock of a target, or an error that says what the user can choose."""
    if target.parent.exists() and not os.access(target.parent, os.W_OK):
        raise PermissionError(
            f"The folder {target.parent} cannot be written to. Set MIDGD_DATA_DIR (or midgd.settings.data_dir) to"
            " another folder."
        )
    with locked(target):
        yield


def _get_part(
    session: requests.Session, url: str, target: Path, checksum: Checksum | None, longest: int, progress: bool
) -> None:
    import requests

    part, keep = temporary(target), False
    if part.exists() and part.stat().st_size > longest:
        part.unlink()
    try:
        with named_errors(part), part.open("r+b" if part.exists() else "w+b") as file:
            download(session, url, file, longest=longest, checked=checksum is not None, progress=progress)
        keep = True
    except NotTheFile as error:
        raise ValueError(f"{url} does not give the file: {error}. {_BY_HAND.format(target=target)}") from error
    except requests.RequestException as error:
        keep = checksum is not None and part.stat().st_size > 0
        unreachable(url, target, error)
    except KeyboardInterrupt:
        keep = checksum is not None
        raise
    finally:
        if not keep:
            part.unlink(missing_ok=True)


def fetch(
    url: str, *, known_hash: str | None, folder: Path | str, fname: str | None = None, longest: int = MAX_BYTES
) -> Path:
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
    longest
        Bytes that the file may have.

    Returns
    -------
    Path of the complete, checked file.

    Raises
    ------
    ValueError
        If the checksum of what was downloaded is wrong, or it cannot be the file: too long, empty, a web page, or
        without checksum and length; nothing is kept.
    ConnectionError
        If the address cannot be read; names the address and the path to put the file at by hand.
    """
    name = safe_name(fname or url.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
    target = Path(folder).expanduser().resolve() / name
    checksum = None if known_hash is None else Checksum.parse(known_hash)
    with http_session() as session:
        get_file(session, url, target, checksum, longest=longest, progress=True)
    return target


def fetch_json(
    url: str, target: Path, *, check: Check, payload: dict[str, Any] | None = None, by_hand: str = ""
) -> Any:
    """Ask a web API, and keep the answer for a later call without a network.

    Parameters
    ----------
    url
        Address; asked by POST if there is a ``payload``, else by GET.
    target
        File that keeps the answer; read, with a warning, when the address cannot be reached or gives no such answer.
    check
        What the answer must be like.
    payload
        JSON body.
    by_hand
        Address that gives the same answer in a browser, if ``url`` does not.

    Raises
    ------
    ConnectionError
        If the address cannot be reached and there is no earlier answer.
    ValueError
        If it gives no such answer and there is no earlier one, or the earlier one is damaged.
    """
    import requests

    try:
        with http_session() as session:
            answer = _checked(ask(session, url, payload, MAX_JSON), check)
    except (requests.RequestException, ValueError) as error:
        if not target.exists():
            if isinstance(error, requests.RequestException):
                unreachable(by_hand or url, target, error)
            hand = _BY_HAND.format(target=target)
            raise ValueError(f"{by_hand or url} gives no answer that can be used: {one_line(error)}. {hand}") from error
        logger.warning("%s cannot be reached; using its earlier answer in %s", url, target)
        return _earlier(target, check)
    write_atomic(target, json.dumps(answer).encode())
    return answer


def _checked(content: bytes, check: Check) -> Any:
    answer = read_json(content)
    check(answer, "answer")
    return answer


def _earlier(target: Path, check: Check) -> Any:
    try:
        if target.stat().st_size > MAX_JSON:
            raise ValueError(f"it has more than {MAX_JSON:,} bytes")
        return _checked(target.read_bytes(), check)
    except ValueError as error:
        raise ValueError(f"{target} is damaged ({one_line(error)}); delete it and call again.") from error
