from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from midgd.adata.holder import holder
from midgd.counts import is_dask, read_counts
from midgd.metrics import per_feature_correlation
from midgd.settings import logger
from midgd.tl._names import find_mirnas
from midgd.tl._targets import read_net
from midgd.tl._values import log_values, optional

if TYPE_CHECKING:
    from mudata import MuData

ROWS = 2_000  # at a time, for the genes are made dense
EXPRESSED = 0.05  # share of rows that a gene must be seen in
BINS = 20  # of mean expression, within which genes are exchanged for the random nets


def target_repression(
    adata: AnnData | MuData,
    net: pd.DataFrame | None = None,
    *,
    layer: str | None = None,
    gene_symbols: str | None = None,
    min_targets: int = 10,
    min_cpm: float = 10.0,
    n_random: int = 10,
    seed: int = 0,
    key: str = "mirna",
) -> pd.DataFrame:
    """Check inferred miRNAs against the repression of their targets.

    Each row's log CPM, centred by gene, is regressed on the targets of a miRNA with weight -1 (the univariate linear
    model of decoupler): the score is high where targets are low. If the miRNA represses them, score and inferred value
    rise and fall together over the rows.

    What it shows: the net was no part of the training, so agreement beyond that of random genes says that known biology
    is in the values. What it does not show: the inferred values come from the same mRNA, which may make them agree for
    other reasons, so agreement is no measurement; and most miRNAs repress their targets too little to be seen, so its
    absence says little about one miRNA. Judge all miRNAs together, against the random genes. Rows that differ a lot
    (tissues) show which genes the tissues have, not repression: run it within one kind.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`, with the counts in memory.
    net
        DataFrame with ``source`` (miRNA), ``target`` (gene symbol) and, if it has one, ``weight`` (negative for
        repression; default -1). None downloads the pairs of OmniPath.
    layer
        Layer with the counts; default the one of the inference.
    gene_symbols
        Column of ``var`` with gene symbols; default ``var_names``.
    min_targets
        miRNAs with fewer targets among the genes seen in at least 5 % of the rows are left out.
    min_cpm
        miRNAs of a smaller mean are left out: what is absent represses nothing.
    n_random
        Random nets to compare with: targets are exchanged for genes of similar mean expression.
    seed
        Of the random nets.
    key
        ``key_added`` of the inference.

    Returns
    -------
    DataFrame, a row for each miRNA: ``n_targets``, ``spearman`` of inferred value and score over the rows, ``random``
    (the mean of that over the random nets) and ``z``, the distance from it in their standard deviations.
    ``attrs["share_positive"]`` and ``attrs["share_positive_random"]`` have the shares of miRNAs with a positive
    correlation. ``obsm[f"{key}_repression"]`` gets the scores, rows x miRNAs.

    Raises
    ------
    ImportError
        If decoupler is not installed.
    ConnectionError
        If OmniPath cannot be reached.
    ValueError
        If the net has no miRNAs or no genes of the data.

    Examples
    --------
    >>> pairs = pd.read_csv("targets.csv")  # source, target  # doctest: +SKIP
    >>> found = midgd.tl.target_repression(adata, pairs)  # doctest: +SKIP
    >>> found.attrs["share_positive"], found.attrs["share_positive_random"]  # doctest: +SKIP
    """
    decoupler = optional("decoupler", "midgd.tl.target_repression")
    adata = holder(adata, key)
    mirnas = log_values(adata, key)
    mirnas = mirnas[:, np.asarray(mirnas.X).mean(0) >= np.log1p(min_cpm)].copy()
    pairs = read_net(net)
    params = adata.uns.get(key, {}).get("params", {})
    expression = _expression(adata, layer or params.get("layer"), bool(params.get("use_raw")), gene_symbols)
    pairs = _known_pairs(pairs, mirnas, key, expression.columns, min_targets)
    scores = _scores(decoupler, expression, pairs, min_targets)
    values = pd.DataFrame(np.asarray(mirnas.X, np.float64), mirnas.obs_names, mirnas.var_names)[scores.columns]
    found = pd.DataFrame({"n_targets": pairs["source"].value_counts().reindex(scores.columns)})
    found["spearman"] = per_feature_correlation(scores.to_numpy(), values.to_numpy())
    rng = np.random.default_rng(seed)
    random = []
    for _ in range(n_random):
        exchanged = _exchange(expression.attrs["mean"], rng)
        other = pairs.assign(
            target=expression.columns[exchanged][expression.columns.get_indexer(pd.Index(pairs["target"]))]
        )
        random.append(
            per_feature_correlation(_scores(decoupler, expression, other, min_targets)[scores.columns], values)
        )
    if random:
        table = np.stack(random)
        found["random"] = table.mean(0)
        found["z"] = (found["spearman"] - table.mean(0)) / table.std(0, ddof=1) if n_random > 1 else np.nan
        found.attrs["share_positive_random"] = float((table > 0).mean())
    found.attrs["share_positive"] = float((found["spearman"] > 0).mean())
    adata.obsm[f"{key}_repression"] = scores
    return found.sort_values("spearman", ascending=False)


