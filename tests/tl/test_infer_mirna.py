"""`midgd.tl.infer_mirna` with the bundled reference on the real PBMCs that ship inside scanpy."""

import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import midgd
from midgd.reference.arms import ALLOWED_EXCESS
from midgd.settings import logger
from midgd.tl._judge import warn_of_rows

sc = pytest.importorskip("scanpy")

KEYS = ["mirna", "X_midgd"]


@pytest.fixture(scope="module")
def pbmc() -> ad.AnnData:
    return midgd.datasets.pbmc68k_counts()


@pytest.fixture(scope="module")
def few(pbmc) -> ad.AnnData:
    return pbmc[::14].copy()


@pytest.fixture(scope="module")
def expected(few) -> ad.AnnData:
    return midgd.tl.infer_mirna(few, uncertainty=True, copy=True)


def values(adata: ad.AnnData) -> np.ndarray:
    return adata.obsm["mirna"].to_numpy()


def test_known_biology_of_blood(pbmc):
    adata = midgd.tl.infer_mirna(pbmc, copy=True)
    labels = adata.obs["bulk_labels"].astype(str)
    monocyte = labels.str.startswith("CD14").to_numpy()
    lymphocyte = labels.str.startswith(("CD4+", "CD8+", "CD19+")).to_numpy()
    chosen = monocyte | lymphocyte
    mirna = adata.obsm["mirna"][chosen]
    assert midgd.metrics.auroc(mirna["hsa-miR-223-3p"].to_numpy(), monocyte[chosen]) >= 0.9
    assert midgd.metrics.auroc(mirna["hsa-miR-150-5p"].to_numpy(), lymphocyte[chosen]) >= 0.8
    # miR-142 is among the most abundant in every leukocyte; miR-122 is the liver's
    rank = adata.obsm["mirna"].rank(axis=1, ascending=False)
    assert rank["hsa-miR-142-3p"].quantile(0.99) <= 65  # four B cells are taken for plasma cells: up to 96
    assert rank["hsa-miR-122-5p"].median() > 300


def test_contract(few, expected):
    mirna = expected.obsm["mirna"]
    assert isinstance(mirna, pd.DataFrame) and mirna.index.equals(few.obs_names)
    assert (mirna.dtypes == np.float32).all() and np.isfinite(mirna.to_numpy()).all()
    assert "hsa-miR-21-5p" in mirna
    assert expected.obsm["X_midgd"].shape == (few.n_obs, 128)
    assert expected.obs["mirna_ood"].between(0, 1).all()
    assert (expected.obsm["mirna_sd"].to_numpy() > 0).all()
    assert expected.obsm["mirna_sd"].columns.equals(mirna.columns)
    assert expected.uns["mirna"]["reference"]["sha256"] == midgd.reference.load().sha256
    assert midgd.tl.infer_mirna(few.copy()) is None


def test_weights_of_the_answer_come_back(few, expected):
    weights = expected.obsm["mirna_weights"]
    assert weights.index.equals(few.obs_names) and weights.shape == (few.n_obs, 6)
    assert weights.to_numpy().min() >= 0 and weights.to_numpy().max() <= 1
    np.testing.assert_allclose(weights[["deep_map", "shallow_map", "counts_map"]].sum(axis=1), 1.0, atol=1e-6)
    # 722 genes at some 1,000 molecules: what a gene shows is chance for the most part
    assert weights["deep_map"].max() < 0.5 and (weights["counts_map"] > 0).any()
    deeper = few.copy()
    deeper.X = deeper.X * 100
    midgd.tl.infer_mirna(deeper, counts="trust")
    assert (deeper.obsm["mirna_weights"]["deep_map"] > weights["deep_map"]).all()


