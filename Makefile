# The commands of the README. Everything is built under target/, nothing is installed.
#   make demo   build, fetch the default model, answer a first question, then read the sample corpus
#   make test   build once, fetch the default model once, run every test
#   make web    build the web page, which the next build of the program carries
#   make openapi renew the description of the REST interface and the page's types, after a change of handlers
#   make instructions  count the instructions of every kernel (valgrind); a report, not a check
#   make check  what a change has to pass before it is committed: format, lints, licences, tests

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test test-rest test-web test-browser web openapi check fmt lint deny instructions toolchain nextest

TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/ibid
DEBUG := $(TARGET)/debug/ibid
# Kept between runs: the model is fetched once.
DEMO_DATA := target/demo-data
TEST_DATA := target/test-data
MODEL := $(TEST_DATA)/models/SmolLM2-135M-Instruct.Q4_1.gguf
REST_VENV := target/rest-venv

help:
	@sed -n 's/^#   //p' Makefile

toolchain:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust 1.95 or newer from https://rustup.rs, then repeat' >&2; exit 1; }
	command -v cc >/dev/null || { echo 'a C compiler is missing (SQLite is built from source): on Debian, apt-get install gcc libc6-dev' >&2; exit 1; }
	have=$$(cargo --version | cut -d ' ' -f 2)
	printf '1.95.0\n%s\n' "$$have" | sort -VC || { echo "cargo $$have is too old: run rustup update (1.95 or newer)" >&2; exit 1; }

nextest:
	@cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked

# npm before 11 installs no Vite 8.
NPM_CI := npm ci --no-audit --no-fund
web/node_modules/.package-lock.json: web/package-lock.json
	@cd web
	$(NPM_CI) || npx --yes npm@11 ci --no-audit --no-fund

# The program works without its page, so that a machine without Node.js can build it.
web:
	@if ! command -v npm >/dev/null; then
	    echo 'npm is missing: the program is built without its web page; install Node.js 20 or newer to have it' >&2
	    exit 0
	fi
	# A program that was compiled without the page does not see by itself that there is one now.
	[ -e web/dist/index.html ] || touch crates/ibid/src/serve/web.rs
	$(MAKE) --no-print-directory web/node_modules/.package-lock.json && npm --prefix web run build || \
	    echo 'the web page could not be built; the program is built without it' >&2

# The page's types are made from the description: a test of the server and one of the page fail while they are behind.
openapi: toolchain web/node_modules/.package-lock.json
	@cargo build --workspace --bins
	$(DEBUG) serve --openapi > crates/ibid/openapi.json
	npm --prefix web run api

demo: toolchain web
	@cargo build --release --package ibid
	ibid() { echo "\$$ ibid $$*"; $(RELEASE) --data $(DEMO_DATA) "$$@"; }
	ibid model fetch
	ibid add first examples/corpus/debian-constitution.docx
	ibid ask first "How long is the Project Secretary's term of office?"
	echo 'Now the whole sample corpus. Stop with Ctrl-C whenever you like; make demo goes on where it stopped.'
	ibid add sample examples/corpus
	ibid ask sample 'Who invented the Monotype machine?'
	echo 'Ask your own:    $(RELEASE) --data $(DEMO_DATA) ask sample "..."'
	echo 'In the browser:  $(RELEASE) --data $(DEMO_DATA) serve, then http://127.0.0.1:8080/'

test: toolchain nextest web
	@cargo build --workspace --all-targets
	$(DEBUG) --data $(TEST_DATA) model fetch
	IBID_TEST_MODEL="$$(realpath $(MODEL))" cargo nextest run --workspace
	$(MAKE) --no-print-directory test-rest test-web test-browser

# The running service against its description, the openai package, and docs/rest.md.
test-rest: toolchain $(REST_VENV)/installed
	@command -v curl >/dev/null || { echo 'curl is missing: on Debian, apt-get install curl' >&2; exit 1; }
	cargo build --workspace --all-targets
	$(DEBUG) --data $(TEST_DATA) model fetch
	IBID="$$(realpath $(DEBUG))" IBID_TEST_MODEL="$$(realpath $(MODEL))" PYTHONDONTWRITEBYTECODE=1 \
	    $(REST_VENV)/bin/python -m pytest --quiet tests/rest

$(REST_VENV)/installed: tests/rest/requirements.txt
	@rm -rf $(REST_VENV)
	python3 -m venv $(REST_VENV) || { echo 'Python 3.11 or newer with venv is missing: on Debian, apt-get install python3-venv' >&2; exit 1; }
	$(REST_VENV)/bin/pip install --quiet --requirement tests/rest/requirements.txt || { echo 'pip cannot install tests/rest/requirements.txt: it needs the Python package index this once' >&2; exit 1; }
	touch $@

# The page: its types and its parts.
test-web:
	@command -v npm >/dev/null || { echo 'npm is missing: install Node.js 20 or newer with npm' >&2; exit 1; }
	$(MAKE) --no-print-directory web/node_modules/.package-lock.json
	npm --prefix web run check
	npm --prefix web test

# Its screens in Chromium: on the real program, and on a server that answers from memory.
test-browser: toolchain
	@command -v chromium >/dev/null || { echo 'chromium is missing: on Debian, apt-get install chromium' >&2; exit 1; }
	$(MAKE) --no-print-directory web/node_modules/.package-lock.json
	cargo build --workspace --all-targets
	$(DEBUG) --data $(TEST_DATA) model fetch
	IBID_TEST_PROGRAM="$$(realpath $(DEBUG))" IBID_TEST_MODEL="$$(realpath $(MODEL))" npm --prefix web run test:service
	npm --prefix web run test:browser

check: fmt lint deny test

fmt: toolchain
	@cargo fmt --all --check

lint: toolchain
	@cargo clippy --workspace --all-targets -- -D warnings

# No check: a table to hold against that of another commit.
instructions: toolchain
	@cargo run --quiet --package xtask -- instructions

# Licences and known vulnerabilities; the tool takes long to build, so it is used where it is present.
deny: toolchain
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo 'cargo deny is not installed: licences and advisories were not checked'; fi
