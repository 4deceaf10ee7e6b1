import pytest

import midgd


def test_report_of_real_names():
    report = midgd.pp.align_genes(midgd.datasets.pbmc68k_counts().var_names)
    assert 680 <= report.matched <= report.n_query == 765
    assert report.n_reference == len(midgd.reference.load().genes)


def test_former_symbols_are_found():
    names = [*midgd.reference.load().card["genes"]["symbol"][:600], "SEPT7"]
    assert midgd.pp.align_genes(names).matched == 601


def test_too_few_genes():
    with pytest.raises(ValueError, match="0 of 16,875 reference genes"):
        midgd.pp.align_genes([f"nothing{i}" for i in range(1000)])


def test_an_anndata_says_what_is_no_gene():
    adata = midgd.datasets.pbmc68k_counts()
    kinds = ["Antibody Capture" if name == "CD74" else "Gene Expression" for name in adata.var_names]
    adata.var["feature_types"] = kinds
    report = midgd.pp.align_genes(adata)
    assert report.left_out["feature_types 'Antibody Capture'"] == 1 and "CD74" in report.missing
