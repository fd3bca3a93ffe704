# make demo    shows what mailbearer does, against a Gmail-like server on this machine
# make demo-login  shows the way from a mail address to a session that lasts, against an authorization server and Dovecot here
# make test    runs all tests: it installs what it needs, and says what it does
# make check   the quick part, while one works: Rust, and the languages whose files differ from BASE=main; CHECK="python node" picks
# make cases   runs the language-neutral cases in every language: RUNTIMES="rust python", MAILBEARER_CASES=DIR
# make fuzz    gives every machine hostile octets for FUZZ_SECONDS each; FUZZ_TARGETS="watch" picks targets
# make bench   measures mailbearer beside its peers in one run: FLEET=1000000 makes the fleet that large (five minutes more)
# make coverage  measures how much of the core its tests run, and fails below 97 % (part of make test)
# make sample-android  compiles the sample app's screens for a desktop, shows them in a window, and draws the documentation's pictures of them
# make mutants   breaks the core in a thousand places, one at a time, and says which break no test noticed (half an hour)
# make lint    formats, lints, types, licences (part of make test)
# make docs    the site of docs/, in target/site: pages, recipes that are run, the references of the languages' own tools (part of make test)
# make pages   writes what pages take from the code: pictures (SVG), the table of names, the providers
# make release VERSION=1.2.3  sets the version everywhere, dates the CHANGELOG, and says what is left to do by hand
# make dist-cross  the same for all other systems, and tries them under qemu, musl's loader and wine: TARGETS="aarch64-apple-darwin"
# make interpreters  tries dist/'s packages in CPython 3.11 to 3.14, Node 20 to 24 and Java 17 and 21 (after make dist and test-kotlin)
# make dist    makes what is published, as far as this machine can: wheel, sdist, npm packages, jars, crate, in dist/ (part of make test)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: docs pages system demo demo-login test check check-rust check-python check-node check-kotlin check-swift dist dist-cross interpreters release coverage mutants cases fuzz fuzz-replay bench bench-kotlin bench-swift bench-server lint test-rust test-python test-node test-kotlin test-swift sample-android clean

PYTHON ?= python3
RUNTIMES ?= rust python node kotlin swift
FUZZ_SECONDS ?= 60
FLEET ?= 200000
FUZZ_TARGETS ?= watch negotiation session snapshot texts discover
COVERAGE_LEAST ?= 97
VENV := .cache/venv
DIST := dist
# What is shipped runs with glibc 2.17 and later (manylinux2014): zig has its symbols.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
ZIG := PATH=$(abspath .cache/venv/bin):$$PATH
MOBILE ?= target/$(HOST)/mobile
BASE ?= main
TOOLS := .cache/tools
# The compiler's own LLVM is 22: `rustc -vV`.
LLVM := /usr/lib/llvm-22/bin
NODE_APP := .cache/node
BENCH_PYTHON := .cache/bench-python
BENCH_NODE := .cache/bench-node
PEERS := $(PYTHON) tests/bench/peers.py
# Swift 6, in a Debian root that is set up once.
SWIFT_ROOT ?= .cache/swift
SWIFT = $(abspath bindings/mobile/swift/toolchain.sh) $(abspath $(SWIFT_ROOT)) swift
SWIFT_LIBRARIES := $(abspath $(MOBILE))
# Runs a command together with a server of tests/servers.
SERVED := $(abspath $(VENV)/bin/python) $(abspath tests/servers)/
SWIFT_FLAGS := -Xlinker -L$(SWIFT_LIBRARIES) -Xlinker -rpath -Xlinker $(SWIFT_LIBRARIES) -Xswiftc -warnings-as-errors
# The runners work in folders of their own.
ifdef MAILBEARER_CASES
override MAILBEARER_CASES := $(abspath $(MAILBEARER_CASES))
export MAILBEARER_CASES
endif
SAY := @printf '\n\033[1m== %s\033[0m\n'

