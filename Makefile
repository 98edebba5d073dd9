# `make demo` and `make test` each set up everything they need; `make help` lists the rest.
#
#   PYTHON=/path/to/python    use this interpreter (default: scripts/find_python.sh looks for one)
#   PYTHON_VERSION=3.13       use this version, in an environment of its own (.venv-3.13)
#   PYTEST_ARGS="-k ddm"      further arguments of pytest
#   JOBS=4                    processes that run the tests
#   MODEL=angle               what `make train` trains

PYTHON ?=
PYTHON_VERSION ?=
PYTEST_ARGS ?=
JOBS ?= 2
MODEL ?= ddm

# Where the environment forbids it, every process compiles anew all modules that it imports (PyMC and this package: 4.3
# CPU seconds instead of 1.3), and many tests start processes.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv$(if $(PYTHON_VERSION),-$(PYTHON_VERSION))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs

# Tests compile and run many small functions. A pool of BLAS threads for each 32 x 32 product costs more than it
# brings, and pools of several processes (pytest-xdist, PyMC's chains) fight for the same cores: a product of
# 10,000 trials has taken 48 ms instead of 2 that way. Users' runs (demo, bench, train) keep their own settings.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format types layers docs bench train build clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make the environment, or bring it up to date

# uv comes from the package index into the environment itself: it installs in seconds what pip needs minutes for.
# The stamp is written last, so an interrupted installation starts again.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	python=$$(PYTHON='$(PYTHON)' PYTHON_VERSION='$(PYTHON_VERSION)' sh scripts/find_python.sh); \
	if [ ! -x $(BIN)/python ]; then echo "Making $(VENV) with $$python"; "$$python" -m venv $(VENV); fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[samplers,plots]' --group dev; \
	touch $@

demo: $(STAMP)  ## fit the go/no-go model of the article
	$(BIN)/python examples/neuroracer.py

# A process that crashes ends the run: pytest-xdist has waited for ever for what another had been given in its place.
test: $(STAMP)  ## run the default tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST_ARGS)

test-slow: $(STAMP)  ## run the tests marked slow, and the tables
	$(ONE_THREAD) $(BIN)/python -m pytest -m "slow or table" $(PYTEST_ARGS)

lint: $(STAMP)  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## check types
	$(BIN)/mypy

layers: $(STAMP)  ## check layers, sizes and what an import costs
	$(ONE_THREAD) $(BIN)/python -m pytest tests/test_layers.py

docs: $(DOCS_STAMP)  ## build the site
	rm -rf docs/generated
	$(ONE_THREAD) $(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo "The site: file://$(CURDIR)/build/docs/index.html"

$(DOCS_STAMP): $(STAMP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt --group docs
	touch $@

bench: $(STAMP)  ## run every benchmark, one after another
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

train: $(STAMP)  ## train MODEL (ddm)
	$(BIN)/pymc-lan train $(MODEL)

build: $(STAMP)  ## build the wheel and the source archive into dist/
	$(BIN)/uv build

clean:  ## remove environments, caches and builds
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache build dist docs/generated
	find pymc_lan tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
