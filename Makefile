# `make study` and `make test` set up everything they need, in .venv.

STUDY ?= memory-wall
JOBS ?= 2
# Any Python 3.11 or newer that can make virtual environments.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
WORK := data/work
LOCK := workflow/envs/requirements.lock
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# Rules of the workflow call python: let them find ours.
CONFIG_DIR ?=
SNAKEMAKE = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake \
	--workflow-profile workflow/profiles/default --config study=$(STUDY) $(if $(CONFIG_DIR),config_dir=$(CONFIG_DIR))

comma := ,
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# Without compiled modules each process would compile its imports again: seconds instead of tenths.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help study claims calibrate kernels silicon readme docs dry-run tutorial test fuzz cluster-test lint format benchmark env lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STUDY=$(STUDY) names the study, PYTHON=... the Python to build .venv with."

# Not --quiet, which also hides why a job failed.
study: env ## Compute the study STUDY and print its answer
	@$(SNAKEMAKE) --logger rich
	@$(BIN)/infercost answer $(STUDY)

claims: env ## Compute every study that claims need, JOBS at once (ten minutes of CPU); check the verdicts
	@mkdir -p $(WORK)/claims; studies=$$($(BIN)/infercost claims --studies); \
	printf '%s\n' $$studies | PATH="$(CURDIR)/$(BIN):$$PATH" xargs -P $(JOBS) -I{} bash -c 'snakemake \
		--workflow-profile workflow/profiles/default --cores 1 --config study={} > $(WORK)/claims/{}.log 2>&1 \
		|| { cat $(WORK)/claims/{}.log; exit 255; }'; \
	echo "$$(wc -w <<< "$$studies") studies that claims rest on, computed in $$SECONDS s"
	@$(BIN)/infercost claims --check --html data/results/claims.html

calibrate: env ## Fit every calibration to data/reference/measured.csv, examine the fits, replay measured services by them (a quarter of an hour)
	@$(SNAKEMAKE) --logger rich --forcerun calibrate -- calibrate
	$(BIN)/python -m infercost stage replays --workers $(JOBS) data/reference/replayed.csv

kernels: env ## Fit the calibrations of current stacks to AIConfigurator's operator tables (82 MB from PyPI)
	@$(SNAKEMAKE) --logger rich --forcerun kernels -- kernels

silicon: env ## Predict AIConfigurator's end-to-end measurements, a final examination that no fit sees
	@$(SNAKEMAKE) --logger rich --forcerun silicon -- silicon

readme: study ## Write the answer of memory-wall and its figure into README.md
	@$(BIN)/python -m infercost stage readme README.md

docs: env ## Build the documentation site into data/site (with the answers of the studies computed here)
	@$(PIP) install --no-build-isolation -e '.[docs]'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f pipeline/docs/mkdocs.yml
	@echo "data/site/index.html"

dry-run: env ## Say what the study STUDY would still compute
	@$(SNAKEMAKE) --dry-run

test: lint ## Lint, then run all tests but the benchmarks
	$(BIN)/pytest -n $(JOBS)

fuzz: env ## Check the laws of the model on many new random examples
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -n $(JOBS) -m hypothesis

tutorial: env ## Type the tutorial's commands as they are printed, and tell how long each takes
	$(BIN)/pytest -n 0 -s tests/test_documentation.py -k the_tutorial_answers

cluster-test: env ## Run the workflow through a real Slurm on this host, faults included (as root, on Debian)
	@if ! command -v slurmctld >/dev/null && ! tests/workflow/slurm_cluster.sh install; then \
		echo "make: cluster tests SKIPPED: Debian's Slurm packages cannot be installed here"; exit 0; \
	fi; \
	$(PIP) install 'snakemake-executor-plugin-slurm>=2.8' && \
	$(BIN)/pytest -n 0 -rs --durations=0 tests/workflow/test_slurm.py; \
	code=$$?; $(PIP) uninstall -y snakemake-executor-plugin-slurm; exit $$code

lint: env ## Check style, types and the formatting of code and workflow
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	@$(SNAKEMAKE) --lint

format: env ## Format code and workflow
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow/rules

# PARTS of tests/benchmarks/measure.py; none for all: growth rates parquet formats draws start_up study.
PARTS ?=
benchmark: env ## Measure speed and memory, all or PARTS="rates start_up", into tests/benchmarks/results.json
	$(BIN)/python tests/benchmarks/measure.py $(PARTS) --save
	$(if $(PARTS),,$(BIN)/pytest tests/benchmarks --benchmark-only --benchmark-columns=min$(comma)median$(comma)iqr$(comma)rounds)
	$(if $(PARTS),,$(BIN)/python tests/benchmarks/measure_serving.py)

env: $(VENV)/.installed ## Set up .venv from the lock; nothing to do if it is up to date

$(VENV)/.locked: $(LOCK)
	@python=; for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3); do \
		if "$$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make: no Python 3.11 or newer with venv found$(if $(PYTHON), at $(PYTHON)); install it or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version) from $(LOCK) (under a minute, once)"; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install --no-compile --require-hashes -r $(LOCK)
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q pipeline
	@touch $@

lock: env ## Resolve pyproject.toml into the lock again (LOCK_FLAGS=--upgrade for the newest)
	@$(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --python $(BIN)/python --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header -q $(LOCK_FLAGS) -o $(LOCK)

clean: ## Remove .venv, caches and work in progress; published datasets stay
	rm -rf $(VENV) .snakemake $(WORK) data/site build dist \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find pipeline tests -name __pycache__ -type d -prune -exec rm -rf {} +
