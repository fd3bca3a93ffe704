# make demo    shows what mailbearer does, against a Gmail-like server on this machine
# make test    runs all tests: it installs what it needs, and says what it does
# make cases   runs the language-neutral cases in every language: RUNTIMES="rust python", MAILBEARER_CASES=DIR
# make fuzz    gives every machine hostile octets for FUZZ_SECONDS each; FUZZ_TARGETS="watch" picks targets
# make bench   measures what the machines cost, beside memcpy and memchr in the same run
# make lint    formats, lints, types, licences (part of make test)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test cases fuzz fuzz-replay bench lint test-rust test-python clean

PYTHON ?= python3
RUNTIMES ?= rust python
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= watch negotiation session snapshot texts
VENV := .cache/venv
TOOLS := .cache/tools
SAY := @printf '\n\033[1m== %s\033[0m\n'

PYTHON_SOURCES := $(shell find python/src bindings/python core/src Cargo.toml python/pyproject.toml -type f -not -name '*.pyc' -not -path '*/__pycache__/*')

demo: $(VENV)/installed
	$(SAY) "The demo: mailbearer demo"
	$(VENV)/bin/mailbearer demo

test: lint test-rust fuzz-replay test-python cases
	$(SAY) "All tests passed"

test-rust:
	$(SAY) "Rust: the core without and with its testing server, and its documentation's examples"
	cargo test --locked -p mailbearer
	cargo test --locked -p mailbearer --features testing --lib --test session
	$(SAY) "Rust: simulated worlds of 30 hours (MAILBEARER_WORLDS sets how many)"
	cargo test --locked -q -p mailbearer-simulation -p mailbearer-bench --profile simulation
	$(SAY) "Rust: the core builds without the standard library"
	cargo build --locked -p mailbearer --no-default-features

test-python: $(VENV)/installed
	$(SAY) "Real mail servers: Dovecot and Postfix"
	tests/servers/install.sh
	$(SAY) "Python: the package as users install it, against real servers and the testing server"
	cd python && ../$(VENV)/bin/python -m pytest
	$(SAY) "Python: the examples in the documentation"
	cd python/tests && ../../$(VENV)/bin/python -m pytest -q -p no:cacheprovider --doctest-modules --pyargs mailbearer

cases: $(if $(findstring python,$(RUNTIMES)),$(VENV)/installed)
	$(SAY) "The cases in: $(RUNTIMES)"
	@status=0; \
	for runtime in $(RUNTIMES); do \
	    case $$runtime in \
	        rust) cargo test --locked -q -p mailbearer --test cases || status=1 ;; \
	        python) $(VENV)/bin/python python/tests/cases_runner.py || status=1 ;; \
	        *) echo "there is no runner for $$runtime"; status=1 ;; \
	    esac; \
	done; exit $$status

fuzz-replay:
	$(SAY) "Fuzzing: every file of the corpora keeps the rules"
	cargo test --locked -q --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz

# Without a sanitizer: the core forbids unsafe code, and so the stable compiler will do.
fuzz: $(TOOLS)/bin/cargo-fuzz
	$(SAY) "Fuzzing: $(FUZZ_TARGETS), $(FUZZ_SECONDS) seconds each"
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p tests/fuzz/found/$$target; \
	    CARGO_TARGET_DIR=target/fuzz $(TOOLS)/bin/cargo-fuzz fuzz run --fuzz-dir tests/fuzz --features libfuzzer -s none $$target \
	        tests/fuzz/found/$$target tests/fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=20 -dict=tests/fuzz/dictionary -verbosity=0 -print_final_stats=1; \
	done

bench:
	$(SAY) "The cost of the machines: only the ratios are to be compared"
	cargo run --locked -q --release -p mailbearer-bench

lint: $(VENV)/installed $(TOOLS)/bin/cargo-deny
	$(SAY) "Rust: format, lints, documentation, licences"
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features -p mailbearer
	$(TOOLS)/bin/cargo-deny --locked check bans licenses sources
	@echo "NOT CHECKED HERE: security advisories (cargo deny check advisories), whose database this network does not reach"
	$(SAY) "Python: format, lints, types"
	$(VENV)/bin/ruff format --check --config python/pyproject.toml python tests/servers
	$(VENV)/bin/ruff check --config python/pyproject.toml python tests/servers
	cd python && ../$(VENV)/bin/mypy

$(VENV)/bin/python:
	$(SAY) "Python: a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check --upgrade pip
	cd python && ../$(VENV)/bin/pip install -q --disable-pip-version-check maturin --group dev

# The wheel is built and installed as users get it: nothing is imported from the source tree.
$(VENV)/installed: $(VENV)/bin/python $(PYTHON_SOURCES)
	$(SAY) "Python: the wheel is built and installed"
	rm -rf target/wheels
	cd python && ../$(VENV)/bin/maturin build -q --locked --release --interpreter $(abspath $(VENV)/bin/python) --out ../target/wheels
	$(VENV)/bin/pip install -q --disable-pip-version-check --force-reinstall --no-deps target/wheels/*.whl
	touch $@

$(TOOLS)/bin/cargo-deny:
	$(SAY) "cargo-deny is built (once; some minutes)"
	cargo install -q --locked --root $(TOOLS) cargo-deny@0.20.2

$(TOOLS)/bin/cargo-fuzz:
	$(SAY) "cargo-fuzz is built (once; a minute)"
	cargo install -q --locked --root $(TOOLS) cargo-fuzz@0.13.2

clean:
	rm -rf target .cache
