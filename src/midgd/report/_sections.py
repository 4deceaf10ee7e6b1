"""The sections of a report, each from a result to HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd import pl
from midgd._text import one_line
from midgd.infer.domain import OUTSIDE
from midgd.pl.figure import BLUE, COLUMN, drawing, new_figure
from midgd.pl.values import accuracy, group_means, groups, outside, standing_out, trust
from midgd.report import _facts
from midgd.report._page import figure, listed, notes, paragraph, percent, table

# What the first section warns of: part of the genes found, counts of a cell, part of the cells outside the domain,
# probability of the nearest kind.
_FEW_GENES, _FEW_COUNTS, _MANY_OUTSIDE, _UNSURE = 0.3, 500, 0.1, 0.5
_GROUP = "midgd report: group"
# Rows of the tables and columns of the picture: what fits on a page.
_N_KINDS, _N_TOP, _N_ABUNDANT, _MOST_GROUPS = 15, 5, 20, 30
# Above it only 1, 10, 100, ... are labelled.
_MOST_TICKS = 7
LIMITS = (
    "The values are predictions. They say which miRNAs go with such mRNA in the samples that the reference was trained"
    " on. Nobody measured miRNA in these cells.",
    "Do not test them as if they had been measured. Cells that are alike get values that are alike, so a test over"
    " cells gives p-values that are far too small. Compare samples or donors.",
    "Compare one miRNA between groups of cells. Two miRNAs in one cell compare less well: sequencing sees some miRNAs"
    " better than others.",
    "miRNAs that are regulated after transcription do not follow from mRNA. Their held-out accuracy is low.",
    "A kind of cell that the reference does not know is answered from the kinds that are nearest to it. Look at the"
    " nearest kinds, also where the out-of-domain score is low.",
    "Held-out accuracy was measured over tissues and tumours. It says how well a miRNA follows from mRNA, not how well"
    " it tells your groups apart.",
    "Human genes only, and not for clinical use.",
)


def in_short(cells: AnnData, key: str, counts: NDArray[np.float64] | None) -> str:
    """What a reader should know before anything else; warnings first."""
    found = [*_warnings(cells, key, counts)]
    kinds = _facts.kinds(cells, key)
    if kinds is not None:
        first = ", ".join(f"{kind} ({percent(n / cells.n_obs)})" for kind, n in kinds["n"].head(3).items())
        found.append((f"Nearest kinds of the reference, most frequent first: {first}.", False))
    if counts is not None:
        found.append((f"Median of {np.median(counts):,.0f} counts a cell.", False))
    if _facts.has_scores(cells, key):
        within = percent(1 - outside(cells, key).mean())
        found.append((f"{within} of the cells are within the domain of the reference.", False))
    return notes(found)


def _warnings(cells: AnnData, key: str, counts: NDArray[np.float64] | None) -> Iterator[tuple[str, bool]]:
    genes = cells.uns[key].get("genes", {})
    if genes and genes["matched"] < _FEW_GENES * genes["n_reference"]:
        text = f"Only {genes['matched']:,} of the reference's {genes['n_reference']:,} genes were there. With all genes"
        yield f"{text} of the experiment the answer is better. A panel has no more.", True
    if counts is not None and np.median(counts) < _FEW_COUNTS:
        yield (
            "The cells are shallow. Summing the counts of similar cells first (--groupby of midgd infer) is better.",
            True,
        )
    far = float(outside(cells, key).mean())
    if far > _MANY_OUTSIDE:
        yield f"{percent(far)} of the cells are outside the domain of the reference: do not rely on their values.", True
    if not _facts.has_scores(cells, key):
        yield "The reference has no out-of-domain scores: nothing tells which cells are unlike what it knows.", True
    kinds = _facts.kinds(cells, key)
    if kinds is not None and np.average(kinds["probability"], weights=kinds["n"]) < _UNSURE:
        yield "Most cells are like several kinds of the reference or like none: their values are a mixture.", True


def genes(uns: Mapping[str, Any]) -> str:
    """How the gene names matched."""
    report = uns.get("genes")
    if not report:
        return paragraph("The file does not say how the genes matched.")
    share = percent(report["matched"] / max(report["n_reference"], 1))
    rows: list[tuple[str, object]] = [
        ("genes of the reference", int(report["n_reference"])),
        ("of these found", f"{report['matched']:,} ({share})"),
        ("columns of the query", int(report["n_query"])),
        ("of these used", int(report["n_used"])),
        ("names are", str(report["id_type"])),
        ("in another letter case", int(report.get("letter_case", 0))),
        ("genes with several columns, summed", len(report.get("duplicated", ()))),
    ]
    text = table(("", "genes"), rows)
    reasons = zip(*(list(report.get(f"left_out{part}", ())) for part in ("", "_columns", "_examples")), strict=False)
    left_out = [(str(reason), int(n), str(examples)) for reason, n, examples in reasons]
    return text + (
        paragraph("Not counted:") + table(("reason", "columns", "for example"), left_out) if left_out else ""
    )


def depths(counts: NDArray[np.float64] | None, why: str) -> str:
    """Counts per cell."""
    if counts is None:
        return paragraph(f"Not known, for the file has no counts ({why}).")
    quartiles = np.percentile(counts, [0, 25, 50, 75, 100])
    names = ("fewest", "a quarter has at most", "median", "a quarter has at least", "most")
    text = table(("counts per cell", "n"), [(name, round(float(q))) for name, q in zip(names, quartiles, strict=True)])
    with drawing():
        drawn = new_figure(COLUMN, 45.0)
        axis = drawn.add_subplot()
        axis.hist(np.log10(np.maximum(counts, 1.0)), bins=40, color=BLUE)
        low, high = axis.get_xlim()
        round_numbers = [n * 10**p for p in range(13) for n in (1, 2, 5)]
        ticks = [n for n in round_numbers if low <= np.log10(n) <= high]
        ticks = ticks if len(ticks) <= _MOST_TICKS else [n for n in ticks if str(n)[0] == "1"]
        axis.set_xticks(np.log10(ticks), [f"{n:,}" for n in ticks])
        axis.set_xlabel("counts per cell (log scale)")
        axis.set_ylabel("cells")
    caption = "The fewer counts a cell has, the less is known of its miRNA; below about 500, sum cells first."
    return text + _png(drawn, "Histogram of counts per cell", caption)


def nearest(cells: AnnData, key: str) -> str:
    """Which kinds of the reference the cells are nearest to."""
    kinds = _facts.kinds(cells, key)
    if kinds is None:
        return paragraph("The reference of these results knows no kinds of samples.")
    shown = kinds.head(_N_KINDS)
    columns = (shown.index, *(shown[name].to_list() for name in ("n", "probability", "outside")))
    rows = [
        (kind, n, percent(n / cells.n_obs), probability, percent(far))
        for kind, n, probability, far in zip(*columns, strict=True)
    ]
    rest = kinds.iloc[_N_KINDS:]
    more = paragraph(f"{len(rest):,} more kinds have {int(rest['n'].sum()):,} cells.") if len(rest) else ""
    head = ("kind of the reference", "cells", "share", "median probability", "outside the domain")
    text = "What the answer is built on. At a probability near 1 a cell is like that kind, at 0.3 like several or none."
    return paragraph(text) + table(head, rows) + more


def by_group(cells: AnnData, key: str, groupby: str | None) -> str:
    """The miRNAs that stand out in each group."""
    if groupby is None and _facts.kinds(cells, key) is None:
        return paragraph("No column of groups was named (--groupby), and the reference knows no kinds of samples.")
    labels = groups(cells, groupby, key)
    sizes = pd.Series(labels).value_counts()
    kept = [name for name in labels.categories if name in set(sizes.index[:_MOST_GROUPS])]
    if len(kept) < 2:
        return paragraph(f"All cells are of one group, {kept[0]}, so there is nothing to compare.")
    means = group_means(cells, labels).loc[kept]
    trusted = trust(cells, labels, key) if _known(cells) else None
    rows = []
    for name in kept:
        excess = standing_out(means, name).head(_N_TOP) / np.log(2)
        texts = [
            f"{m} (+{value:.1f}{'' if trusted is None else f', {trusted.loc[name, m]:.2f}'})"
            for m, value in excess.items()
        ]
        rows.append((name, int(sizes[name]), tuple(texts) or "none"))
    what = "nearest kind" if groupby is None else groupby
    text = (
        "In brackets: by how many log2 units the mean of the group exceeds that of the others, and how far to trust it,"
        " from 0 to 1: held-out accuracy of the miRNA times the share of the group's cells within the domain. This is"
        " no test."
    )
    more = f"{len(sizes) - len(kept):,} smaller groups are left out." if len(sizes) > len(kept) else ""
    head = (what, "cells", "miRNAs that stand out")
    return paragraph(text) + table(head, rows) + paragraph(more) + _matrix(cells, key, labels, kept, what)


def _matrix(cells: AnnData, key: str, labels: pd.Categorical, kept: list[str], what: str) -> str:
    chosen = np.asarray(labels.isin(kept))
    few = cells[chosen].copy()
    few.obs[_GROUP] = pd.Categorical(labels[chosen], kept)
    try:
        axis = pl.matrix(few, _GROUP, key=key, show=False)
    except ValueError as error:  # nothing is abundant
        return paragraph(f"No heat map: {error}")
    assert axis is not None
    caption = (
        f"Mean of each miRNA by {one_line(what, 60)}, in log2 units above (red) or below (blue) the mean of the groups."
        " Names in grey: held-out accuracy below 0.3 or not known."
    )
    return _png(axis.figure, f"Heat map of miRNAs by {what}", caption)


def _known(cells: AnnData) -> bool:
    return any(str(name).startswith("spearman_") for name in cells.var)


def what_to_trust(cells: AnnData, key: str) -> str:
    """Held-out accuracy of miRNAs, and scores of cells."""
    if not _known(cells):
        return paragraph("The file does not say how well the reference predicts each miRNA.")
    chosen = _facts.abundant(cells, _N_ABUNDANT)
    known, words = accuracy(cells, key)
    rows = [
        (name, round(cpm), bulk, shallow, _facts.verdict(known[name]))
        for name, cpm, bulk, shallow in zip(chosen.index, *(chosen[c].to_list() for c in chosen), strict=True)
    ]
    head = ("miRNA", "CPM in these cells", "accuracy as sequenced", "accuracy at 1,000 counts", f"in a word ({words})")
    good, poor = int((known >= _facts.GOOD).sum()), int((known < 0.3).sum())
    unknown = int(known.isna().sum())
    text = (
        "Held-out accuracy is the correlation of predicted and measured values over samples that were not used in"
        f" training, {words}. Of {len(known):,} miRNAs {good:,} are predicted well (0.6 or more), {poor:,} hardly"
        f" (below 0.3); of {unknown:,} it is not known. The {len(rows)} most abundant here:"
    )
    drawn = ""
    if _facts.kinds(cells, key) is not None:
        axes = pl.trust(cells, list(chosen.index[:3]), key=key, show=False)
        assert axes is not None
        caption = (
            "Left: every miRNA, how abundant it is in these cells and how well it was predicted. Middle: out-of-domain"
            f" score of every cell by its nearest kind; right of the line, at {OUTSIDE}, a cell is unlike what the"
            " reference knows. Right: probability of the nearest kind. Bars are medians."
        )
        drawn = _png(axes[0].figure, "Accuracy of miRNAs, scores and probabilities of cells", caption)
    return paragraph(text) + table(head, rows) + drawn


def limits() -> str:
    """What inferred values are not."""
    return listed(LIMITS)


def made_by(uns: Mapping[str, Any]) -> str:
    """Versions and parameters."""
    reference = uns.get("reference", {})
    rows = [
        ("midgd", uns.get("midgd_version", "not recorded")),
        ("reference", f"{reference.get('name', 'not recorded')} {reference.get('version', '')}"),
        ("sha256 of the reference", reference.get("sha256", "not recorded")),
        ("rows are", uns.get("sample_kind", "not recorded")),
        *((f"parameter {name}", value) for name, value in uns.get("params", {}).items()),
    ]
    return table(("", "value"), rows)


def _png(drawn: Any, alt: str, caption: str) -> str:
    import matplotlib.pyplot as plt

    try:
        return figure(drawn, alt, caption)
    finally:
        plt.close(drawn)
