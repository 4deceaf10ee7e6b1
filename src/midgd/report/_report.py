from __future__ import annotations

from anndata import AnnData

from midgd.adata.results import is_result
from midgd.pl.values import column, result_of
from midgd.report import _facts, _sections
from midgd.report._page import page


def report(adata: AnnData, *, groupby: str | None = None, key: str = "mirna", title: str = "Inferred miRNA") -> str:
    """One page of HTML about inferred miRNA, for people who did not infer it.

    It says how the genes matched, how deep the cells are, which kinds of the reference they are nearest to and how far
    outside they are, which miRNAs stand out in each group, what to trust, and what the values are not. The page holds
    its pictures, loads nothing, and runs no script.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`, with the counts if the page is to say how deep the cells are; it is not
        changed.
    groupby
        Column of ``obs`` whose groups are compared; by default the nearest kind of the reference.
    key
        ``key_added`` of the results.
    title
        Heading of the page.

    Returns
    -------
    The page. ``midgd report`` writes it to a file.

    Raises
    ------
    KeyError
        If there are no results under this key, or the column is unknown.
    ValueError
        If the column has more than 100 groups.

    Examples
    --------
    >>> Path("report.html").write_text(midgd.report.report(adata, groupby="cell_type"))  # doctest: +SKIP
    """
    if groupby is not None:
        column(adata, groupby, "groupby")
    cells = result_of(adata, key)
    if not is_result(cells.uns.get(key)):
        raise KeyError(f"adata.uns[{key!r}] does not say how the miRNA was inferred: a report needs it.")
    uns = cells.uns[key]
    counts, why = None, "it holds the results alone"
    if key in adata.obsm:
        try:
            counts = _facts.depth(adata, uns.get("params", {}))
        except ValueError as error:
            why = str(error)
    level = uns.get("params", {}).get("level", "")
    under = f"{cells.n_obs:,} cells x {cells.n_vars:,} {level} miRNAs, inferred from mRNA by midgd"
    sections = [
        ("In short", _sections.in_short(cells, key, counts)),
        ("Genes", _sections.genes(uns)),
        ("Depth", _sections.depths(counts, why)),
        ("Nearest kinds", _sections.nearest(cells, key)),
        ("miRNAs by group", _sections.by_group(cells, key, groupby)),
        ("What to trust", _sections.what_to_trust(cells, key)),
        ("Limits", _sections.limits()),
        ("How it was made", _sections.made_by(uns)),
    ]
    return page(title, under, sections)
