# make run    set up, build, start hub, relay and a client on this machine
# make test   set up, build, run every test
# make build  set up and build only        make clean  remove what was built
# make bench  measure what docs/performance.md quotes
# make fuzz   build the fuzzers with libFuzzer in build-fuzz/

PORT ?= 8443
UP_FLAGS ?= --port $(PORT)

.PHONY: run test build release clean fuzz format bench
.DEFAULT_GOAL := build

run: build
	@tools/setup run
	@exec build/fairlead up $(UP_FLAGS)

build:
	@tools/setup build
	@tools/build-web
	@tools/build-c build

test:
	@tools/setup build run test
	@tools/test

release:
	@tools/setup build
	@tools/build-web
	@tools/build-c build-release -Dbuildtype=release -Db_lto=true

fuzz:
	@tools/setup build test
	@CC=clang tools/build-c build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

bench: build
	@tools/setup run test
	@bench/run

clean:
	rm -rf build build-asan build-release build-fuzz web/dist
