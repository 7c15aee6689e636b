# skymix from the shell: `make` lists the targets.

PYTHON ?= python3
ARGS ?=
ONLY ?=

VENV := .venv
LOCK := envs/requirements.lock
STUDY := config/config.yaml
KERNELS := $(wildcard src/skymix/mixture/*.[ch] src/skymix/domains/gamma/*.[ch])
# The workflow's jobs call `skymix` by name.
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv from the lock and install skymix in it

$(VENV)/.locked: $(LOCK)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("skymix needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name a newer one, as in make setup PYTHON=python3.12")'
	@echo "Installing $(LOCK) in $(VENV) (some minutes the first time)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --prefer-binary --require-hashes -r $(LOCK)
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml $(KERNELS)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(VENV)/bin/skymix warm-up
	@touch $@

run: setup ## run the default study and print its result
	@$(IN_VENV) snakemake --profile profiles/default
	@$(IN_VENV) skymix show $(STUDY)

test: setup ## run all tests; ARGS goes to pytest
	@$(IN_VENV) pytest -n 2 $(ARGS)

lint: setup ## check style, types, imports and the workflow
	@$(IN_VENV) ruff check .
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) mypy
	@$(IN_VENV) lint-imports --no-logo
	@$(IN_VENV) snakefmt --check Snakefile workflow
	@$(IN_VENV) snakemake --lint

format: setup ## rewrite the code in the house style
	@$(IN_VENV) ruff check --fix-only --quiet .
	@$(IN_VENV) ruff format .
	@$(IN_VENV) snakefmt Snakefile workflow

bench: setup ## measure; ONLY=name runs one benchmark
	@$(IN_VENV) python -m benchmarks $(ONLY)

clean: ## remove results, logs and caches, keep .venv
	rm -rf results logs build .snakemake .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
