"""Reading and writing references; nothing in a file can run.

A reference is a folder with :data:`WEIGHTS` and :data:`CARD`. The card holds the checksum of the weights, and a
checksum of itself with that of the weights: a reference whose names, settings or weights were changed does not load.
What the files may hold is in :mod:`midgd.reference._schema` and :mod:`midgd.reference._layout`.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import time
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
from safetensors import SafetensorError

from midgd._checks import read_json
from midgd._files import NEW, locked, make_folder, move, named_errors, remove, replacing, sync, temporary
from midgd._text import one_line, shown
from midgd._torch import apart
from midgd.reference._layout import DTYPES, Shapes, build, check_shapes, describe, tensors
from midgd.reference._schema import check_card
from midgd.reference.reference import Card, Reference
from midgd.settings import logger

# 7: kinds have axes, calibrations the sign unlikeness. 6: calibrations have an excess, 8 conditions and 20 tails.
# 5: sha256 covers the card as well, and there are kinds. 4: sha256 is that of the weights.
FORMAT, OLDEST = 7, 4
WEIGHTS, CARD = "weights.safetensors", "card.json"
MAX_CARD, MAX_HEADER, MAX_WEIGHTS = 64 << 20, 4 << 20, 4 << 30  # bytes
ATTEMPTS = 5  # to read both files while another process replaces them


def save(reference: Reference, path: Path, *, overwrite: bool = True) -> Path:
    """Write a reference folder; at any moment there is the older one, or none, or the new one.

    A new folder is written under a temporary name and renamed. In an existing one both files are written beside the
    older ones and then renamed, first the weights; a reader that comes between takes the new card too. Files are
    flushed to the disk before they are renamed, writers of one folder wait for each other, and what a killed process
    left is removed by the next one that writes there.

    Parameters
    ----------
    reference
        The reference.
    path
        The folder. One that already holds a reference is replaced; one that holds anything else is refused.
    overwrite
        Replace a reference that is there.

    Returns
    -------
    The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something else, or a reference and ``overwrite`` is False. Nothing is changed then.
    ValueError
        If the card could not be read again. Nothing is written then.
    """
    content = safetensors.torch.save(tensors(reference))
    card = reference.card | describe(reference) | {"format": FORMAT, "sha256": ""}
    card = json.loads(json.dumps(card | {"weights_sha256": hashlib.sha256(content).hexdigest()}))
    card["sha256"] = identity(card)
    try:
        check_card(card)
    except ValueError as error:
        raise ValueError(f"The reference cannot be saved: on its card {error}.") from error
    text = json.dumps(card, indent=1, ensure_ascii=False).encode()
    if len(text) > MAX_CARD:
        raise ValueError(f"The reference cannot be saved: its card has {len(text):,} bytes, at most {MAX_CARD:,} go.")
    with locked(path):
        if path.exists() or path.is_symlink():
            _check_replaceable(path, overwrite)
            _replace(path, {WEIGHTS: content, CARD: text})
        else:
            with replacing(path) as new:
                make_folder(new)
                for name, data in ((WEIGHTS, content), (CARD, text)):
                    (new / name).write_bytes(data)
    return path


def _check_replaceable(path: Path, overwrite: bool) -> None:
    """Whether a folder holds a reference and nothing else."""
    if not path.is_dir() or not (path / CARD).is_file():
        raise FileExistsError(f"{path} exists and is not a reference; choose a new folder.")
    if foreign := sorted(
        p.name for p in path.iterdir() if p.name not in (CARD, WEIGHTS) and not p.name.startswith(".")
    ):
        raise FileExistsError(
            f"{path} holds files that are not part of a reference: {one_line(', '.join(foreign[:5]), 200)}."
            " Move them elsewhere, or choose a new folder; nothing was changed."
        )
    if not overwrite:
        raise FileExistsError(f"{path} exists: choose another folder, or overwrite=True to replace the model.")


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    """Put files in the place of older ones, in this order, after all of them have been written."""
    for stale in folder.glob(f"{NEW}*"):
        remove(stale)
    try:
        for name, data in files.items():
            with named_errors(folder / name):
                temporary(folder / name).write_bytes(data)
                sync(temporary(folder / name))
        sync(folder)
    except BaseException:
        for name in files:
            temporary(folder / name).unlink(missing_ok=True)
        raise
    for name in files:
        move(temporary(folder / name), folder / name)


def identity(card: Card) -> str:
    """Checksum of everything that a card says, and through ``weights_sha256`` of the weights.

    Parameters
    ----------
    card
        The card of a reference.

    Returns
    -------
    SHA-256 in hexadecimal digits.
    """
    said = {name: value for name, value in card.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@apart
def read(path: Path) -> Reference:
    """Read a reference folder.

    Parameters
    ----------
    path
        Folder with the two files of a reference.

    Returns
    -------
    The reference.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the format is newer, or anything in the files is not as it must be; names the file and the field. Nothing
        is allocated by what a card says before the header of the weights has said the same.
    """
    for name in (CARD, WEIGHTS):
        if not (path / name).is_file():
            raise FileNotFoundError(f"{path} is not a midgd reference: it has no {name}.")
    for attempt in range(ATTEMPTS):
        try:
            return _read_pair(path)
        except _Torn as torn:
            if attempt == ATTEMPTS - 1:
                raise _damaged(path, WEIGHTS, torn) from torn
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable")


class _Torn(ValueError):
    """Card and weights do not belong together: damaged, or just being replaced."""


def _read_pair(path: Path) -> Reference:
    content, reasons = None, []
    with (path / WEIGHTS).open("rb") as file:
        try:
            shapes = _read_header(file)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, WEIGHTS, error) from error
        # A writer that was killed between its two last steps has left the card that belongs to the weights.
        for name in (CARD, temporary(path / CARD).name):
            if name != CARD and not (path / name).is_file():
                continue
            card = read_card(path, name)
            try:
                check_shapes(card, shapes)  # before the weights are read: a card must not say how much that is
                content = file.read() if content is None else content
                found = hashlib.sha256(content).hexdigest()
                if found != card["weights_sha256"]:
                    raise ValueError(f"its sha256 is {found[:12]}…, the card says {card['weights_sha256'][:12]}…")
            except (ValueError, RuntimeError, TypeError) as error:
                reasons.append(error)
                continue
            try:
                return build(card, safetensors.torch.load(content))
            except (ValueError, RuntimeError, TypeError, SafetensorError) as error:
                raise _damaged(path, WEIGHTS, error) from error
    raise _Torn(str(reasons[0]))


def _read_header(file: BinaryIO) -> Shapes:
    """Types and shapes as the head of a safetensors file gives them; the file is left at its beginning."""
    start = file.read(8)
    size = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER + 1
    if size > MAX_HEADER:
        raise ValueError("it is not a safetensors file")
    header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("it is not a safetensors file")
    header.pop("__metadata__", None)
    shapes, n_bytes = {}, 8 + size
    for name, entry in header.items():
        dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
        if (
            not isinstance(dtype, str)
            or dtype not in DTYPES
            or not isinstance(shape, list)
            or not all(type(n) is int and n >= 0 for n in shape)
        ):
            raise ValueError(f"its header does not give type and shape of {shown(name)}")
        shapes[name] = (dtype, tuple(shape))
        n_bytes += math.prod(shape) * DTYPES[dtype].itemsize
    if n_bytes > MAX_WEIGHTS:
        raise ValueError(f"it has {n_bytes:,} bytes, at most {MAX_WEIGHTS:,} can be read")
    if (found := file.seek(0, 2)) != n_bytes:
        raise ValueError(f"it has {found:,} bytes, by its header it must have {n_bytes:,}")
    file.seek(0)
    return shapes


def read_card(path: Path, name: str = CARD) -> Card:
    """Read and check the card in a folder, without the weights.

    Parameters
    ----------
    path
        Folder of the reference.
    name
        Name of the file.

    Returns
    -------
    The card, with ``weights_sha256`` and with the ``sha256`` of card and weights together; a card of an older format
    gets both.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is of a newer format or damaged; names the field.
    """
    try:
        if (path / name).stat().st_size > MAX_CARD:
            raise ValueError(f"it has more than {MAX_CARD:,} bytes")
        card = read_json((path / name).read_bytes())
        if not isinstance(card, dict):
            raise ValueError("it is no JSON object")
        _check_format(path, card.get("format"))
        check_card(card)
    except _NewerFormat:
        raise
    except ValueError as error:
        raise _damaged(path, name, error) from error
    if card["format"] == OLDEST:
        logger.debug("%s was saved by an older midgd: its checksum does not cover the card", path)
        card["weights_sha256"] = card["sha256"]
        card["sha256"] = identity(card)
    elif "weights_sha256" not in card or identity(card) != card["sha256"]:
        found = f"the card has the sha256 {identity(card)[:12]}…, it says {card['sha256'][:12]}…: it was changed"
        raise _damaged(path, name, ValueError(found))
    return card


class _NewerFormat(ValueError):
    """Not damage."""


def _check_format(path: Path, number: object) -> None:
    if type(number) is int and number > FORMAT:
        raise _NewerFormat(
            f"The reference in {path} has the format {number if number < 10**6 else 'of a large number'}, this version"
            f" of midgd reads formats up to {FORMAT}. Install a newer midgd: pip install --upgrade midgd."
        )
    if type(number) is not int or number < OLDEST:
        raise ValueError(f"format is {one_line(number, 20)}, this version of midgd reads {OLDEST} to {FORMAT}")


def _damaged(path: Path, name: str, error: BaseException) -> ValueError:
    return ValueError(
        f"The reference in {path} is damaged or was changed ({name}: {one_line(error)})."
        " Copy or download it again, or save it again."
    )
