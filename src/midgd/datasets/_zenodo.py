"""The files that belong to the paper, from their Zenodo record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from midgd._checks import list_of, matching, record, text, whole
from midgd.download.fetch import fetch, fetch_json
from midgd.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable

ZENODO = "https://zenodo.org"
PAPER_RECORD = "21885644"

_FILE = {
    "key": text(200),
    "size": whole(0, 1 << 40),
    "checksum": matching(r"md5:[0-9a-f]{32}", "an md5"),
    "links": record({"self": text(2_000)}, more=True),
}
RECORD = record({"files": list_of(record(_FILE, more=True), 10_000)}, more=True)


def _folder(data_dir: Path | str | None) -> Path:
    return Path(data_dir or settings.data_dir / "zenodo").expanduser() / PAPER_RECORD


def midgd_paper_files(*, data_dir: Path | str | None = None, base_url: str = ZENODO) -> pd.DataFrame:
    """What the Zenodo record 21885644 of the miDGD paper holds.

    Parameters
    ----------
    data_dir
        Cache folder, default ``midgd.settings.data_dir / "zenodo"``.
    base_url
        Address of Zenodo.

    Returns
    -------
    One row per file, indexed by its name: ``size`` (bytes), ``md5``, ``url``.

    Raises
    ------
    ConnectionError
        If Zenodo cannot be reached and the list was never read before.

    Examples
    --------
    >>> midgd.datasets.midgd_paper_files()["size"]  # doctest: +SKIP
    """
    url = f"{base_url.rstrip('/')}/api/records/{PAPER_RECORD}"
    record = fetch_json(url, _folder(data_dir).with_suffix(".json"), check=RECORD)
    rows = [
        {
            "name": file["key"],
            "size": file["size"],
            "md5": file["checksum"].removeprefix("md5:"),
            "url": file["links"]["self"],
        }
        for file in record["files"]
    ]
    return pd.DataFrame(rows, columns=["name", "size", "md5", "url"]).set_index("name")


def midgd_paper(
    files: str | Iterable[str], *, data_dir: Path | str | None = None, base_url: str = ZENODO
) -> dict[str, Path]:
    """Get files of the miDGD paper (tables, checkpoints) from Zenodo, each checked by its md5.

    Parameters
    ----------
    files
        One or more names out of :func:`midgd_paper_files`. Some are large: there is no default.
    data_dir, base_url
        As for :func:`midgd_paper_files`.

    Returns
    -------
    Name -> path of the complete file. Files that are there already are not downloaded again.

    Raises
    ------
    KeyError
        If the record has no such file.
    ValueError
        If a download has the wrong md5; it is not kept.
    ConnectionError
        If Zenodo cannot be reached; names what to fetch by hand.

    Examples
    --------
    >>> names = midgd.datasets.midgd_paper_files().index  # doctest: +SKIP
    >>> midgd.datasets.midgd_paper(names[0])  # doctest: +SKIP
    """
    names = [files] if isinstance(files, str) else list(files)
    known = midgd_paper_files(data_dir=data_dir, base_url=base_url)
    if unknown := [name for name in names if name not in known.index]:
        raise KeyError(f"Zenodo record {PAPER_RECORD} has no {unknown}; it has {list(known.index)}.")
    chosen = known.loc[names]
    return {
        name: fetch(url, known_hash=f"md5:{md5}", folder=_folder(data_dir), fname=name, longest=max(int(size), 1))
        for name, url, md5, size in zip(names, chosen["url"], chosen["md5"], chosen["size"], strict=True)
    }
