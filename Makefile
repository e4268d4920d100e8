# The two commands of the README, and the checks of a contributor. Everything is installed into .venv, nothing outside it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-torch app lint bench docs notebooks dist clean

demo: .venv/installed
	$(BIN)/geomsolve solve --counts imagenet_lt --objective supcon --temperature 0.1 --plot imagenet_lt.png

# Two workers of one thread each: with more, they stand in each other's way.
test: .venv/installed-test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What needs PyTorch, which make test leaves out: a gigabyte or more on some machines.
TORCH ?= torch==2.13.0 torchmetrics lightning
test-torch: .venv/installed-test
	$(BIN)/python -m pip install --quiet $(TORCH)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m torch

# The page of geomsolve app in headless Chromium, which make test leaves out. Debian's browser does: the one that
# Playwright would download is not needed.
app: .venv/installed-test
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { echo "make app needs Chromium (Debian: apt-get install chromium)"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[app]' playwright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m app

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

# Strict: a warning, a broken link or an unknown reference is an error. The pages are in build/site.
docs: .venv/installed-docs
	$(BIN)/sphinx-build -q -W --keep-going -c docs . build/site
	@echo build/site/docs/index.html

# Each notebook is a pair: the text NAME.py, and NAME.ipynb with what it printed and drew.
notebooks: .venv/installed-docs
	rm -rf build/notebooks && mkdir -p build/notebooks
	for text in notebooks/*.py; do $(BIN)/jupytext -q --to ipynb $$text -o build/notebooks/$$(basename $$text .py).ipynb \
		--update-metadata '{"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}'; done
	$(BIN)/python -m nbconvert --log-level=WARN --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
		build/notebooks/*.ipynb
	cp build/notebooks/*.ipynb notebooks/

dist: .venv/installed-dev
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist .
	$(BIN)/python -m twine check --strict build/dist/*

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("geomsolve needs Python 3.11 or newer; this is " + sys.version.split()[0] \
		+ ". Name another one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv || { rm -rf .venv; $(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv .venv; }

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

.venv/installed-dev: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv/installed-docs: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv build
