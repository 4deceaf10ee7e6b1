"""Two matrices of the same samples as one MuData."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mudata import MuData
    from numpy.typing import NDArray

#: What every loader of this package puts into ``obs``.
OBS_COLUMNS = ("cohort", "patient", "sample_type", "sample")

# Two digits of the fourth field of a TCGA barcode, in the words of the GDC.
_TCGA_SAMPLE_TYPE = {
    "01": "Primary Tumor",
    "02": "Recurrent Tumor",
    "03": "Primary Blood Derived Cancer - Peripheral Blood",
    "05": "Additional - New Primary",
    "06": "Metastatic",
    "07": "Additional Metastatic",
    "11": "Solid Tissue Normal",
}


def without_vial(sample: str) -> str:
    """``TCGA-OR-A5J1-01A`` (one tube) -> ``TCGA-OR-A5J1-01`` (one patient and one kind of tissue)."""
    return re.sub(r"(-\d\d)[A-Z]$", r"\1", sample)


def tcga_obs(samples: Iterable[str], cohort: str) -> pd.DataFrame:
    """What a TCGA barcode alone says about a sample; indexed by the barcode without its vial."""
    samples = list(samples)
    code = [match[1] if (match := re.match(r"TCGA-\w\w-\w{4}-(\d\d)", sample)) else "" for sample in samples]
    return pd.DataFrame(
        {
            "cohort": cohort,
            "patient": ["-".join(sample.split("-")[:3]) for sample in samples],
            "sample_type": [_TCGA_SAMPLE_TYPE.get(digits, "unknown") for digits in code],
            "sample": samples,
        },
        index=[without_vial(sample) for sample in samples],
    )


def one_per_sample(vials: Iterable[str]) -> dict[str, str]:
    """Barcode without vial -> the first of its vials in alphabetical order."""
    chosen: dict[str, str] = {}
    for vial in sorted(vials):
        chosen.setdefault(without_vial(vial), vial)
    return chosen


def paired_mudata(
    obs: pd.DataFrame,
    rna: NDArray[np.floating] | sparse.spmatrix,
    rna_var: pd.DataFrame,
    mirna: NDArray[np.floating] | sparse.spmatrix,
    mirna_var: pd.DataFrame,
) -> MuData:
    """MuData of the modalities ``"rna"`` and ``"mirna"``.

    Parameters
    ----------
    obs
        Samples; all of :data:`OBS_COLUMNS`. Stored in the MuData and in both modalities.
    rna, mirna
        Samples x genes and samples x miRNAs, same rows as ``obs``.
    rna_var, mirna_var
        Indexed by the names of the columns.
    """
    import mudata
    from anndata import AnnData

    from midgd._mudata import without_pulling

    obs = obs.rename_axis(None)
    obs = obs.assign(**{name: obs[name].astype(str).astype("category") for name in OBS_COLUMNS})
    modalities = {
        "rna": AnnData(sparse.csr_matrix(rna, dtype=np.float32), obs=obs.copy(), var=rna_var),
        "mirna": AnnData(sparse.csr_matrix(mirna, dtype=np.float32), obs=obs.copy(), var=mirna_var),
    }
    # Pulling would add a second copy of every column under the name of its modality.
    with without_pulling():
        pairs = mudata.MuData(modalities)
    pairs.obs = obs.loc[pairs.obs_names].assign(**{name: pairs.obs[name] for name in pairs.obs})
    return pairs
