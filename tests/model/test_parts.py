"""Parts of the model by name: they reach the fit, are saved, and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from midgd.model import MIDGD
from midgd.reference import Reference, minimal_card
from midgd.train import TrainOptions, fit, fit_readout

SIZES = {"n_latent": 4, "n_hidden": 0, "n_components": 3}


@pytest.fixture
def trained(mdata: Any) -> Any:
    def train(**parts: Any) -> MIDGD:
        MIDGD.setup_mudata(mdata)
        model = MIDGD(mdata, **SIZES, **parts)
        model.train(3, "cpu", batch_size=16, early_stopping=False, validation_indices=range(0, 120, 5))
        return model

    return train


def same(one: Reference, other: Reference) -> bool:
    for part in ("decoder", "prior", "readout", "encoder"):
        states = [getattr(r, part).state_dict() if getattr(r, part) else {} for r in (one, other)]
        if states[0].keys() != states[1].keys() or not all(torch.equal(states[0][k], states[1][k]) for k in states[0]):
            return False
    return True


def test_the_default_is_the_fit_without_names(trained: Any, toy_pairs: Any) -> None:
    model = trained()
    assert same(
        model.reference,
        trained(likelihoods="nb", prior="mixture", encoder="none", readout="ridges", objective="map").reference,
    )
    assert same(model.reference, trained(readout=True, likelihoods={"mirna": "nb"}).reference)
    rows = np.setdiff1d(np.arange(120), range(0, 120, 5))
    mosaic = toy_pairs.mosaic().take(rows).only("mrna", "mirna")
    options = TrainOptions(max_epochs=3, batch_size=16)
    fitted = fit(mosaic, model.spec, n_components=3, options=options)
    readout, _ = fit_readout(fitted.decoder, fitted.prior, mosaic)
    card = minimal_card("by hand", toy_pairs.genes, toy_pairs.stem_loops)
    assert same(model.reference, Reference(card, fitted.decoder, fitted.prior, readout))


@pytest.mark.parametrize(
    "parts",
    [
        {"likelihoods": "poisson", "readout": "ridge"},
        {"likelihoods": {"mirna": "zinb"}, "prior": "gaussian", "readout": "none"},
        {"encoder": "mlp", "readout": "without_counts", "objective": "balanced"},
        {"readout": "without_smoothing", "objective": "map_downsampled"},
        {"readout": False, "objective": "mrna"},
    ],
)
def test_names_are_saved_and_come_back(trained: Any, toy_query: Any, tmp_path: Path, parts: dict[str, Any]) -> None:
    model = trained(**parts)
    reference = model.reference
    assert (reference.encoder is not None) == (parts.get("encoder") == "mlp")
    assert (reference.readout is None) == (parts["readout"] in ("none", False))
    assert reference.prior.n_components == (1 if parts.get("prior") == "gaussian" else 3)
    assert reference.card["training"]["options"]["objective"] == parts.get("objective", "map")
    model.save(tmp_path / "model")
    loaded = MIDGD.load(tmp_path / "model")
    assert loaded.parts == model.parts and loaded.spec == model.spec and loaded.n_components == 3
    assert same(loaded.reference, reference)
    pd.testing.assert_frame_equal(loaded.infer_mirna(toy_query), model.infer_mirna(toy_query))


def test_poisson_mrna_has_no_scores_and_says_so(trained: Any, toy_query: Any, tmp_path: Path) -> None:
    import midgd

    model = trained(likelihoods="poisson")
    assert model.reference.calibration is None
    with pytest.raises(ValueError, match="no held-out errors"):
        model.infer_mirna(toy_query, uncertainty=True)
    query = toy_query.copy()
    midgd.tl.infer_mirna(query, model.to_reference(tmp_path / "poisson"), level="stem-loop")
    assert query.obs["mirna_ood"].isna().all() and np.isfinite(query.obsm["mirna"]).all(axis=None)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"likelihoods": "zimb"}, "'nb', 'zinb', 'poisson'"),
        ({"prior": "flat"}, "'mixture', 'gaussian'"),
        ({"encoder": "resnet"}, "'none', 'mlp'"),
        ({"readout": "forest"}, "'ridges'.*'none'"),
        ({"objective": "elbo"}, "'map'.*'mrna'"),
    ],
)
def test_unknown_names(mdata: Any, parts: dict[str, str], message: str) -> None:
    MIDGD.setup_mudata(mdata)
    with pytest.raises(ValueError, match=f"is unknown; choose among {message}"):
        MIDGD(mdata, **parts)


def test_a_model_saved_before_parts_had_names_loads(trained: Any, toy_query: Any, tmp_path: Path) -> None:
    model = trained()
    card = model.reference.card
    old = {**card["midgd_model"]["init"], "readout": True}
    for name in ("prior", "encoder", "objective"):
        del old[name]
    card["midgd_model"]["init"] = old
    model.save(tmp_path / "old")
    loaded = MIDGD.load(tmp_path / "old")
    assert loaded.parts == model.parts
    pd.testing.assert_frame_equal(loaded.infer_mirna(toy_query), model.infer_mirna(toy_query))
