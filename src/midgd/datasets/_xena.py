"""Tables of the UCSC Xena hubs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from midgd.datasets._pairs import one_per_sample, paired_mudata, tcga_obs
from midgd.datasets._tables import numeric, read_table
from midgd.download.fetch import fetch
from midgd.settings import logger, settings

if TYPE_CHECKING:
    from mudata import MuData

XENA_GDC = "https://gdc.xenahubs.net/download"
MAX_LOG2 = 40  # 10^12 reads: more than any sequencer gives

# Column of a phenotype table -> our column; the later names are those of older releases.
_PHENOTYPE = {
    "cohort": ("project_id.project", "cancer type abbreviation"),
    "patient": ("submitter_id", "_PATIENT"),
    "sample_type": ("sample_type.samples", "sample_type"),
}


def xena(
    mrna_table: str,
    mirna_table: str,
    phenotype: str | None = None,
    *,
    log2_offset: float | None = 1.0,
    data_dir: Path | str | None = None,
    base_url: str = XENA_GDC,
) -> MuData:
    """Pairs from two tables of a UCSC Xena hub.

    Of the GDC hub, ``TCGA-ACC.star_counts.tsv.gz`` holds log2(counts + 1) and ``TCGA-ACC.mirna.tsv.gz``
    log2(RPM + 1): the miRNA come back as reads per million, not as counts. For miRNA counts use :func:`tcga`.

    Parameters
    ----------
    mrna_table, mirna_table
        Names below ``base_url``, or whole addresses. Genes or miRNAs x samples, tab-separated, perhaps gzipped.
    phenotype
        Table of samples with, if there, ``project_id.project``, ``submitter_id`` and ``sample_type.samples``.
        Without it these come from the barcodes and from the name of the mRNA table.
    log2_offset
        The tables hold ``log2(x + log2_offset)``, which is undone: 1 for the GDC and TCGA hubs, 0.001 for Toil TPM.
        None if the values are not logarithms. Values that are then integers but for the digits of the table are
        rounded.
    data_dir
        Cache folder, default ``midgd.settings.data_dir / "xena"``. Xena gives no checksums: delete a table to get
        it again.
    base_url
        Download address of the hub.

    Returns
    -------
    MuData with ``"rna"`` and ``"mirna"``, float32 CSR, of the samples in both tables, named by the barcode without
    vial. ``obs``: ``cohort``, ``patient``, ``sample_type`` and ``sample``. Features without any value are dropped;
    other missing values become 0, with a warning.

    Raises
    ------
    ValueError
        If a table is not numeric, is negative after undoing the logarithm, or the tables have no common sample.
    ConnectionError
        If the hub cannot be reached; names what to fetch by hand.

    Examples
    --------
    >>> mdata = midgd.datasets.xena("TCGA-ACC.star_counts.tsv.gz", "TCGA-ACC.mirna.tsv.gz")  # doctest: +SKIP
    """
    folder = Path(data_dir or settings.data_dir / "xena").expanduser()
    paths = [_get(name, folder, base_url) for name in (mrna_table, mirna_table)]
    rna, mirna = (_values(numeric(read_table(path), path), log2_offset, path) for path in paths)
    vials = [one_per_sample(table.index) for table in (rna, mirna)]
    both = one_per_sample(rna.index.intersection(mirna.index))
    names = sorted(vials[0].keys() & vials[1].keys())
    if not names:
        raise ValueError(
            f"{mrna_table} and {mirna_table} have no sample in common; their samples begin {list(rna.index[:3])} and "
            f"{list(mirna.index[:3])}."
        )
    rna, mirna = (
        table.loc[[{**own, **both}[name] for name in names]] for table, own in zip((rna, mirna), vials, strict=True)
    )
    cohort = re.match(r"(?:TCGA-)?(\w+)", paths[0].name)
    obs = tcga_obs(rna.index, cohort[1] if cohort else "unknown")
    if phenotype is not None:
        path = _get(phenotype, folder, base_url)
        obs = _with_phenotype(obs, read_table(path), path)
    return paired_mudata(
        obs,
        rna.to_numpy(),
        pd.DataFrame(index=rna.columns.rename(None)),
        mirna.to_numpy(),
        pd.DataFrame(index=mirna.columns.rename(None)),
    )


def _get(name: str, folder: Path, base_url: str) -> Path:
    url = name if re.match(r"https?://", name) else f"{base_url.rstrip('/')}/{name}"
    return fetch(url, known_hash=None, folder=folder)


def _values(table: pd.DataFrame, log2_offset: float | None, path: Path) -> pd.DataFrame:
    """Samples x features on the linear scale."""
    table = table.dropna(how="all").T
    values = table.to_numpy(np.float64)
    if log2_offset is not None:
        if values.size and np.nanmax(values) > MAX_LOG2:
            raise ValueError(
                f"{path}: values up to {np.nanmax(values):g} are not logarithms; give log2_offset=None for this table."
            )
        values = np.exp2(values) - log2_offset
    if missing := int(np.isnan(values).sum()):
        logger.warning("%s: %d missing values (%.1f %%) became 0", path, missing, 100 * missing / values.size)
        values = np.nan_to_num(values)
    if values.size and values.min() < -1e-3:
        raise ValueError(
            f"{path}: undoing log2(x + {log2_offset}) gives negative values (smallest {values.min():g}); give the "
            "log2_offset of this table, or None if its values are not logarithms."
        )
    values = np.maximum(values, 0)
    if np.allclose(values, np.round(values), rtol=1e-6, atol=1e-3):  # counts, but for the digits of the table
        values = np.round(values)
    return pd.DataFrame(values, index=table.index, columns=table.columns)


def _with_phenotype(obs: pd.DataFrame, phenotype: pd.DataFrame, path: Path) -> pd.DataFrame:
    found = obs["sample"].isin(phenotype.index)
    if not found.any():
        raise ValueError(
            f"{path}: no sample of the tables is among its row names, which begin {list(phenotype.index[:3])}; "
            f"the samples begin {list(obs['sample'][:3])}."
        )
    rows = phenotype[~phenotype.index.duplicated()].reindex(obs["sample"]).set_axis(obs.index, axis=0)
    for ours, theirs in _PHENOTYPE.items():
        column = next((name for name in theirs if name in rows), None)
        if column is not None:
            obs[ours] = rows[column].fillna(obs[ours])
    obs["cohort"] = obs["cohort"].str.removeprefix("TCGA-")
    return obs
