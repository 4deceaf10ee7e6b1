from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midgd.bench import FAMILIES, make_scenarios
from midgd.bench.study import Scenario


@pytest.fixture(scope="module")
def everything(dev_data: Path) -> dict[str, Scenario]:
    return {s.name: s for s in make_scenarios(data_dir=dev_data)}


def test_all_families_are_there(everything: dict[str, Scenario]) -> None:
    # The folder of these tests has no cells.
    assert {s.family for s in everything.values()} == {*FAMILIES, "loco-full-5000"} - {"cells"}
    assert {f"depth/{d}" for d in (500, 1000, 3000, 10000, 100000)} <= set(everything)
    assert {"missing/random-10%", "missing/abundant-90%", "loco-full/AAA", "tpm/full", "mature"} <= set(everything)
    assert len(everything) == 35


def test_nothing_held_out_reaches_an_arm(everything: dict[str, Scenario]) -> None:
    for scenario in everything.values():
        assert scenario.train.genes.equals(scenario.test.genes)
        assert scenario.train.mirnas.equals(scenario.test.mirnas)
        if scenario.family == "mixture":
            held = set(everything["bulk"].test.obs["patient"])
        else:
            held = set(scenario.test.obs["patient"])
        for data in (scenario.train, *scenario.extra().values()):
            assert held.isdisjoint(data.obs["patient"]), scenario.name
            if scenario.pooled:
                assert set(scenario.test.obs["cohort"]).isdisjoint(data.obs["cohort"])


def test_validation_patients_are_not_trained_on(everything: dict[str, Scenario], dev_data: Path) -> None:
    (val,) = make_scenarios(["bulk"], data_dir=dev_data, on="val")
    for data in (everything["bulk"].train, *everything["bulk"].extra().values()):
        assert set(val.test.obs["patient"]).isdisjoint(data.obs["patient"])
    assert set(val.test.obs["patient"]).isdisjoint(everything["bulk"].test.obs["patient"])


def test_neighbours_share_their_training_data(everything: dict[str, Scenario]) -> None:
    train = everything["bulk"].train
    assert all(s.train is train for s in everything.values() if s.family in {"depth", "missing", "mixture"})


def test_depth_and_missing_do_what_they_say(everything: dict[str, Scenario]) -> None:
    assert np.median(everything["depth/1000"].test.x.sum(1)) == pytest.approx(1000, rel=0.1)
    for share in (0.1, 0.9):
        for order in ("random", "abundant"):
            scenario = everything[f"missing/{order}-{share:.0%}"]
            assert scenario.genes_present.mean() == pytest.approx(1 - share)
            assert not scenario.test.x[:, ~scenario.genes_present].any()
    top = everything["bulk"].train.x.mean(0).argmax()
    assert not everything["missing/abundant-10%"].genes_present[top]


def test_quantification_differs_between_train_and_test(everything: dict[str, Scenario]) -> None:
    for name in ("htseq-to-rsem", "rsem-to-htseq"):
        scenario = everything[f"quantification/{name}"]
        assert set(scenario.train.obs["quant"]).isdisjoint(scenario.test.obs["quant"])
        assert set(scenario.extra()) == {"mirna-only"}


def test_mixtures_lie_between_their_ends(everything: dict[str, Scenario]) -> None:
    test = everything["mixture/1000"].test
    assert test.x.sum(1).mean() == pytest.approx(1000, rel=0.05)
    one = test.obs["pair"].to_numpy() == 0
    y, fraction = test.y[one], test.obs["fraction"].to_numpy()[one]
    np.testing.assert_allclose(y, y[:1] + fraction[:, None] * (y[-1:] - y[:1]))


def test_same_seed_same_questions(everything: dict[str, Scenario], dev_data: Path) -> None:
    (again,) = make_scenarios(["depth/500"], data_dir=dev_data)
    np.testing.assert_array_equal(again.test.x, everything["depth/500"].test.x)
    (other,) = make_scenarios(["depth/500"], data_dir=dev_data, seed=1)
    assert (other.test.x != again.test.x).any()


def test_names_are_checked(dev_data: Path) -> None:
    with pytest.raises(KeyError, match="unknown scenarios"):
        make_scenarios(["depht"], data_dir=dev_data)
    with pytest.raises(KeyError, match="no scenario"):
        list(make_scenarios(["depth/7"], data_dir=dev_data))


def test_unseen_tissues_are_asked_again_when_shallow(everything: dict[str, Scenario]) -> None:
    deep, shallow = everything["loco-full/AAA"], everything["loco-full-5000/AAA"]
    assert shallow.train is deep.train and shallow.extra is deep.extra and shallow.pooled
    assert (shallow.family, shallow.depth) == ("loco-full-5000", 5000)
    assert shallow.test.x.sum(1).mean() == pytest.approx(5000, rel=0.05)
    np.testing.assert_array_equal(shallow.test.y, deep.test.y)
