# Two commands on a fresh machine: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
# PyTorch's own index of CPU builds, for machines whose package index does not carry them.
TORCH_CPU ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-slow test-stacks lint benchmark docs clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt torch || $(PIP) --constraint constraints.txt --index-url $(TORCH_CPU) torch
	$(PIP) --constraint constraints.txt --editable .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable ".[analysis,bench,dask,hub,muon]" hypothesis ipykernel joblib mypy nbclient pandas-stubs pytest pytest-httpserver pytest-xdist ruff
	touch $@

demo: $(VENV)/ready
	$(BIN)/midgd demo --output figures

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(VENV)/ready-test
	$(BIN)/pytest -m slow -n 2 --dist worksteal

# Newest and lowest dependencies (noxfile.py). Each Python gets the build of torch that the package index has for it.
test-stacks: $(VENV)/ready
	$(PIP) nox
	MIDGD_TORCH="torch==2.13.0" $(BIN)/nox -s newest-3.11 lowest without_extras
	MIDGD_TORCH="torch==2.14.1" $(BIN)/nox -s newest-3.12 newest-3.13

benchmark: $(VENV)/ready-test
	$(BIN)/midgd bench --output figures/benchmark

docs: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist figures .mypy_cache .pytest_cache .ruff_cache
