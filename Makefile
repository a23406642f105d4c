# Everything a person types. Each target installs what is missing, builds, and runs.
#
#   make demo    rent a machine from a stranger, end to end (KEEP=1 leaves it running)
#   make check   all tests
#   make bench   benchmarks; results in build/bench.txt
#   make fuzz    every fuzz target: canary, coverage, FUZZ_SECONDS (600) without a finding
#   make build   just build
#   make tidy    clang-tidy

BUILD ?= build
export MOOSH_BUILD := $(abspath $(BUILD))

.PHONY: demo check bench fuzz build deps format tidy

deps:
	@scripts/deps

build: deps
	@scripts/build $(BUILD)

demo: build
	@scripts/demo $(if $(KEEP),--keep)

check: deps
	@scripts/check

bench: deps
	@env -u MOOSH_BUILD scripts/bench

bench-%: deps
	@env -u MOOSH_BUILD scripts/bench $*

fuzz: deps
	@scripts/fuzz

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

tidy: build
	@scripts/tidy
