from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from midgd.counts import CountCheck, check_counts
from midgd.settings import logger

KINDS = [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array]


@pytest.fixture
def umis() -> np.ndarray:
    """300 cells x 200 genes with depths of 200 to 5,000 and a few abundant genes, as real cells have."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(200, 0.1))
    return rng.poisson(share * rng.uniform(200, 5000, (300, 1))).astype(float)


def normalised(counts: np.ndarray, total: float = 1e4) -> np.ndarray:
    return counts / counts.sum(axis=1, keepdims=True) * total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "estimated",
    [
        lambda x: x,
        lambda x: x.astype(np.uint16),
        lambda x: np.minimum(x, 3),  # whole numbers are counts, small or not
        lambda x: x > 0,
        lambda x: x * 0.97,  # corrected for ambient RNA
        lambda x: normalised(x, 1e6) * np.linspace(0.9, 1.1, len(x))[:, None],  # TPM of a part of the genes
        lambda x: x * 0,
        lambda x: x[:0],
    ],
)
def test_counts_pass(kind: Callable, estimated: Callable, umis: np.ndarray) -> None:
    check_counts(kind(estimated(umis)), where="adata.X")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: np.log1p(normalised(x)), r"looks log-normalised \(natural logarithm\), first in row 0.*np.expm1"),
        (lambda x: np.log2(x + 1), "looks log-normalised"),
        (lambda x: np.log1p(normalised(x))[:2], "looks log-normalised"),
        (lambda x: np.log2(normalised(x, 3e7) + 1), "looks log-normalised"),
        (lambda x: normalised(x, 1), "looks like fractions"),
        (lambda x: normalised(x, 1)[:, :50], "looks like fractions"),
        (lambda x: np.minimum(x / (x.std(axis=0) + 1e-9), 10), "or scaled"),
        (lambda x: x - x.mean(axis=0), r"negative values, first in row 0 .*scaled \(z-scores\)"),
    ],
)
def test_other_scales_are_refused(kind: Callable, spoil: Callable, message: str, umis: np.ndarray) -> None:
    with pytest.raises(ValueError, match=rf"^adata\.X .*{message}"):
        check_counts(kind(spoil(umis)), where="adata.X")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("bad", "message"), [(np.nan, "NaN"), (np.inf, "NaN or inf"), (-np.inf, "NaN"), (-1, "negative")]
)
def test_bad_values_name_the_row(kind: Callable, bad: float, message: str, umis: np.ndarray) -> None:
    umis[41, 7] = umis[77, 3] = bad
    names = [f"cell{i}" for i in range(1000)]
    with pytest.raises(ValueError, match=rf"adata\.raw\.X has {message}.*row 141 \('cell141'\).*Try this\.$") as error:
        check_counts(kind(umis), where="adata.raw.X", row_names=names, first_row=100, hint="Try this")
    assert "z-scores" not in str(error.value)


def test_values_are_checked_even_where_the_scale_is_not(umis: np.ndarray) -> None:
    check_counts(np.log1p(umis), where="X", allow_fractional=True)
    with pytest.raises(ValueError, match="NaN"):
        check_counts(umis * np.nan, where="X", allow_fractional=True)


def in_chunks(matrix: np.ndarray, size: int) -> None:
    check = CountCheck("X")
    for a in range(0, len(matrix), size):
        check.update(matrix[a : a + size], a)
    check.finish()


@pytest.mark.parametrize("size", [1, 7, 300])
def test_the_answer_does_not_depend_on_the_chunks(size: int, umis: np.ndarray) -> None:
    corrected = umis * 0.97
    corrected[0] = corrected[-1] = np.minimum(corrected[0], 12)
    in_chunks(corrected, size)
    logs = np.log1p(normalised(umis))
    logs[:20] = 0
    with pytest.raises(ValueError, match="first in row 20,") as error:
        in_chunks(logs, size)
    with pytest.raises(ValueError, match="log") as whole:
        check_counts(logs, where="X")
    assert str(error.value) == str(whole.value)
    umis[290] = np.log1p(umis[290] * 1.7)
    with pytest.raises(ValueError, match=r"mixes scales: row 0 is the first with counts, row 290 the first with .*log"):
        in_chunks(umis, size)


def test_constant_depth_is_a_warning(umis: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING, logger="midgd"):
            check_counts(umis, where="adata.X")
            check_counts(umis * 0.93, where="adata.X")
            assert not caplog.records
            check_counts(normalised(umis).astype(np.float32), where="adata.X")
    finally:
        logger.removeHandler(caplog.handler)
    (record,) = caplog.records
    assert record.getMessage().startswith("every row of adata.X sums to about 10000")
