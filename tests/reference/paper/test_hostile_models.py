"""Files of torch.save that are small and would take hours or gigabytes; bounded here in time, memory and words."""

from __future__ import annotations

import copyreg
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from midgd.reference import convert_midgd_paper

NAMES: dict[str, Any] = {"genes": [f"GENE{i}" for i in range(620)], "mirnas": [f"hsa-mir-{i}" for i in range(30)]}
MODULE = b"\x80\x02cbase.dgd\nDGD\n)\x81"  # an instance; a state follows
DOUBLE = b"q\x000h\x00h\x00\x86"  # the tuple of the last thing twice


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def state(name: str, value: bytes) -> bytes:
    return b"}" + text(name) + value + b"s"


def doubled(n: int) -> bytes:
    return b"K\x01\x85" + DOUBLE * n


def shared_lists(inner: bytes, n: int) -> bytes:
    """A list of the same list twice, n deep: 2^n ways to the inside."""
    return inner + b"q\x000](h\x00h\x00e" * n


def sequential(inner: bytes) -> bytes:
    return b"ctorch.nn.modules.container\nSequential\n)\x81}" + text("_modules") + inner + b"sb"


def nested_sequentials(n: int) -> bytes:
    inner = sequential(b"}")
    for _ in range(n):
        inner += b"q\x000" + sequential(b"}" + text("0") + b"h\x00s" + text("1") + b"h\x00s")
    return inner


def storages(n: int, numel: int) -> bytes:
    one = b"(" + text("storage") + b"ctorch\nFloatStorage\n"
    return (
        b"]("
        + b"".join(one + text(str(i)) + text("cpu") + b"J" + struct.pack("<i", numel) + b"tQ" for i in range(n))
        + b"e"
    )


def chain(n: int) -> bytes:
    """Objects in each other under long names."""
    inner = b"K\x01"
    return (MODULE + b"}" + text("n" * 150)) * n + inner + b"sb" * n


MANY_HEADS = b"](" + b"cbase.dgd.nn\nNB_Module\n)\x81}" + text("all") + b"h\x01sb" + b"e"
PICKLES: dict[str, bytes] = {
    "key of nested tuples": MODULE + b"}" + doubled(60) + b"K\x01sb.",
    "member of nested tuples": MODULE + state("s", b"c__builtin__\nset\n](" + doubled(60) + b"e\x85R") + b"b.",
    "ordered key of nested tuples": MODULE
    + state("s", b"ccollections\nOrderedDict\n](" + doubled(60) + b"K\x01\x86e\x85R")
    + b"b.",
    "nested tuples": MODULE + state("s", doubled(60)) + b"b.",
    "only nested tuples": b"\x80\x02" + doubled(60) + b".",
    "colliding numbers": MODULE
    + b"}("
    + b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(60_000))
    + b"ub.",
    "shared lists": MODULE + state("decoder", shared_lists(b"]", 60)) + b"b.",
    "shared modules": MODULE + state("decoder", MODULE + b"}" + text("main") + nested_sequentials(60) + b"sb") + b"b.",
    "chain": b"\x80\x02" + chain(50_000)[2:] + b".",
    "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "long number": MODULE + state("x", b"\x8b" + struct.pack("<I", 2_000_000) + b"\x7f" * 2_000_000) + b"b.",
    "number as text": MODULE + state("x", b"I" + b"9" * 2_000_000 + b"\n") + b"b.",
    "long number as text": MODULE + state("x", b"L" + b"9" * 2_000_000 + b"L\n") + b"b.",
    "opcodes": b"\x80\x02" + b"}" * 3_000_000 + b".",
    "text that is not there": b"\x80\x02X\xff\xff\xff\xffabc.",
    "long text that is not there": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"abc.",
    "bytes that are not there": b"\x80\x03B\xff\xff\xff\x7fabc.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "place in memo": MODULE + b"r\xff\xff\xff\xff0j\xff\xff\xff\xff.",
    "many storages": MODULE + state("s", storages(5_000, 2**31 - 1)) + b"b.",
    "long name": b"\x80\x02cos\n" + b"x" * 1_000_000 + b"\n.",
    "name with escapes": b"\x80\x04" + text("os\x1b[2J\x1b]0;owned\x07\r\n") + text("x" * 50_000) + b"\x93.",
    "key with escapes": b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + text("\x1b[2J" * 9_000)
    + text("cpu") + b"K\x04tQ.",
    "modules with escapes": MODULE + b"}" + (text("\x1b[31m" * 30) + MODULE[2:] + b"}bs") * 50 + b"b.",
    "many modules": MODULE + b"}" + b"".join(text(f"m{i}") + MODULE[2:] + b"}bs" for i in range(40_000)) + b"b.",
    "many heads": MODULE
    + b"}"
    + text("a")
    + b"]q\x01s"
    + text("b")
    + b"h\x01("
    + (b"cbase.dgd.nn\nNB_Module\n)\x81}" + text("all") + b"h\x01sb") * 5_000
    + b"esb.",
    "itself": MODULE + b"q\x00}" + text("decoder") + b"h\x00s" + text("main") + b"h\x00sb.",
    "dictionary in itself": b"\x80\x02}q\x00" + text("a") + b"h\x00s.",
    "mark in memo": b"\x80\x02(q\x00h\x00h\x00t.",
    "call of text": b"\x80\x02" + text("os.system") + text("true") + b"\x85R.",
    "call of an object": MODULE + text("x") + b"\x85R.",
    "keywords": b"\x80\x04cbase.dgd\nDGD\n)" + state("x", b"K\x01") + b"\x92.",
    "attribute of a class": b"\x80\x04" + text("torch.nn") + text("Module.__init__.__globals__") + b"\x93.",
    "attribute of ours": b"\x80\x02cbase\n__import__\n" + text("os") + b"\x85Rb.",
}  # fmt: skip


