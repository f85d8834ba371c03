# Everything here sets itself up in .venv: Python 3.10+ and make are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the command line needs, and what the tests need beside it.
BASE := $(VENV)/.installed
STAMP := $(VENV)/.installed-dev

.PHONY: help demo pythons test test-slow test-long test-all torture lint format dist bench bench-rebuild aws-check fuzz clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BASE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("lambdapack needs Python 3.10 or later: make PYTHON=python3.12" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(STAMP): $(BASE)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(BASE)  ## Build, deploy and invoke spaCy in the local cloud
	$(BIN)/python examples/demo.py

pythons: $(STAMP)  ## Make Python 3.14 and 3.15 for the tests, once, where that can be done
	$(BIN)/python -m tests.support.newer_pythons

test: $(STAMP) pythons  ## Run the tests that take seconds
	$(BIN)/python -m pytest -m "not slow" -n auto

# At how many moments the tests kill each command; continuous integration takes this number.
export LAMBDAPACK_KILLS ?= 4

test-slow: $(STAMP) pythons  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile

test-long: $(STAMP)  ## Kill each command at 20 moments, each fault at each call to AWS, for tens of minutes
	LAMBDAPACK_KILLS=20 $(BIN)/python -m pytest -m slow tests/test_kills.py tests/deploy/test_network_faults.py

test-all: test test-slow  ## Run every test

torture: $(STAMP)  ## Inject thousands of faults into the loader's starts (under 30 minutes)
	$(BIN)/python -m tests.faults --peers

lint: $(STAMP)  ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin

format: $(STAMP)  ## Rewrite the code in the project's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(STAMP)  ## Build the sdist, and the wheel from the sdist, and check both
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

bench: $(STAMP)  ## Measure cold starts beside the peers, then what the plan predicted of them
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.prediction

bench-rebuild: $(BASE)  ## Measure what one changed pin costs in CPU time
	$(BIN)/python -m benchmarks.rebuild

aws-check: $(BASE)  ## Check lambdapack in your own AWS account; says what it costs, and asks
	$(BIN)/python -m benchmarks.aws_check

SECONDS ?= 600
fuzz: $(STAMP)  ## Fuzz the three targets, SECONDS=600 each
	for target in index pack place; do \
	  $(BIN)/python tests/fuzz/fuzz_run.py $$target -max_total_time=$(SECONDS) || exit; done

clean:  ## Remove what this Makefile made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .lambdapack
