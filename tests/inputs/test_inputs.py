"""What midgd does with each input of the table; docs/inputs.md is written from it.

``MIDGD_WRITE_DOCS=1 pytest tests/inputs`` writes the page anew.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.settings import logger

from . import containers, genes, scales
from .table import REFUSED, SAME, WARNED, Given, Input

PAGE = Path(__file__).parents[2] / "docs" / "inputs.md"
SECTIONS = {"Containers and types": containers.INPUTS, "Genes": genes.INPUTS, "Scales of the values": scales.INPUTS}
ALL = [input for inputs in SECTIONS.values() for input in inputs]
NARROW = "only 722 of the reference's"  # of the 765 genes that the cells of this test have
INTRODUCTION = """# Inputs

What `midgd.tl.infer_mirna` does with an input. This page is written by the tests (`tests/inputs`): each row is an input
that is tried whenever they run, so that nothing here can be out of date.

- **same result**: the input holds the same counts in another form, and the answer is the same to five digits.
- **result**: other values, an answer, no warning.
- **result and warning**: an answer, and a warning that says what may be wrong with it.
- **error**: no answer, one sentence that says why, and the data are left as they were.

The last column has a part of what midgd says: of the error, the warning, or the report on the genes, which is also in
`uns["mirna"]["genes"]`. Whatever is not gene expression of human genes is left out and named there. The inputs are made
from 50 blood cells with 765 genes; that few genes are a warning of their own, which is not repeated in the table.

Zeros and ones alone, and whole numbers that look rounded, are a warning and not an error: whole numbers may be counts,
and those who know can go on. With `counts="trust"` midgd takes values of any scale for counts; missing, infinite and
negative ones remain errors.
"""


def page() -> str:
    parts = [INTRODUCTION]
    for title, inputs in SECTIONS.items():
        rows = "\n".join(input.markdown for input in inputs)
        parts.append(f"## {title}\n\n| Input | Outcome | What midgd says |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def few() -> ad.AnnData:
    return midgd.datasets.pbmc68k_counts()[::14].copy()


def infer(given: Given) -> np.ndarray:
    result = midgd.tl.infer_mirna(given.data, refine=0, **given.arguments)
    if not isinstance(result, pd.DataFrame):
        result = midgd.get.mirna(given.data if result is None else result).to_df()
    return result.to_numpy()


@pytest.fixture(scope="module")
def expected(few: ad.AnnData) -> np.ndarray:
    return infer(Given(few.copy()))


def test_the_table_is_long_and_names_are_clear() -> None:
    assert len(ALL) >= 80
    assert all(input.says for input in ALL if input.outcome in (WARNED, REFUSED))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("input", ALL, ids=lambda input: input.name)
def test_input(
    input: Input, few: ad.AnnData, expected: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = input.make(few.copy(), tmp_path)
    given = made if isinstance(made, Given) else Given(made)
    before = set(given.data.obsm) if isinstance(given.data, ad.AnnData) else set()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "midgd"):
            if input.outcome == REFUSED:
                with pytest.raises((ValueError, TypeError)) as error:
                    infer(given)
                assert input.says in str(error.value) and "\n" not in str(error.value)
                assert not isinstance(given.data, ad.AnnData) or set(given.data.obsm) == before
                return
            result = infer(given)
    finally:
        logger.removeHandler(caplog.handler)
    records = [record for record in caplog.records if not record.getMessage().startswith(NARROW)]
    warnings = [record.getMessage() for record in records if record.levelno >= logging.WARNING]
    assert bool(warnings) == (input.outcome == WARNED)
    assert input.says in " ".join(warnings or [record.getMessage() for record in records])
    assert np.isfinite(result).all()
    if input.outcome == SAME or input.name.startswith("genes twice"):
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_highly_variable_genes_are_a_warning(few: ad.AnnData, caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        infer(Given(few.copy()))
    finally:
        logger.removeHandler(caplog.handler)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(NARROW) and "highly variable genes" in warning


def test_the_page_in_the_docs_is_this_table() -> None:
    if os.environ.get("MIDGD_WRITE_DOCS"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "write it with MIDGD_WRITE_DOCS=1 pytest tests/inputs"
