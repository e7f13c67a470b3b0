# The two commands that do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SITE := $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --builder html --doctree-dir build/doctrees docs build/site

# Tests start some thousand processes; where Python is told to keep no compiled code, each of them compiles all of ours.
export PYTHONDONTWRITEBYTECODE :=
# They are short, and on some machines a third of their time goes into page faults: malloc asks for large pages (glibc; elsewhere ignored).
test nightly: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: demo test check docs nightly bench clean install lock

demo: $(STAMP)  ## run the main job: a real grid, a worker killed on screen, verdicts at the end
	$(BIN)/crucible demo

# Tests run in so many processes at once; with 0, one after the other in this one.
PROCESSES ?= 2

test: $(STAMP)  ## run every test that belongs to a commit
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Crucible needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	-$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib  # pip compiles one file after the other
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $(STAMP)

check: $(STAMP)  ## lint, types, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.docs
	$(SITE)

docs: $(STAMP)  ## the documentation site, in build/site; a warning is an error
	$(SITE)
	@echo "open build/site/index.html"

nightly: $(STAMP)  ## the long ones, with their full figures
	$(BIN)/python -m tests.nightly

bench: $(STAMP)  ## every benchmark, beside its peers; a missed limit exits 6
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	$(BIN)/python -m benchmarks

lock:  ## pin the dependencies again (needs uv on the path)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev --extra bench pyproject.toml -o requirements-bench.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra kafka --extra registry --extra report --extra s3 pyproject.toml -o requirements-image.lock
	echo 'hatchling>=1.27' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements-build.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
