# One command, the same everywhere: what CI runs is what a person runs. Every target makes .venv first if it is missing.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-gpu check bench model constraints clean

help:                       ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/ –/' | sort

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "moodstream needs Python 3.11, 3.12 or 3.13 (PYTHON=… make …)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
# uv installs in a tenth of pip's time; where it cannot be had or cannot reach your index, pip does.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: $(VENV)/ready         ## the product in a minute: real Kafka, PostgreSQL and Redis, sample events, alerts, SQL
	$(BIN)/moodstream demo

check: $(VENV)/ready        ## format, lint, types, import contracts, schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.json_schema --check

test: check                 ## everything CI runs: `check`, then the whole suite on real services
	$(BIN)/pytest -m 'not long and not gpu'

test-long: $(VENV)/ready    ## the full-length fault and load tests (about half an hour)
	$(BIN)/pytest -m long --timeout 3600

test-gpu: $(VENV)/ready     ## the tests of the CUDA branch, on a machine that has one
	$(BIN)/pytest -m gpu

# The stages of `make model`. Each goes on where it was when it is called again, so a machine may be switched off in between.
DATA ?= labelled
WORK ?= work
OUT  ?= bundles/zhen-2
FIT  := $(BIN)/moodstream train fit --data $(DATA)
TEACH := $(BIN)/moodstream train distill --data $(DATA)

model: $(VENV)/ready        ## the bundle that ships, from labelled files: make model DATA=… (hours on two cores)
	$(FIT) --language zh --vocabulary 14000 --work $(WORK)/zh-teacher
	$(FIT) --language en --vocabulary 24000 --epochs 1 --learning-rate 1.2e-4 --work $(WORK)/en-teacher
	$(TEACH) --language zh --teacher $(WORK)/zh-teacher/model --scale 0.5 --epochs 1 --learning-rate 6e-5 --head-rate 1 --work $(WORK)/zh
	$(TEACH) --language en --teacher $(WORK)/en-teacher/model --layers 0,2,4,7,9,11 --epochs 1 --work $(WORK)/en
	$(BIN)/moodstream train bundle --data $(DATA) --zh $(WORK)/zh --en $(WORK)/en --out $(OUT)

bench: $(VENV)/ready        ## the benchmarks, each with its baseline in the same run
	$(BIN)/moodstream bench flow
	$(BIN)/moodstream bench text
	$(BIN)/moodstream bench score
	$(BIN)/moodstream bench record
	$(BIN)/moodstream bench alert

constraints: $(VENV)/ready  ## write constraints.txt from this environment
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' \
	  | grep -vE '^(uv|pip|setuptools)=='; } > constraints.new && mv constraints.new constraints.txt

clean:                      ## stop the local stack, remove the environment and caches
	-$(BIN)/moodstream down
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