PYTHON_SOURCES := $(shell find python/src python/mailbearer.data bindings/python core/src Cargo.toml Cargo.lock THIRD-PARTY.md python/pyproject.toml -type f -not -name '*.pyc' -not -path '*/__pycache__/*')

NODE_SOURCES := $(shell find node bindings/node core/src Cargo.toml Cargo.lock THIRD-PARTY.md -type f -not -path '*/node_modules/*' -not -path 'node/dist/*' \
    -not -path 'node/native/*' -not -path 'node/npm/*' -not -path 'node/test/*' -not -path 'node/typing/*')

KOTLIN := target/kotlin
KOTLIN_TESTS := bindings/mobile/kotlin/tests/target
MOBILE_SOURCES := $(shell find bindings/mobile core/src Cargo.toml Cargo.lock -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' \))
KOTLIN_SOURCES := $(shell find bindings/mobile/kotlin -type f \( -name '*.kt' -o -name pom.xml \) -not -path '*/target/*')

demo: $(VENV)/installed
	$(SAY) "The demo: mailbearer demo"
	$(VENV)/bin/mailbearer demo

demo-login: $(VENV)/installed
	$(SAY) "The demo of the login: mailbearer login, and a program that outlives its tokens"
	tests/servers/install.sh
	$(VENV)/bin/python tests/servers/demo_login.py

# What all others need; what computes; and, beside it, what mostly waits: see tests/parts.sh.
FIRST := dist system
COMPUTING := lint test-rust coverage fuzz-replay
WAITING := test-python test-node test-kotlin test-swift cases docs
test:
	@tests/parts.sh $(FIRST) -- $(COMPUTING) -- $(WAITING)

# All that the parts take from the system's packages, at once: two parts cannot use apt at the same time.
system: $(LLVM)/llvm-cov /usr/bin/dot $(NODE_APP)/installed $(VENV)/installed
	tests/servers/install.sh
	tests/servers/install-browser.sh

/usr/bin/dot:
	apt-get update -qq && apt-get install -y -qq --no-install-recommends graphviz

test-rust:
	$(SAY) "Rust: the core without and with its testing server, and its documentation's examples"
	cargo test --locked -p mailbearer
	cargo test --locked -p mailbearer --features discover,testing --lib --test session
	$(SAY) "Rust: what crosses the border to Kotlin and Swift"
	cargo test --locked -q -p mailbearer-mobile
	$(SAY) "Rust: simulated worlds of 30 hours (MAILBEARER_WORLDS sets how many)"
	cargo test --locked -q -p mailbearer-simulation -p mailbearer-bench --profile simulation
	$(SAY) "Rust: the core builds without the standard library"
	cargo build --locked -p mailbearer --no-default-features

test-python: $(VENV)/installed
	$(SAY) "Real mail servers: Dovecot and Postfix; an authorization server, a browser and a keyring"
	tests/servers/install.sh
	tests/servers/install-browser.sh
	$(SAY) "Python: the package as users install it, against real servers and the testing server"
	cd python && ../$(VENV)/bin/python -m pytest
	$(SAY) "Python: the examples in the documentation"
	cd python/tests && ../../$(VENV)/bin/python -m pytest -q -p no:cacheprovider --doctest-modules --pyargs mailbearer
	$(SAY) "Python: the demo of the login"
	$(VENV)/bin/python tests/servers/demo_login.py

test-node: $(NODE_APP)/installed
	$(SAY) "Real mail servers: Dovecot and Postfix"
	tests/servers/install.sh
	$(SAY) "Node: the package as users install it, against real servers and the testing server"
	node/node_modules/.bin/tsc -p node/test
	cargo build --locked -q -p mailbearer-node --features probe
	rm -rf $(NODE_APP)/typing && cp -r node/typing $(NODE_APP)/typing && cd $(NODE_APP) && node typing/check.mjs
	cd $(NODE_APP) && node --expose-gc --test --test-concurrency=2 --test-timeout=240000 --test-reporter=spec test/*.test.mjs

test-kotlin: $(KOTLIN)/native
	$(SAY) "Real mail servers: Dovecot and Postfix"
	tests/servers/install.sh
	$(SAY) "Kotlin: the jars, and the tests with them, against the testing server and real servers"
	cd bindings/mobile/kotlin && mvn -B -ntp package

# Not part of make test: the model, which decides, is. Android's own part of the sample is compiled by the hosted workflow only.
SAMPLE := bindings/mobile/kotlin/sample/screens/target
sample-android: $(KOTLIN)/native
	command -v xvfb-run > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends xvfb xauth; }
	$(SAY) "The sample for Android: its screens, with Compose for the desktop"
	cd bindings/mobile/kotlin && mvn -B -ntp -q -Psample -pl library,sample/model,sample/screens package
	$(SAY) "The screens in a window, and the pictures of the documentation"
	xvfb-run -a java -Dskiko.renderApi=SOFTWARE -Dmailbearer.sample.seconds=5 -cp "$(SAMPLE)/classes:$$(cat $(SAMPLE)/class-path)" org.mailbearer.sample.MainKt
	java -Djava.awt.headless=true -cp "$(SAMPLE)/classes:$$(cat $(SAMPLE)/class-path)" org.mailbearer.sample.PicturesKt docs/pictures

test-swift: $(VENV)/installed $(MOBILE)/built
	$(SAY) "Swift: the library, and the code that calls it"
	bindings/mobile/swift/native.sh $(MOBILE)
	$(SAY) "Real mail servers: Dovecot and Postfix"
	tests/servers/install.sh
	$(SAY) "Swift: the package against the testing server and a real one; a warning is an error"
	cd bindings/mobile/swift && $(SERVED)testing_server.py $(SERVED)paths.py $(SWIFT) test $(SWIFT_FLAGS) \
	    --skip HostileTests --skip WrongOrderTests
	$(SAY) "Swift: what keeps the machine busy, by itself: hostile servers, and calls in every wrong order"
	cd bindings/mobile/swift && $(SERVED)hostile.py $(SWIFT) test $(SWIFT_FLAGS) \
	    --no-parallel --filter 'HostileTests|WrongOrderTests'
	$(SAY) "Swift: the public names are as checked in, have a comment each, and DocC finds all that they lead to"
	$(firstword $(SWIFT)) $(abspath $(SWIFT_ROOT)) bindings/mobile/swift/Tests/Api/read.sh $(abspath target/api/swift)
	$(PYTHON) bindings/mobile/swift/Tests/Api/api.py target/api/swift
	$(SAY) "Swift: the code for Apple systems is type-checked against stand-ins for their frameworks"
	$(firstword $(SWIFT)) $(abspath $(SWIFT_ROOT)) bindings/mobile/swift/Tests/StandIns/typecheck.sh

cases: $(if $(findstring python,$(RUNTIMES)),$(VENV)/installed) $(if $(findstring node,$(RUNTIMES)),$(NODE_APP)/installed) \
    $(if $(findstring kotlin,$(RUNTIMES)),$(KOTLIN)/jars) $(if $(findstring swift,$(RUNTIMES)),$(MOBILE)/built)
	$(SAY) "The cases in: $(RUNTIMES)"
	@rm -rf target/cases; mkdir -p target/cases; status=0; \
	for runtime in $(RUNTIMES); do \
	    case $$runtime in \
	        rust) cargo test --locked -q -p mailbearer --features discover --test cases ;; \
	        python) $(VENV)/bin/python python/tests/cases_runner.py ;; \
	        node) node/node_modules/.bin/tsc -p node/test && node $(NODE_APP)/test/cases.mjs ;; \
	        kotlin) java -Dmailbearer.root=. -cp "$(KOTLIN_TESTS)/test-classes:$$(cat $(KOTLIN_TESTS)/class-path)" \
	            org.mailbearer.CasesRunnerKt ;; \
	        swift) bindings/mobile/swift/native.sh $(MOBILE) && \
	            cd bindings/mobile/swift && $(SWIFT) run --quiet $(SWIFT_FLAGS) mailbearer-cases ;; \
	        *) echo "there is no runner for $$runtime"; false ;; \
	    esac | tee target/cases/$$runtime.txt || status=1; \
	done; \
	$(PYTHON) tests/cases/side_by_side.py target/cases || status=1; exit $$status

# Without optimisation: what is checked is what the code does. The packages and their stamps stay as they are.
check:
	@took=; for part in rust $(or $(CHECK),$$(tests/changed.sh $(BASE))); do \
	    start=$$SECONDS; $(MAKE) --no-print-directory check-$$part; took="$$took $$part $$((SECONDS - start)) s,"; \
	done; echo "make check:$$took all passed"

check-rust:
	cargo fmt --all --check
	cargo clippy --locked -q --workspace --all-targets --all-features -- -D warnings
	MAILBEARER_CUTS=few cargo test --locked -q -p mailbearer --features discover,testing --lib --test cases --test session

check-python: $(VENV)/packages
	$(VENV)/bin/ruff format -q --check --config python/pyproject.toml python core/tests tests bindings docs examples
	$(VENV)/bin/ruff check -q --config python/pyproject.toml python core/tests tests bindings docs examples
	cd python && ../$(VENV)/bin/mypy
	cargo build --locked -q -p mailbearer-python
	rm -rf target/check; mkdir -p target/check
	cp -r python/src target/check/python
	cp target/debug/libmailbearer_python.so target/check/python/mailbearer/_core.abi3.so
	PYTHONPATH=target/check/python $(VENV)/bin/python python/tests/cases_runner.py

check-node: node/node_modules
	cd node && npx prettier --log-level warn --check src typing "test/*.mts" "*.mjs"
	cd node && node_modules/.bin/napi build --platform --manifest-path ../bindings/node/Cargo.toml --package mailbearer-node \
	    --output-dir native --js binding.js --dts binding.d.ts -- --locked -q
	cd node && npm run --silent build:dist
	[ -e $(NODE_APP)/node_modules ] || $(MAKE) --no-print-directory $(NODE_APP)/installed
	cp -r node/dist node/native $(NODE_APP)/node_modules/mailbearer/
	node/node_modules/.bin/tsc -p node/test
	rm -rf $(NODE_APP)/typing && cp -r node/typing $(NODE_APP)/typing && cd $(NODE_APP) && node typing/check.mjs
	node $(NODE_APP)/test/cases.mjs

# The jars that the tests install are made anew afterwards: these have the library without optimisation in them.
check-kotlin:
	status=0; $(MAKE) --no-print-directory cases RUNTIMES=kotlin MOBILE=target/debug || status=$$?; rm -f $(KOTLIN)/native; exit $$status

check-swift:
	$(MAKE) --no-print-directory cases RUNTIMES=swift MOBILE=target/debug

COVERAGE = LLVM_COV=$(LLVM)/llvm-cov LLVM_PROFDATA=$(LLVM)/llvm-profdata $(TOOLS)/bin/cargo-llvm-cov llvm-cov
coverage: $(TOOLS)/bin/cargo-llvm-cov $(LLVM)/llvm-cov
	$(SAY) "Coverage: the regions of the core that its tests run, at least $(COVERAGE_LEAST) %"
	$(COVERAGE) clean --profraw-only
	MAILBEARER_CUTS=few $(COVERAGE) --locked -q -p mailbearer --features discover,testing --lib --tests --no-report
	$(COVERAGE) report --locked -p mailbearer --json | $(PYTHON) core/tests/coverage.py --least $(COVERAGE_LEAST)

# `.cargo/mutants.toml` says what is broken, and which mutants no test can notice.
mutants: $(TOOLS)/bin/cargo-mutants
	$(SAY) "Mutation: the core, broken in one place at a time"
	$(TOOLS)/bin/cargo-mutants mutants --list --json | $(PYTHON) core/tests/mutants.py target/mutants $(MUTANTS)

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

# The server of the benchmarks, and the clients in Rust: a workspace of their own, as the fuzzers.
bench-server:
	cargo build --locked -q --release --manifest-path tests/bench/peers/Cargo.toml --target-dir target

# The package under test is the one that users install: the wheel, and what npm made of the tarballs.
$(BENCH_PYTHON)/installed: $(VENV)/installed tests/bench/python/requirements.txt
	$(SAY) "Python: the wheel, and the peers that it is measured against"
	$(PYTHON) -m venv --clear $(BENCH_PYTHON)
	$(BENCH_PYTHON)/bin/pip install -q --disable-pip-version-check -r tests/bench/python/requirements.txt $(DIST)/python/*.whl
	touch $@

$(BENCH_NODE)/installed: $(NODE_APP)/installed $(wildcard tests/bench/node/*)
	$(SAY) "Node: the package, and the peers that it is measured against"
	rm -rf $(BENCH_NODE); mkdir -p $(BENCH_NODE)
	cp tests/bench/node/* $(BENCH_NODE)
	cd $(BENCH_NODE) && npm ci --loglevel=error --no-audit --no-fund
	cp -r $(NODE_APP)/node_modules/mailbearer $(NODE_APP)/node_modules/@mailbearer $(BENCH_NODE)/node_modules/
	touch $@

# Figures that can be compared need a machine that does nothing else: what others use of it is in the results.
bench: export BENCH_COMMAND := make bench FLEET=$(FLEET)
bench: bench-server $(BENCH_PYTHON)/installed $(BENCH_NODE)/installed $(KOTLIN)/jars
	$(SAY) "Benchmarks: about twenty-five minutes, written to tests/bench/RESULTS.md"
	cargo build --locked -q --release -p mailbearer-bench
	rm -rf target/bench; mkdir -p target/bench
	target/release/mailbearer-bench > target/bench/machines.jsonl
	target/release/bench-logins > target/bench/rust.jsonl
	$(PEERS) python --server target/release/bench-server -- $(BENCH_PYTHON)/bin/python tests/bench/python/worker.py > target/bench/python.jsonl
	$(PEERS) node --server target/release/bench-server -- node $(BENCH_NODE)/worker.mjs > target/bench/node.jsonl
	$(MAKE) --no-print-directory bench-kotlin
	$(MAKE) --no-print-directory bench-swift
	target/release/bench-fleet $(FLEET) jitter > target/bench/fleet.jsonl
	target/release/bench-fleet $(FLEET) same-seed >> target/bench/fleet.jsonl
	target/release/bench-results target/bench/*.jsonl > target/bench/RESULTS.md
	cp target/bench/RESULTS.md tests/bench/RESULTS.md

# Seven minutes, of which five wait: it counts how often a session that is idle wakes up.
bench-kotlin: $(KOTLIN)/jars
	@mkdir -p target/bench
	java -Dmailbearer.root=. -cp "$(KOTLIN_TESTS)/test-classes:$$(cat $(KOTLIN_TESTS)/class-path)" org.mailbearer.BenchKt | tee target/bench/kotlin.jsonl

# Nine minutes, of which six wait.
bench-swift: $(MOBILE)/built
	@mkdir -p target/bench
	bindings/mobile/swift/native.sh $(MOBILE)
	cd bindings/mobile/swift && $(SWIFT) build -c release --product mailbearer-cost $(SWIFT_FLAGS)
	cd bindings/mobile/swift && $(firstword $(SWIFT)) $(abspath $(SWIFT_ROOT)) .build/release/mailbearer-cost | tee $(abspath target/bench/swift.jsonl)

# The site: what it is made of has stamps of its own, so that a page that was changed takes seconds.
DOCS := .cache/docs
DOCS_SOURCES := $(shell find docs examples README.md CONTRIBUTING.md SECURITY.md python/README.md node/README.md tests/bench/RESULTS.md \
    bindings/mobile/*/README.md -type f -not -path '*/__pycache__/*')
