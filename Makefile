# Clew. `make` alone prints the main targets. Each target runs one command, which first makes .venv if it is missing.

MAKEFLAGS += -rR
.SUFFIXES:
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
export CLEW_REQUEUE := $(call typed,REQUEUE)
export CLEW_DROP := $(call typed,DROP)
export CLEW_FORCE := $(call typed,FORCE)
export CLEW_NAME := $(call typed,NAME)
export CLEW_ON := $(call typed,ON)
export CLEW_SEED := $(call typed,SEED)
export CLEW_REPEAT := $(call typed,REPEAT)
export CLEW_SHORT := $(call typed,SHORT)
export CLEW_RECORD := $(call typed,RECORD)
export CLEW_RESET := $(call typed,RESET)
export CLEW_SHOW := $(call typed,SHOW)
export CLEW_WATCH := $(call typed,WATCH)
export CLEW_LEVEL := $(call typed,LEVEL)
export CLEW_FAULTS := $(call typed,FAULTS)
export CLEW_HINT := $(call typed,HINT)
export CLEW_WRONG := $(call typed,WRONG)
export CLEW_LAYER := $(call typed,LAYER)
export CLEW_CAUSE := $(call typed,CAUSE)
export CLEW_FIX := $(call typed,FIX)
export CLEW_COUNT := $(call typed,COUNT)
export CLEW_DIR := $(call typed,DIR)
export CLEW_QUERY := $(call typed,QUERY)
export CLEW_NODES := $(call typed,NODES)
export CLEW_RATE := $(call typed,RATE)
export CLEW_NODE := $(call typed,NODE)
export CLEW_WORKERS := $(call typed,WORKERS)
export CLEW_APIS := $(call typed,APIS)
export CLEW_STAGE := $(call typed,STAGE)
export CLEW_SECONDS := $(call typed,SECONDS)
export CLEW_REGISTRY := $(call typed,REGISTRY)
CLEW := .venv/bin/python -I -m clew
STAGES := $(patsubst stage-%,%,$(patsubst try-%,try,$(filter stage-% try try-% mystery,$(MAKECMDGOALS))))
VERBS := up status send trace two check diff logs columns sql metrics reach message dead-letters rolling-restart watch load

# --- one stage: make stage-3 up trace ---------------------------------------------------------------------------------

.PHONY: $(VERBS) down
stage-%: ## choose a stage for the commands below: make stage-3 up trace
	@if [ "$(words $(filter-out stage-%,$(MAKECMDGOALS)))" = 0 ]; then \
	  echo "No command given for stage $*."; echo "Next: make $@ up trace"; exit 2; fi

up: ## start its nine services (DRIVER=docker|local PORT=…)
status: ## which of the nine services are ready
send: ## send one request (ID=… TYPE=… DATA=…)
trace: ## send one request, find its five hops in nine logs (ID=…)
two: ## two requests at once: which one is each log line from?
check: ## compare a traced request with the truth table
diff: ## the fix of the stage, in the source and in the logs
logs: ## all nine logs in time order (ID=… SERVICE=…)
columns: ## one request, the services as columns (ID=…)
sql: sql-packages ## all nine logs as a table (QUERY='FROM hops')
metrics: ## Prometheus next to the stage: figures and alerts
reach: ## who can reach which port: tried from every place
message: ## the raw Celery message in Redis
dead-letters: ## messages that no worker will run (REQUEUE=id|all DROP=id|all)
watch: watch-packages ## the five hops light up as requests pass; q quits
rolling-restart: ## restart all tiers in use, with 0 failed requests
load: load-packages ## requests at a rate, IDs counted (NAME=spike SECONDS=30)
$(VERBS): run-packages
	@[ -n "$(STAGES)" ] || { echo "No stage given for $@."; echo "Next: make stage-3 $@"; exit 2; }
	@set -e; for stage in $(STAGES); do $(CLEW) $@ $$stage; done

two-%: run-packages ## the same as make stage-N two
	@$(CLEW) two $*

down: run-packages ## stop the services of the stage; without a stage, of all
	@set -e; for stage in $(or $(STAGES),all); do $(CLEW) $@ $$stage; done

# --- all stages -------------------------------------------------------------------------------------------------------

.PHONY: journey lattice leaks ways alerts notebooks lab record doctor ladder bench bench-find bench-queue
journey: run-packages ## one request on all six stages: the truth table
	@$(CLEW) journey

