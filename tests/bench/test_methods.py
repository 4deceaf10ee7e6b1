from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midgd.bench.data import PairedData, load, load_splits, split
from midgd.bench.methods import (
    METHODS,
    CalibratedMidgd,
    Midgd,
    Paper,
    Ridge,
    WideRidge,
    XGBoost,
    log_share,
    make_methods,
)
from midgd.bench.methods.kernel import kernel_ridge
from midgd.bench.perturb import downsample
from midgd.infer.uncertainty import n_deviations
from midgd.metrics import per_feature_correlation


@pytest.fixture(scope="module")
def pairs(dev_data: Path) -> tuple[PairedData, PairedData]:
    data, splits = load("full", dev_data), load_splits(dev_data)
    return split(data, splits, "train"), split(data, splits, "test")


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.filterwarnings("ignore:.*max_iter.*")
def test_every_method_answers_in_shape_and_row_by_row(name: str, pairs: tuple[PairedData, PairedData]) -> None:
    if name == "xgboost":
        pytest.importorskip("xgboost")
    train, test = pairs
    method = make_methods([name])[0]
    assert method.name == name
    method.fit(train, seed=0)
    everything = np.ones(len(train.genes), dtype=bool)
    half = everything.copy()
    half[::2] = False
    cohorts = test.obs["cohort"].to_numpy()
    order = np.random.default_rng(0).permutation(len(test))
    for present in (everything, half):
        x = test.x * present
        predicted = method.predict(x, present, cohorts=cohorts)
        assert predicted.shape == test.y.shape
        assert np.isfinite(predicted).all()
        again = method.predict(x[order], present, cohorts=cohorts[order])
        np.testing.assert_allclose(again, predicted[order], atol=1e-4)
    least = getattr(method, "least_correlation", 0.5)
    if least is not None:
        trained = method.predict(test.x, everything, cohorts=cohorts)
        assert np.nanmean(per_feature_correlation(test.log_cpm, trained)) > least


def test_the_paper_s_objective_falls(pairs: tuple[PairedData, PairedData]) -> None:
    method = Paper(60, check_every=20)
    method.fit(pairs[0])
    epochs, values = zip(*method.curve_, strict=True)
    assert epochs == (20, 40, 60) and values[0] > values[1] > values[2]


def test_absent_genes_are_unknown_not_zero(pairs: tuple[PairedData, PairedData]) -> None:
    pytest.importorskip("xgboost")
    train, test = pairs
    present = np.arange(len(train.genes)) >= 30
    garbage = np.where(present, test.x, 10_000)
    for method in make_methods(["ridge", "knn", "xgboost"]):
        method.fit(train)
        zeroed = method.predict(test.x * present, present)
        np.testing.assert_allclose(method.predict(garbage, present), zeroed, atol=1e-5)


def test_log_share_renormalises_over_the_genes_present() -> None:
    x = np.array([[1, 3, 4]])
    expected = np.log1p(1e6 * np.array([[0.25, 0.75]]))
    np.testing.assert_allclose(log_share(x, np.array([True, True, False])), expected, rtol=1e-6)


def test_oracle_uses_cohorts_and_falls_back_to_the_mean(pairs: tuple[PairedData, PairedData]) -> None:
    train, test = pairs
    method = make_methods(["cohort-mean (oracle)"])[0]
    method.fit(train)
    predicted = method.predict(test.x[:2], np.ones(60, dtype=bool), cohorts=np.array(["AAA", "new"]))
    inside = (train.obs["cohort"] == "AAA").to_numpy()
    np.testing.assert_allclose(predicted, [train.log_cpm[inside].mean(0), train.log_cpm.mean(0)])


def test_kernel_ridge_equals_scikit_learn_at_its_penalty() -> None:
    from sklearn.linear_model import Ridge as Slow

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 80)).astype(np.float32), rng.normal(size=(30, 4))
    fitted = kernel_ridge(x, y, np.zeros(30))  # one group: nothing to choose by, penalty 1
    centred = x - x.mean(0)
    slow = Slow(alpha=np.trace(centred @ centred.T) / 30).fit(x, y)
    query = rng.normal(size=(5, 80)).astype(np.float32)
    np.testing.assert_allclose(fitted(query), slow.predict(query), atol=1e-4)


