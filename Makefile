# The few commands people type. CONTRIBUTING.md says more.

CARGO ?= cargo
# A program the tests need, and the Debian package that brings it.
NEEDS := cc:gcc script:bsdutils initdb:postgresql setpriv:util-linux chromium:chromium chromedriver:chromium-driver
# Debian keeps PostgreSQL's programs where no path leads; the tests look there too.
export PATH := $(PATH)$(addprefix :,$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin))))

.PHONY: test check soak bench bench-service bench-cascade bench-llm bench-outage bench-deliver bench-inbox train demo needs advisories

## Every check and every test. Installs what is missing from Debian's packages.
test: needs check
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) test --workspace --doc --quiet && $(CARGO) nextest run --workspace; \
	else \
	  $(CARGO) test --workspace; \
	fi

## Format, lints, documentation, licences, advisories, layers and sizes.
check: advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(CARGO) run --quiet -p undertone-testkit --bin house-check

## Ten long rounds of killing the service without warning, on both databases.
soak:
	UNDERTONE_SOAK_ROUNDS=10 UNDERTONE_SOAK_COUNT=20000 $(CARGO) test --release -p undertone --test crash -- --nocapture

needs:
	@missing=; for need in $(NEEDS); do \
	  command -v $${need%%:*} >/dev/null || missing="$$missing $${need##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -qy $$missing; \
	  elif sudo -n true 2>/dev/null; then sudo apt-get update -q && sudo apt-get install -qy $$missing; \
	  else echo "error: the tests need more; run: sudo apt-get install$$missing" >&2; exit 1; fi; \
	fi
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || \
	  { echo "error: rustfmt or clippy is missing; run: rustup component add rustfmt clippy" >&2; exit 1; }

advisories:
	@if timeout 20 git ls-remote -q https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then \
	  { $(CARGO) audit --version >/dev/null 2>&1 || $(CARGO) install --quiet --locked cargo-audit; } && $(CARGO) audit --quiet; \
	else \
	  echo "advisories: skipped, the advisory database can not be reached from here"; \
	fi

## Speed and size beside a peer on this machine; writes docs/performance.md.
bench:
	$(CARGO) build --release
	python3 bench/bench.py

## The service on SQLite and PostgreSQL; writes its part of docs/performance.md.
bench-service: needs
	python3 bench/service.py $(ROWS)

## What asking an LLM costs beside the LLM, against the local server; writes its part of docs/performance.md.
bench-llm:
	python3 bench/llm.py

## How long it takes until all is well again after ten minutes without the LLM: 20,000 interactions that wait, a backfill of 5,000. Prints the table
## "After an outage" of docs/performance.md.
bench-outage:
	@printf '| what waited | LLM away for | first verdict after it was back | all of them |\n|---|---:|---:|---:|\n'
	UNDERTONE_OUTAGE_SECONDS=600 UNDERTONE_OUTAGE_WAITING=20000 UNDERTONE_OUTAGE_BACKFILL=5000 \
	  $(CARGO) test --release -p undertone --test backfill outage -- --test-threads=1 --nocapture | sed -n -e 's/^.*FIGURES //p' -e '/test result/p' -e '/panicked/p'

## How messages to destinations go out beside receivers that hang or fail, and what 100,000 that wait take; figures for docs/performance.md.
bench-deliver:
	UNDERTONE_BENCH_DELIVER=1 \
	  $(CARGO) test --release -p undertone --test deliver -- --test-threads=1 --nocapture | grep -E 'FIGURES|test result|panicked'

## How long after its score an alert is in the inbox of somebody who looks, on SQLite and on PostgreSQL; figures for docs/performance.md.
bench-inbox: needs
	$(CARGO) test --release -p undertone --bin undertone -- --ignored within_a_second --test-threads=1 --nocapture | grep -E 'FIGURES|test result|panicked'

## What the cascade keeps of an LLM's accuracy and what it takes, as Markdown for docs/performance.md.
bench-cascade:
	$(CARGO) run --quiet --release -p undertone-scoring --example cascade

## Makes the embedded model again. DATA is a folder of the public sets, see training/README.md.
train:
	test -d training/.venv || python3 -m venv training/.venv
	training/.venv/bin/pip install --quiet --no-deps -r training/requirements.txt
	cd training && OPENBLAS_NUM_THREADS=1 .venv/bin/python -m undertone_training $(if $(DATA),--data $(abspath $(DATA)))

## The service on a database of its own, with the sample inbox in it.
demo:
	$(CARGO) run --release -- demo
