"""Label pairs: rows whose mRNA comes from one study and whose miRNA from another of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.cells.kinds import Kind
from midgd.bench.cells.mirnas import MicroRnaome, mean_of_studies
from midgd.bench.cells.profiles import SINGLE_CELL, Profiles
from midgd.train.labels import SampleLabels

Floats = NDArray[np.float32]

#: Counts that a profile enters with: it is no matter of counts, so it is trusted like a shallow bulk sample.
DEPTH = 1e5
#: Weight of a pair beside a matched sample. With 1, .4 and .15 tumours at 1,000 counts were .658, .663 and .665
#: (validation), sorted blood cells .92 each time, since kinds add what the maps then miss.
PAIR_WEIGHT = 0.3


@dataclass(frozen=True, eq=False)
class LabelPairs:
    """Pairs of all kinds.

    Attributes
    ----------
    obs
        ``kind``, ``group``, ``lineage``, ``weight``, ``source`` and ``droplet_study`` (empty for bulk) of each.
    mrna
        (n, n_genes) profiles times :data:`DEPTH`; 0 where not measured.
    measured
        (n, n_genes) mask.
    log_cpm
        (n, n_mirnas) of mature miRNAs, NaN where not measured.
    """

    obs: pd.DataFrame
    mrna: Floats
    measured: NDArray[np.bool_]
    log_cpm: Floats

    def __len__(self) -> int:
        return len(self.obs)


def label_pairs(
    kinds: Iterable[Kind],
    profiles: Profiles,
    mirnas: MicroRnaome,
    *,
    on_standard: Callable[[Floats], Floats] = lambda profile: profile,
    without_tables: tuple[str, ...] = (),
    allowed: Callable[[Kind, int], bool] = lambda kind, study: True,
) -> LabelPairs:
    """Every mRNA profile of a kind with the mean miRNA profile of its studies.

    Parameters
    ----------
    kinds
        Which.
    profiles, mirnas
        Where they come from.
    on_standard
        Brings log1p CPM (n_mirnas,) of the microRNAome to the scale of the other training samples.
    without_tables
        Short names of mRNA tables that are left out.
    allowed
        Whether miRNA samples of a kind and study may be used.

    Returns
    -------
    One row a profile of a kind.
    """
    rows, mrna, measured, log_cpm = [], [], [], []
    for kind in kinds:
        studies = mirnas.by_study(kind.mirna, lambda study, kind=kind: allowed(kind, study))  # type: ignore[misc]
        for source in kind.sources(without_tables) if studies else ():
            share, known = profiles(source)
            table = source.partition(":")[0]
            study = table if table in SINGLE_CELL else ""
            rows.append((kind.name, kind.group, kind.lineage, kind.weight, source, study))
            mrna.append(share * DEPTH)
            measured.append(known)
            log_cpm.append(on_standard(mean_of_studies(studies)))
    obs = pd.DataFrame(rows, columns=["kind", "group", "lineage", "weight", "source", "droplet_study"])
    obs.index = pd.Index(obs["kind"] + " | " + obs["source"], name=None)
    return LabelPairs(obs, np.stack(mrna), np.stack(measured), np.stack(log_cpm))


def sample_labels(kind: NDArray[np.str_], obs: pd.DataFrame) -> SampleLabels:
    """Labels for the training: of label pairs those they came with, of matched samples their kind alone.

    Parameters
    ----------
    kind
        (n,) kind of each sample.
    obs
        One row a sample; the columns ``group``, ``droplet_study`` and ``weight`` of :class:`LabelPairs` where a row is
        a label pair, missing where it is a matched sample.

    Returns
    -------
    Labels in the order of the rows.
    """
    columns = obs.reindex(columns=["group", "droplet_study", "weight"])
    from_pairs = columns["group"].notna().to_numpy()
    return SampleLabels(
        kind,
        from_pairs & (columns["group"] != "tissue").to_numpy(),
        columns["droplet_study"].fillna("").to_numpy(str),
        from_pairs,
        np.where(from_pairs, PAIR_WEIGHT * columns["weight"].fillna(1.0), 1.0).astype(np.float32),
    )