@pytest.mark.parametrize(("noise", "weak"), [(0.01, True), (20.0, False)])
def test_penalty_follows_the_noise(noise: float, weak: bool) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 20)).astype(np.float32)
    y = x @ rng.normal(size=(20, 3)) + noise * rng.normal(size=(80, 3))
    fitted = kernel_ridge(x, y, np.arange(80))(x)
    assert (fitted.var() > 0.9 * y.var()) == weak
    assert weak or fitted.var() < 0.2 * y.var()


def test_matching_the_depth_helps_where_it_is_thin(pairs: tuple[PairedData, PairedData]) -> None:
    train, test = pairs
    x = downsample(test.x, 100, np.random.default_rng(0))
    present = np.ones(60, dtype=bool)
    error = {}
    for method in (Ridge(), Ridge("matched", match_depth=True, copies=4, scale=None)):
        method.fit(train)
        error[method.name] = np.mean((method.predict(x, present) - test.log_cpm) ** 2)
    assert error["matched"] < error["ridge"]


def test_wide_ridge_reads_only_the_wide_table(pairs: tuple[PairedData, PairedData], dev_data: Path) -> None:
    train, test = pairs
    wide = load("common", dev_data).subset(np.arange(40))
    wide = wide.select(mirnas=wide.mirnas[:10])
    method, plain = WideRidge("wide"), Ridge()
    method.fit(train, extra={"common": wide})
    plain.fit(wide)
    present = np.ones(60, dtype=bool)
    predicted = method.predict(test.x, present)
    np.testing.assert_allclose(predicted[:, :10], plain.predict(test.x[:, :30], present[:30]), atol=1e-5)
    np.testing.assert_allclose(predicted[:, 10:], np.tile(train.log_cpm.mean(0)[10:], (len(test), 1)))


def test_wide_ridge_takes_the_table_of_the_right_level(pairs: tuple[PairedData, PairedData], dev_data: Path) -> None:
    train, test = pairs
    wide = load("common", dev_data).subset(np.arange(40))
    other = PairedData(wide.x, wide.y, wide.genes, wide.mirnas + "-5p", wide.obs)
    first, second = WideRidge("first"), WideRidge("second")
    first.fit(train, extra={"common": other, "mature-common": wide})
    second.fit(train, extra={"common": wide})
    present = np.ones(60, dtype=bool)
    np.testing.assert_allclose(first.predict(test.x, present), second.predict(test.x, present))


def test_xgboost_takes_the_most_variable_genes(pairs: tuple[PairedData, PairedData]) -> None:
    pytest.importorskip("xgboost")
    train, _ = pairs
    method = XGBoost(n_genes=7)
    method.fit(train)
    variance = log_share(train.x, np.ones(60, dtype=bool)).var(0)
    assert set(method.genes_) == set(np.argsort(variance)[-7:])


def test_names_are_checked() -> None:
    with pytest.raises(KeyError, match="unknown methods"):
        make_methods(["rigde"])
    with pytest.raises(ValueError, match="different names"):
        make_methods(["ridge", Ridge()])


def test_calibrated_midgd_covers_what_it_says_and_trains_without_those_it_asks(
    pairs: tuple[PairedData, PairedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = pairs
    seen: list[set[str]] = []

    def fit(self: Midgd, data: PairedData, **options: Any) -> None:
        seen.append(set(data.obs["patient"]))
        seen.extend(set(table.obs["patient"]) for table in options["extra"].values())
        plain(self, data, **options)

    plain = Midgd.fit
    monkeypatch.setattr(Midgd, "fit", fit)
    method = CalibratedMidgd(held_out=0.3)
    method.fit(train, extra={"full": train})
    patients = set(train.obs["patient"])
    assert seen[0] == seen[1] and len(patients - seen[0]) == round(0.3 * len(patients))
    present = np.ones(60, dtype=bool)
    width = []
    for level in (0.5, 0.9):
        lower, upper = method.predict_interval(test.x, present, level)
        assert np.mean((test.log_cpm >= lower) & (test.log_cpm <= upper)) == pytest.approx(level, abs=0.2)
        predicted = method.predict(test.x, present)
        width.append(upper - predicted)
        np.testing.assert_allclose(lower, np.maximum(2 * predicted - upper, 0), atol=1e-3)
    # The tails are those measured on the samples that were kept, as users get them.
    deviations = [n_deviations(level, method.reference_.calibration.tails, predicted) for level in (0.5, 0.9)]
    np.testing.assert_allclose(width[1] / width[0], deviations[1] / deviations[0], rtol=1e-3)
