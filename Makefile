# Two commands for newcomers: `make run` and `make test`. The rest is in `make help`.
# Each target installs the Debian packages that it needs and does not find (scripts/packages).

.PHONY: help build run test differential test-drivers test-tsan fuzz bench bench-all bench-micro docs format lint clean

SWIFT_SOURCES := $(wildcard Package.swift Sources Tests Benchmarks)
SHELL_SCRIPTS := $(wildcard scripts/*.sh .ci/run Tests/*/*.sh Config/docker/*.sh)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

build: ## Build the release binaries, .build/release/sluice and sluicectl
	@scripts/install.sh build
	swift build -c release --product sluice
	swift build -c release --product sluicectl

run: ## Run Sluice on port 6543, with a throwaway PostgreSQL unless DATABASE_URL is set, until Ctrl-C
	@scripts/run.sh

test: ## Build, unit tests, fuzzers and random pipelines for a minute, black-box tests on a real PostgreSQL
	@scripts/test.sh

differential: ## Random pipelines to PostgreSQL and through the pooler, for SECONDS=60, with SEED=... (random)
	@scripts/install.sh build postgres test
	swift build -c release --product sluice
	swift build -c release --product model-postgres
	Tests/differential/run.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

test-drivers: ## Drivers in other languages through the pooler (ONLY="pgx jdbc" picks some)
	@scripts/install.sh build postgres drivers
	@scripts/node-drivers.sh
	@python3 -c '' 2>/dev/null || scripts/install.sh test
	swift build -c release --product sluice
	Tests/drivers/run.py $(ONLY)

test-tsan: ## The black-box tests with four workers under ThreadSanitizer
	@scripts/test-tsan.sh

fuzz: ## The fuzzers, for FUZZ_SECONDS=600
	@scripts/install.sh build
	Tests/Fuzz/run.sh $(or $(FUZZ_SECONDS),600)

bench: ## Compare with PgBouncer, pgpool2 and a bare relay, and write docs/benchmarks.md (five minutes)
	@scripts/bench.sh

bench-all: ## The same with every scenario, TLS, two cores, chaos, system calls: docs/benchmarks-*.md (a quarter of an hour)
	@scripts/bench.sh all

bench-micro: ## Microbenchmarks of framer, machines and prepared statements: times, then instructions against their thresholds
	@scripts/install.sh build test
	swift package --package-path Benchmarks/Micro benchmark --no-progress
	swift build -c release --product instructions
	Benchmarks/instructions.py

docs: build ## Write docs/configuration.md, Config/sluice.ini, docs/metrics.md and docs/console.md anew, from the tables in the program
	@mkdir -p Config
	.build/release/sluice --print-configuration-reference markdown > docs/configuration.md
	.build/release/sluice --print-configuration-reference ini > Config/sluice.ini
	.build/release/sluice --print-configuration-reference metrics > docs/metrics.md
	.build/release/sluice --print-configuration-reference console > docs/console.md

format: ## Format the Swift sources in place
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

lint: ## Complain about format and shell scripts
	@scripts/install.sh lint
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)
	shellcheck $(SHELL_SCRIPTS)

clean: ## Remove everything that was built
	rm -rf .build .build-* .venv-tests Benchmarks/.build Benchmarks/Micro/.build