def _expression(adata: AnnData, layer: str | None, use_raw: bool, gene_symbols: str | None) -> pd.DataFrame:
    """Log1p CPM of the genes that are seen, rows x symbols, centred by gene; ``attrs["mean"]`` are the means."""
    view = read_counts(adata, layer=layer, use_raw=use_raw, gene_symbols=gene_symbols, counts="trust")
    if adata.isbacked or is_dask(view.matrix):
        raise TypeError("target_repression needs the counts in memory: call adata.to_memory() first.")
    names = pd.Index(view.gene_names)
    matrix = sparse.csr_matrix(view.matrix)
    total = np.maximum(np.asarray(matrix.sum(1)).ravel(), 1.0)
    seen = np.asarray((matrix > 0).mean(0)).ravel() >= EXPRESSED
    seen &= ~names.duplicated(keep=False) & (names != "")
    logs = (sparse.diags(1e6 / total) @ matrix[:, seen]).log1p().toarray().astype(np.float32)
    mean = logs.mean(0)
    frame = pd.DataFrame(logs - mean, adata.obs_names, names[seen])
    frame.attrs["mean"] = mean.tolist()
    return frame


def _known_pairs(pairs: pd.DataFrame, mirnas: AnnData, key: str, genes: pd.Index, min_targets: int) -> pd.DataFrame:
    """The pairs of inferred miRNAs and genes that are there, under the names they have here."""
    sources = pairs["source"].unique()
    position = dict(zip(sources, find_mirnas(list(sources), mirnas, key), strict=True))
    of_pair = pairs["source"].map(position).to_numpy()
    inside = pairs["target"].isin(genes).to_numpy()
    if not (of_pair >= 0).any() or not inside.any():
        what = "miRNA" if not (of_pair >= 0).any() else "gene"
        example = pairs["source" if what == "miRNA" else "target"].iloc[0]
        here = mirnas.var_names[0] if what == "miRNA" else genes[0]
        raise ValueError(f"the net has no {what} of the data: {example!r} for example, where the data have {here!r}.")
    kept = pairs[(of_pair >= 0) & inside].assign(source=mirnas.var_names[of_pair[(of_pair >= 0) & inside]])
    kept = kept.drop_duplicates(["source", "target"])
    enough = kept["source"].map(kept["source"].value_counts()) >= min_targets
    if not enough.any():
        raise ValueError(
            f"no miRNA has min_targets={min_targets} targets among the {len(genes):,} genes that are seen."
        )
    logger.info("target_repression: %d miRNAs, %d pairs", kept["source"][enough].nunique(), enough.sum())
    return kept[enough]


def _scores(decoupler: Any, expression: pd.DataFrame, pairs: pd.DataFrame, min_targets: int) -> pd.DataFrame:
    parts = [
        decoupler.mt.ulm(pd.DataFrame(expression.iloc[start : start + ROWS]), pairs, tmin=min_targets)[0]
        for start in range(0, len(expression), ROWS)
    ]
    return pd.concat(parts).loc[expression.index]


def _exchange(mean: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of genes that keeps each in its bin of mean expression."""
    order = np.argsort(mean, kind="stable")
    exchanged = np.empty(len(order), np.int64)
    for rows in np.array_split(order, min(BINS, len(order))):
        exchanged[rows] = rng.permutation(rows)
    return exchanged
