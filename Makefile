# Two commands: `make run` and `make test`. Each does all its set-up in .venv; nothing else on the machine is touched, except that
# `make run SOURCE=...` puts a public model into the daemon's state directory.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCE ?= synthetic
ARGS   ?=
# The shipped graph knows only the synthetic room: a real source gets a public model, unless a graph is named here or in ARGS.
PULLED := $(if $(filter synthetic,$(SOURCE))$(GRAPH)$(findstring --graph,$(ARGS)),,yolox_nano)
# Versions that are tested together; make test VENV=.venv-oldest CONSTRAINTS=deploy/oldest.txt tries the oldest that are allowed.
CONSTRAINTS ?= deploy/constraints.txt
# Processes start often here: without bytecode on disk each of them compiles the package first.
export PYTHONDONTWRITEBYTECODE :=

# What `make test-fast` runs: the pure modules and the small ones, for every save of a file.
FAST := $(wildcard tests/test_*.py) $(addprefix tests/,core decoders graphs ipc policies provision render sinks sources xlink)

.PHONY: run test test-thorough test-fast test-package deb check bench bench-thermal docs constraints clean

# Four simulated sticks in two clusters; heat runs 20 times faster, so that turns pass every 2 s (40 / 20). The camera has more frames
# than the sticks can do, and the air is such that turns keep all of them under 65 °C until somebody makes a heat wave.
run: $(VENV)/.ready
	$(if $(PULLED),$(BIN)/ncsctl graphs pull $(PULLED))
	$(BIN)/ncs-clusterd --source $(SOURCE) $(addprefix --graph ,$(or $(GRAPH),$(PULLED))) --backend simulated --sticks 4 --cluster-size 2 \
		--switch-temp 65 --switch-interval 40 --set simulated.time_scale=20 \
		--set simulated.latency_ms=150 --set simulated.initial_c=40 --set simulated.ambient_c=22 $(ARGS)

# ARGS="-k heat" and the like go to pytest; one file alone is quicker as: .venv/bin/python -m pytest tests/core/test_zone.py
test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n auto -m "not thorough and not package" --hypothesis-profile=brief $(ARGS)

# Tests that search longer, or repeat on another machine or program what holds here, and the property tests with all their examples;
# .ci/run runs them too.
test-thorough: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n auto -m "thorough or hypothesis" $(ARGS)

test-fast: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n logical -q -m "not slow" --hypothesis-profile=brief $(FAST) $(ARGS)

# Debian packages, in build/deb: for Debian 12 and 13 (bookworm, trixie), amd64 and arm64, all built here. SUITES=trixie ARCHS=arm64: one.
SUITES ?= bookworm trixie
ARCHS  ?= amd64 arm64
deb: $(VENV)/.ready-test
	$(BIN)/python -m deploy.debian.build $(addprefix --suite ,$(SUITES)) $(addprefix --arch ,$(ARCHS))

# Installs, upgrades, removes and purges the packages of build/deb on machines made from nothing; as root, minutes for each.
test-package: $(VENV)/.ready-test
	NCS_CLUSTER_PACKAGE_SUITES="$(SUITES)" $(BIN)/python -m pytest -m package tests/package $(ARGS)

check: $(VENV)/.ready-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready-test
	$(BIN)/python -m tests.benchmarks

# Policies in the thermal laboratory, simulated: a quarter of an hour on one core.
bench-thermal: $(VENV)/.ready-test
	$(BIN)/python -m tests.benchmarks.thermal $(ARGS)

# The newest versions that pyproject.toml allows, for these interpreters; commit them once .ci/run has passed.
constraints:
	$(PYTHON) deploy/renew_constraints.py $(PYTHON) $(OTHER_PYTHONS)

docs: $(VENV)/.ready-test
	$(BIN)/python -m ncs_cluster.config.document > docs/configuration.md
	$(BIN)/python -m deploy.describe completions deploy/completions

clean:
	rm -rf $(VENV) build *.egg-info

# A machine without libGL.so.1 (Raspberry Pi OS Lite) cannot load opencv-python; the same version's headless build laid over it can.
define settle_opencv
	@$(BIN)/python -c "import cv2" 2>/dev/null || { \
		version=$$($(BIN)/python -c "from importlib.metadata import version; print(version('opencv-python'))") && \
		echo "OpenCV cannot open windows on this machine (no libGL.so.1): using its headless build $$version" && \
		$(BIN)/pip install --quiet --no-deps --force-reinstall "opencv-python-headless==$$version" && \
		$(BIN)/python -c "import cv2"; }
endef

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # half a one, for want of python3-venv, would be taken for whole

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing ncs_cluster and what it needs (OpenCV, OpenVINO ...) into $(VENV), once: about half a minute"
	@$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --disable-pip-version-check --editable .
	$(settle_opencv)
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@echo "Installing what the tests need into $(VENV), once"
	@$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --disable-pip-version-check --editable '.[test]'
	$(settle_opencv)
	@$(BIN)/python -m compileall -q ncs_cluster tests
	@# pytest compiles tests in its own way: else each process of the first run would compile all of them
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true
	@touch $@

$(VENV)/.ready-check: $(VENV)/.ready-test
	@echo "Installing what the checks need into $(VENV), once"
	@$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --disable-pip-version-check --editable '.[check]'
	@touch $@
