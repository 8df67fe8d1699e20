# Everything needs only Python 3.11 or newer and make. `make up` starts the platform, `make test` runs all tests.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell command -v $(name) 2>/dev/null)))
BIN := .venv/bin

.PHONY: up down status doctor test check bench fuzz faults lock setup
.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: setup ## set everything up, start the platform and show how it does; Ctrl-C stops it
	@exec $(BIN)/fairpixel up $(ARGS)

down: setup ## stop the platform in order, without loss
	@exec $(BIN)/fairpixel down

status: setup ## what runs, and how it does
	@exec $(BIN)/fairpixel status

doctor: setup ## check everything; each line says what is wrong and what to do
	@exec $(BIN)/fairpixel doctor

# Two at a time, then those whose subject is a busy or broken machine alone; with PYTEST_ARGS just what is asked for.
test: setup ## run all tests
ifdef PYTEST_ARGS
	@exec $(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@$(BIN)/python -m pytest -m "not alone" -n 2 --dist loadgroup; side_by_side=$$?; \
	$(BIN)/python -m pytest -m alone; exit $$(($$? | side_by_side))
endif

check: setup ## style, types and house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/house

bench: setup ## measure each part alone, all together, beside hostile events, and the cost of each load
	@exec $(BIN)/python -m tests.speed $(ARGS)

# Minutes of each target, one at a time or two, with what they learnt before: make fuzz ARGS="--minutes 10 --only sql".
fuzz: setup ## try to break everything that reads a stranger's bytes, for 2 minutes a target
	@exec $(BIN)/python -m tests.fuzz $(ARGS)

faults: setup ## kill and freeze everything, five times each with different seeds
	@exec $(BIN)/python -m pytest tests/faults --fault-runs 5

# uv resolves for all Pythons at once and only what has wheels: nothing is ever compiled on a user's machine.
lock: setup ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
	  --quiet --upgrade --output-file requirements.lock

setup:
	@$(if $(PYTHON),,$(error Fairpixel needs Python 3.11 or newer, and there is no python3 here. Install it, or name it: make PYTHON=/path/to/python3.11))
	@"$(PYTHON)" deploy/bootstrap.py
