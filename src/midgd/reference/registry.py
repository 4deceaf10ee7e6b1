"""References by name."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd

from midgd.reference.reference import Reference
from midgd.reference.remote import is_url, load_url
from midgd.reference.store import CARD, read, read_card
from midgd.settings import logger, settings

BUNDLED = ("default",)


def load(reference: str | Path | Reference = "default", *, sha256: str | None = None) -> Reference:
    """Load a reference.

    Parameters
    ----------
    reference
        ``"default"`` (bundled, works offline), the name of a reference in ``settings.data_dir / "references"``,
        the path of a folder that :meth:`Reference.save` wrote, or the ``http(s)://`` address of a zip of such a
        folder, in this order; ``"./name"`` is always a folder. A loaded reference is returned as it is.
    sha256
        Hash of the zip file; required with an address, here or in it (``https://.../name.zip#sha256=...``).

    Returns
    -------
    The reference; the bundled one is read once and shared.

    Raises
    ------
    FileNotFoundError
        If there is no such reference.
    ValueError
        If its files are damaged, ``sha256`` is missing or wrong, or it is given without an address.
    ConnectionError
        If the address cannot be read.

    Examples
    --------
    >>> midgd.reference.load().card["citations"]  # doctest: +SKIP
    """
    if sha256 is None and isinstance(reference, Reference):
        return reference
    if sha256 is None and isinstance(reference, str) and reference in BUNDLED:
        return _load_bundled(reference)
    if is_url(reference):
        return load_url(str(reference), sha256)
    if sha256 is not None or isinstance(reference, Reference):
        raise ValueError("sha256= is the hash of a file at an address; folders and names carry their own on the card.")
    path = Path(reference)
    cached = settings.data_dir / "references" / path.name
    known = path.name == str(reference) and not path.name.startswith(".") and cached.is_dir()
    if known and isinstance(reference, str):
        return _read_cached(reference, cached)
    if path.is_dir():
        return read(path)
    if known:
        return read(cached)
    raise FileNotFoundError(
        f"Unknown reference {str(reference)!r}: neither a folder nor one of {list(available().index)}."
        " midgd.reference.available() lists the names."
    )


def _read_cached(name: str, cached: Path) -> Reference:
    here = Path(name)
    if here.is_dir() and not here.samefile(cached):
        logger.warning("reference %r is that in %s; give './%s' for the folder of this name here", name, cached, name)
    return read(cached)


@lru_cache(maxsize=4)
def _load_bundled(name: str) -> Reference:
    with as_file(files("midgd.reference") / "bundled" / name) as folder:
        return read(folder)


def available() -> pd.DataFrame:
    """References that :func:`load` knows by name: samples, genes, miRNAs, levels, where they are, hash.

    Cards are read and checked, weights are not. Folders whose card is damaged are left out with a warning, and so are
    folders in the data folder with the name of a bundled reference, which :func:`load` never takes for it.

    Examples
    --------
    >>> midgd.reference.available()  # doctest: +SKIP
    """
    rows = {name: _summary(Path(str(files("midgd.reference") / "bundled" / name))) for name in BUNDLED}
    for folder in sorted((settings.data_dir / "references").glob("*")):
        if folder.name.startswith(".") or not (folder / CARD).is_file():
            continue
        if folder.name in BUNDLED:
            logger.warning("%s is left out: %r is the bundled reference; rename the folder", folder, folder.name)
            continue
        try:
            rows[folder.name] = _summary(folder)
        except (ValueError, OSError) as error:
            # One broken folder must not hide the others.
            logger.warning("%s is left out: %s", folder, error)
    return pd.DataFrame.from_dict(rows, orient="index")


def _summary(folder: Path) -> dict[str, object]:
    card = read_card(folder)
    return {
        "n_samples": card.get("training", {}).get("n_samples", 0),
        "n_genes": len(card["genes"]["symbol"]),
        "n_stem_loops": len(card["mirnas"]["name"]),
        "n_mature": len(card.get("matures", {}).get("name", [])),
        "version": card.get("version", ""),
        "sha256": card["sha256"][:12],
        "path": str(folder),
    }
