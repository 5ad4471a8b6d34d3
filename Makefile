# What there is to do here: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
SANDBANK := .venv/bin/sandbank
PYTEST := $(PYTHON) -m pytest
# Processes of the tests side by side. A file's tests stay together and the order stays, because files share servers and
# the walls' tests come first. `make test WORKERS=0`: one process.
WORKERS := 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# So that what a person typed by hand elsewhere does not reach the tests.
unexport PYTHONPATH
# Without bytecode every process that a test starts would compile every module that it imports: a second each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup engine image demo run up down test test-long lint check fix bench protos lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from the locked dependencies (quick when nothing changed)
	@scripts/setup

engine: ## find a Docker Engine, or install and start one
	@scripts/docker-engine ensure

image: setup ## build the images of all templates (quick when nothing changed)
	@scripts/docker-engine ensure
	$(SANDBANK) templates build

demo: setup ## set everything up and run the main job once, on real containers
	@scripts/docker-engine ensure || echo "no Docker Engine: the demo falls back to the local runtime, which isolates nothing" >&2
	$(PYTHON) scripts/demo

run: setup ## serve in the foreground on 127.0.0.1:50051
	@scripts/docker-engine ensure || echo "no Docker Engine: falling back to the local runtime, which isolates nothing" >&2
	exec $(SANDBANK) serve

up: setup ## serve in the background through docker-compose
	@scripts/compose up

down: setup ## end the sessions and what `make up` started
	@scripts/compose down

test: setup ## run all tests but the long ones, with real containers where an engine is to be had
	@if scripts/docker-engine ensure; then
	    $(SANDBANK) templates build
	elif [ "$${CI:-}" = true ]; then
	    echo "CI needs a Docker Engine" >&2; exit 1
	else
	    echo "no Docker Engine: the tests marked 'engine' will be skipped and listed" >&2
	fi
	$(PYTEST) $(SIDE_BY_SIDE) -m "not long"

test-long: setup ## run the long tests too
	@scripts/docker-engine ensure
	$(SANDBANK) templates build
	$(PYTEST) $(SIDE_BY_SIDE)

lint: setup ## format, lint, types, protos, architecture
	@.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	scripts/protos --check

check: lint ## what `make lint` does, and the unit and contract tests that need no engine
	@$(PYTEST) $(SIDE_BY_SIDE) -q -m "not long and not engine and not postgres" tests/unit tests/contract

fix: setup ## format and mend what can be mended
	@.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: setup ## measure, beside baselines in the same run
	@scripts/docker-engine ensure
	$(SANDBANK) templates build
	$(PYTHON) -m tests.benchmarks

protos: setup ## generate code from the protos, lint them, look for breaking changes
	@scripts/protos

lock: setup ## resolve the locked dependencies anew
	@scripts/lock

clean: ## remove what was made here (not the images, not the data directory)
	rm -rf .venv demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
