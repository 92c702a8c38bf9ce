# Certcast. `make help` lists the targets; each does all the set-up it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# two more than there are cores: many tests wait for services, and for what must not happen before its time
WORKERS := $(shell expr $$(nproc) + 2)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast fuzz check format bench bench-full siege crash chaos scenarios simulate screenshots lock findings clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Certcast needs Python 3.11 or later: install it, or say 'make PYTHON=/path/to/python3'"; exit 1; }
	@echo "Setting up $(VENV) (about a minute the first time) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, 'apt install python3-venv'"; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## make the environment in .venv from the locked dependencies

demo: $(STAMP) ## show the main job: a manager, three nodes, a pushed certificate (ONCE=1: then stop)
	@$(BIN)/python -m demo.run $(if $(ONCE),--once)

test: $(STAMP) ## run the tests, on all cores
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-fast: $(STAMP) ## run the tests that need no service, without attacks, sweeps and what else is slow
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not services and not slow" $(ARGS)

fuzz: $(STAMP) ## feed every reader at random, ten minutes each (TARGET=pkcs12 for one, SECONDS=60 for less)
	@$(BIN)/python -m tests.fuzz.run $(TARGET) --seconds $(or $(SECONDS),600)

check: $(STAMP) ## formatter, linter, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure, and print ratios
	@$(BIN)/python -m bench.run $(ARGS)

bench-full: $(STAMP) ## measure how a manager scales, beside floors and rivals; takes an hour
	@$(BIN)/python -m bench.full.run $(ARGS)

siege: $(STAMP) ## attack a manager in every way at once for 30 minutes, and show what honest clients notice
	@$(BIN)/python -m bench.siege.run $(ARGS)

crash: $(STAMP) ## kill, cut the power and let the disk fail at every system call in every way; in `make test` the ways take turns at the calls
	@CERTCAST_WHOLE_SWEEPS=1 $(BIN)/python -m pytest -n 0 tests/crash $(ARGS)

chaos: $(STAMP) ## let 1,000 random faults happen to three managers, and look for contradictions; takes half an hour (ARGS="--seed 1 --steps 100")
	@$(BIN)/python -m tests.chaos.run $(ARGS)

scenarios: $(STAMP) ## let one failure after the other happen to three managers and 300 nodes, and upgrade managers one by one; needs root, nginx and PostgreSQL
	@$(BIN)/python -m pytest -n 0 -o python_files='scenario_*.py' tests/chaos $(ARGS)

simulate: $(STAMP) ## renew the certificates of a simulated fleet for three years, and look for what must not happen; takes an hour or two (ARGS="--seed 2 --days 100")
	@$(BIN)/python -m tests.simulation.run $(ARGS)

screenshots: $(STAMP) ## make pictures of every page into build/screenshots (needs Debian's chromium)
	@$(BIN)/python -m tests.browser.screenshots build/screenshots

lock: $(STAMP) ## resolve the dependencies anew into requirements.lock, and the manager's and the nodes' shares
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	  --extra manager --extra dev --no-annotate --custom-compile-command "make lock" pyproject.toml build-requirements.in \
	  --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --extra manager --no-annotate --custom-compile-command "make lock" --constraint requirements.lock \
	  pyproject.toml build-requirements.in --output-file requirements-manager.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" --constraint requirements.lock \
	  pyproject.toml build-requirements.in --output-file requirements-node.lock

findings: $(STAMP) ## write docs/findings.md anew from the table in the code
	@$(BIN)/python -m manager.web.reference > docs/findings.md

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