lattice: run-packages ## one request on all 32 mixes of fixed layers
	@$(CLEW) lattice

notebooks: notebook-packages ## run all notebooks on real stacks and save them
	@$(CLEW) notebooks

lab: notebook-packages ## open your copies of the notebooks in JupyterLab
	@$(CLEW) lab

record: run-packages ## run all mixes and save the runs that lessons replay
	@DRIVER=local $(CLEW) record

doctor: run-packages ## which driver will be used and why; what is missing
	@$(CLEW) doctor

ladder: run-packages ## generate stages 01–04 and the READMEs from 00 and 05
	@$(CLEW) ladder

alerts: run-packages ## an alert fires as IDs are lost, and resolves (RECORD=1)
	@$(CLEW) alerts

leaks: run-packages ## 50 requests at once: does a line have another's ID?
	@$(CLEW) leaks

ways: otel-packages ## run three ways to carry an ID, and compare them
	@$(CLEW) ways

bench: bench-packages ## speed compared, in turns, in one run (NAME=… ROUNDS=… RECORD=1)
	@.venv/bin/python tests/bench

bench-find: test-packages ## one request of a thousand, found in five ways, with seconds
	@DRIVER=local .venv/bin/python tests/bench/find.py

bench-queue: test-packages ## waiting time at five loads, compared with queueing theory
	@DRIVER=local .venv/bin/python tests/bench/waiting.py

# --- fix it yourself ---------------------------------------------------------------------------------------------------

.PHONY: try check-try hint-try
try-%: run-packages ## a running copy to fix layer N in (WATCH=1 RESET=1 SHOW=1)
	@$(CLEW) try $*

try: run-packages # the working copy again; with a verb, as in make try logs, nothing else
	@[ -n "$(filter $(VERBS) down,$(MAKECMDGOALS))" ] || $(CLEW) try

check-try: run-packages ## does your fix work? judged by what the stack does
	@$(CLEW) check-try

hint-try: run-packages ## the next of three hints
	@$(CLEW) hint-try

# --- the mystery -------------------------------------------------------------------------------------------------------

.PHONY: mystery guess classroom mysteries
mystery: run-packages ## is something wrong with this stack? (SEED=7 LEVEL=2 HINT=1)
	@[ -n "$(filter $(VERBS) down,$(MAKECMDGOALS))" ] || $(CLEW) mystery

classroom: run-packages ## the scores of several players side by side (DIR=scores)
	@$(CLEW) classroom

mysteries: test-packages ## a script solves thirty mysteries and prints a table
	@CLEW_ALL_MYSTERIES=1 .venv/bin/python -m pytest -q tests/stages/test_mystery.py

guess: run-packages ## what is wrong? (WRONG=yes LAYER=… CAUSE=… FIX=1)
	@$(CLEW) guess

# --- drills: claims that are tested ------------------------------------------------------------------------------------

.PHONY: drill drills
drill: run-packages ## test a claim (NAME=… ON=stock SEED=7 REPEAT=20 SHORT=1)
	@$(CLEW) drill

drills: run-packages ## test all claims (ON=stock SHORT=1 RECORD=1)
	@$(CLEW) drills

# --- past one machine --------------------------------------------------------------------------------------------------

.PHONY: kubernetes
kubernetes: test-packages ## build and check the Kubernetes manifests
	@.venv/bin/python -m pytest -q tests/unit/test_kubernetes.py
	@echo "Checked against the schemas of Kubernetes 1.31, 1.34 and 1.37, never scheduled here: no cluster was available."

SWARM := swarm-up swarm-status swarm-trace swarm-scale swarm-update swarm-drain swarm-kill swarm-restore swarm-autoscale swarm-drill swarm-down
.PHONY: $(SWARM)
swarm-up: ## a stage on three nodes, containers here (NODES=3 STAGE=3)
swarm-status: ## its nodes, and what runs where
swarm-trace: ## send one request, find its five hops on three nodes (ID=…)
swarm-scale: ## set how many workers and API servers run (WORKERS=6 APIS=6)
swarm-update: ## roll out another stage while requests run (STAGE=5)
swarm-drain: ## take everything off a node (NODE=2)
swarm-kill: ## end a node at once (NODE=3)
swarm-restore: ## bring a drained or killed node back (NODE=3)
swarm-autoscale: ## workers by how many tasks wait (WORKERS=6 SECONDS=120)
swarm-drill: ## all of that under load: what was lost? (SEED=7 RATE=20)
swarm-down: ## remove the nodes and all that is on them
$(SWARM): run-packages
	@$(CLEW) swarm $(@:swarm-%=%)

