"""miRNA names that others wrote, found among the inferred ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from midgd.features.mirna import ARM, MirnaVocabulary, normalise_mirna_name


def find_mirnas(names: Sequence[object], mirnas: AnnData, key: str) -> NDArray[np.int64]:
    """Position of each name among ``mirnas.var_names``, -1 where it is not.

    Accessions, former names that the reference knows and other spellings are found. A name without an arm is the mature
    miRNA of that name if only one of its arms is there.
    """
    own = tuple(map(str, mirnas.var_names))
    accessions = tuple(mirnas.var["accession"]) if "accession" in mirnas.var else ("",) * len(own)
    found = MirnaVocabulary(own, accessions).match(names)
    if (found < 0).any():
        found = MirnaVocabulary(own, accessions, _aliases(mirnas.uns.get(key, {}))).match(names)
    arms: dict[str, list[int]] = {}
    for position, name in enumerate(own):
        arms.setdefault(ARM.sub("", name), []).append(position)
    for i in np.flatnonzero(found < 0):
        stem = normalise_mirna_name(str(names[int(i)]))
        only = arms.get(stem, []) if stem.startswith(("hsa-miR-", "hsa-let-")) else []
        found[i] = only[0] if len(only) == 1 else -1
    return found


def _aliases(uns: Mapping[str, Any]) -> Mapping[str, str]:
    """Former names, of the reference that made the result, if it can be loaded here."""
    from midgd.reference import load

    try:
        reference = load(uns["reference"]["name"])
        return reference.mirnas(uns["params"]["level"]).aliases
    except (KeyError, OSError, ValueError):
        return {}
