from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from midgd.features import is_gene_expression, read_annotation


def var(n: int = 3, **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=[f"g{i}" for i in range(n)])


NAMES = ["feature_types", "feature_type", "Feature Type", "featureType", "modality", "MODALITY"]
GENES = ["Gene Expression", "gene expression", "GEX", "rna", "mRNA", "RNA", b"Gene Expression"]
OTHERS = ["Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Custom", "Peaks", "ADT", "prot", "HTO"]
OTHERS += ["ATAC", "Negative Control Probe", "Blank Codeword", "Antigen Capture", "something new"]


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("gene", GENES)
@pytest.mark.parametrize("as_category", [False, True])
def test_only_gene_expression_counts(column: str, gene: Any, as_category: bool) -> None:
    table = var(**{column: [gene, "Antibody Capture", gene]})
    table = table.astype("category") if as_category else table
    assert read_annotation(table).excluded == ("", f"{column} 'Antibody Capture'", "")


@pytest.mark.parametrize("other", OTHERS)
def test_everything_else_is_left_out(other: str) -> None:
    assert (
        read_annotation(var(feature_types=["Gene Expression", other, other])).excluded[1:]
        == (f"feature_types {other!r}",) * 2
    )


def test_columns_without_a_kind_are_judged_by_their_names() -> None:
    assert read_annotation(var(feature_types=[None, "ADT", float("nan")])).excluded == ("", "feature_types 'ADT'", "")


@pytest.mark.parametrize(
    "columns",
    [
        {"feature_type": ["protein_coding", "lncRNA", "miRNA"]},
        {"type": ["protein_coding", "antisense", "control"]},
        {"feature_types": ["gene", "gene", "gene"]},
        {"assay": ["10x 3' v3", "10x 3' v3", "10x 3' v3"]},
        {"feature_types": ["", "", ""]},
        {"genome": ["GRCh38", "GRCh38-2020-A", ""]},
        {"genome": ["mm10", "mm10", "mm10"]},  # the names will tell
        {},
    ],
)
def test_columns_that_say_nothing_leave_nothing_out(columns: dict[str, list[Any]]) -> None:
    assert read_annotation(var(**columns)).excluded == ("", "", "")


def test_no_gene_expression_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"gene expression: 'modality' of \.var has 'ADT', 'Peaks' only"):
        read_annotation(var(modality=["ADT", "Peaks", "ADT"]))


@pytest.mark.parametrize("foreign", ["mm10", "GRCm39", "mouse", "Mus musculus", "NCBITaxon:10090", "SARS-CoV-2"])
def test_other_genomes_beside_a_human_one(foreign: str) -> None:
    human = "NCBITaxon:9606" if "Taxon" in foreign else "GRCh38"
    assert read_annotation(var(genome=[human, foreign, human])).excluded == ("", f"genome {foreign!r}", "")


def test_gene_ids_are_found_in_columns_and_in_the_index() -> None:
    ids = ["ENSG00000090382", "ENSG00000198851", "CD4_TotalSeqB"]
    assert read_annotation(var(gene_ids=ids)).gene_ids == tuple(ids)
    assert read_annotation(pd.DataFrame(index=ids)).gene_ids == tuple(ids)
    assert read_annotation(var(gene_ids=["1", "2", "3"])).gene_ids is None


def test_is_gene_expression() -> None:
    assert is_gene_expression(var(feature_types=["Gene Expression"] * 3))
    assert not is_gene_expression(var(feature_types=["Peaks"] * 3)) and not is_gene_expression(var())


@pytest.mark.parametrize("column", ["kind", "capture", "source", "what"])
@pytest.mark.parametrize("gene", GENES)
def test_a_column_of_any_name_that_tells_genes_from_others_is_believed(column: str, gene: Any) -> None:
    assert read_annotation(var(**{column: [gene, "Antibody Capture", gene]})).excluded[1] != ""


@pytest.mark.parametrize(
    "values",
    [["rna", "protein", "protein"], ["rna", "rna", "rna"], ["protein", "x", "y"], ["protein_coding", "rna", "adt"]],
)
def test_a_column_of_any_name_that_may_mean_another_thing_is_not(values: list[str]) -> None:
    assert read_annotation(var(what=values)).excluded == ("", "", "")


def test_what_is_called_gene_expression_is_known() -> None:
    assert read_annotation(var(feature_types=["RNA", None, "RNA"])).called_genes == (True, False, True)
    assert read_annotation(var(feature_types=[None, "ADT", None])).called_genes is None
    assert read_annotation(var(symbol=["a", "b", "c"])).called_genes is None


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"genome": ["mm10"] * 3}, "genome 'mm10'"),
        ({"species": ["Mus musculus"] * 3}, "species 'Mus musculus'"),
        ({"gene_ids": ["ENSMUSG00000069516"] * 3}, "gene_ids 'ENSMUSG00000069516'"),
        ({"genome": ["GRCh38", "mm10", "mm10"]}, ""),
        ({"genome": ["hg38"] * 3}, ""),
        ({"gene_ids": ["ENSG00000090382"] * 3}, ""),
    ],
)
def test_another_species_is_known(columns: dict[str, list[str]], says: str) -> None:
    assert read_annotation(var(**columns)).species == says