docs: target/site/built

# Graphviz draws the state diagrams, without JavaScript.
$(DOCS)/packages: docs/requirements.txt /usr/bin/dot
	$(SAY) "The site: Sphinx, and what the recipes use"
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/pip install -q --disable-pip-version-check -r docs/requirements.txt
	touch $@

$(DOCS)/installed: $(DOCS)/packages $(DIST)/python/built
	$(DOCS)/bin/pip install -q --disable-pip-version-check --force-reinstall --no-deps $(DIST)/python/*.whl
	$(DOCS)/bin/pip install -q --disable-pip-version-check $(DIST)/python/*.whl
	touch $@

target/api/node/built: $(DIST)/npm/built node/typedoc.jsonc
	$(SAY) "The site: the reference for Node, by TypeDoc; what is public and says nothing of itself is an error"
	cd node && node_modules/.bin/typedoc --logLevel Warn --options typedoc.jsonc
	touch $@

target/api/rust/built: $(shell find core/src -name '*.rs') README.md
	$(SAY) "The site: the reference for Rust, by rustdoc"
	RUSTDOCFLAGS="-D warnings" cargo doc --locked -q --no-deps --all-features -p mailbearer
	rm -rf target/api/rust; mkdir -p target/api
	cp -r target/doc target/api/rust
	touch $@

# What goes to Maven Central with the jar.
target/api/kotlin/built: $(DIST)/maven/built
	$(SAY) "The site: the reference for Kotlin, by Dokka"
	rm -rf target/api/kotlin; mkdir -p target/api/kotlin
	$(PYTHON) -m zipfile -e $(DIST)/maven/org/mailbearer/mailbearer/*/mailbearer-*-javadoc.jar target/api/kotlin
	touch $@

