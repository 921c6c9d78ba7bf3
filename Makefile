# Everything runs in .venv, which `make setup` makes on a fresh machine (Python >= 3.11, no root needed).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint docs-check readme pictures site extras-check fuzz mutate bench clean

setup: $(STAMP)

# What `pip install vgslam[eval]` brings and nothing more: enough to run and to score.
$(BASE): pyproject.toml constraints.txt vgslam/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vgslam needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[eval]' -c constraints.txt
	touch $(BASE)

$(STAMP): $(BASE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,all]' -c constraints.txt
	touch $(STAMP)

demo: $(BASE)
	$(BIN)/vgslam demo --out out/demo --overwrite

lint: setup
	$(BIN)/ruff check vgslam vgslam_train bench examples tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/house_rules.py

# Compiled tests are kept for the next time, whatever the environment says of bytecode.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal --strict-skips

# The documents against the program and the measurements, as a part of `make test`; alone in half a minute.
docs-check: setup
	$(BIN)/python -m pytest -n 2 --strict-skips tests/documents

# What is made from measurements: the README's first table, and its pictures (minutes).
readme: setup
	$(BIN)/python tools/readme_table.py --write

pictures: setup
	$(BIN)/python -m bench pictures

# The documents as a site in out/site. Building it needs no network.
site: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]' -c constraints.txt
	$(BIN)/python tools/make_site.py --out out/site

# Each extra in a fresh virtual environment, from the wheel (EXTRAS="eval mesh" for some; gigabytes are fetched).
EXTRAS ?=

extras-check: setup
	$(BIN)/python tools/extras_check.py --out out/extras $(EXTRAS)

# Damaged and hostile input for every parser, each in a process with limits of time and memory (docs/bench/robustness.md).
INPUTS ?= 10000

fuzz: setup
	PYTHONPATH=tests:. $(BIN)/python -m fuzz --inputs $(INPUTS) --out out/fuzz

# Small wrong changes, to see whether the tests notice: minutes to hours, by the size of the sample.
SAMPLE ?= 150
SEED ?= 1

mutate: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[mutation]' -c constraints.txt
	$(BIN)/python tools/mutation --sample $(SAMPLE) --seed $(SEED) --out out/mutation

bench: setup
	$(BIN)/vgslam bench ../shared/data/kitti00_f000-199 ../shared/data/7scenes_redkitchen_seq01 --out out/bench

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
