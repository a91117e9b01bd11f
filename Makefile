# The five commands of the repository; CI and people call exactly these.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test check fmt
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

test: .venv/installed
	$(BIN)/python -m pytest -q

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fmt: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