def as_zip(path: Path, pickle: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle)
    return path


def as_legacy(path: Path, pickle: bytes) -> Path:
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\r\x00\x00\x00little_endian\x88s."
    path.write_bytes(head + pickle + b"\x80\x02].")
    return path


def check(found: tuple[str, str], path: Path) -> None:
    kind, message = found
    assert kind == "ValueError", found
    assert str(path) in message and len(message) < 2_200 + len(str(path)), len(message)
    assert message.isprintable(), message


@pytest.mark.parametrize("write", [as_zip, as_legacy])
@pytest.mark.parametrize("name", list(PICKLES))
def test_hostile_pickles_are_refused_soon(tmp_path, outcome, name, write):
    path = write(tmp_path / "model.pth", PICKLES[name])
    check(outcome(lambda: convert_midgd_paper(path, **NAMES)), path)


@pytest.mark.parametrize("code", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"], ids=["EXT1", "EXT2", "EXT4"])
@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_extension_codes_are_refused(tmp_path, code, write, monkeypatch):
    # Somebody has registered one, and it has been used: Python's unpickler would not ask for its name again.
    monkeypatch.setitem(copyreg._inverted_registry, 0xF0, ("os", "mkdir"))
    monkeypatch.setitem(copyreg._extension_cache, 0xF0, os.mkdir)
    trace = tmp_path / "trace"
    path = write(tmp_path / "model.pth", b"\x80\x02" + code + text(str(trace)) + b"\x85R.")
    with pytest.raises(ValueError, match="opcode EXT"):
        convert_midgd_paper(path, **NAMES)
    assert not trace.exists()


def _repeated(model: Any) -> None:
    model.decoder.main = nn.Sequential(*[nn.Linear(5, 16), nn.ReLU(), *[nn.Linear(1_500, 1_500), nn.ReLU()] * 140])


@pytest.mark.parametrize(
    ("make_model", "message"),
    [
        (lambda make: make((40_000, 1, 40_000, 16)), "differ too much in width"),
        (lambda make: make((60_000, 1), last=True), "differ too much in width"),
        (lambda make: make((16, 16)), "would need more than"),
    ],
    ids=["padding", "bottleneck", "shared weights"],
)
def test_small_files_do_not_become_large_models(
    write: Callable[..., Path], make: Any, outcome: Any, make_model: Any, message: str
) -> None:
    model = make_model(make)
    if "more than" in message:
        _repeated(model)
    path = write(model)
    found = outcome(lambda: convert_midgd_paper(path, **NAMES))
    check(found, path)
    assert message in found[1]


def test_one_piece_of_the_file_is_not_many_storages(tmp_path, outcome):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", MODULE + state("s", storages(2_000, 250_000)) + b"b.")
        archive.writestr("x/data/0", bytes(1_000_000))
    found = outcome(lambda: convert_midgd_paper(path, **NAMES))
    check(found, path)
    assert "its tensors need 2,000,000,000 bytes" in found[1]


def test_long_list_of_entries(tmp_path, outcome):
    path = tmp_path / "model.pth"
    size = 12 << 20
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65_535, 65_535, size, 0, 0)
    path.write_bytes(b"PK\x03\x04" + bytes(size - 4) + end)
    found = outcome(lambda: convert_midgd_paper(path, **NAMES))
    check(found, path)
    assert "list of entries" in found[1]


def test_what_is_no_file(tmp_path, outcome):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        check(outcome(lambda path=path: convert_midgd_paper(path, **NAMES), seconds=5), path)
