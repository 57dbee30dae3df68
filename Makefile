# Everything works from a fresh clone with Python >= 3.11 and make: each target sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ROOT   ?= run

.PHONY: start stop test check format bench bench-events clean

start: $(STAMP)            ## name server and event service up, status shown
	$(BIN)/pyroctl --root $(ROOT) start
	$(BIN)/pyroctl --root $(ROOT) status

stop: $(STAMP)
	$(BIN)/pyroctl --root $(ROOT) shutdown

test: $(STAMP)
	$(BIN)/python -m pytest -n 4 --dist worksteal

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	mandoc -T lint -W warning man/*.[157]

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.manager

bench-events: $(STAMP)     ## its rivals: apt-get install redis-server nats-server mosquitto
	$(BIN)/python -m pip install --quiet --group bench-events
	$(BIN)/python -m benchmarks.events

clean:
	rm -rf $(VENV) dist build

# pip >= 25.1 knows dependency groups; older Pythons bring an older pip.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
