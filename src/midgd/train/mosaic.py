"""Samples with missing parts: a modality that a sample lacks, a gene that a source did not measure.

What is missing is masked, never zero: rows that measured the same features share a *pattern*, and softmax and
likelihood of a row run over the features of its pattern only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Modality:
    """Counts of one modality for all samples of a mosaic.

    Parameters
    ----------
    counts
        (n_samples, n_features) float32; the value of an entry that was not measured is ignored.
    patterns
        (n_patterns, n_features) bool: the features that each pattern measured. An all-false row is a pattern of
        samples without this modality.
    pattern
        (n_samples,) index of each sample's pattern.
    """

    counts: NDArray[np.float32]
    patterns: NDArray[np.bool_]
    pattern: NDArray[np.int64]

    def __post_init__(self) -> None:
        n, n_features = self.counts.shape
        if self.patterns.shape[1:] != (n_features,) or self.pattern.shape != (n,):
            raise ValueError(
                f"counts {self.counts.shape}, patterns {self.patterns.shape} and pattern {self.pattern.shape} disagree;"
                " expected (n, F), (P, F) and (n,)."
            )

    @classmethod
    def from_mask(cls, counts: NDArray[np.float32], measured: NDArray[np.bool_] | None = None) -> Modality:
        """From counts and a mask of the same shape (everything measured when None).

        Parameters
        ----------
        counts
            (n, F) counts.
        measured
            (n, F) whether each was measured; None if all were.

        Returns
        -------
        The modality, with one pattern for all rows that measured the same.
        """
        if measured is None:
            measured = np.ones((1, counts.shape[1]), dtype=bool)
            return cls(np.asarray(counts, np.float32), measured, np.zeros(len(counts), np.int64))
        patterns, pattern = np.unique(measured, axis=0, return_inverse=True)
        return cls(np.asarray(counts, np.float32), patterns, pattern.reshape(-1).astype(np.int64))

    @classmethod
    def stack(cls, tables: Iterable[tuple[NDArray[Any], pd.Index]], features: pd.Index) -> Modality:
        """From tables one below the other, by the names of their columns.

        Parameters
        ----------
        tables
            Counts (n, n_columns) and the names of the columns, of each table.
        features
            Names of the features of the result, in its order. What a table does not list was not measured in it.

        Returns
        -------
        The rows of all tables, in their order; 0 where not measured.
        """
        counts, measured = [], []
        for values, names in tables:
            position = names.get_indexer(features)
            known = position >= 0
            placed = np.zeros((len(values), len(features)), np.float32)
            placed[:, known] = values[:, position[known]]
            counts.append(placed)
            measured.append(np.repeat(known[None], len(placed), 0))
        return cls.from_mask(np.concatenate(counts), np.concatenate(measured))

    @property
    def n_features(self) -> int:
        """Number of genes or miRNAs."""
        return self.counts.shape[1]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n_samples,) whether the sample has any feature of this modality."""
        return np.asarray(self.patterns.any(axis=1))[self.pattern]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(n_samples, n_features) mask."""
        return self.patterns[self.pattern]

    @property
    def log_cpm(self) -> NDArray[np.float32]:
        """(n_samples, n_features) log1p counts per million of the measured features; 0 where not measured."""
        # Like midgd.metrics.log1p_cpm, but in float32: a matrix of all genes is large.
        counts = np.where(self.measured, self.counts, 0.0)
        return np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1e-9) * 1e6).astype(np.float32)

    def groups(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Split rows by what they measured.

        Parameters
        ----------
        rows
            (k,) indices of samples; those that measured nothing are left out.

        Returns
        -------
        Pairs of positions within ``rows`` and the indices of the features that they measured.
        """
        pattern = self.pattern[rows]
        for p in np.unique(pattern):
            features = np.flatnonzero(self.patterns[p])
            if len(features):
                yield np.flatnonzero(pattern == p), features

    def take(self, rows: NDArray[np.int64]) -> Modality:
        """The modality of a subset of samples.

        Parameters
        ----------
        rows
            (k,) indices of samples.

        Returns
        -------
        Their counts, in that order.
        """
        return Modality(self.counts[rows], self.patterns, self.pattern[rows])


@dataclass(frozen=True)
class Mosaic:
    """Matched modalities of the same samples: ``{"mrna": Modality, "mirna": Modality}``.

    A third, ``"mature"``, has counts of mature miRNAs for the readout, where those of ``"mirna"`` are of stem-loops.
    """

    modalities: dict[str, Modality]

    def __post_init__(self) -> None:
        sizes = {name: len(m.counts) for name, m in self.modalities.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"Modalities must have the same samples in the same order; got {sizes} samples.")

    def __getitem__(self, name: str) -> Modality:
        return self.modalities[name]

    def __len__(self) -> int:
        return len(next(iter(self.modalities.values())).counts)

    @property
    def sizes(self) -> dict[str, int]:
        """Modality to number of features."""
        return {name: m.n_features for name, m in self.modalities.items()}

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | Sequence[int]) -> Mosaic:
        """A subset of samples, by mask or by position.

        Parameters
        ----------
        rows
            Mask (n,) or positions.

        Returns
        -------
        Their modalities, in that order.
        """
        chosen = np.arange(len(self))[np.asarray(rows)]
        return Mosaic({name: m.take(chosen) for name, m in self.modalities.items()})

    def only(self, *names: str) -> Mosaic:
        """Those of the named modalities that there are.

        Parameters
        ----------
        names
            Names of modalities.

        Returns
        -------
        The same samples with these modalities alone.
        """
        return Mosaic({name: modality for name, modality in self.modalities.items() if name in names})

    def check(self) -> None:
        """Raise a ValueError where a measured count is not a finite number of at least 0."""
        for name, m in self.modalities.items():
            bad = m.measured & ~((m.counts >= 0) & np.isfinite(m.counts))
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise ValueError(
                    f"{name}: sample {row}, feature {column} is {m.counts[row, column]} ({bad.sum():,} such values);"
                    " counts are finite and not negative. Mark what was not measured in the mask instead."
                )

    def fingerprint(self) -> str:
        """Hash of everything that was measured."""
        digest = hashlib.sha256()
        for name, m in self.modalities.items():
            digest.update(f"{name} {m.counts.shape}".encode())
            digest.update(np.packbits(m.measured).tobytes())
            digest.update(np.where(m.measured, m.counts, np.float32(0.0)).tobytes())
        return digest.hexdigest()