def test_reads_get_the_answer_of_their_molecules(few, expected, caplog):
    """Smart-seq2 has about 100 reads of a molecule; here each molecule of real cells is read as chance has it."""
    reads = few.copy()
    rng, counts = np.random.default_rng(0), sparse.csr_matrix(few.X).astype(np.int64)
    counts.data = np.array([rng.geometric(0.01, n).sum() for n in counts.data])
    reads.X = counts.astype(np.float32)
    with caplog.at_level("INFO", "midgd"):
        midgd.tl.infer_mirna(reads, uncertainty=True)
    assert "50 of 50 cells have more counts than so few genes allow" in caplog.text
    assert (expected.obsm["mirna_weights"]["counts_kept"] == 1).all()
    assert (reads.obsm["mirna_weights"]["counts_kept"] < 0.2).all()
    found, of_molecules = values(reads), values(expected)
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(found, of_molecules, strict=True)]) > 0.97
    # A cell is not trusted like a bulk sample.
    sd = [np.median(result.obsm["mirna_sd"].to_numpy()) for result in (reads, expected)]
    assert sd[0] > 0.8 * sd[1]


def test_result_can_be_written_and_read(expected, tmp_path):
    expected.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(values(back), values(expected))
    assert back.uns["mirna"]["params"]["level"] == "mature"


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_storage_does_not_matter(few, expected, convert):
    adata = few.copy()
    adata.X = convert(few.X.toarray())
    midgd.tl.infer_mirna(adata)
    np.testing.assert_allclose(values(adata), values(expected), atol=1e-5)


