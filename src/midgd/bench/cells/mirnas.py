"""miRNA of kinds: samples of the microRNAome (McCall et al. 2017, with Juzenas 2017 and FANTOM5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.cells.kinds import load_kinds
from midgd.bench.data import data_folder
from midgd.metrics import log1p_cpm
from midgd.train.platforms import tied_offset

FILE = "cells/mirna_microRNAome.h5ad"
# Numbers of these studies in the microRNAome (column study_id).
JUZENAS, FANTOM5 = 89, 90
#: Normal tissues that TCGA (beside tumours of these cohorts) and the microRNAome both measured.
TIED = {"liver": ("LIHC",), "kidney": ("KIRC", "KIRP"), "thyroid": ("THCA",), "lung": ("LUAD", "LUSC")}
# Lines that the table lists under a type of primary cells: MCF7, without an organ.
_LINES = ("Mammary_epithelial", "None")
MIN_GOOD = 2  # samples of enough reads from which on the others are left out


class MicroRnaome:
    """Median profiles of groups of samples, study by study.

    Parameters
    ----------
    names
        Mature miRNAs, in the order of all results.
    data_dir
        Development folder, see :func:`midgd.bench.data.data_folder`.
    """

    def __init__(self, names: Iterable[str], data_dir: str | Path | None = None) -> None:
        data = ad.read_h5ad(data_folder(data_dir) / FILE)
        self.obs = data.obs
        counts = np.asarray(data.X.toarray() if hasattr(data.X, "toarray") else data.X)
        profiles = pd.DataFrame(log1p_cpm(counts), columns=data.var_names)
        column = {own: merged for merged in data.var_names for own in members(merged)}
        known = {name: column[own] for name in names for own in (name, name[:-3]) if own in column}
        self.log_cpm = np.full((data.n_obs, len(list(names))), np.nan, np.float32)
        for position, name in enumerate(names):
            if name in known:
                self.log_cpm[:, position] = profiles[known[name]]

    def by_study(
        self, groups: Iterable[str], allowed: Callable[[int], bool] = lambda _: True
    ) -> dict[int, tuple[int, NDArray[np.float32]]]:
        """Number of samples and median log1p CPM (n_mirnas,), NaN where not measured, of every study.

        Samples with less than 500,000 reads are left out where there are enough others.

        Parameters
        ----------
        groups
            Names of kinds in the miRNA table.
        allowed
            Whether a study, by its number, may be used.

        Returns
        -------
        Study to number of samples and profile.
        """
        samples = self.samples(groups, allowed)
        return {study: (len(own), np.median(own, axis=0)) for study, own in samples.items()}

    def samples(
        self, groups: Iterable[str], allowed: Callable[[int], bool] = lambda _: True
    ) -> dict[int, NDArray[np.float32]]:
        """Log1p CPM of the single samples of every study, as measured; those that :meth:`by_study` uses.

        Parameters
        ----------
        groups
            Names of kinds in the miRNA table.
        allowed
            Whether a study, by its number, may be used.

        Returns
        -------
        Study to (n_samples, n_mirnas), NaN where not measured.
        """
        chosen = np.any([self._chosen(group) for group in groups], axis=0)
        found = {}
        for study in np.unique(self.obs["study_id"].to_numpy()[chosen]):
            if not allowed(int(study)):
                continue
            own = chosen & (self.obs["study_id"] == study).to_numpy()
            good = own & ~self.obs["flagged"].to_numpy(dtype=bool)
            found[int(study)] = self.log_cpm[
                good if good.sum() >= MIN_GOOD or (good.any() and own.sum() < 2 * MIN_GOOD) else own
            ]
        return found

    def offset_from(self, tcga: NDArray[np.float32]) -> NDArray[np.float32]:
        """Offset of the microRNAome from TCGA, by the tissues of :data:`TIED`.

        Parameters
        ----------
        tcga
            (n_tied, n_mirnas) mean log1p CPM of these tissues in TCGA.

        Returns
        -------
        (n_mirnas,) in log1p CPM.
        """
        kinds = load_kinds()
        own = [mean_of_studies(self.by_study(kinds[name].mirna)) for name in TIED]
        return tied_offset(np.stack(own), tcga)

    def _chosen(self, group: str) -> NDArray[np.bool_]:
        head, *organs = group.split("/") if "@" in group else [group]
        kind, _, study = head.partition("@")
        rows = (self.obs["cell_tissue"].astype(str) == kind).to_numpy()
        organ = self.obs["organ"].astype(str).str.strip()
        if study:
            rows &= (self.obs["study_id"] == int(study)).to_numpy()
        elif kind == _LINES[0]:
            rows &= (organ != _LINES[1]).to_numpy()
        return rows & organ.isin([name.strip() for name in organs]).to_numpy() if organs else rows


def members(name: str) -> list[str]:
    """The miRNAs of a merged name: ``hsa-miR-17-5p/106a-5p`` is both.

    Parameters
    ----------
    name
        A name of the table.

    Returns
    -------
    One name or several.
    """
    if name == "hsa-miR-320a/b/c/d":
        return ["hsa-miR-320a-3p", "hsa-miR-320a", "hsa-miR-320b", "hsa-miR-320c", "hsa-miR-320d"]
    start = "hsa-let-" if name.startswith("hsa-let") else "hsa-miR-"
    return [start + part.removeprefix("hsa-").removeprefix("let-").removeprefix("miR-") for part in name.split("/")]


def mean_of_studies(studies: dict[int, tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Mean profile of studies, weighted by the square root of their samples: many donors count more, not all.

    Parameters
    ----------
    studies
        From :meth:`MicroRnaome.by_study`, at least one.

    Returns
    -------
    (n_mirnas,) log1p CPM.
    """
    weight = np.sqrt([n for n, _ in studies.values()])
    return np.asarray(weight @ np.stack([profile for _, profile in studies.values()]) / weight.sum(), np.float32)
