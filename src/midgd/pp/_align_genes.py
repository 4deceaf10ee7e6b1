from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from midgd import features
from midgd.features import GeneReport
from midgd.reference import Reference, load


def align_genes(var_names: Iterable[str], reference: str | Path | Reference = "default") -> GeneReport:
    """Report how gene names match a reference, without inferring anything.

    Parameters
    ----------
    var_names
        Symbols or Ensembl ids, for example ``adata.var_names``.
    reference
        See :func:`midgd.tl.infer_mirna`.

    Returns
    -------
    GeneReport
        Matched, missing and duplicated genes, with examples of both sides.

    Raises
    ------
    ValueError
        If too few genes match, or the names are not human.
    """
    return features.align_genes(list(var_names), load(reference).genes).report
