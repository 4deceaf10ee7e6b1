"""Names of genes in any form, and columns that are no genes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import midgd

from .table import REFUSED, WARNED, Given, Input, with_names

PROTEINS = ("CD14", "CD19", "CD34")
ADT = ("CD4", "CD8A", "CD14", "CD19", "CD27", "CD34")
FOUR = ("CD4", "CD8A", "CD14", "CD27")  # all but CD14 are among the genes of these cells
GUIDES = ("LYZ-1", "LYZ-2", "CD74-1", "NKG7-1")
GENE = "Gene Expression"


def renamed(change: Callable[[str], str]) -> Callable[[ad.AnnData, Path], ad.AnnData]:
    return lambda few, _: with_names(few, [change(name) for name in few.var_names])


def ensembl_id(symbol: str) -> str:
    genes = midgd.reference.load().genes
    index = genes.match([symbol])[0]
    return f"ENSG{hash_of(symbol):011d}" if index < 0 else genes.ensembl[index]


def hash_of(symbol: str) -> int:
    return 90_000_000_000 + sum(ord(letter) * 31**i for i, letter in enumerate(symbol)) % 9_000_000_000


def beside(few: ad.AnnData, names: Sequence[str], **columns: Any) -> ad.AnnData:
    """The cells with columns of many counts for other features; `columns` are (of genes, of others)."""
    rng = np.random.default_rng(0)
    other = sparse.csr_matrix(rng.poisson(80.0, (few.n_obs, len(names))).astype(np.float32))
    table = pd.DataFrame(index=[*few.var_names, *names])
    for name, (of_genes, of_others) in columns.items():
        gene_values = of_genes if isinstance(of_genes, list) else [of_genes] * few.n_vars
        table[name] = pd.Series([*gene_values, *([of_others] * len(names))], index=table.index, dtype=object)
    return ad.AnnData(sparse.hstack([few.X, other]).tocsr(), obs=few.obs.copy(), var=table)


def in_front(few: ad.AnnData, names: Sequence[str]) -> ad.AnnData:
    both = beside(few, names)
    both = both[:, np.roll(np.arange(both.n_vars), len(names))].copy()
    both.var_names_make_unique()
    return both


def in_bytes(few: ad.AnnData) -> ad.AnnData:
    adata = few.copy()
    adata.var["name"] = [name.encode() for name in few.var_names]
    return with_names(adata, [str(i) for i in range(few.n_vars)])


def with_column(few: ad.AnnData, column: str, value: str) -> ad.AnnData:
    adata = few.copy()
    adata.var[column] = value
    return adata


def as_categories(adata: ad.AnnData, column: str) -> ad.AnnData:
    adata.var[column] = adata.var[column].astype("category")
    return adata


def halves(few: ad.AnnData, suffix: str, **columns: Any) -> ad.AnnData:
    """Each gene in two columns with half of the counts, the second one with a suffix."""
    half = few.X.toarray() // 2
    table = pd.DataFrame(index=[*few.var_names, *(name + suffix for name in few.var_names)])
    for name, values in columns.items():
        table[name] = [*values, *values]
    return ad.AnnData(np.hstack([half, few.X.toarray() - half]), obs=few.obs.copy(), var=table)


def make_names(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]", ".", name if name[0].isalpha() else f"X{name}")


def mouse(few: ad.AnnData, prefix: str = "") -> ad.AnnData:
    return beside(few, [prefix + name.capitalize() for name in few.var_names[:600]])


def panel(few: ad.AnnData, n: int) -> ad.AnnData:
    known = [name for name in few.var_names if midgd.reference.load().genes.match([name])[0] >= 0][:n]
    controls = [f"NegControlProbe_{i:05d}" for i in range(20)]
    return beside(few[:, known].copy(), controls)


def annotated(few: ad.AnnData, column: str) -> ad.AnnData:
    adata = few.copy()
    adata.var[column] = [ensembl_id(name) for name in few.var_names]
    return adata


INPUTS = [
    Input("symbols", lambda few, _: few, says="722 of 16,875 reference genes matched"),
    Input("Ensembl ids", renamed(ensembl_id), says="Ensembl ids"),
    Input("Ensembl ids with versions", renamed(lambda name: f"{ensembl_id(name)}.14")),
    Input("Ensembl ids in a column", lambda few, _: Given(annotated(few, "id"), {"gene_symbols": "id"})),
    Input("ENSG00000198851.9_CD3E", renamed(lambda name: f"{ensembl_id(name)}.9_{name}")),
    Input("ENSG00000198851|CD3E", renamed(lambda name: f"{ensembl_id(name)}|{name}")),
    Input("CD3E_ENSG00000198851", renamed(lambda name: f"{name}_{ensembl_id(name)}")),
    Input("CD3E|916 (TCGA)", renamed(lambda name: f"{name}|916")),
    Input("CD3E.916 (TCGA, read by R)", renamed(lambda name: f"{make_names(name)}.916")),
    Input("HLA.A (R's make.names)", renamed(make_names)),
    Input("HLA_A", renamed(lambda name: name.replace("-", "_"))),
    Input("GRCh38_CD3E", renamed(lambda name: f"GRCh38_{name}")),
    Input("GRCh38______CD3E", renamed(lambda name: f"GRCh38______{name}")),
    Input("GRCh38-CD3E (Seurat)", renamed(lambda name: f"GRCh38-{name}")),
    Input("hg19_CD3E", renamed(lambda name: f"hg19_{name}")),
    Input("rna:CD3E (mudata)", renamed(lambda name: f"rna:{name}")),
    Input("cd3e, all in lower case", renamed(str.lower), says="in another letter case"),
    Input("CD3E with blanks around", renamed(lambda name: f" {name} ")),
    Input(
        "antibodies, feature_types",
        lambda few, _: beside(few, ADT, feature_types=(GENE, "Antibody Capture")),
        says="6 columns, feature_types 'Antibody Capture' (CD4, CD8A, CD14)",
    ),
    Input(
        "antibodies, feature_types as categories",
        lambda few, _: as_categories(beside(few, ADT, feature_types=(GENE, "Antibody Capture")), "feature_types"),
        says="6 columns, feature_types 'Antibody Capture'",
    ),
    Input(
        "antibodies, Feature Type in lower case",
        lambda few, _: beside(few, ADT, **{"Feature Type": ("gene expression", "antibody capture")}),
        says="6 columns, Feature Type 'antibody capture'",
    ),
    Input("antibodies, feature_type as bytes", lambda few, _: beside(few, ADT, feature_type=(b"GEX", b"ADT"))),
    Input("antibodies, modality rna and prot", lambda few, _: beside(few, ADT, modality=("rna", "prot"))),
    Input("antibodies, only they have a feature type", lambda few, _: beside(few, ADT, feature_types=(None, "ADT"))),
    Input(
        "antibodies, genes with Ensembl ids",
        lambda few, _: beside(few, PROTEINS, gene_ids=([ensembl_id(name) for name in few.var_names], "TotalSeqB")),
        says="3 columns, a gene's name with an id that is no gene's",
    ),
    Input(
        "antibodies made unique, nothing else known",
        lambda few, _: beside(few, [f"{name}-1" for name in few.var_names[20:40]]),
        says="a gene name and a number (guide, antibody or repeat) beside the gene itself",
    ),
    Input(
        "antibodies, a column of another name",
        lambda few, _: beside(few, ADT, kind=("RNA", "ADT")),
        says="6 columns, kind 'ADT'",
    ),
    Input(
        "antibodies, only the genes have a feature type",
        lambda few, _: beside(few, FOUR, feature_types=(GENE, None)),
        says="4 columns, a gene's name without a feature type, where genes have one",
    ),
    Input(
        "antibodies behind the genes, nothing known",
        lambda few, _: beside(few, FOUR),
        WARNED,
        "4 columns were taken for antibodies or guides, only by their place in the table",
    ),
    Input(
        "antibodies before the genes, made unique, nothing known",
        lambda few, _: in_front(few, FOUR),
        WARNED,
        "4 columns were taken for antibodies or guides, only by their place in the table",
    ),
    Input("antibodies CD4_TotalSeqB", lambda few, _: beside(few, [f"{name}_TotalSeqB" for name in ADT])),
    Input("hashtags", lambda few, _: beside(few, ["Hashtag1", "HTO_2"]), says="antibodies and hashtags"),
    Input(
        "guides, feature_types",
        lambda few, _: beside(few, ["LYZ", "CD74"], feature_types=(GENE, "CRISPR Guide Capture")),
        says="2 columns, feature_types 'CRISPR Guide Capture'",
    ),
    Input("guides LYZ-1", lambda few, _: beside(few, GUIDES), says="4 columns, a gene name and a number"),
    Input("guides LYZ_g1", lambda few, _: beside(few, ["LYZ_g1", "CD74_sg2"]), says="a gene name and a number"),
    Input("multiplexing oligos", lambda few, _: beside(few, ["CD74"], feature_types=(GENE, "Multiplexing Capture"))),
    Input("peaks", lambda few, _: beside(few, ["chr1:1-50"], feature_types=(GENE, "Peaks")), says="'Peaks'"),
    Input(
        "nothing but antibodies",
        lambda few, _: few[:, :0].copy() if few.n_vars == 0 else typed_all(few, "Antibody Capture"),
        REFUSED,
        "no column holds gene expression: 'feature_types' of .var has 'Antibody Capture' only",
    ),
    Input("biotypes as feature_type", lambda few, _: typed_all(few, "protein_coding")),
    Input("spike-ins", lambda few, _: beside(few, ["ERCC-00002", "ERCC-00074"]), says="2 columns, spike-ins"),
    Input("mouse genes beside human ones", lambda few, _: mouse(few), says="567 columns, genes of another species"),
    Input("mouse genes mm10_Cd3e", lambda few, _: mouse(few, "mm10_"), says="genes of another species (mm10_"),
    Input("mouse genes mm10___Cd3e", lambda few, _: mouse(few, "mm10___"), says="genes of another species (mm10___"),
    Input(
        "mouse genes, column genome",
        lambda few, _: beside(few, ["LYZ", "CD74"], genome=("GRCh38", "mm10")),
        says="2 columns, genome 'mm10'",
    ),
    Input("zebrafish genes", lambda few, _: beside(few, [n.lower() for n in few.var_names]), says="another species"),
    Input("mouse genes only", renamed(str.capitalize), REFUSED, "look like mouse or rat symbols"),
    Input(
        "mouse Ensembl ids only",
        lambda few, _: with_names(few, [f"ENSMUSG{i:011d}" for i in range(few.n_vars)]),
        REFUSED,
        "gene ids of another species",
    ),
    Input("names as bytes", lambda few, _: Given(in_bytes(few), {"gene_symbols": "name"})),
    Input(
        "genes in capitals, column genome mm10",
        lambda few, _: with_column(few, "genome", "mm10"),
        WARNED,
        "genome 'mm10' in .var says that these are genes of another species",
    ),
    Input(
        "mouse genes, column feature_reference",
        lambda few, _: beside(few, ["LYZ", "CD74"], feature_reference=("NCBITaxon:9606", "NCBITaxon:10090")),
        says="2 columns, feature_reference 'NCBITaxon:10090'",
    ),
    Input("genes twice, same name", lambda few, _: halves(few, ""), WARNED, "columns of the same name were summed"),
    Input(
        "genes twice, made unique, with Ensembl ids",
        lambda few, _: halves(few, "-1", gene_ids=[ensembl_id(name) for name in few.var_names]),
        says="722 duplicated columns summed",
    ),
    Input("panel of 400 genes", lambda few, _: panel(few, 400), WARNED, "so few genes give a rough answer"),
    Input("panel of 150 genes", lambda few, _: panel(few, 150), REFUSED, "the panel is too small: 150 genes say too"),
    Input("positions instead of names", renamed(lambda name: str(hash_of(name))), REFUSED, "positions or Entrez ids"),
    Input(
        "transcripts",
        lambda few, _: with_names(few, [f"ENST{i:011d}" for i in range(few.n_vars)]),
        REFUSED,
        "sum the counts to genes first",
    ),
]


def typed_all(few: ad.AnnData, kind: str) -> ad.AnnData:
    adata = few.copy()
    adata.var["feature_types"] = kind
    return adata
