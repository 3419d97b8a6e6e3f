# What a person types. Each target installs with apt what it lacks (scripts/need); none needs more than root.

PREFIX  ?= /usr/local
DESTDIR ?=
PRODUCTS = lighterd lighter-gateway lighter
# Releases carry their Swift library with them, so that they run where no Swift is installed.
RELEASE  = swift build -c release --static-swift-stdlib
SWIFT    = $(shell git ls-files -co --exclude-standard '*.swift' ':!:Sources/Wire/Generated' ':!:Sources/Etcd/Generated')

.PHONY: all build demo test chaos bench lint format proto install uninstall clean help

all: build

help:
	@echo 'make build    the three programs, optimised, in .build/release'
	@echo 'make demo     two real engines, a slow device and a fast host: see an offload and its reasons'
	@echo 'make test     unit tests, then everything from outside on real engines; ends with N passed, N failed'
	@echo 'make chaos    a fleet is broken at random under a load, 200 times: SEED=N repeats the faults, FAULTS=N'
	@echo 'make bench    the figures, as ratios against peers in the same run'
	@echo 'make lint     formatting, and what lighterd may link; make format: the former, mended'
	@echo 'make install  programs, systemd units and a sample configuration, below PREFIX (and DESTDIR)'
	@echo 'make proto    regenerate the control protocol and the messages of etcd from Protos/'
	@echo 'make clean    remove what was built (a fleet that is up: Testbed/fleet down)'

# One product after the other: two builds at once would only fight for the package's lock.
build:
	@scripts/need swift sqlite zstd
	@for product in $(PRODUCTS); do echo "building $$product"; $(RELEASE) --product $$product || exit 1; done

demo:
	@scripts/demo

test:
	@scripts/test

chaos:
	@scripts/need swift sqlite zstd docker cc
	@test -x .build/release/lighterd || $(MAKE) build
	@Tests/Chaos/run $(if $(SEED),--seed $(SEED)) --faults $(or $(FAULTS),200)

bench:
	@scripts/need swift sqlite zstd bpf
	@Benchmarks/run

lint:
	@scripts/need swift
	@swift format lint --strict $(SWIFT)
	@scripts/check-closure
	@scripts/check-rooms
	@for script in scripts/need scripts/check-rooms .ci/run; do bash -n $$script || exit 1; done
	@python3 -B scripts/check-python

format:
	@scripts/need swift
	@swift format --in-place $(SWIFT)

proto:
	@scripts/need swift protoc
	@swift build --product protoc-gen-swift
	@for room in Wire:lighter/v1/control.proto Etcd:etcd/v3/rpc.proto; do \
		protoc --plugin=protoc-gen-swift="$$(swift build --show-bin-path)/protoc-gen-swift" --proto_path=Protos \
			--swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true --swift_opt=FileNaming=DropPath \
			--swift_out=Sources/$${room%%:*}/Generated Protos/$${room#*:} || exit 1; \
	done

# Stripped copies: symbols are half of the size. Build first: `make build && sudo make install`.
install:
	@for product in $(PRODUCTS); do \
		test -x .build/release/$$product || { echo 'run `make build` first' >&2; exit 1; }; \
		install -D -s -m 755 .build/release/$$product "$(DESTDIR)$(PREFIX)/bin/$$product" || exit 1; \
	done
	@install -d "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	@for unit in lighterd lighter-gateway; do \
		sed 's|@PREFIX@|$(PREFIX)|g' packaging/$$unit.service \
			> "$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service" || exit 1; \
	done
	@install -D -m 644 packaging/lighterd.conf "$(DESTDIR)$(PREFIX)/share/doc/lighter/lighterd.conf"
	@install -D -m 644 LICENSE "$(DESTDIR)$(PREFIX)/share/doc/lighter/LICENSE"

uninstall:
	@cd "$(DESTDIR)$(PREFIX)" && rm -f $(PRODUCTS:%=bin/%) lib/systemd/system/lighterd.service \
		lib/systemd/system/lighter-gateway.service share/doc/lighter/lighterd.conf share/doc/lighter/LICENSE

clean:
	@rm -rf .build
