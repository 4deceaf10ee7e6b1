"""What each part of the model is worth: one part at a time by another name, on the validation split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd import __version__
from midgd._files import write_atomic
from midgd.bench.data import PairedData
from midgd.bench.methods import Midgd
from midgd.bench.methods.base import Extra, Floats, Mask
from midgd.bench.perturb import downsample
from midgd.bench.scenarios import bulk
from midgd.bench.study import Scenario, Study
from midgd.bench.table import run
from midgd.metrics import log1p_cpm
from midgd.train.parts import CHOICES, Parts

#: Part to its other names, see :class:`midgd.train.Parts`; the default stands in the first row of the table.
GRID: dict[str, tuple[str, ...]] = {
    part: tuple(name for name in names if name != Parts().card[part]) for part, names in CHOICES.items()
}
#: Molecules of the samples that are asked; None is as sequenced.
DEPTHS = (None, 10_000, 1_000)
# Most variable genes of the training samples that a model sees: with all 16,875 the table takes an hour on one core.
N_GENES = 4_000
BEGIN, END = "<!-- midgd bench --ablation: begin -->", "<!-- midgd bench --ablation: end -->"
DEFAULT = "default"
_TITLE = "# Parts of the model\n\n"


class Variant(Midgd):
    """midgd with one part by another name, trained on the scenario's own samples; counts its processor seconds.

    Parameters
    ----------
    name
        Name in the table.
    **parts
        See :class:`midgd.train.Parts`.
    """

    def __init__(self, name: str, **parts: str) -> None:
        super().__init__(name, mosaic=False, **parts)
        self.seconds_fit_, self.seconds_asked_ = 0.0, 0.0

    def fit(self, train: PairedData, *, seed: int = 0, extra: Extra | None = None) -> None:
        """As :class:`midgd.bench.Midgd`."""
        start = time.process_time()
        super().fit(train, seed=seed, extra=extra)
        self.seconds_fit_ = time.process_time() - start

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """log1p CPM, (n, n_mirnas)."""
        start = time.process_time()
        predicted = super().predict(x, genes_present, cohorts=cohorts)
        self.seconds_asked_ = time.process_time() - start
        return predicted


def ablation(
    data_dir: str | Path | None = None,
    *,
    on: str = "val",
    seed: int = 0,
    n_boot: int = 200,
    n_genes: int = N_GENES,
    grid: dict[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Train the default and every other name of every part, and score all at three depths.

    Parameters
    ----------
    data_dir, on, seed
        See :func:`midgd.bench.run`; the validation split by default, for parts are chosen by this table.
    n_boot
        Resamples over patients.
    n_genes
        Most variable genes of the training samples that a model sees.
    grid
        Part to its other names; None for :data:`GRID`.

    Returns
    -------
    DataFrame
        One row a model: part, choice, for every depth the mean Spearman correlation and the interval of its difference
        from the default (``"1,000 counts"``, and that with ``_low`` and ``_high``), n (scored samples), n_mirnas, and
        processor seconds of the training and of the questions at the last depth.
    """
    others = [(part, name) for part, names in (GRID if grid is None else grid).items() for name in names]
    methods = [Variant(DEFAULT), *(Variant(f"{part}: {name}", **{part: name}) for part, name in others)]
    scenarios = _scenarios(Study(data_dir, seed, on), n_genes)
    table = run(methods, scenarios, seed=seed, n_boot=n_boot, downstream=False, against=DEFAULT)
    lines = table[table["metric"] == "spearman"].to_dict("records")
    scores = {(line["arm"], line["setting"]): line for line in lines}
    rows = []
    for method, (part, name) in zip(methods, [("", DEFAULT), *others], strict=True):
        row: dict[str, Any] = {"part": part, "choice": name}
        for scenario in scenarios:
            found = scores[method.name, scenario.name]
            row |= {scenario.name: found["value"]}
            row |= {f"{scenario.name}_{end}": found[f"gain_{end}"] for end in ("low", "high")}
            row |= {"n": found["n"], "n_mirnas": found["n_mirnas"]}
        rows.append(row | {"seconds_fit": method.seconds_fit_, "seconds_asked": method.seconds_asked_})
    return pd.DataFrame(rows)


def write_ablation(table: pd.DataFrame, path: str | Path, *, on: str = "val", n_genes: int = N_GENES) -> Path:
    """Write the table as Markdown: into a page that has the two marks, or as a new page.

    Parameters
    ----------
    table
        From :func:`ablation`.
    path
        The page; text of it outside of the marks stays.
    on, n_genes
        As the table was made.

    Returns
    -------
    The page.

    Raises
    ------
    ValueError
        If there is a file without the marks.
    """
    path = Path(path)
    page = path.read_text(encoding="utf-8") if path.exists() else f"{_TITLE}{BEGIN}\n{END}\n"
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the lines {BEGIN!r} and {END!r}, between which the table is written.")
    block = _markdown(table, on, n_genes)
    write_atomic(path, f"{before}{BEGIN}\n\n{block}\n\n{END}{after}".encode())
    return path


def _scenarios(study: Study, n_genes: int) -> list[Scenario]:
    """Held-out samples on the most variable genes, at each depth; they share their training data."""
    (base,) = bulk(study)
    varies = np.argsort(-log1p_cpm(base.train.x).var(axis=0), kind="stable")[:n_genes]
    genes = base.train.genes[np.sort(varies)]
    train, test = base.train.select(genes), base.test.select(genes)
    made = []
    for depth in DEPTHS:
        counts = test.x if depth is None else downsample(test.x, depth, np.random.default_rng([study.seed, depth]))
        name = "as sequenced" if depth is None else f"{depth:,} counts"
        present = np.ones(len(genes), dtype=bool)
        made.append(Scenario(name, "ablation", train, replace(test, x=counts), present, depth))
    return made


def _markdown(table: pd.DataFrame, on: str, n_genes: int) -> str:
    depths = [str(name) for name in table if f"{name}_low" in table]
    records = table.to_dict("records")
    first = records[0]
    head = ["part", "choice", *depths, "training, s", "questions, s"]
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    for position, row in enumerate(records):
        cells = [row["part"] or "all", f"`{row['choice']}`" if row["part"] else "default"]
        for name in depths:
            gain, low, high = row[name] - first[name], row[f"{name}_low"], row[f"{name}_high"]
            difference = f" ({gain:+.3f}: {low:+.3f} to {high:+.3f})" if position else ""
            cells.append(f"{row[name]:.3f}{difference}")
        lines.append(" | ".join([*cells, f"{row['seconds_fit']:.0f}", f"{row['seconds_asked']:.1f}"]))
    said = (
        f"Written by `midgd bench --ablation` of midgd {__version__}. Mean Spearman correlation of {first['n_mirnas']}"
        f" miRNAs over the {first['n']} samples of the {on} split, and in brackets the difference from the default with"
        f" its 95 % interval (bootstrap over patients). Models saw the {n_genes:,} most variable genes of the training"
        " samples of one table. Seconds are of the processor, all cores together; questions are the samples at the"
        " fewest counts."
    )
    return said + "\n\n" + "\n".join(f"| {line} |" for line in lines)
