from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from anndata import AnnData

from midgd import features
from midgd.features import GeneReport
from midgd.reference import Reference, load


def align_genes(var_names: Iterable[str] | AnnData, reference: str | Path | Reference = "default") -> GeneReport:
    """Report how gene names match a reference, without inferring anything.

    Parameters
    ----------
    var_names
        Symbols or Ensembl ids, for example ``adata.var_names``; or the AnnData, whose ``var`` also says what is no
        gene (``feature_types``, ``genome``).
    reference
        See :func:`midgd.tl.infer_mirna`.

    Returns
    -------
    GeneReport
        Matched, missing and duplicated genes, and what is left out and why, with examples.

    Raises
    ------
    ValueError
        If too few genes match, or the names are not human.

    Examples
    --------
    >>> print(midgd.pp.align_genes(adata))  # doctest: +SKIP
    """
    genes = load(reference).genes
    if isinstance(var_names, AnnData):
        return features.align_genes(var_names.var_names, genes, features.read_annotation(var_names.var)).report
    return features.align_genes(list(var_names), genes).report
