"""Scores of inferred miRNA of single cells against sorted cells of the same kinds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.scoring import Answered, Outcome

Floats = NDArray[np.floating]

#: log1p CPM from which on a miRNA is present in a kind: 100 CPM
PRESENT = np.log1p(100.0)
#: what sorting says lymphocytes lack, and what tissues around them have
STROMAL = ("hsa-mir-143", "hsa-mir-145", "hsa-mir-10b", "hsa-mir-100", "hsa-mir-99b")
#: what blood cells lack
OTHERS = (
    *("hsa-mir-200c", "hsa-mir-141", "hsa-mir-205", "hsa-mir-122", "hsa-mir-1-2", "hsa-mir-133a-1"),
    *("hsa-mir-124-1", "hsa-mir-451"),
)
LYMPHOCYTES = ("CD4 T cell", "CD8 T cell", "B cell", "NK cell")


@dataclass(frozen=True)
class CellScoring:
    """Fold differences between kinds, ranks of kinds, and the leak of absent miRNAs.

    Parameters
    ----------
    compared
        Only pairs of kinds with one of these; all pairs if empty.
    """

    compared: tuple[str, ...] = ()

    def __call__(self, answered: Answered, mirnas: pd.Index, n_boot: int, seed: int) -> Outcome:
        """Score the means over the cells of a kind; resamples are of cells within kinds.

        ``fold_difference`` is the correlation of inferred and measured differences of log1p CPM between two kinds over
        miRNAs above 100 CPM in one of them, the mean over pairs of kinds and query studies. ``kind_rank`` is the
        Spearman correlation over kinds, the mean over miRNAs that differ twofold. ``leak`` is by how many log2 units
        absent miRNAs are too high: stromal ones in lymphocytes; ``leak_others`` of other tissues in all cells.
        """
        query, kind = (answered.obs[column].astype(str).to_numpy() for column in ("query", "cohort"))
        groups = [np.flatnonzero((query == q) & (kind == k)) for q, k in sorted(set(zip(query, kind, strict=True)))]
        rng = np.random.default_rng(seed)

        def values(rows: list[NDArray[np.int64]]) -> list[float]:
            truth = np.stack([answered.truth[r[0]] for r in rows])
            predicted = np.stack([answered.predicted[r].mean(0) for r in rows])
            names, studies = [kind[r[0]] for r in rows], [query[r[0]] for r in rows]
            return [
                self._fold(truth, predicted, names, studies),
                _rank(truth, predicted, studies),
                _leak(truth, predicted, names, mirnas.get_indexer(pd.Index(STROMAL)), LYMPHOCYTES),
                _leak(truth, predicted, names, mirnas.get_indexer(pd.Index(OTHERS)), tuple(set(names))),
            ]

        metrics = ["fold_difference", "kind_rank", "leak", "leak_others"]
        draws = [values([rng.choice(rows, len(rows)) for rows in groups]) for _ in range(n_boot)]
        return Outcome(
            pd.Series(values(groups), index=metrics),
            pd.DataFrame(np.array(draws).reshape(-1, len(metrics)), columns=metrics),
            len(answered.truth),
            len(mirnas),
            answered.seconds_fit,
            answered.seconds_predict,
        )

    def _fold(self, truth: Floats, predicted: Floats, names: list[str], studies: list[str]) -> float:
        found = []
        for i, j in combinations(range(len(names)), 2):
            if studies[i] != studies[j] or (self.compared and not {names[i], names[j]} & set(self.compared)):
                continue
            present = np.maximum(truth[i], truth[j]) > PRESENT
            differences = (values[i, present] - values[j, present] for values in (truth, predicted))
            found.append(np.corrcoef(*differences)[0, 1])
        return float(np.mean(found))


def _rank(truth: Floats, predicted: Floats, studies: list[str]) -> float:
    """Spearman correlation over the kinds of each study, of miRNAs that are present and differ twofold."""
    found = []
    for study in set(studies):
        own = np.array([s == study for s in studies])
        measured, inferred = truth[own], predicted[own]
        counted = (measured.max(0) > PRESENT) & (np.ptp(measured, axis=0) > np.log(2.0))
        for column in np.flatnonzero(counted):
            pair = pd.DataFrame({"truth": measured[:, column], "predicted": inferred[:, column]})
            found.append(float(pair.corr("spearman").to_numpy()[0, 1]))
    return float(np.nanmean(found))


def _leak(
    truth: Floats, predicted: Floats, names: list[str], columns: NDArray[np.intp], kinds: tuple[str, ...]
) -> float:
    rows = np.flatnonzero([name in kinds for name in names])
    columns = columns[columns >= 0]
    return float((predicted - truth)[np.ix_(rows, columns)].mean() / np.log(2.0))
