# Everything happens in lms/dev.py: it makes .venv, installs into it, and runs the chore there.
# It needs Python 3.11 or later and the package index; this file is its front door, for fingers that type `make`.

PYTHON ?= $(shell for python in python3.11 python3; do $$python -c "" 2>/dev/null && echo $$python && break; done || echo python3)
ARGS =
N = 10000

CHORES = demo test lint bench bench-gradients fuzz setup
.PHONY: help $(CHORES)

help $(CHORES):
	@$(PYTHON) lms/dev.py $@ $(ARGS)

fuzz: export LMS_FUZZ_EXAMPLES = $(N)
