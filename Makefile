# callscoot: what a person types. `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test test-bluetooth check bench fuzz long docs setup clean
.PHONY: long-kill long-disk long-load long-idle long-voice long-fuzz long-api long-tests
export PATH := $(CURDIR)/target/tools/bin:$(PATH)
# Fuzz targets, and how long `make fuzz` gives each.
T ?= sip_msg sdp rtp rtcp hfp_at adb_server h2 agent_msg http_head
SECONDS_EACH ?= 60

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## one whole call on this machine, to see and hear (target/demo)
	@tests/setup demo
	@echo 'building; the first time takes some minutes'
	cargo build --locked
	@target/debug/callscoot demo --out target/demo

test: ## everything that must hold: unit, tidy, and whole calls with real SIP peers
	@tests/setup test
	cargo test --locked --no-fail-fast

test-bluetooth: ## whole calls over a real bluetoothd and real voice links, in a guest without radio
	@tests/setup bluetooth
	cargo test --locked --test bluetooth -- --ignored --nocapture

check: ## what must pass before a change is taken: format, lints, tests, docs, dependencies
	@tests/setup check
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --no-fail-fast
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --document-private-items
	cargo deny --offline --log-level error check bans licenses sources

bench: ## latencies, memory and processor time beside controls, as a table
	@tests/setup test
	cargo bench --locked --bench call --bench api

fuzz: ## one minute for each parser, or: make fuzz T=sip_msg SECONDS_EACH=3600
	@tests/setup fuzz
	@mkdir -p target/fuzz-corpus
	@set -e; for target in $(T); do \
	    mkdir -p target/fuzz-corpus/$$target; \
	    CARGO_TARGET_DIR=target/fuzz cargo +nightly fuzz run $$target target/fuzz-corpus/$$target tests/corpus/$$target \
	        -- -max_total_time=$(SECONDS_EACH) -timeout=5 -rss_limit_mb=1024; \
	done

long: long-kill long-disk long-load long-idle long-voice long-fuzz long-api long-tests ## what takes hours, figures in docs/measurements; one item: make long-kill

long-kill: # the service killed 300 times under its clients' writes; the seed is printed
	CALLSCOOT_KILL_ROUNDS=300 CALLSCOOT_KILL_SEED=$$(date +%s) cargo test --locked --test kill -- --nocapture

long-disk: # a real file system without room; takes root's rights to mount it
	cargo test --locked --test full_disk -- --ignored --nocapture

long-load: # requests, streams and the clock of a call under load
	CALLSCOOT_RECORD=1 cargo bench --locked --bench api

long-idle: # an hour of nothing
	cargo test --locked --test idle -- --ignored --nocapture

long-voice: # speech through both codecs of Bluetooth, scored, and the ways between link and ring
	CALLSCOOT_RECORD=1 cargo test --locked --test voice_quality -- --ignored --nocapture

long-fuzz: # the parsers fuzzed for an hour each
	$(MAKE) fuzz SECONDS_EACH=3600

long-api: # tens of thousands of requests that the description of the API allows or forbids
	cargo test --locked --test openapi -- --ignored --nocapture

long-tests: # the tests twenty times over
	@set -e; for round in $$(seq 20); do echo "round $$round"; cargo test --locked -q; done

docs: ## the code's own pages, in target/doc/callscoot/index.html
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps

setup: ## install what the tests need, without running them
	@tests/setup test

clean: ## remove everything that was built
	cargo clean
