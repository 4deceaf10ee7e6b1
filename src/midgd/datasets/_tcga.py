"""TCGA pairs from the Genomic Data Commons."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from midgd._text import one_line
from midgd.datasets._gdc import download_files, list_files, path_of
from midgd.datasets._pairs import one_per_sample, paired_mudata
from midgd.datasets._tables import read_text
from midgd.settings import logger, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mudata import MuData

GDC_API = "https://api.gdc.cancer.gov"
# level -> data type, in the words of the GDC
Level = Literal["stem-loop", "mature"]
MIRNA_TYPE: dict[Level, str] = {
    "stem-loop": "miRNA Expression Quantification",
    "mature": "Isoform Expression Quantification",
}


def read_star_counts(path: Path) -> pd.DataFrame:
    """``*.rna_seq.augmented_star_gene_counts.tsv``: genes by Ensembl id; ``gene_name``, ``gene_type``, ``count``."""
    table = _read(path, ["gene_id", "gene_name", "gene_type"], "unstranded", comment="#")
    table = table[~table["gene_id"].str.startswith("N_")]  # N_unmapped, N_multimapping, N_noFeature, N_ambiguous
    return table.set_index("gene_id")


def read_mirna_quantification(path: Path) -> pd.DataFrame:
    """``*.mirnas.quantification.txt``: ``count`` by stem-loop."""
    return _read(path, ["miRNA_ID"], "read_count").set_index("miRNA_ID")


def read_isoform_quantification(path: Path) -> pd.DataFrame:
    """``*.isoforms.quantification.txt``: ``count`` by accession, summed over isoforms and over precursors.

    As in TCGA's own tables of mature miRNA: a read counts at every precursor under which the file lists it.
    """
    table = _read(path, ["miRNA_region"], "read_count")
    region = table["miRNA_region"].str.split(",", n=1, expand=True).reindex(columns=[0, 1])
    mature = region[0] == "mature"
    counts = table["count"][mature].groupby(region[1][mature]).sum()
    return counts.rename_axis("accession").to_frame("count")


def _read(path: Path, texts: list[str], number: str, comment: str | None = None) -> pd.DataFrame:
    """Columns of texts, of which the first names the row, and one of numbers as ``count``."""
    content, columns = io.StringIO(read_text(path)), [*texts, number]
    try:
        types = dict.fromkeys(texts, str)
        table = pd.read_csv(content, sep="\t", usecols=columns, comment=comment, dtype=types)
        counts = pd.to_numeric(table[number])
    except (ValueError, OverflowError, IndexError) as error:  # pandas: a column is missing, or the file is no table
        message = f"{path} is not the table it should be, with the columns {columns}: {one_line(error)}"
        raise ValueError(message) from error
    if table[texts[0]].isna().any() or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(
            f"{path} is damaged: a row lacks its {texts[0]} or has no count, or one below 0. Get it again."
        )
    return table.drop(columns=number).assign(count=counts)


def stack(
    files: pd.DataFrame, folder: Path, read: Callable[[Path], pd.DataFrame]
) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Samples x features of one-sample files; a feature that a file does not list has no reads there."""
    features = pd.DataFrame()
    rows = []
    for _, file in files.iterrows():
        table = read(path_of(file, folder))
        if not table.index.equals(features.index):
            new = table.index.difference(features.index, sort=False)
            features = pd.concat([features, table.drop(columns="count").loc[new]])
        where = features.index.get_indexer(table.index)
        keep = table["count"].to_numpy() != 0
        rows.append((where[keep], table["count"].to_numpy(np.float32)[keep]))
    indptr = np.cumsum([0, *(len(columns) for columns, _ in rows)])
    parts = np.concatenate([values for _, values in rows]), np.concatenate([columns for columns, _ in rows]), indptr
    counts = sparse.csr_matrix(parts, shape=(len(rows), len(features)))
    counts.sort_indices()
    return counts, features


