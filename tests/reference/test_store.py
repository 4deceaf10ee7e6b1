"""References as files: nothing is lost, nothing damaged is read, nothing foreign is overwritten."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from midgd.infer import Predictor
from midgd.infer.predict import domain_score, uncertainty
from midgd.nn import Decoder, DecoderSpec, GaussianMixture
from midgd.reference import Reference, load
from midgd.reference.store import identity

GENES, MIRNAS = 400, 300  # 400 x 300 weights are large enough to be stored in half precision


def small(*, half: bool = False, **settings: Any) -> Reference:
    torch.manual_seed(0)
    spec = DecoderSpec(n_latent=3, **{"n_hidden": 4, "likelihoods": {"mirna": "zinb"}} | settings)
    decoder = Decoder(spec, {"mrna": GENES, "mirna": MIRNAS}).requires_grad_(False)
    prior = GaussianMixture(2, 3, radius=1.5, sharpness=4.0, typical_sd=0.3).requires_grad_(False)
    for parameter in (*decoder.parameters(), *prior.parameters()):
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    card = {
        "name": "small",
        "half_precision": half,
        "genes": {"symbol": [f"G{i}" for i in range(GENES)], "ensembl": [""] * GENES},
        "mirnas": {"name": [f"hsa-mir-{i}" for i in range(MIRNAS)], "accession": [""] * MIRNAS},
        "note": "Å µ-RNA",
    }
    return Reference(card, decoder, prior)


def tensors(reference: Reference) -> dict[str, torch.Tensor]:
    modules = {"decoder": reference.decoder, "prior": reference.prior, "readout": reference.readout}
    return {f"{p}.{k}": v for p, m in modules.items() if m is not None for k, v in m.state_dict().items()}


def assert_same(one: Reference, two: Reference) -> None:
    assert tensors(one).keys() == tensors(two).keys()
    for name, value in tensors(one).items():
        assert torch.equal(value, tensors(two)[name]), name
    for part in ("arms", "calibration"):
        a, b = getattr(one, part), getattr(two, part)
        assert (a is None) == (b is None)
        for field in dataclasses.fields(a) if a is not None else ():
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))
            assert getattr(a, field.name).dtype == getattr(b, field.name).dtype


@pytest.mark.parametrize("settings", [{}, {"n_hidden": 0}, {"skip": False, "activation": "relu", "n_layers": 1}])
def test_model_without_extras_round_trip(tmp_path, settings):
    reference = small(**settings)
    path = reference.save(tmp_path / "deep" / "small")
    back = load(path)
    assert_same(back, reference)
    assert back.decoder.spec == reference.decoder.spec
    assert (back.prior.radius, back.prior.sharpness, back.prior.typical_sd) == (1.5, 4.0, 0.3)
    assert back.readout is None and back.arms is None and back.calibration is None
    assert back.card["note"] == "Å µ-RNA" and back.levels == ("stem-loop",)
    assert not any(p.requires_grad for p in back.decoder.parameters()) and not back.decoder.training


@pytest.mark.parametrize(
    "without",
    [(), ("calibration",), ("kinds",), ("readout", "arms", "kinds"), ("readout", "arms", "kinds", "calibration")],
)
def test_round_trip_with_and_without_each_part(toy_reference, tmp_path, without):
    reference = dataclasses.replace(toy_reference, **dict.fromkeys(without))
    back = load(reference.save(tmp_path / "toy"))
    assert_same(back, reference)
    assert back.genes.symbols == reference.genes.symbols and back.levels == reference.levels
    counts = np.random.default_rng(0).poisson(5.0, (3, 600))
    one, two = (Predictor(r, np.arange(600))(counts) for r in (reference, back))
    np.testing.assert_array_equal(one.share, two.share)


@pytest.mark.parametrize(("field", "size"), [("tails", 4), ("widening", 7), ("excess", 0)])
def test_calibrations_of_older_references_load(toy_reference, tmp_path, field, size):
    values = np.ones(size, np.float32) if size else None
    older = dataclasses.replace(toy_reference.calibration, **{field: values})
    back = load(dataclasses.replace(toy_reference, calibration=older).save(tmp_path / "toy"))
    np.testing.assert_equal(getattr(back.calibration, field), values)
    predicted = Predictor(back, np.arange(600))(np.random.default_rng(0).poisson(5.0, (3, 600)))
    assert np.isfinite(uncertainty(back, predicted, "mature", "log1p_cpm")).all()
    assert ((domain_score(back, predicted) >= 0) & (domain_score(back, predicted) <= 1)).all()


@pytest.mark.parametrize(("field", "size"), [("tails", 5), ("widening", 9), ("excess", 2)])
def test_calibrations_of_other_sizes_are_damaged(toy_reference, tmp_path, field, size):
    wrong = dataclasses.replace(toy_reference.calibration, **{field: np.ones(size, np.float32)})
    path = dataclasses.replace(toy_reference, calibration=wrong).save(tmp_path / "toy")
    with pytest.raises(ValueError, match=rf"damaged.*calibration\.{field}"):
        load(path)


def test_a_loaded_reference_does_not_hang_on_its_file(toy_reference):
    for part in (toy_reference.arms, toy_reference.calibration):
        assert all(getattr(part, field.name).flags.owndata for field in dataclasses.fields(part))


def test_the_hash_covers_weights_and_card(tmp_path):
    path = small().save(tmp_path / "small")
    card = json.loads((path / "card.json").read_text())
    assert card["weights_sha256"] == hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()
    assert load(path).sha256 == card["sha256"] == identity(card) and small().sha256 == ""
    again = load(path).save(tmp_path / "again")
    assert load(again).sha256 == card["sha256"]
    other = small()
    other.card["genes"]["symbol"][:2] = ["G1", "G0"]
    assert load(other.save(tmp_path / "other")).sha256 != card["sha256"]


def test_files_can_be_read_by_others(tmp_path):
    path = small().save(tmp_path / "small")
    assert path.stat().st_mode & 0o777 == 0o755
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in path.iterdir())
    assert sorted(file.name for file in path.iterdir()) == ["card.json", "weights.safetensors"]


def test_half_precision_is_smaller_and_close(tmp_path):
    whole, half = small(n_hidden=400, n_layers=1), small(half=True, n_hidden=400, n_layers=1)
    sizes = [(r.save(tmp_path / str(i)) / "weights.safetensors").stat().st_size for i, r in enumerate((whole, half))]
    assert sizes[1] < 0.6 * sizes[0]
    back = load(tmp_path / "1")
    assert {v.dtype for v in tensors(back).values()} == {torch.float32}
    weight, expected = back.decoder.head("mrna").weight, half.decoder.head("mrna").weight
    assert not torch.equal(weight, expected)
    torch.testing.assert_close(weight, expected, rtol=6e-4, atol=1e-6)
    # what is small stays exact: biases and dispersions
    assert torch.equal(back.decoder.head("mrna").bias, half.decoder.head("mrna").bias)


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-7] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


def truncate(folder: Path) -> None:
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def empty(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"")


def not_json(folder: Path) -> None:
    (folder / "card.json").write_text('{"name": "sm', encoding="utf-8")


def not_text(folder: Path) -> None:
    (folder / "card.json").write_bytes(b"\xff\xfe\x00{")


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, empty, not_json, not_text])
def test_damaged_files_are_refused(tmp_path, damage):
    path = small().save(tmp_path / "small")
    damage(path)
    with pytest.raises(ValueError, match=r"small is damaged.*again"):
        load(path)


def rehash(folder: Path) -> None:
    """Make the card agree with the weights: the damage has to be found by looking at them."""
    card = json.loads((folder / "card.json").read_text())
    card["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card["sha256"] = identity(card)
    (folder / "card.json").write_text(json.dumps(card))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Copies: writing a file that is still mapped into memory would end the process."""
    return {name: value.clone() for name, value in load_file(folder / "weights.safetensors").items()}


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = read_weights(folder)
    edit(weights)
    save_file(weights, folder / "weights.safetensors")
    rehash(folder)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, bad):
    path = small().save(tmp_path / "small")
    edit_weights(path, lambda w: w["prior.means"].view(-1)[:1].fill_(bad))
    with pytest.raises(ValueError, match="not finite"):
        load(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda w: w.pop("prior.means"),
        lambda w: w.update({"decoder.heads.mrna.bias": torch.zeros(7)}),
        lambda w: w.update({"decoder.extra": torch.zeros(1)}),
        lambda w: w.update({"arms.fraction": torch.zeros(1)}),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, edit):
    path = small().save(tmp_path / "small")
    edit_weights(path, edit)
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_pickles_are_not_run(tmp_path):
    path = small().save(tmp_path / "small")
    # everything in it is right but for the format, which could run code
    torch.save(read_weights(path), path / "weights.safetensors")
    rehash(path)
    with pytest.raises(ValueError, match="damaged"):
        load(path)


