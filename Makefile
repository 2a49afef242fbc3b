# Every target works on a fresh machine with Python 3.11 or newer, says what it does, and does nothing twice.
# What is installed goes to .venv; without network everything that is installed already still works.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := llm_gateway_config llm_gateway llm_gateway_operator
# Code that is no part of the distribution but is held to the same types.
SUPPORT := llm_gateway_testing bench

.DEFAULT_GOAL := help
.PHONY: help run test soak check testcluster crds format lock bench clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

run: $(VENV)/.installed-run ## serve examples/quickstart (PORT and METRICS_PORT choose other ports)
	@exec $(BIN)/llm-gateway-operator local examples/quickstart

test: check testcluster ## check, then all tests
	@echo "==> tests"
	@$(BIN)/python -m pytest

soak: $(VENV)/.installed-dev ## mixed load for 2 minutes, after which neither memory nor sockets may be left (SOAK_SECONDS=600)
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),120) $(BIN)/python -m pytest -s tests/llm_gateway/test_memory.py

check: $(VENV)/.installed-dev ## lint, formatting, types, imports, lock files
	@echo "==> ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@echo "==> mypy"
	@$(BIN)/mypy $(PACKAGES:%=-p %) $(SUPPORT:%=-p %)
	@echo "==> import-linter"
	@$(BIN)/lint-imports --no-logo
	@echo "==> crds/ against the models"
	@$(BIN)/python -m llm_gateway_operator.api.crd --check
	@echo "==> lock files against pyproject.toml"
	@$(BIN)/python -m pytest --quiet --no-header tests/project/test_locks.py

testcluster: $(VENV)/.installed-dev ## build the Kubernetes control plane that the tests run (once, some minutes; needs Go 1.24)
	@echo "==> the test cluster's programs"
	@PYTHONPATH=tests/support $(BIN)/python -m llm_gateway_testing.cluster.build

crds: $(VENV)/.installed-dev ## write crds/ from the models of the custom resources
	@$(BIN)/python -m llm_gateway_operator.api.crd

format: $(VENV)/.installed-dev ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## CPU and memory beside nginx and Envoy; about 6 minutes (ROUNDS=1 SERVERS=envoy,gateway)
	@bash bench/install-nginx
	@exec $(BIN)/python -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SERVERS),--servers $(SERVERS))

# Keeps the pins that are there as far as pyproject.toml allows; remove requirements/*.lock first to get the newest.
# The build backend is in the run lock too: the project itself is installed without build isolation.
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header

lock: $(BIN)/uv ## resolve pyproject.toml into requirements/*.lock
	@echo "==> requirements/dev.lock"
	@$(LOCK) pyproject.toml --all-extras --output-file requirements/dev.lock
	@echo "==> requirements/run.lock"
	@echo hatchling | $(LOCK) pyproject.toml - --extra operator --extra gateway \
	  --constraint requirements/dev.lock --output-file requirements/run.lock

$(BIN)/uv: | $(BIN)/python
	@echo "==> installing uv into $(VENV)"
	@$(INSTALL) --quiet "$$(sed -n 's/^ *"\(uv[>=][^"]*\)",$$/\1/p' pyproject.toml)"

clean: ## remove what make made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# --- installing: once per lock file -----------------------------------------------------------------------------

INSTALL := $(BIN)/python -m pip install --no-input --disable-pip-version-check
# Shows what is fetched and installed, not what is there already.
NEWS := { grep --line-buffered -v '^Requirement already satisfied' || true; }

$(BIN)/python:
	@bash tools/make-venv $(VENV)

$(VENV)/.installed-run: requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "==> installing what the gateway needs into $(VENV), pinned by requirements/run.lock"
	@$(INSTALL) --require-hashes --requirement requirements/run.lock | $(NEWS)
	@$(INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The development lock holds the other whole, at the same versions: having installed it, both are installed.
$(VENV)/.installed-dev: requirements/dev.lock requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "==> installing what development and tests need into $(VENV), pinned by requirements/dev.lock"
	@$(INSTALL) --require-hashes --requirement requirements/dev.lock | $(NEWS)
	@$(INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.installed-run
