# `make run` shows the whole story on an empty machine, `make test` sets up what it needs and runs every test.
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
INTEROP := target/interop
GO_JUDGE := $(INTEROP)/go/judge
NODE_MODULES := tests/interop/node/node_modules/.package-lock.json
WASM := wasm32-unknown-unknown

.PHONY: run test setup fmt clippy allow-lists wasm vectors unit docs soak evaluate explain fuzz fuzz-check clean

run:
	$(CARGO) run --release -- demo

test: setup fmt allow-lists wasm vectors clippy fuzz-check unit docs
	@echo "all checks passed"

# Everything beside Rust that the tests need. A missing piece is an error here, never a skipped test later.
setup: $(VENV)/ready $(NODE_MODULES) $(GO_JUDGE)
	@for tool in strace curl; do \
		command -v $$tool >/dev/null || (apt-get update -q && apt-get install -y -q $$tool) || \
			{ echo "$$tool is needed by the tests and could not be installed"; exit 1; }; \
	done
	@rustc --print target-libdir --target $(WASM) | xargs test -d 2>/dev/null || rustup target add $(WASM)

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --ignore-requires-python -r tests/requirements.txt
	touch $@

# The third-party verifiers of tests/interop that are not Python's.
$(NODE_MODULES): tests/interop/node/package-lock.json $(VENV)/ready
	tests/interop/node/install $(abspath $(VENV))

$(GO_JUDGE): $(wildcard tests/interop/go/*) $(VENV)/ready
	tests/interop/go/build $(abspath $(VENV)) $(abspath $(INTEROP))

fmt:
	$(CARGO) fmt --all --check

# The two pure crates depend on what their lists name and on nothing else.
allow-lists:
	.ci/allow-lists

wasm:
	$(CARGO) build -p goodstanding-verify --target $(WASM)

# The golden vectors are what an independent program makes of the documents, and they fit the schemas; the second opinion on the scores has checks of its own.
vectors: $(VENV)/ready
	$(VENV)/bin/python tests/vectors/generate.py --check
	$(VENV)/bin/python tests/vectors/check_schemas.py
	$(VENV)/bin/python -m unittest discover tests/reference

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# With a PostgreSQL server of its own, or the one that GOODSTANDING_TEST_POSTGRES names.
unit:
	.ci/with-postgres $(CARGO) test --workspace

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

# The fuzz targets are no members of the workspace; this keeps them compiling, without the fuzzer itself.
fuzz-check:
	$(CARGO) check --manifest-path fuzz/Cargo.toml --no-default-features --target-dir fuzz/target

# Every fuzz target (or those of FUZZ) for so many seconds each. The flags it needs are nightly's, the compiler is not.
SECONDS ?= 30
FUZZ ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || \
		{ echo "make fuzz needs cargo-fuzz: cargo install cargo-fuzz"; exit 1; }
	@$(PYTHON) fuzz/seeds.py
	@set -e; for target in $(FUZZ); do \
		echo "== $$target"; \
		$(CARGO) fuzz run --target-dir fuzz/target $$target -- -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1; \
	done

# Long: many more rounds of the crash loop.
soak:
	GOODSTANDING_CRASH_ROUNDS=2000 $(CARGO) test --test faults -- --nocapture crash

# The figures of docs/EVALUATION.md, from data beside the repository (GOODSTANDING_SHARED or ../shared).
evaluate: $(VENV)/ready
	$(CARGO) build --release
	PYTHON=$(abspath $(VENV))/bin/python tests/evaluate.sh target/release/goodstanding

# The plan of every statement on PostgreSQL, on a database of so many reports (`unit` does it with 150,000). It fails when one reads a
# whole table. Ten million take 20 GB in TMPDIR.
REPORTS ?= 1000000
explain:
	GOODSTANDING_EXPLAIN_REPORTS=$(REPORTS) .ci/with-postgres $(CARGO) test --test store every_statement_finds -- --nocapture

clean:
	$(CARGO) clean