EDITS: dict[str, Any] = {
    "genes": [{"symbol": ["A"], "ensembl": ["B"]}, {"symbol": 3}, [], None, "text"],
    "mirnas": [{"name": ["A"]}, {"name": None}, 5],
    "decoder": [{}, {"n_latent": "3"}, {"n_latent": 4}, {"n_latent": 3, "surprise": 1}, None, []],
    "prior": [{}, {"n_components": "x"}, {"n_components": 9}, {"n_components": 2, "n_latent": 5}, None],
    "readout": [{}, {"rank": "many"}, 4, "text"],
    "encoder": [{}, {"n_hidden": 3}, "text"],
    "sha256": ["", None, 12, "0" * 64],
    "format": [1, None, "2"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in EDITS.items() for value in values])
def test_an_edited_card_is_refused(tmp_path, key, value):
    path = small().save(tmp_path / "small")
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps(card | {key: value}))
    with pytest.raises(ValueError, match="small is damaged"):
        load(path)


@pytest.mark.parametrize("key", list(EDITS))
def test_a_card_that_lacks_something_is_refused(tmp_path, key):
    path = small().save(tmp_path / "small")
    card = json.loads((path / "card.json").read_text())
    del card[key]
    (path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="small is damaged"):
        load(path)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"'])