target/docs-tested: $(DOCS)/installed $(NODE_APP)/installed target/api/node/built $(DOCS_SOURCES) $(KOTLIN_SOURCES) \
    $(shell find bindings/mobile/swift/Sources -name '*.swift' -not -path '*/Generated/*')
	$(SAY) "The site: the pages say what the code says, and each recipe runs, in Python and in Node"
	$(DOCS)/bin/python -m pytest -c docs/tests/pytest.ini docs/tests
	rm -rf $(NODE_APP)/recipes; cp -r examples/node $(NODE_APP)/recipes; cp docs/tests/recipes.test.mjs $(NODE_APP)/recipes/
	cd $(NODE_APP) && node --test --test-timeout=120000 --test-reporter=spec recipes/recipes.test.mjs
	touch $@

target/site/built: target/docs-tested target/api/node/built target/api/rust/built target/api/kotlin/built
	$(SAY) "The site: Sphinx; a warning is an error"
	rm -rf target/site
	$(DOCS)/bin/sphinx-build -q -W --keep-going -j auto -d target/site-cache -c docs/site -b html docs target/site
	$(DOCS)/bin/python docs/site/links.py target/site
	@echo "NOT CHECKED HERE: links to other sites, which this network does not reach"
	@echo "NOT MADE: Swift's reference by DocC, whose pages are empty without JavaScript: make test-swift runs it for what it checks, and"
	@echo "          here the declarations are read from the sources"
	touch $@

