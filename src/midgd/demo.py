"""The demonstration: miRNA of 700 real PBMCs with the bundled reference, drawn with scanpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from midgd._files import new_file
from midgd.pl.figure import save_figure
from midgd.settings import logger

LABELS = "bulk_labels"
# The eleven sorted populations of the data, by the start of their names, in lineage order.
LINEAGES = {
    "CD34": "CD34+ progenitor",
    "CD14": "CD14+ monocyte",
    "Dendritic": "dendritic",
    "CD19": "B",
    "CD56": "NK",
    "CD8": "CD8+ T",
    "CD4": "CD4+ T",
}
# Known from sorted blood cells, and what the figure is read against.
MARKERS = {
    "hsa-miR-223-3p": "myeloid",
    "hsa-miR-150-5p": "lymphocytes",
    "hsa-miR-155-5p": "lymphocytes",
    "hsa-miR-181a-5p": "NK cells",
    "hsa-miR-142-3p": "all leukocytes",
}


def run(output: Path) -> list[Path]:
    """Infer, draw, write the values by cell type, compare with sorted cells; the paths of the five files."""
    import midgd
    from midgd.demo_sorted import against_sorted, plot_against_sorted

    adata = midgd.datasets.pbmc68k_counts()
    midgd.tl.infer_mirna(adata)
    mirna = midgd.get.mirna(adata)
    paths = [output / "pbmc_umap.png", output / "pbmc_dotplot.png", output / "pbmc_mirna_by_cell_type.csv"]
    _draw_umap(adata, paths[0])
    _draw_dotplot(adata, paths[1])
    by_type = mirna.to_df().groupby(mirna.obs[LABELS].astype(str)).mean()
    _write(by_type.T.round(3), paths[2])
    table = against_sorted(mirna, mirna.obs[LABELS])
    paths += [output / "pbmc_against_sorted.png", output / "pbmc_against_sorted.csv"]
    save_figure(plot_against_sorted(table), paths[3])
    _write(table.round(2), paths[4])
    worst = table["error"].abs().sort_values(ascending=False).index[:3]
    wrong = ", ".join(f"{name} in {kind} ({table.loc[(kind, name), 'error']:+.1f})" for kind, name in worst)
    logger.info("against sorted cells (Juzenas et al. 2017), log2; furthest off: %s", wrong)
    for name in ("hsa-miR-223-3p", "hsa-miR-150-5p"):
        logger.info("%s, CD14+ monocytes against T and B cells: AUROC %.2f", name, _monocyte_auroc(mirna, name))
    return paths


def _monocyte_auroc(mirna: AnnData, name: str) -> float:
    from midgd.metrics import auroc

    labels = mirna.obs[LABELS].astype(str)
    monocyte = labels.str.startswith("CD14").to_numpy()
    lymphocyte = labels.str.startswith(("CD4+", "CD8+", "CD19+")).to_numpy()
    chosen = monocyte | lymphocyte
    return float(auroc(mirna[chosen, name].X.ravel(), monocyte[chosen]))


def _draw_umap(adata: AnnData, path: Path) -> None:
    import matplotlib.pyplot as plt
    import scanpy as sc

    from midgd import pl

    cells = adata.copy()
    cells.obs["cell type"] = [_lineage(label) for label in cells.obs[LABELS]]
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5.5), layout="constrained")
    style: dict[str, Any] = {"show": False, "frameon": False, "size": 60}
    legend = {"legend_loc": "on data", "legend_fontsize": 7, "legend_fontoutline": 2}
    sc.pl.umap(cells, color="cell type", ax=axes[0, 0], **style, **legend)
    for axis, name in zip(axes.flat[1:5], MARKERS, strict=False):
        pl.embedding(cells, name, ax=axis, title=f"{name} ({MARKERS[name]})", **style)
    sc.pl.umap(cells, color="mirna_ood", ax=axes[1, 2], title="out-of-domain score", color_map="magma", **style)
    save_figure(figure, path)
    plt.close(figure)


def _draw_dotplot(adata: AnnData, path: Path) -> None:
    from midgd import pl

    cells = adata.copy()
    cells.obs[LABELS] = (
        cells.obs[LABELS].astype("category").cat.reorder_categories(_order_by_lineage(cells.obs[LABELS]))
    )
    pl.dotplot(cells, list(MARKERS), LABELS, z_score=True, show=False, save=path)


def _lineage(label: object) -> str:
    return next(name for start, name in LINEAGES.items() if str(label).startswith(start))


def _order_by_lineage(labels: pd.Series) -> list[str]:
    order = list(LINEAGES.values())
    return sorted(labels.astype(str).unique(), key=lambda label: order.index(_lineage(label)))


def _write(table: pd.DataFrame, path: Path) -> None:
    with new_file(path) as new:
        table.to_csv(new)
