# `make run` on a bare machine with Python 3.11 or later starts everything; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

HOST ?= 127.0.0.1
PORT ?= 8000
# Options for the program behind a target: make test ARGS="-k graph", make run ARGS=--no-example
ARGS ?=
# The first Python on the PATH that is new enough; another one with PYTHON=/path/to/python.
PYTHON ?= $(shell for found in python3 python3.13 python3.12 python3.11 python; do \
	$$found -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$found; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
RUN_REQUIREMENTS := requirements.txt requirements/notebooks.txt requirements/llm.txt
ALL_REQUIREMENTS := $(RUN_REQUIREMENTS) requirements/dev.txt
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11
SCHEMA := docs/openapi.yaml
# A panel on the network, for `check --deploy`; the keys are made for this one call.
DEPLOYED = PUBLIC_URL=https://panel.example.com MCP_LOCAL=0 MCP_DATA_DIR=/nonexistent DATABASE_URL=postgres:///panel \
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	MCP_SECRET_KEYS=$$($(BIN)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')
# For commands that need settings and no server.
OFFLINE := MCP_LOCAL=1 MCP_DATA_DIR=/nonexistent

.PHONY: help run services test check bench schema install lock clean check-lint check-types check-contracts \
	check-migrations check-schema check-deploy

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## start the panel and run the example (PORT=8000, HOST=127.0.0.1, ARGS=--no-example)
	@exec $(BIN)/python manage.py up --host $(HOST) --port $(PORT) $(ARGS)

services: $(VENV)/.run ## start only the embedded PostgreSQL and Valkey, for `manage.py` commands beside them
	@exec $(BIN)/python -m mcp_site.up.services $(ARGS)

test: $(VENV)/.dev ## run the tests, two files at a time (ARGS="-k graph -n 0")
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## lint, types, import contracts, migrations, API schema, deploy check
	@$(MAKE) -j3 --keep-going --output-sync=target \
		check-types check-contracts check-lint check-migrations check-schema check-deploy
	@echo "check: all good"

bench: $(VENV)/.dev ## measure; prints the tables of docs/performance.md (ARGS=--help)
	@$(BIN)/python -m bench $(ARGS)

schema: $(VENV)/.dev ## write docs/openapi.yaml anew after a change of the API
	@$(OFFLINE) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file $(SCHEMA)

install: $(VENV)/.dev ## make .venv with everything, without starting anything

lock: $(BIN)/uv ## pin requirements*.in anew (ARGS=--upgrade)
	@$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	@for name in notebooks llm connectors dev; do $(COMPILE) $(ARGS) requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove .venv and what tools leave; never var/, which holds the panel's data
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

check-lint:
	@$(BIN)/ruff format --check --quiet . || { echo "lint: \`$(BIN)/ruff format .\` would change files"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@echo "lint: ok"

check-types:
	@$(OFFLINE) $(BIN)/mypy --no-error-summary . && echo "types: ok"

check-contracts:
	@$(BIN)/lint-imports --no-cache > $(VENV)/.contracts 2>&1 || { cat $(VENV)/.contracts; exit 1; }
	@echo "import contracts: ok"

check-migrations:
	@# Without a server Django warns that it could not compare with the database; the models are what is compared here.
	@$(OFFLINE) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run \
		|| { echo "migrations: the models changed; run manage.py makemigrations"; exit 1; }
	@echo "migrations: ok"

check-schema:
	@$(OFFLINE) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file $(VENV)/.openapi.yaml
	@diff -u $(SCHEMA) $(VENV)/.openapi.yaml || { echo "schema: the API changed; run \`make schema\` and commit"; exit 1; }
	@echo "schema: ok"

check-deploy:
	@$(DEPLOYED) $(BIN)/python manage.py check --deploy --fail-level WARNING > $(VENV)/.deploy 2>&1 \
		|| { cat $(VENV)/.deploy; exit 1; }
	@echo "deploy check: ok"

# The stamps make a second call quick: they are older than a changed lock file, and then only what changed is installed.
$(BIN)/uv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or later found. Install one, or name it: make run PYTHON=/path/to/python3"; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11. Name a newer one: make run PYTHON=/path/to/python3"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.run: $(RUN_REQUIREMENTS) | $(BIN)/uv
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet $(addprefix -r ,$(RUN_REQUIREMENTS))
	@touch $@

$(VENV)/.dev: $(ALL_REQUIREMENTS) | $(BIN)/uv
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet $(addprefix -r ,$(ALL_REQUIREMENTS))
	@touch $(VENV)/.run $@
