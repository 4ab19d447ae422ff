# make run    try it: the example project's daemon, in the foreground
# make run-redis  the same with a Redis server and a second process that handles the files
# make test   all tests; from Python 3.12 on with coverage; less: make test PYTEST_ARGS=tests/unit
# make chaos  no file is missed while the daemon is killed again and again, for 20 seeds; less:
#             make chaos CHAOS_ARGS="--seed 7 --seeds 1 --files 2000 --seconds 10"
# make bridge-chaos  the same for events on their way over Redis to consumers, for 10 seeds; less:
#             make bridge-chaos CHAOS_ARGS="--seed 7 --seeds 1 --files 2000 --seconds 5"
# make soak   half an hour of mixed load, into docs/soak.rst; less: make soak SOAK_ARGS="--minutes 3"
# make lint   ruff, mypy, and the READMEs and their like rendered
# make docs   the documentation, into docs/_build/html; a warning is an error
# make audit  bandit over the package, and known holes in what it depends on
# make bench  side by side with the peers, into benchmarks/RESULTS.md (see benchmarks/README.rst)
# make screenshots  the pictures in docs/, by a browser; ten minutes
# make build  wheel and sdist, into dist/, and checked as the package index checks them
# make clean  remove what the other targets made
#
# The first call makes a virtual environment. It belongs to one interpreter and one Django; for
# another, name another place:
#
#     make test VENV=.venv-3.13 PYTHON=python3.13 DJANGO="Django>=6"

PYTHON ?= python3
VENV ?= .venv
DJANGO ?=
# Three at a time, for most of them wait.
PYTEST_ARGS ?= -n 3
CHAOS_ARGS ?=
SOAK_ARGS ?= --out docs/soak.rst
BENCH_ARGS ?=

bin := $(VENV)/bin
# Python compiles what it imports; all else need not be compiled.
install = $(bin)/python -m pip install --no-compile --quiet --disable-pip-version-check
django = $(if $(DJANGO),'$(DJANGO)')

.PHONY: run run-redis test test-with-coverage chaos bridge-chaos soak lint docs audit bench screenshots build clean

# exec: no shell stands between make and the daemon when Ctrl+C comes.
run: $(VENV)/.run
	@$(bin)/python example_project/manage.py migrate --verbosity 0
	@exec $(bin)/python example_project/manage.py inotifier_start --foreground

run-redis: $(VENV)/.run-redis
	@$(bin)/python example_project/manage.py migrate --verbosity 0
	@exec $(bin)/python example_project/run_redis.py

# Some of the tests do not cover enough, and Python 3.11 cannot tell: there a thread that starts
# while another one gets its trace function may die (issue 98257 of CPython).
test: $(VENV)/.test
	@if [ "$(origin PYTEST_ARGS)" = file ] && \
			$(bin)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then \
		$(MAKE) --no-print-directory test-with-coverage; \
	else \
		$(bin)/python -m pytest $(PYTEST_ARGS); \
	fi

# In the environment's directory, so that the tests of two of them can run at the same time.
test-with-coverage: export COVERAGE_FILE = $(abspath $(VENV))/.coverage
test-with-coverage:
	$(bin)/python -m coverage erase
	$(bin)/python -m coverage run -m pytest $(PYTEST_ARGS)
	$(bin)/python -m coverage combine --quiet
	$(bin)/python -m coverage report

chaos: $(VENV)/.test
	$(bin)/python -m tests.process.chaos $(CHAOS_ARGS)

bridge-chaos: $(VENV)/.test
	$(bin)/python -m tests.process.bridge_chaos $(CHAOS_ARGS)

soak: $(VENV)/.test
	$(bin)/python -m tests.process.soak $(SOAK_ARGS)

lint: $(VENV)/.lint
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	for page in README CHANGELOG CONTRIBUTING SECURITY example_project/README; do \
		$(bin)/docutils --writer=null --report=1 --halt=2 $$page.rst || exit 1; \
	done

docs: $(VENV)/.docs
	$(bin)/python -m sphinx --fail-on-warning --keep-going --quiet -j auto docs docs/_build/html

audit: $(VENV)/.audit
	$(bin)/bandit --configfile pyproject.toml --recursive --quiet inotifier
	$(bin)/python .ci/dependencies $(bin)/pip-audit

bench: $(VENV)/.bench
	$(bin)/python -m benchmarks $(BENCH_ARGS)

screenshots: $(VENV)/.test
	$(bin)/python -m tests.process.screenshots

build: $(VENV)/.test
	rm -rf dist
	$(bin)/python -m build
	$(bin)/python -m twine check --strict dist/*

# What was dropped into the example project, and its database, stay.
clean:
	rm -rf .venv .venv-* build dist *.egg-info htmlcov docs/_build
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp inside the environment says what is installed: the second call has nothing to do.
$(VENV)/.run: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable . $(django)
	@touch $@

$(VENV)/.run-redis: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[redis]' $(django)
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[test,test-remote]' $(django) || { \
		echo "The tests of remote places are skipped: test-remote cannot be installed." >&2; \
		$(install) --editable '.[test]' $(django); }
	@touch $@

$(VENV)/.lint: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[lint]' $(django)
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[docs]' $(django)
	@touch $@

$(VENV)/.audit: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[audit]' $(django)
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/pyvenv.cfg
	$(install) --editable '.[bench]' $(django)
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not a Python 3.11 or newer; name one: make PYTHON=python3.13 ..." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment, its ensurepip is missing." >&2; \
		echo "On Debian: apt install python3-venv. Or another Python: make PYTHON=..." >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
