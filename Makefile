# `make run` shows the whole story on an empty machine, `make test` sets up what it needs and runs every test.
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
WASM := wasm32-unknown-unknown

.PHONY: run test setup fmt clippy allow-lists wasm vectors unit docs soak evaluate fuzz clean

run:
	$(CARGO) run --release -- demo

test: setup fmt allow-lists wasm vectors clippy unit docs
	@echo "all checks passed"

# Everything beside Rust that the tests need. A missing piece is an error here, never a skipped test later.
setup: $(VENV)/ready
	@command -v strace >/dev/null || (apt-get update -q && apt-get install -y -q strace) || \
		{ echo "strace is needed by the durability test and could not be installed"; exit 1; }
	@rustc --print target-libdir --target $(WASM) | xargs test -d 2>/dev/null || rustup target add $(WASM)

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -r tests/requirements.txt
	touch $@

fmt:
	$(CARGO) fmt --all --check

# The two pure crates depend on what their lists name and on nothing else.
allow-lists:
	.ci/allow-lists

wasm:
	$(CARGO) build -p goodstanding-verify --target $(WASM)

# The golden vectors are what an independent program makes of the documents, and they fit the schemas.
vectors: $(VENV)/ready
	$(VENV)/bin/python tests/vectors/generate.py --check
	$(VENV)/bin/python tests/vectors/check_schemas.py

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

unit:
	$(CARGO) test --workspace

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

# Long: many more rounds of the crash loop.
soak:
	GOODSTANDING_CRASH_ROUNDS=500 $(CARGO) test --test faults -- --nocapture crash

# The figures of docs/EVALUATION.md, from data beside the repository (GOODSTANDING_SHARED or ../shared).
evaluate: $(VENV)/ready
	$(CARGO) build --release
	PYTHON=$(abspath $(VENV))/bin/python tests/evaluate.sh target/release/goodstanding

clean:
	$(CARGO) clean
