# Clew. `make` alone prints what there is. Each target calls one command; the command makes .venv if it must.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
export CLEW_COMMAND := make $(MAKECMDGOALS)
# Only what is typed after make counts: a variable that the shell exports under such a common name is not meant for us.
typed = $(if $(findstring command,$(origin $(1))),$($(1)))
export CLEW_PORT := $(call typed,PORT)
export CLEW_ID := $(call typed,ID)
export CLEW_TYPE := $(call typed,TYPE)
export CLEW_DATA := $(call typed,DATA)
export CLEW_SERVICE := $(call typed,SERVICE)
export CLEW_FORCE := $(call typed,FORCE)
CLEW := .venv/bin/python -m clew
STAGES := $(patsubst stage-%,%,$(filter stage-%,$(MAKECMDGOALS)))
VERBS := up status send trace check diff logs message

# --- one stage: make stage-3 up trace ---------------------------------------------------------------------------------

.PHONY: $(VERBS) down
stage-%: ## stage-3 VERB … : choose a stage, 0 to 5, for the verbs below
	@if [ "$(words $(filter-out stage-%,$(MAKECMDGOALS)))" = 0 ]; then \
	  echo "What shall stage $* do?"; echo "Next: make $@ up trace"; exit 2; fi

up: ## start the stage's nine services (DRIVER=docker|local, PORT=80 to choose)
status: ## which of the nine are ready
send: ## send one request (ID=… TYPE=… DATA=…)
trace: ## send one request and find its five hops in the nine logs (ID=…)
check: ## hold a traced request against the truth table
diff: ## the stage's fix, in the source and in the logs
logs: ## all nine logs in time order (ID=… SERVICE=…)
message: ## the raw Celery message as it lies in Redis
$(VERBS): run-packages
	@[ -n "$(STAGES)" ] || { echo "Which stage?"; echo "Next: make stage-3 $@"; exit 2; }
	@set -e; for stage in $(STAGES); do $(CLEW) $@ $$stage; done

down: run-packages ## end the stage's services; without a stage, everything that is up
	@set -e; for stage in $(or $(STAGES),all); do $(CLEW) $@ $$stage; done

# --- all stages -------------------------------------------------------------------------------------------------------

.PHONY: journey lattice notebooks lab record doctor ladder bench-up
journey: run-packages ## one request on all six stages: the truth table, measured
	@$(CLEW) journey

lattice: run-packages ## one request on all 32 mixes of fixed and broken layers
	@$(CLEW) lattice

notebooks: notebook-packages ## execute all notebooks on this machine's stacks, check and save them
	@$(CLEW) notebooks

lab: notebook-packages ## the notebooks in JupyterLab
	@$(CLEW) lab

record: run-packages ## run all stages and mixes and keep the runs, for lessons without a stack
	@DRIVER=local $(CLEW) record

doctor: run-packages ## which driver will be used and why, what is missing and what that costs
	@$(CLEW) doctor

ladder: run-packages ## write stages 01–04 and the READMEs anew from the two ends, 00 and 05
	@$(CLEW) ladder

bench-up: test-packages ## how long nine containers take to be healthy, beside a bare compose file
	@.venv/bin/python tests/bench/up.py

# --- the site ----------------------------------------------------------------------------------------------------------

.PHONY: docs docs-build docs-test
MKDOCS := NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs
docs: docs-packages ## serve the site at http://127.0.0.1:8100
	@$(MKDOCS) serve --livereload

docs-build: docs-packages ## build the site into site/; any warning ends it
	@$(MKDOCS) build --strict

docs-test: test-packages ## the site in a real browser
	@.venv/bin/python -m pytest tests/docs

# --- working on Clew itself -------------------------------------------------------------------------------------------

.PHONY: test lint ladder-check lock clean run-packages notebook-packages docs-packages test-packages
test: test-packages ## all tests, on every driver that this machine has (TESTS=tests/unit for some)
	@.venv/bin/python -m pytest $(TESTS)

lint: test-packages ## ruff, mypy, and which package may import which
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports --no-cache

ladder-check: run-packages ## fail when stages 01–04 are not what the two ends make of them
	@$(CLEW) ladder --check

lock: ## pin the dependency groups of pyproject.toml anew
	@sh stack/requirements/lock.sh

clean: ## end everything and remove .venv and .clew
	@if [ -x .venv/bin/python ]; then $(CLEW) down all; fi
	@rm -rf .venv .clew

run-packages:
	@$(PYTHON) stack/bootstrap.py run

notebook-packages:
	@$(PYTHON) stack/bootstrap.py run notebooks

docs-packages:
	@$(PYTHON) stack/bootstrap.py run docs

test-packages:
	@$(PYTHON) stack/bootstrap.py run notebooks docs test

.PHONY: help
help: ## this list
	@echo "make stage-3 up trace    the whole thing: nine services, one request, its trail"
	@echo
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
