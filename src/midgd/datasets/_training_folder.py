"""TCGA from the Genomic Data Commons, in the layout that the benchmark and the training of the reference read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from scipy import sparse

from midgd._files import new_file
from midgd.datasets._gdc import download_files, list_files
from midgd.datasets._mirbase import MIRBASE, read_mirbase
from midgd.datasets._pairs import without_vial
from midgd.datasets._tcga import (
    GDC_API,
    MIRNA_TYPE,
    Level,
    read_isoform_quantification,
    read_mirna_quantification,
    stack,
    tcga,
)
from midgd.download.fetch import fetch
from midgd.settings import logger, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

#: The kinds of sample that the training tells apart, from the words of the GDC; others are those words in lower case.
SAMPLE_TYPES = {
    "Primary Tumor": "primary_tumor",
    "Primary Blood Derived Cancer - Peripheral Blood": "primary_blood",
    "Solid Tissue Normal": "normal_adjacent",
}
#: Share of the patients below which a patient trains, validates or tests: 75, 10 and 15 in 100.
SPLITS = {"train": 0.75, "val": 0.85, "test": 1.0}


def split_of(patient: str, seed: int = 0) -> str:
    """Split of a patient, by a rule: it depends on nothing but the barcode and the seed.

    The SHA-256 of ``"<seed>:<patient>"`` is read as a number between 0 and 1 and compared with :data:`SPLITS`. So a
    patient has the same split on any machine, whichever other patients or cohorts were fetched.

    Parameters
    ----------
    patient
        Barcode of the patient, ``"TCGA-OR-A5J1"``.
    seed
        Another seed gives another division.

    Returns
    -------
    ``"train"``, ``"val"`` or ``"test"``.

    Examples
    --------
    >>> split_of("TCGA-OR-A5J1")
    'train'
    """
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    return next(name for name, end in SPLITS.items() if position < end)


def tcga_folder(
    folder: Path | str,
    projects: str | Sequence[str] | None = None,
    *,
    seed: int = 0,
    data_dir: Path | str | None = None,
    n_workers: int = 4,
    base_url: str = GDC_API,
    mirbase_url: str = MIRBASE,
) -> Path:
    """Make the folder of paired data that :func:`midgd.bench.run` and ``scripts/train_reference.py`` read.

    Matched mRNA and miRNA counts of TCGA are downloaded from the open tier of the GDC, and the names of miRNAs from
    miRBase. Call again after an interruption: complete files are kept. The downloads stay in ``data_dir``.

    Parameters
    ----------
    folder
        Folder to make or to complete. Tables that are there are replaced, other files are left alone.
    projects
        GDC projects, such as ``"TCGA-ACC"``; None for the 21 cohorts of the bundled reference. A sample
        needs 4 to 5 MB of downloads, so a project of 80 samples needs 0.4 GB and all 21 need tens of GB.
    seed
        Of the division of patients, see :func:`midgd.datasets.split_of`. Patients that are in the file
        ``patient_splits.csv`` of the folder keep their split.
    data_dir
        Folder of the downloads, default ``midgd.settings.data_dir / "gdc"``.
    n_workers
        Downloads at a time.
    base_url, mirbase_url
        Addresses of the API of the GDC, and of miRBase's table of human miRNAs.

    Returns
    -------
    The folder, with

    - ``tcga_counts_full/``: ``mrna.h5ad`` (samples x protein-coding genes by symbol), ``mirna_stemloop.h5ad`` and
      ``mirna_mature.h5ad``, raw counts of the samples that have both RNAs;
    - ``tcga_mirna_only/``: the two miRNA tables of all samples, with or without mRNA;
    - ``knowledge/``: Ensembl ids of the genes, and which mature miRNA comes from which stem-loop;
    - ``patient_splits.csv``: patient, cohort, split.

    Raises
    ------
    ValueError
        If no project has pairs, or a downloaded file is damaged or has unknown columns.
    ConnectionError
        If an address cannot be read; names what to fetch by hand, and where to put it.

    Examples
    --------
    >>> midgd.datasets.tcga_folder("tcga", ["TCGA-ACC", "TCGA-UVM"])  # doctest: +SKIP
    >>> midgd.bench.run(["ridge", "midgd"], ["bulk", "depth"], data_dir="tcga")  # doctest: +SKIP
    """
    chosen = _default_projects() if projects is None else [projects] if isinstance(projects, str) else list(projects)
    source = _Source(Path(data_dir or settings.data_dir / "gdc").expanduser(), n_workers, base_url.rstrip("/"))
    target = Path(folder).expanduser()
    mirbase = read_mirbase(fetch(mirbase_url, known_hash=None, folder=source.folder / "mirbase", fname="hsa.gff3"))
    once = mirbase.drop_duplicates("mimat")
    names = dict(zip(once["mimat"].astype(str), once["mature"].astype(str), strict=True))

    pairs = {
        level: tcga(chosen, level=level, names=names, data_dir=source.folder, n_workers=n_workers, base_url=base_url)
        for level in MIRNA_TYPE
    }
    mrna, genes = _by_symbol(pairs["stem-loop"]["rna"])
    stem_loop, mature = (_as_stored(pairs[level]["mirna"]) for level in MIRNA_TYPE)
    mature = mature[mature.obs_names.isin(mrna.obs_names)].copy()
    tables = {
        "tcga_counts_full/mrna.h5ad": mrna,
        "tcga_counts_full/mirna_stemloop.h5ad": stem_loop,
        "tcga_counts_full/mirna_mature.h5ad": mature,
        "tcga_mirna_only/mirna_stemloop.h5ad": source.mirna(chosen, "stem-loop", {}),
        "tcga_mirna_only/mirna_mature.h5ad": source.mirna(chosen, "mature", names),
    }
    for name, table in tables.items():
        with new_file(target / name) as new:
            table.write_h5ad(new)
        logger.info("%s: %d samples x %d", target / name, *table.shape)
    _write_csv(genes, target / "knowledge" / "gene_id_map_ensembl_symbol_entrez_biotype.csv.gz")
    _write_csv(mirbase, target / "knowledge" / "mirbase_v22_precursor_to_mature.csv.gz")
    _write_csv(_splits(mrna.obs, target / "patient_splits.csv", seed), target / "patient_splits.csv")
    return target


class _Source(NamedTuple):
    """Where files come from, and the miRNA tables of all samples."""

    folder: Path
    n_workers: int
    base_url: str

    def mirna(self, projects: Sequence[str], level: Level, names: dict[str, str]) -> AnnData:
        """Counts of the first vial of every sample, with or without mRNA."""
        from anndata import AnnData

        files = list_files(projects, MIRNA_TYPE[level], self.folder, self.base_url)
        files = files.set_index(files["sample"].map(without_vial))  # listed in the order of vial and file
        files = files[~files.index.duplicated()].rename_axis(None)
        download_files(files, self.folder, self.base_url, self.n_workers)
        reader = read_mirna_quantification if level == "stem-loop" else read_isoform_quantification
        counts, features = stack(files, self.folder, reader)
        obs = files[["patient", "sample_type"]].assign(cohort=files["project"].str.removeprefix("TCGA-"))
        var = pd.DataFrame(index=[names.get(name, name) for name in features.index])
        return _as_stored(AnnData(counts, obs=obs, var=var))


def _default_projects() -> list[str]:
    from midgd.reference import load

    return [f"TCGA-{cohort}" for cohort in load("default").card["training"]["cohorts"]]


def _as_stored(table: AnnData) -> AnnData:
    """Counts with the columns of ``obs`` that the tables of the benchmark have."""
    from anndata import AnnData

    obs = table.obs[["cohort", "patient"]].astype(str)
    kind = table.obs["sample_type"].astype(str)
    obs["sample_type"] = kind.map(SAMPLE_TYPES).fillna(kind.str.lower().str.replace(r"\W+", "_", regex=True))
    obs = obs.assign(source="GDC", quant="star_counts")
    return AnnData(sparse.csr_matrix(table.X), obs=obs, var=pd.DataFrame(index=table.var_names))


def _by_symbol(rna: AnnData) -> tuple[AnnData, pd.DataFrame]:
    """Protein-coding genes by symbol, ids of one symbol summed, and the table of ids."""
    from anndata import AnnData

    coding = rna[:, (rna.var["gene_type"] == "protein_coding").to_numpy()]
    symbols, position = pd.factorize(coding.var["gene_name"].astype(str), sort=True)[::-1]
    sums = sparse.csr_matrix(
        (position * 0 + 1.0, (range(len(position)), position)), shape=(len(position), len(symbols))
    )
    by_symbol = AnnData(coding.X @ sums, obs=coding.obs.copy(), var=pd.DataFrame(index=symbols.astype(str)))
    ids = coding.var_names.str.replace(r"\.\d+", "", regex=True)
    genes = pd.DataFrame(
        {"ensemblID": ids, "geneSymbol": coding.var["gene_name"].to_numpy(), "biotype": "protein_coding"}
    )
    return _as_stored(by_symbol), genes[~genes["ensemblID"].str.endswith("_PAR_Y")]


def _splits(obs: pd.DataFrame, path: Path, seed: int) -> pd.DataFrame:
    """Patients of a file that is there keep their split, the others get one by the rule."""
    patients = obs.drop_duplicates("patient")[["patient", "cohort"]].sort_values("patient", ignore_index=True)
    patients["split"] = [split_of(patient, seed) for patient in patients["patient"]]
    if not path.is_file():
        return patients
    known = pd.read_csv(path, dtype=str)
    if missing := {"patient", "split"} - set(known):
        raise ValueError(f"{path} lacks the columns {sorted(missing)}; correct it, or move it away for a new division.")
    return pd.concat([known, patients[~patients["patient"].isin(known["patient"])]], ignore_index=True)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with new_file(path) as new:
        table.to_csv(new, index=False, compression="gzip" if path.suffix == ".gz" else None)
