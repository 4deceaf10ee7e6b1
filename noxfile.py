"""The fast suite on the newest and the lowest dependencies, and the one call without all that it can do without.

``nox -s newest-3.13``, ``nox -s lowest``, ``nox -s without_extras``. ``MIDGD_TORCH`` says how torch is installed
(arguments of pip); by default from PyTorch's index of CPU builds.
"""

import os

import nox

TORCH = os.environ.get("MIDGD_TORCH", "torch --index-url https://download.pytorch.org/whl/cpu").split()
TESTS = ("hypothesis", "pytest", "pytest-httpserver", "pytest-xdist")
NEEDED = ("anndata", "filelock", "numpy", "pandas", "safetensors", "scipy", "tqdm")
TESTED_WITHOUT_EXTRAS = ("test_without_extras.py", "test_process.py", "counts", "features", "infer", "nn", "tl", "get")


@nox.session(python=["3.11", "3.12", "3.13"])
def newest(session: nox.Session) -> None:
    """All tests with the newest versions that go together."""
    session.install(*TORCH)
    session.install("-e", ".[analysis,bench,dask,hub,muon]", "joblib", *TESTS)
    _test(session)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """All tests with the lowest versions that pyproject.toml allows."""
    session.install(*TORCH)
    session.install("-c", "constraints-lowest.txt", "-e", ".[analysis,bench,dask,hub,muon]", "joblib", *TESTS)
    _test(session)


@nox.session(python="3.11")
def without_extras(session: nox.Session) -> None:
    """The one call where scvi-tools, mudata, muon, scanpy, numba and requests are not installed."""
    session.install(*TORCH)
    session.install(*NEEDED, "hypothesis", "pytest", "pytest-xdist")
    session.install("--no-deps", "-e", ".")
    _test(session, *(f"tests/{name}" for name in TESTED_WITHOUT_EXTRAS))


def _test(session: nox.Session, *paths: str) -> None:
    session.run("python", "-m", "pip", "list")
    in_two = ("-n", "2", "--dist", "worksteal")
    session.run("python", "-m", "pytest", *in_two, *paths, *session.posargs, env={"OMP_NUM_THREADS": "1"})
