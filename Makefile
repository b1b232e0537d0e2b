# What a contributor runs; `make` alone lists it. Each target makes .venv and installs what it needs on first use.
# Options: PYTHON=python3.12 picks the interpreter, ARGS="..." goes to the command (make test ARGS="tests/core -x").

SHELL := bash
PYTHON ?= python3
ARGS ?=
VENV := .venv
# Third-party corpora that some tests read; without them those tests say what was not verified.
export RATCHET_TEST_DATA ?= $(abspath $(wildcard ../shared/data))
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# A process for each core; a file's tests stay together, since they share what is dear to make; in order, since the longest
# of the slow ones come early. PARALLEL= turns it off.
PARALLEL ?= -n auto --dist loadfile --no-loadscope-reorder

# A stamp is newer than what it was installed from, so that a second call does nothing.
MADE := $(VENV)/.made
MCP_SERVERS := $(VENV)/mcp-servers
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: demo studio test test-slow lint format bench mcp-servers pocket constraints help

demo: $(DEMO)  ## the whole loop on the pocket model, in minutes: no key, no GPU (ARGS=--json for one JSON object)
	@$(BIN)/ratchet demo $(ARGS)

studio: $(DEV)  ## the graphs in LangGraph Studio: a server on loopback that needs no key and no network (docs/studio.md)
	@LANGGRAPH_NO_VERSION_CHECK=true LANGGRAPH_CLI_NO_ANALYTICS=1 LANGSMITH_TRACING=false \
		$(BIN)/langgraph dev --no-browser --no-reload --n-jobs-per-worker 4 $(ARGS)

test: $(DEV)  ## the tests, slow ones left out
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-slow: $(DEV) mcp-servers  ## the slow tests only
	@$(BIN)/python -m pytest $(PARALLEL) -m slow $(ARGS) || { status=$$?; test $$status -eq 5 && echo "no slow tests"; }

lint: $(DEV)  ## ruff, mypy --strict on src, import contracts, README's tree
	@status=0; \
	$(BIN)/ruff check --output-format concise . || status=1; \
	$(BIN)/ruff format --check --output-format concise . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports --no-logo || status=1; \
	$(BIN)/python scripts/readme_tree.py --check || status=1; \
	exit $$status

format: $(DEV)  ## rewrite the code as ruff wants it, and README's tree as the disk is
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/python scripts/readme_tree.py

bench: $(DEV)  ## every benchmark, one after the other
	@status=0; for file in $$(grep -l __main__ benchmarks/*.py); do echo "== $$file"; $(BIN)/python $$file || status=1; done; exit $$status

mcp-servers: $(MCP_SERVERS)/.installed  ## the published MCP servers that slow tests talk to, from npm and PyPI

pocket: $(DEV)  ## make the pocket model anew: demonstrations, then pre-training (under an hour; goes on where it was stopped)
	@$(BIN)/python scripts/make_pocket.py $(ARGS)

constraints:  ## pin the newest set that installs, from a clean environment
	@bash scripts/pin_constraints.sh $(PYTHON)

help:  ## this list
	@grep -E '^[a-z-]+:.*  ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*  ## /  make \1|/' \
		| awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# Messages go to stderr: `make demo ARGS=--json` prints JSON and nothing else, also on its first run.
$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$(command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1 || echo "not found"); \
		echo "error: langgraph-ratchet needs Python 3.11 or newer; $(PYTHON) is: $$found." \
			"Name another one: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@

$(DEMO): pyproject.toml constraints.txt | $(MADE)
	@echo "Installing what the demo needs (once, a few minutes; PyTorch is the large part) ..." >&2
	@$(INSTALL) --editable '.[local,logic,problems]'
	@echo "Installed." >&2
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(MADE)
	@echo "Installing everything that tests and checks need (once, a few minutes) ..." >&2
	@$(INSTALL) --editable '.[dev]'
	@echo "Installed." >&2
	@touch $(DEMO) $@

# Without them the tests say what was not verified.
$(MCP_SERVERS)/.installed: scripts/mcp_servers.sh | $(MADE)
	@echo "Installing the MCP servers that slow tests talk to (once, under a minute) ..." >&2
	@bash scripts/mcp_servers.sh $(MCP_SERVERS) $(PYTHON) && touch $@ || echo "They could not be installed." >&2
