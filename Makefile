# Two commands for newcomers: `make run` and `make test`. The rest is in `make help`.
# Each target installs the Debian packages that it needs and does not find (scripts/packages).

.PHONY: help build static install deb test-deb run test test-blackbox test-versions differential mutants simulate test-drivers test-tsan fuzz bench bench-all bench-micro docs format lint clean

SWIFT_SOURCES := $(wildcard Package.swift Sources Tests Benchmarks)
SHELL_SCRIPTS := $(wildcard scripts/*.sh .ci/run Tests/*/*.sh Config/docker/*.sh) Config/debian/import-pgbouncer Config/debian/postinst Config/debian/prerm Config/debian/postrm

PREFIX ?= /usr/local
DESTDIR ?=

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

build: ## Build the release binaries, .build/release/sluice and sluicectl
	@scripts/install.sh build
	swift build -c release --product sluice
	swift build -c release --product sluicectl
	@scripts/stamp.sh .build/release/sluice .build/release/sluicectl

static: ## Build programs that need no Swift at run time, sluicebench among them, in .build-static and .build-static-bench
	@scripts/install.sh build
	swift build -c release --static-swift-stdlib --scratch-path .build-static --product sluice
	swift build -c release --static-swift-stdlib --scratch-path .build-static --product sluicectl
	@scripts/stamp.sh .build-static/release/sluice .build-static/release/sluicectl
	swift build -c release --static-swift-stdlib --package-path Benchmarks --scratch-path .build-static-bench --product sluicebench

# As root there is often no Swift; then what `make static` has built before is taken.
install: $(if $(shell command -v swift),static) ## Install programs, manual pages, completions and units into PREFIX=/usr/local
	@scripts/make-install.sh "$(DESTDIR)" "$(PREFIX)"

deb: static ## Build a Debian package in .build-deb
	@scripts/install.sh deb
	@scripts/deb.sh

test-deb: deb ## lintian, and the package in a Debian of its own: install, start, upgrade, PgBouncer's files, purge (root)
	@scripts/install.sh deb-test
	@scripts/test-deb.sh

run: ## Run Sluice on port 6543, with a throwaway PostgreSQL unless DATABASE_URL is set, until Ctrl-C
	@scripts/run.sh

test: ## Build, unit tests, fuzzers and random pipelines for a minute, black-box tests on a real PostgreSQL
	@scripts/test.sh

test-blackbox: ## The black-box tests alone, with TARGET=/path/to/pgbouncer against that (docs/compatibility.md)
	@scripts/install.sh build postgres test
	$(if $(TARGET),,swift build -c release)
	@scripts/venv.sh
	$(if $(TARGET),BLACKBOX_HANG=$${BLACKBOX_HANG:-10}) .venv-tests/bin/pytest Tests/blackbox -q -n 2 --dist loadfile $(if $(TARGET),--pooler "$(TARGET)") $(PYTEST_FLAGS)

test-versions: ## The black-box tests and random pipelines against PostgreSQL 16 and 18 (VERSIONS="16 18")
	@scripts/test-versions.sh

differential: ## Random pipelines to PostgreSQL and through the pooler, for SECONDS=60, with SEED=... (random)
	@scripts/install.sh build postgres test
	swift build -c release --product sluice
	swift build -c release --product model-postgres
	Tests/differential/run.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

mutants: ## Changes one thing at a time in the pool's decisions, COUNT=40 from SEED=... (random), and tells what no test notices
	@scripts/install.sh build
	scripts/mutants.py --count $(or $(COUNT),40) $(if $(SEED),--seed $(SEED))

simulate: ## The daemon in a world that can be replayed, for SECONDS=60, from SEED=... (random); docs/simulator.md
	@scripts/install.sh build
	swift build --product simulate
	.build/debug/simulate --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(LINES),--lines $(LINES))

test-drivers: ## Drivers in other languages through the pooler (ONLY="pgx jdbc" picks some)
	@scripts/install.sh build postgres drivers
	@scripts/node-drivers.sh
	@scripts/python-drivers.sh
	@python3 -c '' 2>/dev/null || scripts/install.sh test
	swift build -c release --product sluice
	Tests/drivers/run.py $(ONLY)

test-tsan: ## The black-box tests with four workers under ThreadSanitizer
	@scripts/test-tsan.sh

fuzz: ## The fuzzers, for FUZZ_SECONDS=600
	@scripts/install.sh build
	Tests/Fuzz/run.sh $(or $(FUZZ_SECONDS),600)

bench: ## Compare with PgBouncer, pgpool2 and a bare relay, and write docs/benchmarks/short.md (five minutes)
	@scripts/bench.sh

bench-all: ## The same with every scenario, TLS, two cores, chaos, system calls: docs/benchmarks/*.md (a quarter of an hour)
	@scripts/bench.sh all

bench-micro: ## Microbenchmarks of framer, machines and prepared statements: times, then instructions against their thresholds
	@scripts/install.sh build test
	swift package --package-path Benchmarks/Micro benchmark --no-progress
	swift build -c release --product instructions
	Benchmarks/instructions.py

docs: build ## Write docs/configuration.md, Config/sluice.ini, docs/metrics.md, docs/console.md, docs/compatibility.md and docs/man anew, from the tables in the program
	swift build -c release --package-path Benchmarks --product sluicebench
	@mkdir -p Config
	.build/release/sluice --print-configuration-reference markdown > docs/configuration.md
	.build/release/sluice --print-configuration-reference ini > Config/sluice.ini
	.build/release/sluice --print-configuration-reference metrics > docs/metrics.md
	.build/release/sluice --print-configuration-reference console > docs/console.md
	scripts/man.py .build/release Benchmarks/.build/release/sluicebench
	scripts/compatibility.py

format: ## Format the Swift sources in place
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

lint: ## Complain about format and shell scripts
	@scripts/install.sh lint
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)
	shellcheck $(SHELL_SCRIPTS)

clean: ## Remove everything that was built
	rm -rf .build .build-* .venv-tests Benchmarks/.build Benchmarks/Micro/.build
