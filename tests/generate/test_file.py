"""A density in a file: what does not fit the reference is damage, not a wrong answer."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from midgd.generate.density import LatentDensity
from midgd.reference import Reference, load


def test_every_field_comes_back(toy_generative: Reference, tmp_path: Path) -> None:
    loaded = load(toy_generative.save(tmp_path / "reference")).density
    for field in fields(LatentDensity):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(toy_generative.density, field.name))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mean", lambda x: x[:, :4], "within"),
        ("dispersion", lambda x: x[:-1], "genes"),
        ("dispersion", lambda x: -x, "density.dispersion must be positive"),
        ("weight", lambda x: 0 * x, "density.weight must be positive"),
        ("kind", lambda x: x + 1, "density.kind"),
        ("direction_of", lambda x: x + 1, "density.direction_of"),
        ("within", lambda x: x.T, "lower triangle"),
        ("mirna_sd", lambda x: -x, "negative deviations"),
        ("oddness", lambda x: x[:0], "components"),
        ("log_depth", lambda x: x * np.nan, "not finite"),
    ],
)
def test_damage_is_found(toy_generative: Reference, tmp_path: Path, name: str, change, message: str) -> None:  # type: ignore[no-untyped-def]
    wrong = replace(toy_generative.density, **{name: change(getattr(toy_generative.density, name))})
    path = replace(toy_generative, density=wrong).save(tmp_path / "reference")
    with pytest.raises(ValueError, match=message):
        load(path)
