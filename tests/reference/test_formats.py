"""References of older formats: they load, and answer as the same model without what their format did not have."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from midgd.infer import Predictor
from midgd.infer.predict import at_level, domain_score, uncertainty
from midgd.nn import KindExperts
from midgd.reference import Reference, load
from midgd.reference.store import FORMAT, OLDEST, identity

# What came with a format: arrays, and sizes of modules on the card.
NEW_ARRAYS = {
    5: ("kinds.weight", "kinds.bias", "kinds.effect", *(f"calibration.{name}" for name in ("reliability", "surprise"))),
    6: ("calibration.excess",),
    7: ("kinds.axes", "kinds.origin", "kinds.places", "calibration.unlikeness"),
}
NEW_ARRAYS[5] += ("calibration.ambiguity", "calibration.widening", "calibration.tails")
NEW_SIZES = {5: ("cells", "n_latent", "n_kinds", "n_mirnas"), 6: (), 7: ("n_axes",)}
# Arrays that are longer since a format, and what they begin with in older ones.
LONGER = {6: {"calibration.widening": 7, "calibration.tails": 4}}


def in_format(folder: Path, number: int) -> Path:
    """Turn a saved reference into one that was saved in an older format."""
    weights = {name: values.clone() for name, values in load_file(folder / "weights.safetensors").items()}
    card = json.loads((folder / "card.json").read_text())
    for newer in range(number + 1, FORMAT + 1):
        for name in NEW_ARRAYS[newer]:
            assert name in weights, f"the reference of this test lacks {name}"
        for name, size in LONGER.get(newer, {}).items():
            weights[name] = weights[name][:size].clone()
        for name in NEW_SIZES[newer]:
            card["kinds"].pop(name)
    dropped = {name for newer in range(number + 1, FORMAT + 1) for name in NEW_ARRAYS[newer]}
    save_file({name: values for name, values in weights.items() if name not in dropped}, folder / "weights.safetensors")
    found = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card["format"] = number
    if number < 5:  # there was one checksum, of the weights alone, and there were no kinds
        for name in ("kinds", "kinds_table", "weights_sha256"):
            card.pop(name)
        card["sha256"] = found
    else:
        card["weights_sha256"] = found
        card["sha256"] = identity(card)
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def without_newer(reference: Reference, number: int) -> Reference:
    """The same model without what newer formats have."""
    calibration, kinds = reference.calibration, reference.kinds
    assert calibration is not None and kinds is not None
    if number < 7:
        plain = KindExperts(**{name: size for name, size in kinds.sizes.items() if name != "n_axes"})
        plain.load_state_dict({name: kinds.state_dict()[name] for name in ("weight", "bias", "effect")})
        kinds, calibration = plain.requires_grad_(False), replace(calibration, unlikeness=None)
    if number < 6:
        shorter = {name: getattr(calibration, name)[:size] for name, size in (("widening", 7), ("tails", 4))}
        calibration = replace(calibration, excess=None, **shorter)
    if number < 5:
        later = ("reliability", "surprise", "ambiguity", "widening", "tails")
        kinds, calibration = None, replace(calibration, **dict.fromkeys(later))
    card = {name: value for name, value in reference.card.items() if kinds is not None or name != "kinds_table"}
    return replace(reference, card=card, kinds=kinds, calibration=calibration)


@pytest.fixture(scope="module")
def complete(toy_reference: Reference) -> Reference:
    """The toy reference with every array that a format brought."""
    assert toy_reference.calibration is not None and toy_reference.kinds is not None
    n = len(toy_reference.calibration.evidence)
    rng = np.random.default_rng(0)
    sizes = {"widening": 8, "tails": 20, "excess": n, "reliability": n}
    made = {name: np.sort(rng.uniform(0.5, 2.0, size).astype(np.float32)) for name, size in sizes.items()}
    made |= {name: np.tile(np.float32([0.1, 1.0]), (n, 1)) for name in ("surprise", "ambiguity", "unlikeness")}
    own = toy_reference.kinds
    kinds = KindExperts(**own.sizes | {"n_axes": 2})
    with torch.no_grad():
        kinds.load_state_dict(own.state_dict(), strict=False)
        for name in ("axes", "origin", "places"):
            torch.nn.init.normal_(kinds.get_parameter(name), generator=torch.Generator().manual_seed(1))
    calibration = replace(toy_reference.calibration, **made)
    return replace(toy_reference, kinds=kinds.requires_grad_(False), calibration=calibration)


@pytest.mark.parametrize("number", range(OLDEST, FORMAT + 1))
def test_an_older_reference_answers_as_it_did(complete: Reference, tmp_path: Path, number: int) -> None:
    loaded = load(in_format(complete.save(tmp_path / "reference"), number))
    expected = without_newer(complete, number)
    assert loaded.card["format"] == number and loaded.levels == expected.levels
    assert loaded.kind_names == expected.kind_names and len(loaded.sha256) == 64
    counts = np.random.default_rng(0).poisson(3.0, (5, 600))
    one, two = (Predictor(reference, np.arange(600))(counts) for reference in (loaded, expected))
    for field in ("share", "latent", "weights", "kind", "kind_probability"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field), err_msg=field)
    for level in loaded.levels:
        np.testing.assert_array_equal(at_level(loaded, one.share, level), at_level(expected, two.share, level))
        deviations = [uncertainty(r, p, level, "log1p_cpm") for r, p in ((loaded, one), (expected, two))]
        np.testing.assert_array_equal(*deviations)
        assert np.isfinite(deviations[0]).all()
    np.testing.assert_array_equal(domain_score(loaded, one), domain_score(expected, two))


@pytest.mark.parametrize("number", range(OLDEST, FORMAT))
def test_an_older_reference_is_saved_again_in_the_present_format(
    complete: Reference, tmp_path: Path, number: int
) -> None:
    older = load(in_format(complete.save(tmp_path / "reference"), number))
    again = load(older.save(tmp_path / "again"))
    assert again.card["format"] == FORMAT
    counts = np.random.default_rng(0).poisson(3.0, (5, 600))
    np.testing.assert_array_equal(*(Predictor(reference, np.arange(600))(counts).share for reference in (older, again)))


@pytest.mark.parametrize("number", range(OLDEST, FORMAT))
def test_a_changed_card_of_an_older_format_is_refused_where_its_checksum_covers_it(
    complete: Reference, tmp_path: Path, number: int
) -> None:
    folder = in_format(complete.save(tmp_path / "reference"), number)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"name": "other"}))
    if number < 5:
        assert load(folder).name == "other"
    else:
        with pytest.raises(ValueError, match="damaged or was changed"):
            load(folder)
