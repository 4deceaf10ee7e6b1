# Two commands on a fresh machine: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
# PyTorch's own index of CPU builds, for machines whose package index does not carry them.
TORCH_CPU ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-slow lint benchmark docs clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt torch || $(PIP) --constraint constraints.txt --index-url $(TORCH_CPU) torch
	$(PIP) --constraint constraints.txt --editable .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable ".[analysis,bench,dask,hub]" hypothesis mypy pandas-stubs pytest pytest-httpserver ruff
	touch $@

demo: $(VENV)/ready
	$(BIN)/midgd demo --output figures

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

test-slow: $(VENV)/ready-test
	$(BIN)/pytest -m slow

benchmark: $(VENV)/ready-test
	$(BIN)/midgd bench --output figures/benchmark

docs: $(VENV)/ready
	$(PIP) --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist figures .mypy_cache .pytest_cache .ruff_cache