pages: $(DOCS)/installed target/api/node/built
	$(DOCS)/bin/python docs/site/pictures.py
	$(DOCS)/bin/python docs/site/providers.py
	$(DOCS)/bin/python docs/site/names.py

lint: $(VENV)/installed $(NODE_APP)/installed $(TOOLS)/bin/cargo-deny
	$(SAY) "Rust: format, lints, documentation, licences"
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo fmt --manifest-path tests/bench/peers/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz --all-targets -- -D warnings
	cargo clippy --locked --manifest-path tests/bench/peers/Cargo.toml --target-dir target --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features -p mailbearer
	$(TOOLS)/bin/cargo-deny --locked check bans licenses sources
	$(TOOLS)/bin/cargo-deny --locked --manifest-path tests/bench/peers/Cargo.toml check licenses sources
	@echo "NOT CHECKED HERE: security advisories (cargo deny check advisories), whose database this network does not reach"
	$(SAY) "One version everywhere, and the licences of all crates that are linked"
	$(PYTHON) bindings/release/versions.py check
	$(PYTHON) bindings/release/crates.py notices --check
	$(SAY) "Python: format, lints, types"
	$(VENV)/bin/ruff format --check --config python/pyproject.toml python core/tests tests bindings docs examples
	$(VENV)/bin/ruff check --config python/pyproject.toml python core/tests tests bindings docs examples
	cd python && ../$(VENV)/bin/mypy
	$(SAY) "Node: format, types, package"
	cd node && npx prettier --check src typing "test/*.mts" "*.mjs" && npx prettier --config package.json --check "../tests/bench/node/*.mjs" "../tests/servers/oidc/*.mjs" "../examples/node/*.mjs" "../docs/tests/*.mjs" && npx tsc -p . && npx tsc -p test --noEmit && npx publint --strict npm/mailbearer

