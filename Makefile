# make demo   simulate data, train, evaluate, draw the report: in bioq-demo/
# make test   every test                  make check   format, lint, types, import contract
# make test-faults   kill -9, full disks, damaged files, ...: minutes, with a summary
# make docs   the documentation as a site: in site/, for a browser
# make tutorials   run each notebook of docs/tutorials; ARGS=--write stores its outputs
# make bench  BioQ beside other tools, up to 20 minutes on two cores
# make bench-gpu   BioQ on a CUDA card    make clean   remove what these made
#
# Each command first installs what it needs into .venv: once, and again when pyproject.toml or
# constraints.txt change. The demo needs no test tools. Some tests need a browser, bcftools and wrk:
# as root on Debian or Ubuntu, make test installs them; elsewhere it prints what is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_DOCS := $(VENV)/.installed-docs
INSTALL := python -m pip --disable-pip-version-check install --quiet
PIP := $(BIN)/$(INSTALL) -c constraints.txt
PEERS := benchmarks/.venv
PROGRAMS := chromium bcftools wrk
# Two workers, each with one thread: more threads than cores only slow one another down.
TEST_WORKERS ?= 2
# Tests start hundreds of commands: without compiled modules on disk each takes 2 s longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-faults check docs tutorials bench bench-gpu install programs clean

demo: $(INSTALLED)
	@rm -rf bioq-demo
	@$(BIN)/bioq demo --out bioq-demo $(ARGS)

# One file: make test ARGS=tests/test_dna.py
test: $(INSTALLED_DEV) programs
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

# Each fault so many times; `make test` tries each once, and none on the slow commands.
FAULT_TRIALS ?= 12
test-faults: $(INSTALLED_DEV)
	@BIOQ_FAULT_TRIALS=$(FAULT_TRIALS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults \
		-n $(TEST_WORKERS) --dist worksteal $(ARGS)

check: $(INSTALLED_DEV)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(INSTALLED_DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo $(CURDIR)/site/index.html

# One of them: make tutorials ARGS=01
tutorials: $(INSTALLED_DEV)
	@$(BIN)/python docs/scripts/run_tutorials.py $(ARGS)

# Tables and JSON into bench-results/. ARGS="--threads 1 --clock cpu" on a machine with other work.
# What measures BioQ alone, some of it for an hour, is a command of its own: benchmarks/*.py.
bench: $(PEERS)/.installed
	@status=0; for subject in inference training mutagenesis variants loading metrics; do \
		$(PEERS)/bin/python benchmarks/peers/$$subject.py --out bench-results $(ARGS) || \
			status=1; done; exit $$status

bench-gpu: $(INSTALLED)
	@$(BIN)/python benchmarks/gpu.py --out bench-results $(ARGS)

install: $(INSTALLED_DEV)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "BioQ needs Python 3.11 or newer; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing into $(VENV) (once; PyTorch is the large part)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0
	@$(PIP) -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "Installing what the tests need (once)" >&2
	@$(PIP) -e '.[dev,docs]'
	@touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	@echo "Installing what the site needs (once)" >&2
	@$(PIP) -e '.[docs]'
	@touch $@

programs:
	@missing=; for program in $(PROGRAMS); do \
		command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing (once)" >&2; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
			apt-get -qq install --no-install-recommends $$missing >/dev/null; \
	else echo "Not installed:$$missing; the tests that need them are skipped" >&2; fi

# Selene SDK requires an old PyTorch, which it does not need, and a C compiler, which it needs; without
# a compiler the tables have a note.
$(PEERS)/.installed: pyproject.toml benchmarks/peers.txt
	@echo "Installing the peers into $(PEERS) (once)" >&2
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/$(INSTALL) -r benchmarks/peers.txt
	@$(PEERS)/bin/$(INSTALL) -e .
	@$(PEERS)/bin/$(INSTALL) --no-deps selene-sdk==0.6.0 pytabix==0.1 || \
		 echo "Selene SDK: not installed" >&2
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build dist site bioq-demo bench-results .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
