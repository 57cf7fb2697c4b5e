# make test: environment and the whole suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ifneq ($(wildcard ../shared/data),)
export LIMBECK_DATA ?= $(abspath ../shared/data)
endif

.PHONY: test lint bench

$(VENV)/.test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test,vision]'
	touch $@

lint: $(VENV)/.test
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -q --durations=10
