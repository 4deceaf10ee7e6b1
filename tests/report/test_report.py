"""The page says what is in the file, and runs nothing that is."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.cli import main
from midgd.report import report

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&$\\frac{"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tags with attributes, the text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def results() -> ad.AnnData:
    adata = midgd.datasets.pbmc68k_counts()[:150].copy()
    midgd.tl.infer_mirna(adata, refine=0)
    return adata


def check_page(text: str) -> Page:
    """It is well-formed and asks for nothing outside itself."""
    page = Page(text)
    assert page.open == [] and not {"script", "link", "iframe", "object", "embed", "form"} & {t for t, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith("data:image/png;base64," if tag == "img" else "#s")
    assert "url(" not in text and "@import" not in text
    return page


def test_the_page_has_the_numbers_of_the_result(results):
    page = check_page(report(results, groupby="bulk_labels", title="My cells"))
    assert "150 cells x 1,226 mature miRNAs" in page.text and "My cells" in page.text
    assert "722 (4 %)" in page.text and "Only 722 of the reference's 16,875 genes" in page.text
    depth = np.asarray(results.X.sum(axis=1)).ravel()
    assert f"Median of {np.median(depth):,.0f} counts a cell" in page.text
    kind, n = next(iter(results.obs["mirna_nearest"].value_counts().items()))
    assert re.search(rf"{re.escape(kind)} {n} ", page.text)
    means = results.obsm["mirna"].astype(float).mean()
    top = means.idxmax()
    assert re.search(rf"{top} +{np.expm1(means[top]):,.0f} ", page.text)
    assert (
        "Nobody measured miRNA in these cells" in page.text and results.uns["mirna"]["reference"]["sha256"] in page.text
    )
    monocytes = results.obs["bulk_labels"] == "CD14+ Monocyte"
    assert f"CD14+ Monocyte {monocytes.sum()}" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 3
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")


def test_names_from_a_file_stay_names(results):
    adata = results.copy()
    adata.obs[EVIL] = pd.Categorical(np.where(np.arange(150) % 2, EVIL, "b\x1b[31m\u202e"))
    adata.obs["mirna_nearest"] = adata.obs[EVIL]
    adata.obsm["mirna"] = adata.obsm["mirna"].rename(columns={"hsa-miR-21-5p": EVIL})
    uns = adata.uns["mirna"]
    uns["mirnas"] = uns["mirnas"].rename(index={"hsa-miR-21-5p": EVIL})
    uns["params"] |= {EVIL: EVIL}
    uns["reference"] = {"name": EVIL, "sha256": EVIL, "version": EVIL}
    uns["genes"] |= {"id_type": EVIL, "left_out": [EVIL], "left_out_columns": [1], "left_out_examples": [EVIL]}
    text = report(adata, groupby=EVIL, title=EVIL)
    page = check_page(text)
    assert EVIL in page.text and "\x1b" not in text and "\u202e" not in text
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies and "default-src 'none'" in policies[0] and "script" not in policies[0]


def test_without_counts_kinds_scores_and_accuracies(results):
    adata = ad.AnnData(obs=results.obs[["mirna_ood"]], obsm={"mirna": results.obsm["mirna"]})
    adata.uns["mirna"] = {"midgd_version": "0", "params": {}}
    adata.obs["mirna_ood"] = np.nan
    page = check_page(report(adata))
    for part in ("the file has no counts", "does not say how the genes matched", "no out-of-domain scores"):
        assert part in page.text
    for part in ("knows no kinds", "does not say how well", "No column of groups"):
        assert part in page.text
    adata.obs["all"] = "same"
    assert "All cells are of one group, same" in Page(report(adata, groupby="all")).text


def test_normalised_values_are_not_taken_for_counts(results):
    adata = results.copy()
    adata.X = np.log1p(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X)
    assert "the file has no counts" in Page(report(adata)).text


def test_a_result_that_was_written_cell_by_cell(results, tmp_path):
    midgd.tl.infer_mirna(midgd.datasets.pbmc68k_counts()[:40], refine=0, output=tmp_path / "mirna.h5ad")
    assert main(["report", str(tmp_path / "mirna.h5ad"), str(tmp_path / "page.html")]) == 0
    page = check_page((tmp_path / "page.html").read_text("utf-8"))
    assert "40 cells x 1,226" in page.text and "it holds the results alone" in page.text


@pytest.fixture(scope="module")
def file(results, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "cells.h5ad"
    results.write_h5ad(path)
    return path


def test_the_command(file, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert main(["report", str(file), str(output), "--groupby", "bulk_labels"]) == 0
    assert "Inferred miRNA: cells.h5ad" in check_page(output.read_text("utf-8")).text
    assert main(["report", str(file), str(output)]) == 1
    assert main(["report", str(file), str(tmp_path / "page.pdf")]) == 1
    assert main(["report", str(file), str(output), "--overwrite", "--groupby", "nothing"]) == 1
    assert main(["report", str(file), str(output), "--overwrite", "--key-added", "nothing"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 4 and "--overwrite" in lines[0] and "must end in .html" in lines[1]
    assert "no column 'nothing'" in lines[2] and "infer_mirna" in lines[3]
    assert "bulk_labels" in output.read_text("utf-8")  # what was there is left alone
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


MEASURE = """<!DOCTYPE html><body style="margin:0">
<iframe id="f" src="{page}" style="border:0;width:{width}px;height:800px"></iframe>
<script>onload = () => {{
  const page = document.getElementById("f").contentDocument;
  const drawn = [...page.images].filter(image => image.naturalWidth > 100).length;
  document.title = [page.documentElement.scrollWidth, drawn, page.querySelectorAll("h2").length].join(" ");
}};</script>"""


@pytest.mark.parametrize("width", [1400, 390])
def test_in_a_browser(width, file, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    assert main(["report", str(file), str(tmp_path / "page.html"), "--groupby", "bulk_labels"]) == 0
    (tmp_path / "measure.html").write_text(MEASURE.format(page="page.html", width=width))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    seen = subprocess.run(
        [*command, f"file://{tmp_path / 'measure.html'}"], capture_output=True, text=True, timeout=300
    )
    found = re.search(r"<title>(\d+) (\d+) (\d+)</title>", seen.stdout)
    assert found, seen.stderr[-500:]
    wide, pictures, headings = map(int, found.groups())
    assert wide <= width and pictures == 3 and headings == 8