def test_backed_file_and_layer(few, expected, tmp_path):
    few.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    midgd.tl.infer_mirna(backed)
    np.testing.assert_allclose(values(backed), values(expected), atol=1e-5)
    adata = few.copy()
    adata.layers["counts"], adata.X = adata.X, None
    midgd.tl.infer_mirna(adata, layer="counts")
    np.testing.assert_allclose(values(adata), values(expected), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_chunks_do_not_matter(few, expected, batch_size):
    adata = midgd.tl.infer_mirna(few, batch_size=batch_size, copy=True)
    np.testing.assert_allclose(values(adata), values(expected), atol=1e-5)


def test_order_of_genes_and_cells_does_not_matter(few, expected):
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(few.n_obs), rng.permutation(few.n_vars)
    adata = few[cells][:, genes].copy()
    midgd.tl.infer_mirna(adata)
    np.testing.assert_allclose(values(adata), values(expected)[cells], atol=1e-5)


def test_threads_do_not_matter(few, expected):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        adata = midgd.tl.infer_mirna(few, copy=True)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(values(adata), values(expected), atol=1e-5)


def test_gene_names_in_any_form(few, expected):
    card = midgd.reference.load().card["genes"]
    ensembl = dict(zip(card["symbol"], card["ensembl"], strict=True))
    adata = few.copy()
    adata.var["id"] = [f"{ensembl[g]}.7" if ensembl.get(g) else g for g in few.var_names]
    adata.var["mixed"] = [g.lower() if i % 3 else g for i, g in enumerate(few.var_names)]
    for column in ("id", "mixed"):
        result = midgd.tl.infer_mirna(adata, gene_symbols=column, copy=True)
        np.testing.assert_allclose(values(result), values(expected), atol=1e-5)


def test_duplicated_genes_are_summed(few, expected):
    half = few.X.toarray() // 2
    twice = ad.AnnData(
        np.hstack([half, few.X.toarray() - half]), obs=few.obs, var=pd.DataFrame(index=[*few.var_names, *few.var_names])
    )
    midgd.tl.infer_mirna(twice)
    np.testing.assert_allclose(values(twice), values(expected), atol=1e-5)


def test_dataframe_in_dataframe_out(few, expected):
    frame = midgd.tl.infer_mirna(few.to_df(), uncertainty=True)
    pd.testing.assert_frame_equal(frame, expected.obsm["mirna"], atol=1e-5, check_names=False)
    details = frame.attrs["midgd"]
    np.testing.assert_allclose(details.sd, expected.obsm["mirna_sd"], atol=1e-4)
    np.testing.assert_allclose(details.ood, expected.obs["mirna_ood"], atol=1e-5)
    assert pd.concat([frame, midgd.tl.infer_mirna(few.to_df())]).shape == (2 * few.n_obs, frame.shape[1])


def test_units_and_levels(few, expected):
    cpm = midgd.tl.infer_mirna(few, units="cpm", copy=True)
    share = midgd.tl.infer_mirna(few, units="share", copy=True)
    np.testing.assert_allclose(np.log1p(values(cpm)), values(expected), atol=1e-4)
    np.testing.assert_allclose(values(share) * 1e6, values(cpm), rtol=1e-4)
    stem = midgd.tl.infer_mirna(few, units="share", level="stem-loop", copy=True).obsm["mirna"]
    assert stem.sum(axis=1).between(0.3, 1.5).all()
    mature = share.obsm["mirna"]
    arms = mature[["hsa-miR-21-5p", "hsa-miR-21-3p"]].sum(axis=1)
    assert (arms <= stem["hsa-mir-21"] * (ALLOWED_EXCESS + 1e-5)).all()


def test_groups_are_summed_first(pbmc):
    grouped = midgd.tl.infer_mirna(pbmc, groupby="bulk_labels", copy=True)
    labels = pbmc.obs["bulk_labels"].astype(str)
    summed = pd.DataFrame(pbmc.X.toarray(), columns=pbmc.var_names).groupby(labels.to_numpy()).sum()
    direct = midgd.tl.infer_mirna(summed)
    table = grouped.uns["mirna"]["groups"]
    np.testing.assert_allclose(table.to_numpy(), direct.loc[table.index].to_numpy(), atol=1e-5)
    np.testing.assert_array_equal(values(grouped), table.loc[labels].to_numpy())


def test_empty_cell_is_kept_and_flagged(few):
    adata = few.copy()
    adata.X = sparse.csr_matrix(np.vstack([np.zeros((1, few.n_vars)), few.X.toarray()[1:]]))
    midgd.tl.infer_mirna(adata)
    assert adata.obs["mirna_ood"].iloc[0] == 1.0
    assert np.isfinite(values(adata)).all()


def test_works_with_scanpy(expected):
    mirna = midgd.get.mirna(expected)
    sc.tl.rank_genes_groups(mirna, "bulk_labels", groups=["CD14+ Monocyte"], reference="Dendritic")
    sc.pp.neighbors(expected, use_rep="X_midgd", n_neighbors=5)
    assert sc.get.obs_df(mirna, ["hsa-miR-223-3p"]).shape == (expected.n_obs, 1)


def broken(few: ad.AnnData, how: str) -> ad.AnnData:
    adata = few.copy()
    if how == "log":
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    elif how == "scaled":
        adata.X = sc.pp.scale(adata.X.toarray())
    elif how == "negative":
        adata.X[0, 0] = -1
    elif how == "nan":
        adata.X[0, 0] = np.nan
    elif how == "names":
        adata.obs_names = ["cell"] * few.n_obs
    elif how == "mouse":
        adata.var_names = [g.capitalize() for g in few.var_names]
    elif how == "mouse ids":
        adata.var_names = [f"ENSMUSG{i:011d}" for i in range(few.n_vars)]
    elif how == "genes":
        adata.var_names = [*few.var_names[:300], *(f"unknown{i}" for i in range(few.n_vars - 300))]
    return adata


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("log", "log"),
        ("scaled", "scaled"),
        ("negative", "negative"),
        ("nan", "NaN"),
        ("names", "obs_names_make_unique"),
        ("mouse", "human"),
        ("mouse ids", "human"),
        ("genes", "288 of .* reference genes found.*RP11-782C8.1.*A1BG"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_clear_error_and_changes_nothing(few, how, message):
    adata = broken(few, how)
    with pytest.raises(ValueError, match=message):
        midgd.tl.infer_mirna(adata)
    assert not set(KEYS) & set(adata.obsm) and "mirna" not in adata.uns and "mirna_ood" not in adata.obs


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layer": "a", "use_raw": True}, ValueError, "use_raw"),
        ({"level": "gene"}, ValueError, "mature"),
        ({"units": "tpm"}, ValueError, "log1p_cpm"),
        ({"reference": "nothing"}, FileNotFoundError, "default"),
        ({"groupby": "nothing"}, KeyError, "bulk_labels"),
        ({"device": "abacus"}, ValueError, "cpu"),
        ({"gene_symbols": "nothing"}, (KeyError, ValueError), "nothing"),
    ],
)
def test_bad_arguments(few, arguments, error, message):
    with pytest.raises(error, match=message):
        midgd.tl.infer_mirna(few.copy(), **arguments)


