"""Which columns one trains on: genes, whatever else stands beside them; real names are never lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midgd.features import choose_training_columns, columns, read_annotation
from midgd.reference import load

GENES = ["CD4", "CD14", "LYZ", "HLA-A", "NKX2-1", "MT-CO1", "C1orf112", "RP11-34P13.7", "NEGR1", "SGCA"]


def left_out(names: list[str], **var: list[str]) -> dict[str, str]:
    table = pd.DataFrame(var, index=names)
    chosen = choose_training_columns(names, read_annotation(table))
    assert [bool(reason) for reason in chosen.reasons] == [gene < 0 for gene in chosen.gene]
    return {name: reason for name, reason in zip(names, chosen.reasons, strict=True) if reason}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("ERCC-00002", columns.SPIKE_IN),
        ("CD4_TotalSeqB", columns.ANTIBODY),
        ("HTO_3", columns.ANTIBODY),
        ("sgLYZ", columns.GUIDE),
        ("LYZ-1", columns.NUMBERED),
        ("Lyz", columns.OTHER_SPECIES),
        ("mm10_Lyz2", columns.OTHER_SPECIES),
        ("NegControlProbe_00042", columns.CONTROL),
        ("__no_feature", columns.SUMMARY),
        ("", "without a name"),
    ],
)
def test_names_that_are_no_genes(other: str, why: str) -> None:
    assert left_out([*GENES, other]) == {other: why}


def test_kinds_of_features_decide() -> None:
    kinds = ["Gene Expression"] * len(GENES) + ["Antibody Capture", "CRISPR Guide Capture"]
    found = left_out([*GENES, "CD19", "NKG7"], feature_types=kinds)
    assert found == {"CD19": "feature_types 'Antibody Capture'", "NKG7": "feature_types 'CRISPR Guide Capture'"}


def test_a_repeat_with_an_id_of_its_own_is_a_gene() -> None:
    ids = [f"ENSG{i:011d}" for i in range(len(GENES) + 1)]
    assert left_out([*GENES, "LYZ-1"], gene_ids=ids) == {}


def test_genes_of_a_mouse_alone_are_genes() -> None:
    assert left_out(["Cd4", "Cd14", "Lyz2", "mt-Co1"]) == {}
    assert left_out([f"ENSMUSG{i:011d}" for i in range(20)]) == {}


def test_all_genes_of_the_bundled_reference_stay() -> None:
    genes = load().genes
    assert left_out(list(genes.symbols)) == {}
    assert left_out([name for name in genes.ensembl if name]) == {}


@given(st.permutations([*GENES, "ERCC-00002", "LYZ-1", "Lyz", "mm10_Lyz2", "HTO_3"]))
def test_the_order_does_not_matter(names: list[str]) -> None:
    chosen = choose_training_columns(names, read_annotation(pd.DataFrame(index=names)))
    assert sorted(np.array(names)[chosen.gene >= 0]) == sorted(GENES)
