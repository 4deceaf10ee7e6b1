from __future__ import annotations

import string
from collections.abc import Callable

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from midgd.features import GeneAlignment, GeneVocabulary, align_genes

N = 1200
# Symbols of letters only, so that their Title Case is unmistakable: GAA, GAB, ...
SYMBOLS = tuple(f"G{a}{b}{c}" for a in string.ascii_uppercase for b in string.ascii_uppercase for c in "XYZ")[:N]
IDS = tuple(f"ENSG{i:011d}" for i in range(N))
VOCABULARY = GeneVocabulary(SYMBOLS, IDS, {"OLDNAME": SYMBOLS[7]})
SMALL = GeneVocabulary(("A1", "B1", "C1", "D1", "E1"), ("", "", "", "", ""), {"OLD": "C1"})


def aligned_by_loop(names: list[str], counts: np.ndarray, alignment: GeneAlignment) -> np.ndarray:
    wanted = [SMALL.symbols[i] for i in alignment.present]
    out = np.zeros((len(counts), len(wanted)))
    for row in range(len(counts)):
        for column, name in enumerate(names):
            current = {"OLD": "C1"}.get(name, name)
            if current in wanted:
                out[row, wanted.index(current)] += counts[row, column]
    return out


NAMES = st.lists(st.sampled_from([*SMALL.symbols, "OLD", "X9", "Y9"]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(NAMES, st.integers(0, 2**32 - 1))
def test_duplicates_are_summed_like_a_loop_would(names: list[str], seed: int) -> None:
    names = [*names, "A1", "B1", "C1"]
    counts = np.random.default_rng(seed).integers(0, 4, (3, len(names)))
    alignment = align_genes(names, SMALL)
    np.testing.assert_array_equal(alignment.apply(counts).toarray(), aligned_by_loop(names, counts, alignment))
    for symbol, n in alignment.report.summed_duplicates.items():
        assert n == sum({"OLD": "C1"}.get(name, name) == symbol for name in names) > 1


@settings(deadline=None, max_examples=60)
@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_the_query_does_not_matter(names: list[str], random: object) -> None:
    names = [*names, "A1", "B1", "C1"]
    counts = np.arange(2 * len(names)).reshape(2, -1)
    order = list(range(len(names)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight, shuffled = align_genes(names, SMALL), align_genes([names[i] for i in order], SMALL)
    np.testing.assert_array_equal(straight.present, shuffled.present)
    np.testing.assert_array_equal(straight.apply(counts).toarray(), shuffled.apply(counts[:, order]).toarray())
    assert straight.report.summed_duplicates == shuffled.report.summed_duplicates


@pytest.mark.parametrize("kind", [np.asarray, np.asmatrix, sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32, np.float64, bool])
def test_every_kind_of_chunk_gives_the_same_csr(kind: Callable, dtype: type) -> None:
    names = ["E1", "X", "A1", "C1", "E1", "OLD"]
    counts = np.random.default_rng(0).integers(0, 3, (6, len(names))).astype(dtype)
    alignment = align_genes(names, SMALL)
    result = alignment.apply(kind(counts))
    assert isinstance(result, sp.csr_matrix) and result.dtype == np.float32
    assert np.all(result.data != 0) and result.nnz == np.count_nonzero(result.toarray())
    np.testing.assert_array_equal(alignment.present, [0, 2, 4])
    np.testing.assert_array_equal(result.toarray(), aligned_by_loop(names, counts.astype(float), alignment))


def test_wrong_number_of_columns_is_an_error() -> None:
    alignment = align_genes(["A1", "B1", "C1"], SMALL)
    with pytest.raises(ValueError, match="3 gene names"):
        alignment.apply(np.ones((2, 4)))


def test_report() -> None:
    names = [*SYMBOLS[:600], "nope1", SYMBOLS[0], " ", "OLDNAME", None]
    report = align_genes(names, VOCABULARY).report
    assert (report.n_query, report.n_reference, report.n_used, report.matched) == (605, N, 602, 600)
    assert report.missing == SYMBOLS[600:]
    assert report.unmatched_examples == ("nope1", "", "")
    assert report.reference_examples == SYMBOLS[:3]
    assert report.summed_duplicates == {SYMBOLS[0]: 2, SYMBOLS[7]: 2}
    assert str(report) == (
        "600 of 1,200 reference genes matched (50 %; symbols; 2 duplicated columns summed; 3 query genes not used)"
    )
    assert SYMBOLS[700] not in repr(report)


@pytest.mark.parametrize(
    ("names", "id_type"),
    [(SYMBOLS, "symbol"), (IDS, "ensembl"), (SYMBOLS[:600] + tuple(f"{i}.3" for i in IDS[600:]), "mixed")],
)
def test_id_type(names: tuple[str, ...], id_type: str) -> None:
    report = align_genes(names, VOCABULARY).report
    assert report.id_type == id_type
    assert report.matched == N and report.missing == ()


@pytest.mark.parametrize("n", [600, N])
def test_report_survives_an_h5ad(n: int, tmp_path) -> None:
    report = align_genes([*SYMBOLS[:n], SYMBOLS[0]], VOCABULARY).report
    adata = ad.AnnData(np.ones((1, 1)), uns={"genes": report.to_dict()})
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad").uns["genes"]
    assert list(back["missing"]) == list(SYMBOLS[n:])
    assert (back["matched"], back["id_type"]) == (n, "symbol")
    assert dict(zip(back["duplicated"], back["duplicated_columns"], strict=True)) == {SYMBOLS[0]: 2}


def test_lower_and_mixed_case_human_symbols_match() -> None:
    assert align_genes([s.lower() for s in SYMBOLS], VOCABULARY).report.matched == N
    mixed = [s[:2].lower() + s[2:] if i % 2 else s for i, s in enumerate(SYMBOLS)]
    assert align_genes(mixed, VOCABULARY).report.matched == N


def test_few_genes_that_match_well_are_enough() -> None:
    large = GeneVocabulary(tuple(f"LOC{i}X" for i in range(20_000)), ("",) * 20_000)
    assert align_genes(large.symbols[:684] + ("NOPE",) * 81, large).report.matched == 684
    assert align_genes(large.symbols[:200], large).report.matched == 200
    with pytest.raises(ValueError, match=r"199 of 20,000 .* at least 200 .* the panel is too small"):
        align_genes(large.symbols[:199], large)
    with pytest.raises(ValueError, match=r"499 of 20,000 .* at least 500"):
        align_genes((*large.symbols[:499], *(f"NOPE{i}" for i in range(500))), large)
    with pytest.raises(ValueError, match=r"600 of 20,000 .* at least 1,000"):
        align_genes((*large.symbols[:600], *(f"NOPE{i}" for i in range(30_000))), large)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [s.title() for s in SYMBOLS],
            r"1,200 of 1,200 gene names look like mouse .* \('Gaax', .*orthologs",
        ),
        ([f"ENSMUSG{i:011d}.2" for i in range(900)], "ids of another species.*orthologs"),
        ([f"ENSDARG{i:011d}" for i in range(900)], "ids of another species"),
        ([f"ENST{i:011d}" for i in range(900)], "sum the counts to genes"),
        ([str(i) for i in range(900)], "positions or Entrez ids.*gene_symbols="),
        (range(900), "positions or Entrez ids"),
        (
            [f"CELL{i}" for i in range(900)],
            r"'CELL0', 'CELL1', 'CELL2', .*'GAAX', 'GAAY', .*gene_symbols=.*df\.T",
        ),
        ([], "0 of 1,200"),
    ],
)
def test_names_that_do_not_fit_say_what_to_do(names: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align_genes(names, VOCABULARY)


def test_a_mixture_of_species_uses_the_human_part() -> None:
    names = [*IDS, *(f"ENSMUSG{i:011d}" for i in range(2000))]
    assert align_genes(names, VOCABULARY).report.matched == N


def test_stored_zeros_are_dropped() -> None:
    stored = sp.csr_matrix((np.array([0.0, 2.0]), ([0, 1], [0, 2])), shape=(2, 3))
    assert stored.nnz == 2
    assert align_genes(["A1", "B1", "C1"], SMALL).apply(stored).nnz == 1


def test_title_case_is_fine_where_the_reference_writes_so() -> None:
    vocabulary = GeneVocabulary(tuple(s.title() for s in SYMBOLS), ("",) * N)
    assert align_genes(vocabulary.symbols, vocabulary).report.matched == N
