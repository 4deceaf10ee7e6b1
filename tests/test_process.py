"""What the process did before does not reach the answer, and what we do does not reach the process."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy
import torch

import midgd
from midgd.reference import Reference


@pytest.fixture(scope="module")
def counts(_toy_query: ad.AnnData) -> pd.DataFrame:
    return _toy_query[:20].to_df()


@pytest.fixture(scope="module")
def expected(counts: pd.DataFrame, toy_reference: Reference) -> pd.DataFrame:
    return midgd.tl.infer_mirna(counts, toy_reference, device="cpu")


@contextmanager
def setting(get: Callable[[], Any], set_: Callable[[Any], Any], value: Any) -> Iterator[None]:
    """Something global as a user may have set it; afterwards it must still be so."""
    before = get()
    set_(value)
    try:
        changed = get()
        yield
        assert get() == changed
    finally:
        set_(before)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
        assert torch.empty(0).device.type == "meta"
    finally:
        torch.set_default_device(None)


SETTINGS: dict[str, Callable[[], Any]] = {
    "double precision": lambda: setting(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "half precision": lambda: setting(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
    "default device": default_device,
    "rounded products": lambda: setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "three threads": lambda: setting(torch.get_num_threads, torch.set_num_threads, 3),
    "deterministic": lambda: setting(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "numpy raises": lambda: np.errstate(all="raise"),
    "pandas strings": lambda: pd.option_context("future.infer_string", True),
}
try:
    with SETTINGS["pandas strings"]():
        pd.Series(["a"])
except ImportError:  # older versions of pandas have them of pyarrow alone
    del SETTINGS["pandas strings"]


@pytest.mark.parametrize("names", [*((name,) for name in SETTINGS), tuple(SETTINGS)], ids="+".join)
def test_settings_of_the_process(
    names: tuple[str, ...], counts: pd.DataFrame, toy_reference: Reference, expected: pd.DataFrame
) -> None:
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(SETTINGS[name]())
        answer = midgd.tl.infer_mirna(counts, toy_reference, device="cpu")
    # More threads are other blocks of rows: a latent of six numbers, as here, then differs in the last digit.
    tolerance = 2e-5 if "three threads" in names else 0
    np.testing.assert_allclose(answer.to_numpy(), expected.to_numpy(), rtol=tolerance, atol=tolerance)
    assert list(answer.columns) == list(expected.columns)


def test_random_numbers_are_the_users(counts: pd.DataFrame, toy_reference: Reference, expected: pd.DataFrame) -> None:
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()
        answer = midgd.tl.infer_mirna(counts, toy_reference, device="cpu")
        np.testing.assert_array_equal(answer.to_numpy(), expected.to_numpy())
        assert (random.getstate(), pickle.dumps(np.random.get_state())) == before[:2]
        assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_other_processes(method: str, counts: pd.DataFrame, toy_reference: Reference, expected: pd.DataFrame) -> None:
    """Also after a call with several threads here, for which a forked process would wait for ever."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    with setting(torch.get_num_threads, torch.set_num_threads, 2):
        midgd.tl.infer_mirna(counts, toy_reference, device="cpu")
        with multiprocessing.get_context(method).Pool(1) as pool:
            task = pool.apply_async(midgd.tl.infer_mirna, (counts, toy_reference), {"device": "cpu"})
            pd.testing.assert_frame_equal(task.get(timeout=300), expected)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend: str, counts: pd.DataFrame, toy_reference: Reference, expected: pd.DataFrame) -> None:
    joblib = pytest.importorskip("joblib")
    parts = [counts[:10], counts[10:]]
    calls = [joblib.delayed(midgd.tl.infer_mirna)(part, toy_reference, device="cpu") for part in parts]
    answer = pd.concat(joblib.Parallel(n_jobs=2, backend=backend, timeout=300)(calls))
    np.testing.assert_allclose(answer.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_references_are_copied_and_pickled(
    twin: Callable[[Reference], Reference], counts: pd.DataFrame, toy_reference: Reference, expected: pd.DataFrame
) -> None:
    other = twin(toy_reference)
    assert repr(other) == repr(toy_reference) and other.sha256 == toy_reference.sha256
    pd.testing.assert_frame_equal(midgd.tl.infer_mirna(counts, other, device="cpu"), expected)


CALL = """
import warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"midgd\\\\b")
import numpy as np, pandas as pd, midgd
genes = list(midgd.reference.load().genes.symbols[:4_000])
counts = np.random.default_rng(0).negative_binomial(1, 0.5, (3, len(genes)))
answer = midgd.tl.infer_mirna(pd.DataFrame(counts, columns=genes), device="cpu")
assert "default" in midgd.reference.available().index
print(answer.to_numpy().tobytes().hex()[:4_000])
"""
NO_HOME = "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
NO_TEMPORARY_FOLDER = "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc/nowhere']\n"
C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
BARE = {
    "no home": (NO_HOME, {"HOME": None, "XDG_CACHE_HOME": None}),
    "home that is not there": ("", {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}),
    "no place for caches": ("", {"MIDGD_DATA_DIR": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}),
    "no temporary folder": (NO_TEMPORARY_FOLDER, {"TMPDIR": "/proc/nowhere"}),
    "C locale": ("", C_LOCALE),
}


def in_child(code: str, changes: dict[str, str | None]) -> str:
    env = {**os.environ, **{key: value for key, value in changes.items() if value is not None}}
    env = {key: value for key, value in env.items() if changes.get(key, "") is not None}
    command = [sys.executable, "-X", "warn_default_encoding", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def answer_here() -> str:
    return in_child(CALL, {})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses /proc for a folder that cannot be made")
@pytest.mark.parametrize("name", BARE)
def test_bare_machines(name: str, answer_here: str) -> None:
    if name == "no temporary folder" and tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 13):
        pytest.skip("this scipy cannot be imported without one")
    before, changes = BARE[name]
    assert in_child(before + CALL, changes) == answer_here
