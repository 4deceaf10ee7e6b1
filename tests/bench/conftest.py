"""A development folder in small: the layout of shared/data with invented counts."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

COHORTS = ("AAA", "BBB")
N_GENES, N_MIRNAS, N_PATIENTS = 60, 24, 24  # patients of each cohort


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Gene and miRNA counts that share three hidden programs, tumour and normal of each patient."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        [
            {"cohort": c, "patient": f"TCGA-{c[:2]}-{i:04d}", "sample_type": kind}
            for c in COHORTS
            for i in range(N_PATIENTS)
            for kind in ("primary_tumor", "normal_adjacent")
        ]
    )
    obs.index = pd.Index((obs["patient"] + np.where(obs["sample_type"] == "primary_tumor", "-01", "-11")).to_numpy())
    hidden = rng.normal(size=(len(obs), 3))
    hidden[:, 0] += 2.0 * (obs["cohort"] == "AAA")
    hidden[:, 1] += 1.5 * (obs["sample_type"] == "primary_tumor")
    x = rng.poisson(np.exp(5 + hidden @ rng.normal(size=(3, N_GENES)) * 0.6))
    y = rng.poisson(np.exp(6 + hidden @ rng.normal(size=(3, N_MIRNAS)) * 0.6))
    return x.astype(np.int32), y.astype(np.int32), obs


def write(folder: Path, values: np.ndarray, names: list[str], obs: pd.DataFrame, file: str) -> None:
    folder.mkdir(exist_ok=True)
    ad.AnnData(values, obs=obs.copy(), var=pd.DataFrame(index=names)).write_h5ad(folder / file)


@pytest.fixture(scope="session")
def dev_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dev")
    x, y, obs = world()
    genes = [f"G{i}" for i in range(N_GENES)]
    mirnas = [f"hsa-mir-{i}" for i in range(N_MIRNAS)]
    htseq, rsem = obs.assign(quant="htseq_counts"), obs.assign(quant="rsem_norm")
    for name, counts, rows, kept in (
        ("tcga_counts_full", x, htseq, N_GENES),
        ("tcga_unified_common", x, htseq, 30),
        ("tcga_rsem_full", 2 * x, rsem, 50),
        ("tcga_lihc_tpm", x * 1.5 + 0.25, obs.assign(cohort="LIHC", quant="tpm"), N_GENES),
    ):
        some = np.arange(len(rows)) < 20 if name == "tcga_lihc_tpm" else np.ones(len(rows), dtype=bool)
        write(root / name, counts[some][:, :kept], genes[:kept], rows[some], "mrna.h5ad")
        write(root / name, y[some], mirnas, rows[some], "mirna_stemloop.h5ad")
    later = np.arange(len(obs)) % 4 != 1  # fewer samples, in another order
    for name in ("tcga_counts_full", "tcga_unified_common"):
        write(root / name, y[later][::-1], mirnas, htseq[later][::-1], "mirna_mature.h5ad")
    write(root / "tcga_mirna_only", y, mirnas, obs, "mirna_stemloop.h5ad")
    write(root / "tcga_mirna_only", y, mirnas, obs[["cohort"]], "mirna_mature.h5ad")
    patients = obs.drop_duplicates("patient")
    split = np.where(np.arange(len(patients)) % 4 == 0, "test", "train")
    split[1::8] = "val"
    patients[["patient", "cohort"]].assign(split=split).to_csv(root / "patient_splits.csv", index=False)
    return root
