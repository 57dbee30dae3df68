# Everything works from a fresh clone with Python >= 3.11 and make: each target sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
USE    := $(VENV)/.for-use
WORK   := $(VENV)/.for-work
ROOT   ?=
PYROCTL = $(BIN)/pyroctl $(if $(ROOT),--root $(ROOT))
# Programs look for a name server at port 9090; if another program has it, any free port will do.
NS_PORT = $$($(BIN)/python -c 'import socket; print(0 if socket.socket().connect_ex(("localhost", 9090)) == 0 else 9090)')

# The suite passes with these, too; without them it is fast (each of the thousands of processes that
# tests start would compile all its modules) and sees what a user's plain environment does.
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED

.PHONY: start stop test test-slow test-browser pictures faults soak check format docs bench bench-events clean

start: $(USE)            ## name server, event service and page up, status shown
	PYROCTL_SERVICES_NS_PORT=$(NS_PORT) $(PYROCTL) start
	$(PYROCTL) status

stop: $(USE)
	$(PYROCTL) shutdown

test: $(WORK)
	$(BIN)/python -m pytest -n 4 --dist worksteal

test-slow: $(WORK)        ## what is too long for each run of the suite
	$(BIN)/python -m pytest -n 2 -m slow

CHROMIUM ?= $(or $(shell command -v chromium || command -v google-chrome),$(error \
            a browser is missing: apt-get install chromium, or CHROMIUM=/path/to/chrome))

test-browser: $(WORK)     ## the page in a browser: apt-get install chromium
	@: $(CHROMIUM)
	$(BIN)/python -m pip install --quiet --group browser
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest tests/browser

pictures: $(WORK)         ## those in docs/pictures, from a real deployment: apt-get install chromium
	@: $(CHROMIUM)
	$(BIN)/python -m pip install --quiet --group browser
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m tools.pictures

TIMES ?= 3
faults: $(WORK)           ## the whole fault suite; TIMES=1000 ONLY='kill ' SEED=7
	$(BIN)/python -m tests.faults --times $(TIMES) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

HOURS ?= 1
soak: $(WORK)             ## hours of mixed load; draws soak.svg
	$(BIN)/python -m benchmarks.events.soak --seconds $$(($(HOURS) * 3600)) --quiet --json soak.json --plot soak.svg

check: $(WORK)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/limits.py
	$(BIN)/codespell
	mandoc -T lint -W warning man/*.[157]
	$(BIN)/python tools/prose.py

format: $(WORK)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(WORK)             ## the site, in site/; with mandoc installed, man pages are typeset
	$(BIN)/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(WORK)            ## its peers beside those from PyPI: apt-get install runit s6
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.manager

bench-events: $(WORK)     ## its rivals: apt-get install redis-server nats-server mosquitto
	$(BIN)/python -m pip install --quiet --group bench-events
	$(BIN)/python -m benchmarks.events

clean:
	rm -rf $(VENV) dist build site

$(USE): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[speed,web]'
	touch $@

# pip >= 25.1 knows dependency groups; older Pythons bring an older pip.
$(WORK): $(USE)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	touch $@
