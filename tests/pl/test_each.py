"""Each picture shows the right numbers, names and sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.spatial.spots import spacing

ONE, TWO, THREE, FOUR, FIVE = "hsa-miR-1-3p", "hsa-miR-2-5p", "hsa-miR-3-3p", "hsa-miR-4-5p", "hsa-miR-5-3p"
FAR = np.arange(60) < 10


def offsets(part):
    return np.asarray(part.get_offsets())


def sorted_rows(rows):
    return rows[np.lexsort(rows.T)]


def test_embedding_colours_cells_within_and_leaves_others_hollow(cells):
    left, right = midgd.pl.embedding(cells, [ONE, TWO], show=False)
    assert [left.get_title(), right.get_title()] == [ONE, TWO]
    coloured, hollow = right.collections[:2]
    values = coloured.get_array()
    shown = values.compressed() if np.ma.isMaskedArray(values) else values[~np.isnan(values)]
    np.testing.assert_array_equal(np.sort(shown), np.sort(cells.obsm["mirna"][TWO].to_numpy()[~FAR]))
    np.testing.assert_array_equal(sorted_rows(offsets(hollow)), sorted_rows(cells.obsm["X_umap"][FAR]))
    assert len(hollow.get_facecolors()) == 0
    assert any("hollow: 10 outside" in text.get_text() for text in right.texts)


def test_embedding_where_all_are_within(cells):
    cells.obs["mirna_ood"] = np.nan  # of a reference without scores
    axis = midgd.pl.embedding(cells, ONE, basis="X_umap", show=False, size=7)
    assert not axis.texts and len(axis.collections) == 1
    assert axis.collections[0].get_sizes()[0] == 7


def test_embedding_refuses_what_it_cannot_draw(cells):
    with pytest.raises(KeyError, match=r"basis='tsne' is not in adata.obsm \(arrays there: X_umap"):
        midgd.pl.embedding(cells, ONE, "tsne", show=False)
    axis = midgd.pl.embedding(cells, ONE, show=False)
    with pytest.raises(ValueError, match="ax= takes one miRNA and 2 are given"):
        midgd.pl.embedding(cells, [ONE, TWO], ax=axis, show=False)
    with pytest.raises(ValueError, match="names no miRNA"):
        midgd.pl.embedding(cells, [], show=False)


@pytest.mark.parametrize("swap", [False, True])
def test_dotplot_colours_are_means_and_sizes_are_trust(cells, swap):
    names = [TWO, ONE, THREE, FOUR]
    axis = midgd.pl.dotplot(cells, names, "group", swap_axes=swap, show=False)
    dots = axis.collections[0]
    rows, columns = ([t.get_text() for t in ticks] for ticks in (axis.get_yticklabels(), axis.get_xticklabels()))
    groups = list(cells.obs["group"].cat.categories[:3])
    assert (columns, rows) == ((groups, names) if swap else (names, groups))
    accuracy = {ONE: 0.9, TWO: 0.5, THREE: 0.0, FOUR: 0.0}
    for (x, y), value, area in zip(offsets(dots).astype(int), dots.get_array(), dots.get_sizes(), strict=True):
        group, name = (columns[x], rows[y]) if swap else (rows[y], columns[x])
        chosen = (cells.obs["group"] == group).to_numpy()
        assert value == pytest.approx(cells.obsm["mirna"].loc[chosen, name].mean(), rel=1e-5)
        trusted = accuracy[name] * (~FAR[chosen]).mean()
        largest, smallest = 64 * (10 / 7) ** 2, 2 * (10 / 7) ** 2
        assert area == pytest.approx(smallest + (largest - smallest) * trusted, rel=1e-5)
    assert "at 1,000 counts" in axis.get_legend().get_title().get_text()


def test_dotplot_depths_and_z_scores(cells):
    axis = midgd.pl.dotplot(cells, [ONE, TWO], "group", depth="bulk", z_score=True, show=False)
    values = np.asarray(axis.collections[0].get_array()).reshape(3, 2)
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(0), 1, rtol=1e-4)
    assert "as sequenced" in axis.get_legend().get_title().get_text()
    cells.uns["mirna"]["sample_kind"] = "tissue"
    assert "at 1,000" in _size_legend(cells)  # spots are shallow
    del cells.obsm["spatial"]
    assert "as sequenced" in _size_legend(cells)
    with pytest.raises(KeyError, match=r"depth='umi_5': the results have no .* \(there are 'bulk', 'umi_1000'\)"):
        midgd.pl.dotplot(cells, [ONE], "group", depth="umi_5", show=False)
    with pytest.raises(KeyError, match="no column 'nothing'"):
        midgd.pl.dotplot(cells, [ONE], "nothing", show=False)


def _size_legend(cells):
    return midgd.pl.dotplot(cells, ONE, show=False).get_legend().get_title().get_text()


def test_matrix_takes_the_mirnas_of_each_group(cells):
    axis = midgd.pl.matrix(cells, "group", n_top=1, show=False)
    rows = [text.get_text() for text in axis.get_yticklabels()]
    means = cells.obsm["mirna"].groupby(cells.obs["group"].astype(str)).mean()
    groups = [text.get_text() for text in axis.get_xticklabels()]
    assert rows == [(means.loc[g] - means.drop(g).mean()).idxmax() for g in groups]
    expected = ((means.loc[groups, rows] - means.loc[groups, rows].mean()) / np.log(2)).T
    np.testing.assert_allclose(axis.images[0].get_array(), expected, rtol=1e-4)
    low, high = axis.images[0].get_clim()
    assert low == -high


def test_matrix_names_what_is_poorly_known_in_grey(cells):
    axis = midgd.pl.matrix(cells, "group", n_top=2, show=False)
    grey = {text.get_text() for text in axis.get_yticklabels() if text.get_color() == "0.55"}
    assert grey == {THREE, FOUR}


def test_matrix_of_nothing(cells):
    with pytest.raises(ValueError, match=r"no miRNA has 1e\+09 counts per million"):
        midgd.pl.matrix(cells, "group", min_cpm=1e9, show=False)
    cells.obs["same"] = "all"
    with pytest.raises(ValueError, match="one group only, 'all'"):
        midgd.pl.matrix(cells, "same", show=False)
    cells.obs["many"] = [str(i) for i in range(60)]
    midgd.pl.matrix(cells, "many", n_top=1, show=False)


def test_trust_has_accuracies_and_scores(cells):
    mirnas, scores, probabilities = midgd.pl.trust(cells, [ONE], show=False)
    means = cells.obsm["mirna"].mean() / np.log(2)
    known = [ONE, TWO, THREE, FIVE]
    np.testing.assert_allclose(offsets(mirnas.collections[0]), np.stack([means[known], [0.9, 0.5, -0.2, 0.7]], 1), 1e-5)
    assert mirnas.get_title() == "4 miRNAs, 1 more of unknown accuracy"
    assert [text.get_text() for text in mirnas.texts] == [ONE]
    assert [text.get_text() for text in scores.get_yticklabels()] == ["T cell (40)", "B cell (20)"]
    np.testing.assert_allclose(offsets(scores.collections[0])[:, 0], cells.obs["mirna_ood"])
    rows = np.round(offsets(probabilities.collections[0])[:, 1])
    np.testing.assert_array_equal(rows, cells.obs["mirna_nearest"] == "B cell")
    np.testing.assert_allclose(offsets(probabilities.collections[0])[:, 0], cells.obs["mirna_nearest_probability"])


def test_trust_draws_rare_kinds_together(cells):
    _, scores, _ = midgd.pl.trust(cells, n_kinds=1, show=False)
    assert [text.get_text() for text in scores.get_yticklabels()] == ["T cell (40)", "1 other kind (20)"]
    with pytest.raises(ValueError, match="needs three axes and has 1"):
        midgd.pl.trust(cells, ax=[scores], show=False)
    del cells.obs["mirna_nearest"]
    with pytest.raises(KeyError, match="no column 'mirna_nearest'"):
        midgd.pl.trust(cells, show=False)


def test_pair_of_counts_of_logarithms_and_of_columns_of_one_gene(cells):
    counts = np.asarray(cells.X, dtype=float)
    expected = np.log1p((counts[:, 2] + counts[:, 3]) / counts.sum(1) * 1e4)
    axis = midgd.pl.pair(cells, ONE, "C", gene_symbols="symbol", show=False)
    drawn = np.concatenate([offsets(part) for part in axis.collections])
    values = cells.obsm["mirna"][ONE].to_numpy()
    truth = np.stack([expected, values], 1)
    np.testing.assert_allclose(sorted_rows(drawn), sorted_rows(truth), rtol=1e-5)
    assert axis.get_xlabel() == "C mRNA, log(1 + counts per 10,000)"
    rho = pd.Series(expected[~FAR]).corr(pd.Series(values[~FAR]), method="spearman")
    assert f"Spearman {rho:.2f} over 50 cells; 10 outside" in axis.get_title()
    axis = midgd.pl.pair(cells, ONE, "g1", layer="log", show=False)
    np.testing.assert_allclose(offsets(axis.collections[0])[:, 0], cells.layers["log"][~FAR, 0], rtol=1e-5)
    assert axis.get_xlabel() == "g1 mRNA, as in the data"


def test_pair_groups(cells):
    axis = midgd.pl.pair(cells, ONE, "g1", groupby="group", show=False)
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == list(cells.obs["group"].cat.categories[:3])
    sizes = [len(part.get_offsets()) for part in axis.collections]
    within = cells.obs["group"][~FAR].value_counts()
    assert sizes == [*(within[name] for name in texts), 10]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gene": "g9"}, KeyError, "gene 'g9' is not among the 4 genes; they are called 'g1'"),
        ({"gene": "g1", "layer": "raw"}, KeyError, r"layer='raw' is not in adata.layers \(there are log\)"),
        ({"gene": "g1", "use_raw": True}, KeyError, "adata.raw is empty"),
        ({"gene": "g1", "layer": "log", "use_raw": True}, ValueError, "choose one"),
        ({"gene": "A", "gene_symbols": "name"}, KeyError, r"'name' is no column of var \(there are symbol\)"),
        ({"gene": "C", "gene_symbols": "symbol", "layer": "log"}, ValueError, "'C' has 2 columns"),
    ],
)
def test_pair_refuses(cells, arguments, error, message):
    with pytest.raises(error, match=message):
        midgd.pl.pair(cells, ONE, **arguments, show=False)


def test_spatial_spots_fill_their_places(cells):
    axis = midgd.pl.spatial(cells, ONE, show=False)
    coloured, hollow = axis.collections[:2]
    np.testing.assert_array_equal(offsets(coloured), cells.obsm["spatial"][~FAR])
    np.testing.assert_array_equal(offsets(hollow), cells.obsm["spatial"][FAR])
    np.testing.assert_array_equal(coloured.get_array(), cells.obsm["mirna"][ONE].to_numpy()[~FAR])
    assert axis.get_aspect() == 1 and axis.yaxis_inverted()
    assert coloured._widths[0] * 2 == pytest.approx(90)  # of 100 between neighbours; matplotlib keeps the half


def test_spatial_coordinates(cells):
    assert spacing(np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])) == 5.0
    assert spacing(np.zeros((3, 2))) == 1.0
    with pytest.raises(KeyError, match="no coordinates 'xy'"):
        midgd.pl.spatial(cells, ONE, spatial_key="xy", show=False)
    cells.obsm["spatial"] = np.full((60, 2), np.nan)
    with pytest.raises(ValueError, match=r"shape \(60, 2\) and missing values"):
        midgd.pl.spatial(cells, ONE, show=False)


def rows(values, metric="spearman", half=0.02):
    made = [(a, s, metric, v, v - half, v + half) for (a, s), v in values.items()]
    return pd.DataFrame(made, columns=["arm", "setting", "metric", "value", "low", "high"])


VALUES = {("bad", "bulk"): 0.5, ("good", "bulk"): 0.7, ("fair", "bulk"): 0.69, ("good", "depth"): 0.6}
VALUES |= {("bad", "depth"): 0.4, ("fair", "depth"): 0.55}


@pytest.mark.parametrize("metric", ["spearman", "rmse"])
def test_benchmark_orders_methods_and_marks_the_best(metric):
    sign = 1 if metric == "spearman" else -1
    table = rows({key: sign * value for key, value in VALUES.items()}, metric)
    axis = midgd.pl.benchmark(table, metric, show=False)
    assert [text.get_text() for text in axis.get_xticklabels()] == ["good", "fair", "bad"]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["bulk", "depth"]
    np.testing.assert_allclose(axis.images[0].get_array(), [[0, 0.01, 0.2], [0, 0.05, 0.2]], atol=1e-9)
    bold = {text.get_position() for text in axis.texts if text.get_fontweight() == "bold"}
    assert bold == {(0, 0), (1, 0), (0, 1)}  # fair reaches the best of bulk within its interval


def test_benchmark_without_intervals_and_with_gaps():
    table = rows(VALUES)[lambda t: t["arm"] != "fair"].drop(columns=["low", "high"]).iloc[:-1]
    axis = midgd.pl.benchmark(table, show=False)
    assert sorted(text.get_text() for text in axis.texts) == ["0.500", "0.600", "0.700"]
    with pytest.raises(KeyError, match="metric='speed' is not in the table; it has spearman"):
        midgd.pl.benchmark(table, "speed", show=False)
    with pytest.raises(KeyError, match="no column 'arm'"):
        midgd.pl.benchmark(table.drop(columns="arm"), show=False)
