"""Hostile files of torch.save: nothing in them runs, and nothing in them takes long or much memory."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import pytest
import torch

from midgd.reference import convert_midgd_paper

NAMES: dict[str, Any] = {"genes": [f"GENE{i}" for i in range(620)], "mirnas": [f"hsa-mir-{i}" for i in range(30)]}


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Id(tuple):
    """What goes into a persistent id."""


class Persistent(pickle.Pickler):
    """Writes ids as torch does for storages."""

    def persistent_id(self, obj):
        return tuple(obj) if isinstance(obj, Id) else None


def hostile_file(path, content, protocol=2, legacy=False):
    stream = io.BytesIO()
    Persistent(stream, protocol).dump(content)
    data = content if isinstance(content, bytes) else stream.getvalue()
    if legacy:
        head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join([*head, data, pickle.dumps([], 2)]))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", data)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["alone", "nested", "persistent id", "state"])
@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {}", r"(posix|nt)\.system"),
        (eval, "open({!r}, 'w')", r"(builtins|__builtin__)\.eval"),
        (open, "{}", r"\w+\.open"),
        (torch.load, "{}", r"torch\.\w+\.load"),
    ],
    ids=["system", "eval", "open", "torch.load"],
)
def test_nothing_runs(tmp_path, function, argument, named, where, protocol, legacy):
    trace = tmp_path / "trace"
    call = Call(function, argument.format(str(trace)))
    content = {
        "alone": call,
        "nested": OrderedDict(a=[{"b": (call,)}]),
        "persistent id": [Id([call])],
        "state": torch.nn.Identity(),
    }[where]
    if where == "state":
        content.hook = call
    path = hostile_file(tmp_path / "x.pth", content, protocol, legacy)
    with pytest.raises(ValueError, match=named) as error:
        convert_midgd_paper(path, **NAMES)
    assert str(path) in str(error.value) and not trace.exists()


GLOBAL = b"\x80\x02c%s\n%s\n"


@pytest.mark.parametrize(
    "data",
    [
        GLOBAL % (b"torch", b"FloatStorage") + b"}X\x01\x00\x00\x00aK\x01sb.",  # a state for a class
        GLOBAL % (b"torch._utils", b"_rebuild_tensor_v2") + b"}X\x01\x00\x00\x00aK\x01sb.",
        GLOBAL % (b"collections", b"OrderedDict") + b"N}X\x05\x00\x00\x00itemsK\x01s\x86b.",
        GLOBAL % (b"builtins", b"set") + b"N}X\x05\x00\x00\x00itemsK\x01s\x86b.",
        GLOBAL % (b"torch._utils", b"_rebuild_tensor_v2") + b"(X\x01\x00\x00\x00aK\x01tR.",
        b"\x80\x02cbuiltins\ngetattr\n.",
        b"\x80\x04\x8c\x04base\x8c\x11os.path.os.system\x93.",
        b"\x80\x02X\x03\x00\x00\x00abcQ.",
        b"\x80\x02\x82\x01.",  # extension registry
        b"\x80\x02K\x01)R.",  # a call of a number
        b"",
        b"nonsense",
    ],
)
def test_no_pickle_leaves_a_trace_or_an_odd_error(tmp_path, data):
    with pytest.raises(ValueError, match=r"x\.pth"):
        convert_midgd_paper(hostile_file(tmp_path / "x.pth", data), **NAMES)


def test_tensors_stay_inside_their_storage(tmp_path):
    storage = Id(("storage", torch.FloatStorage, "0", "cpu", 4))

    class Tensor:
        def __init__(self, *where):
            self.where = where

        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (storage, *self.where, False, OrderedDict())

    with pytest.raises(ValueError, match="no item named 'x/data/0'"):
        convert_midgd_paper(hostile_file(tmp_path / "x.pth", Tensor(1, (3,), (1,))), **NAMES)
    for where in [(2, (3,), (1,)), (0, (10**12,), (0,)), (0, (2, 3), (3, 1)), (-1, (2,), (1,)), (0, (2, 2), ())]:
        with pytest.raises(ValueError, match=r"larger than its storage|not described as torch"):
            convert_midgd_paper(hostile_file(tmp_path / "x.pth", Tensor(*where)), **NAMES)
