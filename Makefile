# Each recipe is one call of dev.py, so `python3 dev.py demo` does the same where make is missing.
PYTHON ?= python3
.DEFAULT_GOAL := help
COMMANDS := help install check test serve demo demo-cluster fuzz faults faults-agent bench conformance-mlmd differential-mlmd conformance-mlflow differential-mlflow
.PHONY: $(COMMANDS)

$(COMMANDS):
	@$(PYTHON) dev.py $@ $(ARGS)
