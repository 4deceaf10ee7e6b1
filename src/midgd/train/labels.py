"""What the samples of a mosaic are: their kind, whether they are pure, and how sure the pair is.

In a label pair the mRNA comes from one study and the miRNA from another of the same kind of cell. Such rows stand in
the mosaic beside matched samples; their mRNA is a profile times a depth that says how much to trust it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SampleLabels:
    """Labels of the samples of a mosaic, in its order.

    Parameters
    ----------
    kind
        (n,) names: cell types, tissues, tumours.
    pure
        (n,) whether a sample is one kind of cell, not a tissue: it may be seen as a droplet.
    droplet_study
        (n,) the single-cell study that the mRNA profile is an average of; empty for all others.
    from_pairs
        (n,) whether mRNA and miRNA come from two studies.
    weight
        (n,) how much a sample counts in regressions: below 1 where the pair is not sure.
    """

    kind: NDArray[np.str_]
    pure: NDArray[np.bool_]
    droplet_study: NDArray[np.str_]
    from_pairs: NDArray[np.bool_]
    weight: NDArray[np.float32]

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"Labels of one mosaic must have one length; got {sizes}.")

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds, sorted."""
        return tuple(str(name) for name in np.unique(self.kind))

    @property
    def indicator(self) -> NDArray[np.float32]:
        """(n, n_kinds) one where a sample is of a kind."""
        return (self.kind[:, None] == np.array(self.kinds)[None]).astype(np.float32)

    @property
    def cell_kinds(self) -> NDArray[np.int64]:
        """Indices of the kinds that are cells: of which most samples are pure."""
        indicator = self.indicator
        return np.flatnonzero(self.pure @ indicator > 0.5 * indicator.sum(0))

    @property
    def of_cells(self) -> NDArray[np.bool_]:
        """(n,) whether the kind of a sample is one of cells, not a tissue."""
        return np.isin(self.kind, np.array(self.kinds)[self.cell_kinds])

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> SampleLabels:
        """Labels of a subset of samples, by mask or by position.

        Parameters
        ----------
        rows
            Mask (n,) or positions.

        Returns
        -------
        Labels in the order of the rows.
        """
        return SampleLabels(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))