$(VENV)/packages: python/pyproject.toml bindings/release/requirements.txt
	$(SAY) "Python: a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check --upgrade pip
	cd python && ../$(VENV)/bin/pip install -q --disable-pip-version-check -r ../bindings/release/requirements.txt --group dev
	touch $@

# The wheel is built and installed as users get it: nothing is imported from the source tree.
$(VENV)/installed: $(DIST)/python/built
	$(SAY) "Python: the wheel is installed"
	$(VENV)/bin/pip install -q --disable-pip-version-check --force-reinstall --no-deps $(DIST)/python/*.whl
	touch $@

$(DIST)/python/built: $(VENV)/packages $(PYTHON_SOURCES)
	$(SAY) "Python: the wheel and the sdist are built"
	rm -rf $(DIST)/python
	cd python && $(ZIG) maturin build -q --locked --release --zig --target $(HOST) --compatibility manylinux2014 \
	    --interpreter $(abspath $(VENV)/bin/python) --out ../$(DIST)/python
	cd python && $(ZIG) maturin sdist --out ../$(DIST)/python
	@# A user's machine builds it with optimisation; that it holds all that it needs shows without. Its files are of today (-m):
	@# cargo takes those of the archive, which are all of one date, for what it has built before.
	rm -rf target/from-sdist && mkdir -p target/from-sdist
	tar -xmzf $(DIST)/python/*.tar.gz -C target/from-sdist
	MATURIN_PEP517_ARGS="--profile dev" CARGO_TARGET_DIR=$(abspath target) $(ZIG) pip wheel -q --no-build-isolation --no-deps \
	    --no-cache-dir --wheel-dir target/from-sdist ./target/from-sdist/mailbearer-*/
	touch $@

