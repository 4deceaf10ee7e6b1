"""Mutants of references and of the paper's files: refused in clear words, or the same content; nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import midgd
from midgd.reference import Reference, convert_midgd_paper, load
from midgd.reference.remote import _unpack
from midgd.reference.store import CARD, WEIGHTS, identity

pytestmark = pytest.mark.slow


def same(a: Reference, b: Reference) -> bool:
    for part in ("decoder", "prior", "readout", "kinds"):
        one, other = getattr(a, part), getattr(b, part)
        if (one is None) != (other is None):
            return False
        if one is not None and not all(np.array_equal(v, other.state_dict()[k]) for k, v in one.state_dict().items()):
            return False
    return a.card == b.card


@pytest.fixture
def folder(toy_reference_path, tmp_path) -> Path:
    path = tmp_path / "mutants" / "toy"
    path.mkdir(parents=True)
    for name in (CARD, WEIGHTS):
        os.link(toy_reference_path / name, path / name)
    return path


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(content)


def loaded_same(folder: Path, reference: Reference, fuzzing: Any) -> str:
    try:
        found = load(folder)
    except ValueError as error:
        return fuzzing.refusal(error)
    assert same(found, reference), "the content is another"
    return "the same"


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_damaged_file(folder, toy_reference, fuzzing, tmp_path, name):
    content = (folder / name).read_bytes()

    def judge(mutant: bytes) -> str:
        put(folder, name, mutant)
        return loaded_same(folder, toy_reference, fuzzing)

    counts = fuzzing.campaign(tmp_path, lambda rng: fuzzing.mutate(content, rng), judge)
    assert counts["refused"]


def used(folder: Path, query: Any, fuzzing: Any) -> str:
    """A reference that somebody made on purpose: refused, or it answers."""
    try:
        reference = load(folder)
        answer = midgd.tl.infer_mirna(query, reference, uncertainty=True, refine=3, copy=True)
        repr(reference), midgd.get.mirna(answer), reference.accuracy("mature")
    except ValueError as error:
        return fuzzing.refusal(error)
    return "answers" if np.isfinite(answer.obsm["mirna"].to_numpy()).all() else "answers, not finite"


def test_card_made_on_purpose(folder, toy_query, fuzzing, tmp_path):
    """The checksum is right: what is on the card must be checked by itself."""
    card = json.loads((folder / CARD).read_bytes())

    def make(rng: Any) -> bytes:
        made = fuzzing.mutate_json(card, rng)
        if isinstance(made, dict):
            made["sha256"] = identity(made)
        return json.dumps(made).encode("utf-8", "surrogatepass")

    def judge(mutant: bytes) -> str:
        put(folder, CARD, mutant)
        return used(folder, toy_query[:4], fuzzing)

    counts = fuzzing.campaign(tmp_path, make, judge)
    assert counts["refused"] and counts["answers"] and not counts["answers, not finite"]


def test_weights_made_on_purpose(folder, toy_query, fuzzing, tmp_path):
    card, content = json.loads((folder / CARD).read_bytes()), (folder / WEIGHTS).read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")

    def make(rng: Any) -> bytes:
        if rng.random() < 0.3:
            return fuzzing.mutate(content, rng)
        head = fuzzing.mutate(content[8:header], rng)
        return len(head).to_bytes(8, "little") + head + content[header:]

    def judge(mutant: bytes) -> str:
        put(folder, WEIGHTS, mutant)
        made = card | {"weights_sha256": hashlib.sha256(mutant).hexdigest()}
        put(folder, CARD, json.dumps(made | {"sha256": identity(made)}).encode())
        return used(folder, toy_query[:4], fuzzing)

    assert fuzzing.campaign(tmp_path, make, judge)["refused"]


def test_zip_of_a_reference(folder, toy_reference, fuzzing, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (CARD, WEIGHTS):
            archive.write(folder / name, name)
    content, archive, n = stream.getvalue(), tmp_path / "mutants" / "toy.zip", 0

    def judge(mutant: bytes) -> str:
        nonlocal n
        n += 1
        archive.write_bytes(mutant)
        target = archive.with_name(f"unpacked-{n}")
        try:
            _unpack(archive, target)
        except ValueError as error:
            assert not target.exists()
            return fuzzing.refusal(error)
        assert same(load(target), toy_reference), "the content is another"
        return "the same"

    assert fuzzing.campaign(tmp_path, lambda rng: fuzzing.mutate(content, rng), judge)["refused"]


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize(("what", "legacy"), [("zip", False), ("pickle in a zip", False), ("legacy", True)])
def test_files_of_the_paper(write, make, paper, fuzzing, tmp_path, what, legacy):
    path = write(make(), _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    names = {"genes": paper.genes, "mirnas": paper.mirnas}
    model = convert_midgd_paper(path, **names)

    def make_mutant(rng: Any) -> bytes:
        if what != "pickle in a zip":
            # Most of a file is numbers: half of the mutants are of its head, where the pickle is.
            head = rng.choice((len(whole), min(8_000, len(whole))))
            return fuzzing.mutate(whole[:head], rng) + whole[head:]
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
            for entry in old.infolist():
                data = old.read(entry)
                new.writestr(entry, fuzzing.mutate(data, rng) if entry.filename.endswith("data.pkl") else data)
        return stream.getvalue()

    def judge(mutant: bytes) -> str:
        path.write_bytes(mutant)
        try:
            found = convert_midgd_paper(path, **names)
        except ValueError as error:
            return fuzzing.refusal(error)
        assert all(bool(value.isfinite().all()) for value in found.decoder.state_dict().values())
        if same(found, Reference(found.card, model.decoder, model.prior)):
            return "the same"
        # Only a zip has a checksum of its own.
        assert what != "zip", "the content is another"
        return "other content"

    assert fuzzing.campaign(tmp_path, make_mutant, judge)["refused"]
