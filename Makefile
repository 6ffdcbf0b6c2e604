# `make demo` and `make test` do their own set-up in .venv and reuse it while it is current.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NODE_READY := tests/node/node_modules/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test soak mutants lint check fmt cov bench corpus clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# Everything is pinned by constraints.txt, so that a clone builds the same environment on every machine.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: needs Python 3.11 or newer, and there is no '$(PYTHON)' here; install it or say: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1); say: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: '$(PYTHON)' has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV) (a minute or two, the first time)"
	@[ -x $(BIN)/python ] || "$$($(PYTHON) -c 'import os, sys; print(os.path.realpath(sys.executable))')" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt -e '.[dev]' || { echo "make: pip could not install the packages of pyproject.toml (its own message is above)"; exit 1; }
	@# Said once by matplotlib on a new machine, on stderr: a notebook's stored output would not have it.
	@$(BIN)/python -c 'import matplotlib.font_manager' 2>/dev/null
	@touch $@

# Node's packages are for the tests only: tsx, as a project with TypeScript workers has it, and BullMQ's own library.
$(NODE_READY): tests/node/package.json tests/node/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "make: the tests run Node workers too, and there is no 'node' or no 'npm' here; install Node.js 20 or newer"; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { echo "make: the tests need Node.js 20 or newer, and 'node' is $$(node --version)"; exit 1; }
	@npm ci --prefix tests/node --loglevel=error --no-progress >/dev/null || { echo "make: npm could not install the packages of tests/node/package-lock.json (its own message is above)"; exit 1; }
	@touch $@

demo: $(READY)  ## the whole way: export three notebooks, scan, run the flow in real processes
	@$(BIN)/python -m nbtools.demo notebooks

# A real Redis, which the tests start on ports of their own: installed where that is ours to do, else asked for.
.PHONY: redis-server
redis-server:
	@command -v redis-server >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing redis-server" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-server >/dev/null; } || { echo "make: the tests need a real Redis, and there is no 'redis-server' here; on Debian: sudo apt-get install --no-install-recommends redis-server"; exit 1; }

# What shows that a job is on the disk before it is accepted.
.PHONY: strace
strace:
	@command -v strace >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing strace" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends strace >/dev/null; } || { echo "make: the tests look at what reaches the disk, and there is no 'strace' here; on Debian: sudo apt-get install --no-install-recommends strace"; exit 1; }

# The browser in which JupyterLab is tested: Debian's own.
.PHONY: chromium browser
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing chromium" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || { echo "make: the tests open JupyterLab in a real browser, and there is no 'chromium' here; on Debian: sudo apt-get install --no-install-recommends chromium"; exit 1; }

browser: $(READY) chromium  ## JupyterLab in a real browser, as a person uses it
	@$(BIN)/python -m pytest -q -m browser tests/browser

test: $(READY) $(NODE_READY) redis-server strace chromium  ## all tests, and the notebooks' stored outputs twice: in one process, in two side by side
	@$(BIN)/python -m pytest
	@$(BIN)/python -m pytest --quiet --nbval --nbval-current-env notebooks
	@$(BIN)/python -m pytest --quiet --nbval --nbval-current-env -n 2 --dist loadscope --nbval-sanitize-with=nbtools/nbval-sanitize.cfg notebooks

soak: $(READY) $(NODE_READY) redis-server  ## what takes long: thousands of jobs, crashes and kills; prints what became of them
	@$(BIN)/python -m pytest -q -m soak -s tests/soak

# Each change of tests/mutants breaks one promise, and must make one of its tests fail.
mutants: $(READY) $(NODE_READY) redis-server strace  ## break each promise once, see a test fail; ONLY=word for some, AT_ONCE=2
	@$(BIN)/python -m tests.mutants --at-once $(or $(AT_ONCE),2) $(ONLY)

lint: $(READY)  ## ruff, mypy --strict, import rules, spelling
	@$(BIN)/ruff format --check --quiet . || { echo "lint: run 'make fmt'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > .import-linter.log 2>&1 || { cat .import-linter.log; exit 1; }
	@rm -f .import-linter.log
	@$(BIN)/codespell
	@echo "lint: all clean"

check: lint test  ## lint and test

fmt: $(READY)  ## format and fix what can be fixed
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

cov: $(READY) $(NODE_READY) redis-server strace chromium  ## test coverage, children included
	@$(BIN)/coverage erase; $(BIN)/coverage run -m pytest -q; $(BIN)/coverage combine -q; $(BIN)/coverage report --skip-covered

bench: $(READY) $(NODE_READY) redis-server  ## what a job costs, as ratios to a bare Python
	@for name in start fork wire tables discovery endings exporter node throughput scaling; do $(BIN)/python benchmarks/$$name.py || exit 1; done

corpus: $(READY)  ## what becomes of every notebook below DIR: make corpus DIR=~/notebooks
	@$(BIN)/python benchmarks/corpus.py '$(or $(DIR),notebooks)'

clean:  ## remove what make made
	@rm -rf $(VENV) tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
