# What a person types. The work is in scripts/; each target sets up what it needs first.

.PHONY: help setup demo test lint format bench clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## make .venv with the harness command, and install what the system lacks
	@scripts/setup

demo: setup ## 4 nodes in a shaped topology run gloo collectives: requested, applied, measured
	@scripts/demo

test: setup ## every test that this machine can run, and what it could not run and why
	@scripts/test

lint: setup ## style, types, direction of imports, shell scripts
	@scripts/lint

format: setup ## write the style that lint checks
	@.venv/bin/ruff check --fix -q; .venv/bin/ruff format

bench: setup ## the figures that the project promises, measured on this machine
	@scripts/with-netem .venv/bin/python -m benchmarks mesh fidelity profiles
	@.venv/bin/python -m benchmarks startup no_shape recording engines profiles
	@scripts/with-docker scripts/build-image
	@scripts/with-docker .venv/bin/python -m benchmarks containers

clean: ## remove .venv and caches (the User-Mode Linux kernel in ~/.cache/tc-harness stays)
	rm -rf .venv test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