# --- the site ----------------------------------------------------------------------------------------------------------

.PHONY: docs docs-build docs-test
DOCS_PORT ?= 8100
# CONTRIBUTING.md says what happens when Material for MkDocs ends; its notice in every build would hide real warnings.
MKDOCS := NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs
docs: docs-packages ## serve the site at http://127.0.0.1:8100 (DOCS_PORT=…)
	@.venv/bin/python -c 'import socket; socket.create_server(("127.0.0.1", $(DOCS_PORT))).close()' 2>/dev/null || { \
	  echo "Port $(DOCS_PORT) is in use."; echo "Next: make docs DOCS_PORT=8101"; exit 2; }
	@$(MKDOCS) serve --livereload --dev-addr 127.0.0.1:$(DOCS_PORT)

docs-build: docs-packages ## build the site into site/; any warning is an error
	@$(MKDOCS) build --strict

docs-test: test-packages chromium ## test the site in a real browser
	@.venv/bin/python -m pytest tests/docs

.PHONY: chromium
chromium: # installed only where that needs no password; otherwise pytest says what to type
	@command -v chromium chromium-browser google-chrome-stable google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; \
	    apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; }

# --- working on Clew itself -------------------------------------------------------------------------------------------

.PHONY: test test-quick mutants lint ladder-check lock sbom audit clean run-packages watch-packages sql-packages load-packages otel-packages bench-packages notebook-packages docs-packages test-packages
test: test-packages ## all tests, on every driver that is here (TESTS=tests/unit)
	@.venv/bin/python -m pytest $(TESTS)

test-quick: test-packages ## unit tests: no services, no browser, under a minute
	@.venv/bin/python -m pytest -q tests/unit

mutants: test-packages ## code changes that no unit test notices (MODULES=clew.ladder)
	@.venv/bin/python tests/mutants.py $(MODULES)

lint: test-packages ## ruff, mypy, and which package may import which
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports --no-cache

ladder-check: run-packages ## fail if stages 01–04 do not follow from 00 and 05
	@$(CLEW) ladder --check

lock: ## pin the dependencies of pyproject.toml again
	@sh stack/requirements/lock.sh

sbom: test-packages ## the services' Python packages as CycloneDX, in dist/
	@.venv/bin/python stack/requirements/sbom.py

audit: test-packages ## known vulnerabilities of the pinned packages
	@.venv/bin/python stack/requirements/audit.py

clean: ## stop everything, then remove .venv and .clew
	@if [ -x .venv/bin/python ] && [ -e .venv/made-run ]; then $(CLEW) down all --clean; fi
	@rm -rf .venv .clew

run-packages:
	@$(PYTHON) stack/bootstrap.py run

watch-packages:
	@$(PYTHON) stack/bootstrap.py run watch

otel-packages:
	@$(PYTHON) stack/bootstrap.py run otel

sql-packages:
	@$(PYTHON) stack/bootstrap.py run sql

load-packages:
	@$(PYTHON) stack/bootstrap.py run load

bench-packages:
	@$(PYTHON) stack/bootstrap.py run sql bench

notebook-packages:
	@$(PYTHON) stack/bootstrap.py run sql otel notebooks

docs-packages:
	@$(PYTHON) stack/bootstrap.py run docs

test-packages:
	@$(PYTHON) stack/bootstrap.py run watch sql load otel notebooks docs test delivery

.PHONY: help help-all
help: ## the main targets
	@echo "make stage-3 up trace   start nine services, send one request, show its trail"
	@echo "make stage-3 diff       the fix of stage 3, in the source and in the logs"
	@echo "make stage-0 up two     two requests at once: which one is each log line from?"
	@echo "make try-3              fix the third layer yourself, on a running stack"
	@echo "make mystery SEED=7     is something wrong with this stack? find out"
	@echo "make journey            where the ID is kept and lost on all six stages"
	@echo "make lab                the notebooks: predict, see, explain, fix, check"
	@echo "make docs               the site, with an explorer of all 32 mixes"
	@echo "make down               stop everything"
	@echo
	@echo "make help-all           every target"

help-all: ## every target
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { sub("%", "N", $$1); printf "%-17s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.DEFAULT:
	@echo "There is no target $@."; echo "Next: make help-all"; exit 2
