# Each recipe is one call of dev.py, so `python3 dev.py demo` does the same where make is missing.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help install check test serve demo fuzz faults bench

help install check test serve demo fuzz faults bench:
	@$(PYTHON) dev.py $@ $(ARGS)
