# Everything a contributor or a user from source does; `make help` lists it.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# One thread for each test process (two would fight over the cores); the demo takes all of them.
test test-all: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check check-fast lint types contracts bench serve clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv and install the package with its development extras (skipped when nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

demo: setup  ## the whole story on the embedded base: pictures and a report
	$(BIN)/controlnet demo

test: check-fast  ## static checks and the tests, without the slow ones
	$(BIN)/python -m pytest -n 2

test-all: check-fast  ## static checks and all tests
	$(BIN)/python -m pytest -n 2 -m ""

check: test  ## the same as test: lint, types, import contracts, tests

check-fast: lint types contracts  ## static checks only

lint: setup  ## ruff
	$(BIN)/ruff check .

types: setup  ## pyright
	$(BIN)/pyright --warnings

contracts: setup  ## the direction of the imports
	$(BIN)/lint-imports

serve: setup  ## the page and the HTTP service at http://127.0.0.1:7860
	$(BIN)/controlnet serve

bench: setup  ## the measurements in benchmarks/, kept in its results.json and README.md
	$(BIN)/python -m benchmarks --write

clean:  ## remove the environment and the caches
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -exec rm -rf {} +
