from __future__ import annotations

import logging

import pytest

from midgd.features import GeneReport
from midgd.features.blocks import FRONT
from midgd.features.columns import UNKNOWN
from midgd.settings import logger


def report(matched: int = 900, **changes: object) -> GeneReport:
    values: dict[str, object] = {"n_query": matched, "n_reference": 1_000, "n_used": matched, "matched": matched}
    values |= {"missing": (), "unmatched_examples": (), "reference_examples": (), "summed_duplicates": {}}
    return GeneReport(**(values | {"id_type": "symbol"} | changes))  # type: ignore[arg-type]


def test_a_selection_of_genes_is_a_warning() -> None:
    assert report().warnings == [] == report(300).warnings
    (warning,) = report(299).warnings
    assert warning.startswith("only 299 of the reference's 1,000 genes are there. If the highly variable genes were")


def test_columns_of_the_same_name_are_a_warning() -> None:
    (warning,) = report(repeated=("CD4", "CD8A")).warnings
    assert "(2 names: 'CD4', 'CD8A')" in warning and "feature_types" in warning


def test_another_species_and_guesses_are_warnings() -> None:
    (warning,) = report(species="genome 'mm10'").warnings
    assert warning.startswith("genome 'mm10' in .var says that these are genes of another species")
    (warning,) = report(left_out={FRONT: 3}, left_out_examples={FRONT: ("CD4", "CD8A")}).warnings
    assert warning.startswith("3 columns were taken for antibodies or guides") and "('CD4', 'CD8A')" in warning


def test_what_is_left_out_is_a_note_unless_it_is_only_unknown() -> None:
    left_out = report(
        left_out={UNKNOWN: 50, "spike-ins": 1}, left_out_examples={UNKNOWN: ("A",), "spike-ins": ("ERCC-00002",)}
    )
    assert left_out.notes == ["not counted: 1 column, spike-ins (ERCC-00002)"]
    assert "12 in another letter case" in str(report(letter_case=12))


def test_the_log_has_notes_and_warnings(caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "midgd"):
            report(200, left_out={"guides": 2}, left_out_examples={"guides": ("A_g1", "B_g1")}).log()
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]