def test_a_card_that_is_no_card_is_refused(tmp_path, content):
    path = small().save(tmp_path / "small")
    (path / "card.json").write_text(content)
    with pytest.raises(ValueError, match="small is damaged"):
        load(path)


def test_a_card_must_list_what_the_weights_have():
    reference = small()
    short = reference.card | {"genes": {"symbol": ["A"], "ensembl": [""]}}
    with pytest.raises(ValueError, match="400"):
        Reference(short, reference.decoder, reference.prior)


@pytest.mark.parametrize("missing", ["card.json", "weights.safetensors"])
def test_a_missing_file_is_named(tmp_path, missing):
    path = small().save(tmp_path / "small")
    (path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        load(path)


def test_an_older_reference_is_replaced(tmp_path, toy_reference):
    path = small().save(tmp_path / "x")
    assert load(toy_reference.save(path)).name == "toy"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert sorted(p.name for p in path.iterdir()) == ["card.json", "weights.safetensors"]


def test_a_reference_beside_other_files_is_not_replaced(tmp_path, toy_reference):
    path = small().save(tmp_path / "x")
    (path / "thesis.txt").write_text("important")
    (path / "plots").mkdir()
    with pytest.raises(FileExistsError, match=r"not part of a reference: plots, thesis\.txt.*nothing was changed"):
        toy_reference.save(path)
    assert load(path).name == "small" and (path / "thesis.txt").read_text() == "important"


def test_a_foreign_folder_or_file_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("important")
    (tmp_path / "file").write_text("important")
    for name in ("thesis", "file"):
        with pytest.raises(FileExistsError, match="not a reference"):
            small().save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == (tmp_path / "file").read_text() == "important"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis"]


STEPS = ["pathlib.Path.write_bytes", "midgd._files.os.fsync", "midgd._files.os.replace"]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_leaves_no_temporary_folder(tmp_path, monkeypatch, step):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"No space left on device: '.*new'"):
        patch.setattr(step, fail)
        small().save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_failed_write_leaves_the_older_reference(tmp_path, monkeypatch, step, at):
    path = small().save(tmp_path / "x")
    name = step.rsplit(".", 1)[-1]
    own, calls = getattr(Path if "Path" in step else os, name), []

    def fail(*args: object) -> object:
        calls.append(args)
        if len(calls) > at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return own(*args)

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with contextlib.suppress(OSError):
            small(n_hidden=0).save(path)
    assert load(path).decoder.spec.n_hidden in ((4,) if name == "write_bytes" and at < 2 else (0, 4))
    small(n_hidden=0).save(path)
    assert load(path).decoder.spec.n_hidden == 0
    assert sorted(p.name for p in path.iterdir()) == ["card.json", "weights.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_copied_folder_is_a_reference(tmp_path, toy_reference_path, toy_reference):
    shutil.copytree(toy_reference_path, tmp_path / "copy")
    assert_same(load(str(tmp_path / "copy")), toy_reference)