def pair_files(rna: pd.DataFrame, mirna: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One mRNA file and one miRNA file of every sample that has both, the same vial where possible.

    Returns
    -------
    Two tables of the same length, indexed by the barcode without vial, in the order of these barcodes.
    """
    rna, mirna = (table.drop_duplicates("sample").set_index("sample", drop=False) for table in (rna, mirna))
    both = rna.index.intersection(mirna.index)
    left, right = ({**one_per_sample(table.index), **one_per_sample(both)} for table in (rna, mirna))
    names = sorted(left.keys() & right.keys())
    chosen = (table.loc[[vials[name] for name in names]] for table, vials in ((rna, left), (mirna, right)))
    first, second = (table.set_axis(names, axis=0) for table in chosen)
    return first, second


def _listed(projects: Sequence[str], level: Level, folder: Path, base_url: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    rna = list_files(projects, "Gene Expression Quantification", folder, base_url)
    mirna = list_files(projects, MIRNA_TYPE[level], folder, base_url)
    rna, mirna = pair_files(rna, mirna)
    if empty := sorted(set(projects) - set(rna["project"])):
        message = (
            f"The GDC has no open samples with both mRNA and {level} miRNA for {empty}; "
            "project ids look like 'TCGA-BRCA'."
        )
        if rna.empty:
            raise ValueError(message)
        logger.warning(message)
    return rna, mirna


def tcga(
    projects: str | Sequence[str],
    *,
    level: Level = "stem-loop",
    names: Mapping[str, str] | None = None,
    data_dir: Path | str | None = None,
    n_workers: int = 4,
    base_url: str = GDC_API,
) -> MuData:
    """Raw mRNA and miRNA counts of the same TCGA samples, from the open tier of the GDC.

    Downloads one file per sample and modality (4 MB of mRNA, 50-500 kB of miRNA), several at a time, and checks
    every md5. Call again after an interruption: complete files are kept and the others are gone on with.

    Parameters
    ----------
    projects
        One or more GDC projects, such as ``"TCGA-ACC"``.
    level
        ``"stem-loop"`` for the GDC's "miRNA Expression Quantification", ``"mature"`` for its "Isoform Expression
        Quantification" with the reads summed by mature accession.
    names
        With ``level="mature"``: accession -> name, ``{"MIMAT0000062": "hsa-let-7a-5p"}``; those that it lacks keep
        their accession. The GDC gives accessions only.
    data_dir
        Folder of the files, laid out as gdc-client does; default ``midgd.settings.data_dir / "gdc"``.
    n_workers
        Downloads at a time.
    base_url
        Address of the API.

    Returns
    -------
    MuData with ``"rna"`` (genes by versioned Ensembl id; ``var`` has ``gene_name`` and ``gene_type``) and
    ``"mirna"``: raw counts as float32 CSR. ``obs``: ``cohort`` (``"ACC"``), ``patient``, ``sample_type`` in the
    words of the GDC and ``sample``, the barcode with the vial of the mRNA; indexed by the barcode without vial.
    Where a sample has several vials or files, one of each is taken: the same vial in both if there is one,
    then the first in alphabetical order.

    Raises
    ------
    ValueError
        If no project has pairs, or a file has a wrong md5 or unknown columns.
    ConnectionError
        If the GDC cannot be reached; names what to fetch by hand.

    Examples
    --------
    >>> mdata = midgd.datasets.tcga(["TCGA-ACC", "TCGA-UVM"])  # doctest: +SKIP
    >>> mdata["rna"].shape, mdata["mirna"].shape  # doctest: +SKIP
    """
    projects = [projects] if isinstance(projects, str) else list(projects)
    if level not in MIRNA_TYPE:
        raise ValueError(f"level is {level!r}; choose one of {sorted(MIRNA_TYPE)}.")
    if not projects or n_workers < 1:
        raise ValueError(f"Needs at least one project and one worker, got {projects} and n_workers={n_workers}.")
    folder = Path(data_dir or settings.data_dir / "gdc").expanduser()
    base_url = base_url.rstrip("/")
    rna_files, mirna_files = _listed(projects, level, folder, base_url)
    download_files(pd.concat([rna_files, mirna_files]), folder, base_url, n_workers)

    rna, genes = stack(rna_files, folder, read_star_counts)
    reader = read_mirna_quantification if level == "stem-loop" else read_isoform_quantification
    mirna, mirnas = stack(mirna_files, folder, reader)
    if level == "mature":
        mirnas = _named(mirnas, names or {})
    obs = rna_files[["patient", "sample_type", "sample"]].assign(
        cohort=rna_files["project"].str.removeprefix("TCGA-"),
        rna_file=rna_files["file_id"],
        mirna_file=mirna_files["file_id"],
    )
    return paired_mudata(obs, rna, genes, mirna, mirnas)


def _named(mirnas: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Names of accessions as index; the accessions become a column."""
    accession = mirnas.index.to_numpy()
    index = pd.Index([names.get(name, name) for name in accession])
    if not index.is_unique:
        twice = sorted(set(index[index.duplicated()]))[:5]
        raise ValueError(f"names gives the same name to several accessions: {twice}; make them different.")
    return pd.DataFrame({"accession": accession}, index=index)
