# make demo   set up, then data -> training -> evaluation -> report on simulated data, in bioq-demo/
# make test   set up, then every test            make check   set up, then style, types and contracts
# make test-faults   set up, then kill -9, full disks, damaged files, ...: minutes, with a summary
# make bench  set up, then BioQ beside other tools, up to 20 minutes on two cores
# make bench-gpu   set up, then BioQ on a CUDA card        make clean   remove what these made
#
# Each sets up a .venv by itself, once: again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALL := python -m pip --disable-pip-version-check install --quiet
PIP := $(BIN)/$(INSTALL) -c constraints.txt
PEERS := benchmarks/.venv
# Two workers, each with one thread: more threads than cores only slow one another down.
TEST_WORKERS ?= 2

.PHONY: demo test test-faults check bench bench-gpu install clean

demo: $(INSTALLED)
	@rm -rf bioq-demo
	@$(BIN)/bioq demo --out bioq-demo $(ARGS)

test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

# Each fault so many times; `make test` tries each once, and none on the slow commands.
FAULT_TRIALS ?= 12
test-faults: $(INSTALLED)
	@BIOQ_FAULT_TRIALS=$(FAULT_TRIALS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults \
		-n $(TEST_WORKERS) --dist worksteal $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# Tables and JSON into bench-results/. ARGS="--threads 1 --clock cpu" on a machine with other work.
# What measures BioQ alone, some of it for an hour, is a command of its own: benchmarks/*.py.
bench: $(PEERS)/.installed
	@for subject in inference training mutagenesis variants loading metrics; do \
		$(PEERS)/bin/python benchmarks/peers/$$subject.py --out bench-results $(ARGS) || exit 1; done

bench-gpu: $(INSTALLED)
	@$(BIN)/python benchmarks/gpu.py --out bench-results $(ARGS)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "BioQ needs Python 3.11 or newer; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing into $(VENV) (once; PyTorch is the large part)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0
	@$(PIP) -e '.[dev,tensorboard]'
	@touch $@

# Selene SDK asks for an old PyTorch, which it does not need, and a C compiler, which it does; without
# it the tables say so.
$(PEERS)/.installed: pyproject.toml benchmarks/peers.txt
	@echo "Installing the peers into $(PEERS) (once)" >&2
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/$(INSTALL) -r benchmarks/peers.txt
	@$(PEERS)/bin/$(INSTALL) -e .
	@$(PEERS)/bin/$(INSTALL) --no-deps selene-sdk==0.6.0 pytabix==0.1 || \
		 echo "Selene SDK: not installed" >&2
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build dist bioq-demo bench-results .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