# Not part of make test: half an hour, with std from source.
interpreters: $(VENV)/installed $(KOTLIN)/jars
	$(SAY) "The packages in every interpreter that they are for, as far as it is to be had here"
	bindings/cross/interpreters.sh

dist-cross: dist
	$(SAY) "The packages for other systems: built, looked at, and tried where that can be done here"
	bindings/cross/all.sh $(TARGETS)
	$(SAY) "Kotlin: the jar with the libraries of all systems"
	rm $(DIST)/maven/built
	$(MAKE) --no-print-directory $(DIST)/maven/built
	cd $(DIST) && find . -type f -not -name built -not -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS

node/node_modules: node/package.json node/package-lock.json
	$(SAY) "Node: the packages for development"
	cd node && npm ci --loglevel=error
	touch $@

# The tarballs are built and installed as users get them, into a new project.
$(NODE_APP)/installed: $(DIST)/npm/built node/install.mjs
	$(SAY) "Node: the package is installed"
	cd node && node install.mjs ../$(DIST)/npm ../$(NODE_APP)
	touch $@

$(DIST)/npm/built: node/node_modules $(VENV)/packages $(NODE_SOURCES)
	$(SAY) "Node: the package is built and packed"
	rm -rf $(DIST)/npm node/native
	cd node && $(ZIG) npm run build:native -- -x --target $(HOST).2.17 -- --locked && npm run build:dist && node pack.mjs ../$(DIST)/npm
	touch $@

