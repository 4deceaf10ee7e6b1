"""Which profiles and which miRNA samples are of one kind: ``kinds.tsv``, a judgement made by reading the labels.

``mrna`` lists sources, ``;`` between them: ``blue:T.Cell.CD4&T.cell.CD4.memory`` is the mean of two rows of a table.
``mirna`` lists groups of microRNAome samples: ``Endothelial@90/aorta/vein`` are those of one type, study and organs.
``weight`` is 0.5 where types match in part only, for example cells of a tissue with cultured ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import pandas as pd


@dataclass(frozen=True)
class Kind:
    """One kind of cell, line or tissue."""

    name: str
    group: str
    lineage: str
    weight: float
    mrna: tuple[str, ...]
    mirna: tuple[str, ...]

    def sources(self, without: tuple[str, ...] = ()) -> tuple[str, ...]:
        """MRNA sources that are not from these tables.

        Parameters
        ----------
        without
            Short names of tables that are left out.

        Returns
        -------
        ``"table:row"`` of each source that is left.
        """
        return tuple(source for source in self.mrna if source.partition(":")[0] not in without)


def load_kinds() -> dict[str, Kind]:
    """All kinds by name."""
    with (resources.files(__package__) / "kinds.tsv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, sep="\t")
    split = {column: [tuple(part.split("; ")) for part in table[column]] for column in ("mrna", "mirna")}
    columns = (table["kind"], table["group"], table["lineage"], table["weight"], split["mrna"], split["mirna"])
    return {row[0]: Kind(*row) for row in zip(*columns, strict=True)}
