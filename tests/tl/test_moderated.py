"""Moderated t against simulations with a known prior, and against the formulas written with scipy's own functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from midgd.tl._moderated import _inverse_trigamma, moderated_t, prior_variance


@pytest.mark.parametrize(("d0", "s0", "df"), [(4.0, 0.3, 3), (10.0, 2.0, 6), (20.0, 1.0, 2)])
def test_the_prior_is_recovered(d0, s0, df):
    rng = np.random.default_rng(1)
    sigma2 = d0 * s0 / rng.chisquare(d0, 200_000)
    found = prior_variance(sigma2 * rng.chisquare(df, 200_000) / df, df)
    assert found[0] == pytest.approx(d0, rel=0.1) and found[1] == pytest.approx(s0, rel=0.03)


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(2)
    sigma2 = 4 * 0.5 / rng.chisquare(4, 20_000)
    values = rng.normal(0, np.sqrt(sigma2), (6, 20_000))
    a, b = values[:3], values[3:]
    pooled = (a.var(0, ddof=1) + b.var(0, ddof=1)) / 2
    _, pval = moderated_t(a.mean(0) - b.mean(0), pooled, 2 / 3, 4)
    assert stats.kstest(pval, "uniform").statistic < 0.02


def test_equal_variances_have_no_spread_beyond_chance():
    df, prior = 5, np.full(50, 1.7)
    d0, s0 = prior_variance(prior, df)
    assert np.isinf(d0) and s0 == pytest.approx(1.7 * np.exp(-special.digamma(2.5) + np.log(2.5)))
    t, pval = moderated_t(np.linspace(-2, 2, 50), prior, 0.5, df)
    np.testing.assert_allclose(pval, 2 * stats.t.sf(np.abs(t), df * 50))


def test_one_feature_alone_is_the_ordinary_t():
    t, pval = moderated_t(np.array([1.2]), np.array([0.4]), 0.5, 4)
    assert t[0] == pytest.approx(1.2 / np.sqrt(0.2)) and pval[0] == pytest.approx(2 * stats.t.sf(t[0], 4))


def test_constant_features_are_nan():
    t, pval = moderated_t(np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.2, 0.6]), 0.5, 4)
    assert np.isnan(t[0]) and np.isnan(pval[0]) and np.isfinite(t[1:]).all()


@given(st.floats(1e-4, 1e4))
def test_the_inverse_of_trigamma(value):
    slow = optimize.brentq(lambda x: special.polygamma(1, x) - value, 1e-6, 1e6, xtol=1e-14)
    assert _inverse_trigamma(value) == pytest.approx(slow, rel=1e-6)
