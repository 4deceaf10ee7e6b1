"""The one call needs few packages and loads no others; where the rest is absent or broken it answers the same."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import midgd

NEEDED = {"anndata", "filelock", "numpy", "pandas", "safetensors", "scipy", "torch", "tqdm"}
# Loaded where it is there, for speed alone.
QUICK = {"numba"}
MODULES = {"scvi-tools": "scvi"}

BLOCK = """
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise {error}
sys.meta_path.insert(0, Blocked())
"""
CALL = """
import json, sys
import anndata as ad, numpy as np, pandas as pd
from scipy import sparse
import midgd
genes = list(midgd.reference.load().genes.symbols[:4_000])
counts = np.random.default_rng(0).negative_binomial(1, 0.5, (4, len(genes))).astype("float32")
adata = ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=genes))
midgd.tl.infer_mirna(adata, device="cpu")
mirna = midgd.get.mirna(adata)
print(json.dumps({"sum": mirna.X.sum(1).tolist(), "loaded": [m for m in sys.modules if "." not in m]}))
"""
ABSENT = "ModuleNotFoundError(f'No module named {name!r}', name=name)"
BROKEN = ["ImportError('undefined symbol: _ZNK3c105Error4whatEv')", "AttributeError(\"'numpy' has no 'bool8'\")"]


def run(code: str, blocked: set[str] | None = None, error: str = ABSENT) -> subprocess.CompletedProcess[str]:
    block = BLOCK.format(blocked=blocked, error=error) if blocked else ""
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, timeout=600)


def answer(blocked: set[str] | None = None, error: str = ABSENT) -> dict[str, Any]:
    done = run(CALL, blocked, error)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def declared() -> set[str]:
    """Modules of all dependencies, the optional ones not counted."""
    required = importlib.metadata.requires("midgd") or []
    names = {re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text}
    return {MODULES.get(name, name) for name in names}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return answer()


def test_the_one_call_loads_only_what_it_needs(plain: dict[str, Any]) -> None:
    installed = {name for name in QUICK if importlib.util.find_spec(name)}
    assert declared() & set(plain["loaded"]) == NEEDED | installed
    assert not {"matplotlib", "sklearn", "lightning", "igraph", "huggingface_hub"} & set(plain["loaded"])


def test_the_answer_here_is_that_of_the_child(plain: dict[str, Any]) -> None:
    genes = list(midgd.reference.load().genes.symbols[:4_000])
    counts = np.random.default_rng(0).negative_binomial(1, 0.5, (4, len(genes))).astype("float32")
    adata = ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=genes))
    midgd.tl.infer_mirna(adata, device="cpu")
    np.testing.assert_allclose(midgd.get.mirna(adata).X.sum(1), plain["sum"], rtol=1e-6)


@pytest.mark.parametrize("error", [ABSENT, *BROKEN], ids=["absent", "ImportError", "AttributeError"])
def test_the_one_call_works_without_the_rest(plain: dict[str, Any], error: str) -> None:
    others = declared() - NEEDED - QUICK
    assert {"scvi", "mudata", "scanpy"} <= others
    assert answer(others | {"muon", "pooch", "requests"}, error)["sum"] == plain["sum"]


# Another error there breaks `sparse`, which dask imports, before midgd is.
@pytest.mark.parametrize("error", [ABSENT, BROKEN[0]], ids=["absent", "ImportError"])
def test_without_numba_the_answer_is_the_same_but_for_rounding(plain: dict[str, Any], error: str) -> None:
    np.testing.assert_allclose(answer(QUICK, error)["sum"], plain["sum"], rtol=1e-5)


@pytest.mark.parametrize(
    ("error", "why"),
    [(ABSENT, "is not installed"), (BROKEN[0], "cannot be imported (ImportError: undefined"), (BROKEN[1], "'bool8'")],
    ids=["absent", "ImportError", "AttributeError"],
)
@pytest.mark.parametrize(("module", "package"), [("scvi", "scvi-tools"), ("mudata", "mudata")])
def test_the_class_says_what_it_lacks(error: str, why: str, module: str, package: str) -> None:
    pytest.importorskip("scvi")
    done = run("from midgd.model import MIDGD", {module}, error)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: midgd.model.MIDGD needs {package}, which ") and why in last
    assert f"pip install -U {package}" in last and "midgd.tl.infer_mirna works without it" in last