target/debug/built: $(MOBILE_SOURCES)
	cargo build --locked -q -p mailbearer-mobile -p mailbearer-mobile-testing
	touch $@

# Each for itself: together, the testing server's part of the core would get into the library for apps.
target/$(HOST)/mobile/built: $(VENV)/packages $(MOBILE_SOURCES)
	$(SAY) "The library for mobile apps, and its testing server"
	$(ZIG) cargo zigbuild --locked --profile mobile -p mailbearer-mobile --target $(HOST).2.17
	$(ZIG) cargo zigbuild --locked --profile mobile -p mailbearer-mobile-testing --target $(HOST).2.17
	touch $@

$(KOTLIN)/native: $(MOBILE)/built bindings/mobile/kotlin/native.sh bindings/mobile/kotlin/android/generate.sh bindings/mobile/kotlin/android/uniffi.toml
	$(SAY) "The Kotlin code that calls the library"
	command -v mvn > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends maven openjdk-17-jdk-headless; }
	bindings/mobile/kotlin/native.sh $(MOBILE)
	touch $@

# The parent's POM and the two packages, as a registry of Maven's wants them: with sources and documentation.
$(DIST)/maven/built: $(KOTLIN)/native $(KOTLIN_SOURCES) THIRD-PARTY.md
	$(SAY) "Kotlin: the jars, their sources and their documentation"
	rm -rf $(DIST)/maven
	cd bindings/mobile/kotlin && mvn -B -ntp -q deploy -Pdist -pl .,library,testing -DskipTests -Dmaven.install.skip \
	    -DaltDeploymentRepository=dist::file://$(abspath $(DIST)/maven)
	touch $@

$(DIST)/crates/built: $(shell find core -type f -not -path '*/tests/*') THIRD-PARTY.md
	$(SAY) "Rust: the crate"
	rm -rf $(DIST)/crates; mkdir -p $(DIST)/crates
	cargo package --locked -q -p mailbearer --allow-dirty --no-verify
	cp target/package/mailbearer-*.crate $(DIST)/crates/
	touch $@

dist: $(DIST)/python/built $(DIST)/npm/built $(DIST)/maven/built $(DIST)/crates/built
	$(SAY) "What is published: licences, platforms and the bill of materials"
	$(PYTHON) bindings/release/crates.py sbom $(DIST)/mailbearer.cdx.json
	$(ZIG) python bindings/release/check.py $(DIST)
	cd $(DIST) && find . -type f -not -name built -not -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS
	ls -l $(DIST)/*/*.* $(DIST)/*.*

# The runner of the cases is among the tests, which `make test-kotlin` runs.
$(KOTLIN)/jars: $(KOTLIN)/native $(KOTLIN_SOURCES)
	$(SAY) "Kotlin: the jars"
	cd bindings/mobile/kotlin && mvn -B -ntp -q package -DskipTests
	touch $@

$(TOOLS)/bin/cargo-deny:
	$(SAY) "cargo-deny is built (once; some minutes)"
	cargo install -q --locked --root $(TOOLS) cargo-deny@0.20.2

$(TOOLS)/bin/cargo-llvm-cov:
	$(SAY) "cargo-llvm-cov is built (once; a minute)"
	cargo install -q --locked --root $(TOOLS) cargo-llvm-cov@0.9.1

$(LLVM)/llvm-cov:
	apt-get update -qq && apt-get install -y -qq --no-install-recommends llvm-22

$(TOOLS)/bin/cargo-mutants:
	$(SAY) "cargo-mutants is built (once; some minutes)"
	cargo install -q --locked --root $(TOOLS) cargo-mutants@27.1.0

$(TOOLS)/bin/cargo-fuzz:
	$(SAY) "cargo-fuzz is built (once; a minute)"
	cargo install -q --locked --root $(TOOLS) cargo-fuzz@0.13.2

release:
	$(PYTHON) bindings/release/versions.py release $(VERSION)

clean:
	rm -rf target dist .cache bindings/mobile/kotlin/*/target
