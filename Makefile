# make demo   the main job on this machine: sandbox provider, sandbox mail server and the proxy, signed in
# make test   the tests
# make check  lint, types, import contract, coverage threshold
# make fuzz   the property tests and the fuzz tests with many examples: make fuzz EXAMPLES=20000
# make endurance  kills, many processes and a soak: seven minutes; make endurance SHARE=0.1 for a tenth of that
# make e2e    real Cyrus, real OpenID Provider, real clients (Debian, root: installs packages with apt and npm)
# make bench  beside Caddy, nginx, HAProxy and mitmproxy on one core (Debian, root: installs packages); fourteen minutes;
#             a part of it, shorter: make bench ONLY=api,transfer ROUNDS=3 SECONDS=1
#             and write it into the documentation: make bench PAGE=docs/performance.md
# make profile  where the microseconds of an API call go; PAGE as with make bench
# make picture  docs/terminal.svg anew, from a real run against the sandbox (needs curl and jq)
# make lock   the locked dependencies anew
# make help   this

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check fuzz endurance e2e bench profile picture lock clean
.DEFAULT_GOAL := test

$(VENV)/.done: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jmap-proxy needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

help:
	@sed -n '/^#/!q;s/^# //p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.done
	@$(BIN)/jmap-proxy demo

PARALLEL = --numprocesses auto --maxprocesses 4
test: $(VENV)/.done
	$(BIN)/python -m pytest $(PARALLEL)

check: $(VENV)/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

EXAMPLES ?= 20000
fuzz: $(VENV)/.done
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests -m hypothesis --hypothesis-profile=fuzz --timeout 7200 \
		--override-ini addopts="-q --strict-markers --strict-config -p no:cacheprovider --ignore=tests/e2e"

SHARE ?= 1
endurance: $(VENV)/.done
	SHARE=$(SHARE) $(BIN)/python -m pytest -p no:cacheprovider tests/endurance --timeout 300 \
		--override-ini addopts="-q --strict-markers"

e2e: $(VENV)/.done
	tests/e2e/install.sh
	$(BIN)/python -m pytest -p no:cacheprovider tests/e2e --override-ini addopts="-q --strict-markers" --timeout 300

ONLY ?=
ROUNDS ?= 5
SECONDS ?= 2
PAGE ?=
bench: $(VENV)/.done
	PYTHON=$(BIN)/python bench/install.sh
	$(BIN)/python -m bench --only "$(ONLY)" --rounds $(ROUNDS) --seconds $(SECONDS) $(if $(PAGE),--page $(PAGE))

SCHEME ?= http
profile: $(VENV)/.done
	PYTHON=$(BIN)/python bench/install.sh
	$(BIN)/python -m bench.profile --scheme $(SCHEME) $(if $(PAGE),--page $(PAGE))

picture: $(VENV)/.done
	$(BIN)/python docs/picture.py

# needs uv; the locks hold for every supported Python and platform
UVLOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:
	$(UVLOCK) pyproject.toml --extra speed -o requirements/run.txt
	$(UVLOCK) requirements/build.in -o requirements/build.txt
	$(UVLOCK) pyproject.toml --extra speed requirements/dev.in -o requirements/dev.txt

clean:
	rm -rf $(VENV) .bench .e2e .mypy_cache .ruff_cache .coverage*
