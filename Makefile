# make demo   set up, then data -> training -> evaluation -> report on simulated data, in bioq-demo/
# make test   set up, then every test            make check   set up, then style, types and contracts
# make bench  set up, then every benchmark       make clean   remove what these made
#
# Each sets up a .venv by itself, once: again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
# Two workers, each with one thread: more threads than cores only slow one another down.
TEST_WORKERS ?= 2

.PHONY: demo test check bench install clean

demo: $(INSTALLED)
	@rm -rf bioq-demo
	@$(BIN)/bioq demo --out bioq-demo $(ARGS)

test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(INSTALLED)
	@for benchmark in benchmarks/*.py; do \
		echo "== $$benchmark"; $(BIN)/python "$$benchmark" $(ARGS) || exit 1; done

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "BioQ needs Python 3.11 or newer; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing into $(VENV) (once; PyTorch is the large part)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0
	@$(PIP) -e '.[dev,tensorboard]'
	@touch $@

clean:
	rm -rf $(VENV) build dist bioq-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
