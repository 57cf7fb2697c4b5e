# make run: environment and a first run.  make test: environment and the whole suite.
# make docs: environment and the site.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ifneq ($(wildcard ../shared/data),)
export LIMBECK_DATA ?= $(abspath ../shared/data)
endif

.PHONY: run test lint bench docs

run: $(VENV)/.run
	$(BIN)/limbeck run

test: lint
	$(BIN)/pytest -q --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=10

lint: $(VENV)/.test
	$(BIN)/ruff check src tests examples benchmarks docs
	$(BIN)/ruff format --check src tests examples benchmarks docs
	$(BIN)/mypy

bench: $(VENV)/.test
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file --json; done

# Warnings are errors: a link that leads nowhere, a docstring that names what is not there. Not with
# --quiet, which keeps warnings from being counted.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'The site: site/index.html'

$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.test: pyproject.toml Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,vision,export,ray]'
	touch $@

$(VENV)/.docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@
