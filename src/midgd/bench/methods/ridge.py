"""Kernel ridge on log CPM, the baseline to beat: at full depth, at the depth of the query, with most tissues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData
from midgd.bench.methods.base import Extra, Floats, Mask, log_share
from midgd.bench.methods.kernel import kernel_ridge
from midgd.bench.perturb import downsample

Predictor = Callable[[NDArray[np.float32]], Floats]


class Ridge:
    """Linear kernel ridge of log1p CPM on log gene shares; the penalty is chosen by patient-wise 5-fold CV.

    Parameters
    ----------
    name
        Name in the table.
    match_depth
        Train on data downsampled to the query's median depth when that is less than half the training depth.
    copies
        Downsampled copies of the training data that are stacked (only with ``match_depth``).
    scale
        Gene shares are multiplied by it before log1p; ``None`` takes the query's median depth, at most a
        million. A single molecule among 1,000 then counts log 2 and not log 1,001.
    """

    uses_extra = False

    def __init__(
        self, name: str = "ridge", *, match_depth: bool = False, copies: int = 1, scale: float | None = 1e6
    ) -> None:
        self.name, self.match_depth, self.copies, self.scale = name, match_depth, copies, scale

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Keep the pairs; without ``match_depth`` also solve for all genes."""
        self.train_, self.seed_ = train, seed
        self.depth_ = float(np.median(train.x.sum(axis=1, dtype=np.float64)))
        self._models: dict[tuple[bytes, float | None, float], Predictor] = {}
        if not self.match_depth and self.scale is not None:
            self._model(np.ones(len(train.genes), dtype=bool), None, self.scale)

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """Infer from the genes present, trained again on just those."""
        query = float(np.median(x[:, genes_present].sum(axis=1, dtype=np.float64)))
        present = float(np.median(self.train_.x[:, genes_present].sum(axis=1, dtype=np.float64)))
        depth = max(query, 1.0) if self.match_depth and query < 0.5 * present else None
        scale = self.scale if self.scale is not None else float(np.clip(query, 1.0, 1e6))
        return self._model(genes_present, depth, scale)(log_share(x, genes_present, scale))

    def _model(self, genes_present: Mask, depth: float | None, scale: float) -> Predictor:
        key = (genes_present.tobytes(), depth, scale)
        if key not in self._models:
            self._models = dict(list(self._models.items())[:1])
            self._models[key] = self._solve(genes_present, depth, scale)
        return self._models[key]

    def _solve(self, genes_present: Mask, depth: float | None, scale: float) -> Predictor:
        counts, copies = self.train_.x[:, genes_present], 1
        all_present = np.ones(counts.shape[1], dtype=bool)
        if depth is None:
            features = log_share(counts, all_present, scale)
        else:
            rng, copies = np.random.default_rng(self.seed_), self.copies
            shallow = (downsample(counts, depth, rng) for _ in range(copies))
            features = np.concatenate([log_share(part, all_present, scale) for part in shallow])
        log_cpm = np.tile(self.train_.log_cpm, (copies, 1))
        patients = np.tile(self.train_.obs["patient"].astype(str).to_numpy(), copies)
        return kernel_ridge(features, log_cpm, patients, self.seed_)


class WideRidge(Ridge):
    """Ridge on the table with more tissues and fewer genes ("common", or "mature-common"), where a scenario allows it.

    Falls back to the scenario's own training data when there is no such table.
    """

    uses_extra = True

    def fit(self, train: PairedData, *, seed: int = 0, extra: Extra | None = None) -> None:
        """Solve on the genes and miRNAs that both tables have."""
        # Mature names are only in the mature table: take the one that knows most of the miRNAs asked for.
        tables = [extra[name] for name in ("common", "mature-common") if extra and name in extra]
        chosen = max(tables, key=lambda table: int(train.mirnas.isin(table.mirnas).sum()), default=train)
        self.columns_, self.known_ = train.genes.isin(chosen.genes), train.mirnas.isin(chosen.mirnas)
        self.mean_ = train.log_cpm.mean(axis=0)
        super().fit(chosen.select(train.genes[self.columns_], train.mirnas[self.known_]), seed=seed)

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """Infer from the genes that table has; miRNAs it does not have get their training mean."""
        out = np.tile(self.mean_, (len(x), 1))
        out[:, self.known_] = super().predict(x[:, self.columns_], genes_present[self.columns_])
        return out