def test_empty_anndata(few):
    with pytest.raises(ValueError, match="0 "):
        midgd.tl.infer_mirna(few[:0].copy())


def test_view_is_written_like_any_anndata(few, expected):
    view = few[:5]
    midgd.tl.infer_mirna(view)
    np.testing.assert_allclose(values(view), values(expected)[:5], atol=1e-5)
    assert "mirna" not in few.obsm


def test_interrupted_in_the_middle_leaves_the_anndata_as_it_was(few, monkeypatch):
    from midgd.infer import Predictor

    calls, predict = [], Predictor._predict

    def interrupted(self, counts):
        calls.append(counts.shape[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(self, counts)

    monkeypatch.setattr(Predictor, "_predict", interrupted)
    adata = few.copy()
    with pytest.raises(KeyboardInterrupt):
        midgd.tl.infer_mirna(adata, batch_size=10)
    assert calls[:3] == [10, 10, 10] and adata.obs.equals(few.obs)
    assert adata.obsm.keys() == few.obsm.keys() and adata.uns.keys() == few.uns.keys()


def test_order_chunks_threads_and_storage_change_no_digit(few, expected):
    """The contract asks for 1e-5."""
    order = np.random.default_rng(0).permutation(few.n_obs)
    genes = np.random.default_rng(1).permutation(few.n_vars)
    shuffled = midgd.tl.infer_mirna(few[order][:, genes].copy(), copy=True)
    np.testing.assert_allclose(values(shuffled), values(expected)[order], rtol=0, atol=1e-6)
    before = torch.get_num_threads()
    try:
        for threads, batch_size in ((1, 1), (2, 7), (2, 10_000)):
            torch.set_num_threads(threads)
            again = midgd.tl.infer_mirna(few, batch_size=batch_size, copy=True)
            np.testing.assert_allclose(values(again), values(expected), rtol=0, atol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_a_negative_number_of_steps_is_refused(few):
    with pytest.raises(ValueError, match="refine=-1"):
        midgd.tl.infer_mirna(few, refine=-1)


def test_encoder_alone_is_close(few, expected):
    guess = midgd.tl.infer_mirna(few, refine=0, copy=True)
    assert guess.uns["mirna"]["params"]["refine"] == 0
    correlation = np.corrcoef(values(guess).ravel(), values(expected).ravel())[0, 1]
    assert 0.97 < correlation < 1.0


@pytest.mark.parametrize(("refine", "said"), [(0, True), (4, True), (5, False), (None, False)])
def test_scores_without_enough_steps_are_called_too_high(caplog, refine, said):
    logger.addHandler(caplog.handler)
    try:
        warn_of_rows(0, np.array([0.9, 0.8, 0.1], np.float32), None, refine)
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages[0].startswith("67 % of the cells") and ("scores are too high" in caplog.text) == said


def test_no_level_is_the_finest_one(toy_query, toy_reference):
    midgd.tl.infer_mirna(toy_query, toy_reference, level=None)
    assert toy_query.uns["mirna"]["params"]["level"] == "mature"
    assert list(toy_query.obsm["mirna"]) == toy_reference.mirna_table("mature")["name"]
    coarse = dataclasses.replace(toy_reference, arms=None, readout=None, kinds=None, calibration=None)
    midgd.tl.infer_mirna(toy_query, coarse, level=None)
    assert toy_query.uns["mirna"]["params"]["level"] == "stem-loop"
