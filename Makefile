PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench

demo: .venv/installed
	$(BIN)/andon demo

test: .venv/installed
	$(BIN)/python -m pytest -m "not flow and not mutation"
	$(BIN)/python -m pytest -m flow
	$(BIN)/python -m pytest -m mutation

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests

bench: .venv/installed
	$(BIN)/python -m bench.learner

.venv/installed: pyproject.toml constraints.txt
	@echo "Creating .venv from constraints.txt; the first time this takes some minutes."
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
