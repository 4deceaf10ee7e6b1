"""References that others can load: repositories of the Hugging Face hub, and zip files at an address."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urlsplit

from midgd._files import clear_up, locked, make_folder, replacing
from midgd._text import one_line, shown
from midgd._zip import BROKEN, copy_entry, open_zip
from midgd.reference.reference import Reference
from midgd.reference.store import CARD, MAX_CARD, MAX_WEIGHTS, WEIGHTS, read
from midgd.settings import settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAX_ENTRIES = 1_000  # of a zip
# Bytes that each file may have.
FILES = {CARD: MAX_CARD, WEIGHTS: MAX_WEIGHTS}


def push_to_hub(
    reference: Reference,
    repo_id: str,
    *,
    private: bool | None = None,
    message: str | None = None,
    token: str | None = None,
) -> str:
    """Upload a reference to a model repository of the Hugging Face hub, which is made if there is none.

    Parameters
    ----------
    reference
        The reference.
    repo_id
        ``"owner/name"``.
    private
        Whether a new repository is private; None leaves it to the settings of the owner.
    message
        Commit message; default: name and version of the reference.
    token
        Access token; default: the one that ``hf auth login`` stored.

    Returns
    -------
    The address of the commit.

    Raises
    ------
    ImportError
        If huggingface_hub is not installed.

    Examples
    --------
    >>> midgd.reference.push_to_hub(midgd.reference.load("my_reference"), "owner/name")  # doctest: +SKIP
    """
    api = _hub()
    with tempfile.TemporaryDirectory() as parent:
        folder = reference.save(Path(parent) / "reference")
        api.create_repo(repo_id, private=private, exist_ok=True, token=token)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message=message or f"{reference.name} {reference.card.get('version', '')}".strip(),
            token=token,
        )
    return str(commit.commit_url)


def pull(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Reference:
    """Load a reference from a repository of the Hugging Face hub; its cache serves later calls.

    Parameters
    ----------
    repo_id
        ``"owner/name"``.
    revision
        Branch, tag or commit; a commit makes the result repeatable. Default: the newest on the main branch.
    token
        Access token for a private repository; default: the one that ``hf auth login`` stored.

    Returns
    -------
    The reference.

    Raises
    ------
    ImportError
        If huggingface_hub is not installed.
    FileNotFoundError
        If the repository does not hold a reference.
    ValueError
        If its files are damaged or too large.

    Examples
    --------
    >>> reference = midgd.reference.pull("owner/name", revision="v1")  # doctest: +SKIP
    >>> midgd.tl.infer_mirna(adata, reference)  # doctest: +SKIP
    """
    hub = _hub()
    for file in hub.get_paths_info(repo_id, list(FILES), revision=revision, token=token):
        size = getattr(file, "size", 0)  # a folder has none
        if size > FILES.get(file.path, 0):
            raise ValueError(f"{repo_id}: {shown(file.path)} has {size:,} bytes, more than a reference may have.")
    folder = hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(FILES), token=token)
    return read(Path(folder))


def _hub() -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ImportError("The Hugging Face hub needs huggingface_hub: pip install midgd[hub]") from error
    return HfApi(library_name="midgd")


def is_url(reference: object) -> bool:
    """Whether this is an ``http(s)://`` address.

    Parameters
    ----------
    reference
        What a user gave as a reference.

    Returns
    -------
    True for an address.
    """
    return isinstance(reference, str) and reference.lower().startswith(("http://", "https://"))


def load_url(url: str, sha256: str | None = None) -> Reference:
    """Load a reference from the zip file of its folder at an address.

    The unpacked folder stays in ``settings.data_dir / "references"`` and serves later calls without a network.

    Parameters
    ----------
    url
        ``http(s)://`` address; it may end in ``#sha256=...``.
    sha256
        Hash of the zip file; required here or in the address.

    Returns
    -------
    The reference.

    Raises
    ------
    ValueError
        If there is no hash, it does not match, or the file is not a zip of a reference. Nothing is kept then.
    ConnectionError
        If the address cannot be read; says where to put the file by hand.
    """
    from midgd.download.fetch import fetch

    address, fragment = urldefrag(url)
    digest = (sha256 or fragment.removeprefix("sha256=")).lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(
            f"A reference from an address needs the sha256 of the file, 64 hexadecimal digits, got {digest!r}:"
            f" midgd.reference.load({address!r}, sha256=...), or {address}#sha256=..."
        )
    folder = settings.data_dir / "references" / f"{_stem(address)}-{digest[:12]}"
    archive = folder.with_name(f"{folder.name}.zip")
    if not folder.is_dir():
        fetch(
            address,
            known_hash=f"sha256:{digest}",
            folder=folder.parent,
            fname=archive.name,
            longest=sum(FILES.values()),
        )
        try:
            _unpack(archive, folder)
        finally:
            archive.unlink(missing_ok=True)
    for path in (archive, folder):
        clear_up(path)
    if archive.exists():  # of a process that was killed after unpacking it
        archive.unlink(missing_ok=True)
    return read(folder)


def _stem(address: str) -> str:
    """A plain name after the last part of an address."""
    last = urlsplit(address).path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zip")
    return re.sub(r"[^\w.-]", "_", last).lstrip(".") or "reference"


def _unpack(archive: Path, folder: Path) -> None:
    """Write the two files of a zip into a new folder that appears when both are complete and make a reference."""
    with locked(folder):
        if folder.exists():  # another process was first
            return
        with replacing(folder) as new:
            make_folder(new)
            try:
                with archive.open("rb") as file, open_zip(file) as content:
                    for name, entry in _entries(content).items():
                        # Written under our own names: no path of the zip is ever used as a path.
                        with (new / name).open("wb") as target:
                            copy_entry(content, entry, target, FILES[name])
            except BROKEN as error:
                raise ValueError(f"{archive.name} is not a zip file that can be read ({one_line(error)}).") from error
            read(new)


def _entries(content: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries of the two files, in the root or in one folder."""
    if len(content.infolist()) > MAX_ENTRIES:
        raise ValueError(f"The zip holds more than {MAX_ENTRIES} files, a reference has {len(FILES)}.")
    entries = [(PurePosixPath(entry.filename.replace("\\", "/")), entry) for entry in content.infolist()]
    for path, _ in entries:
        if path.is_absolute() or ".." in path.parts or ":" in str(path):
            raise ValueError(f"The zip holds {shown(str(path))}, which points out of its folder; nothing was unpacked.")
    found = [(path, entry) for path, entry in entries if path.name in FILES and len(path.parts) <= 2]
    if sorted(path.name for path, _ in found) != sorted(FILES) or len({path.parent for path, _ in found}) != 1:
        raise ValueError(
            f"The zip must hold {' and '.join(FILES)} of one reference, in its root or in one folder;"
            f" it holds {shown([str(path) for path, _ in entries[:10]])}."
        )
    return {path.name: entry for path, entry in found}
