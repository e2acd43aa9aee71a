# Dormouse. `make` lists the targets; `make run` and `make test` are all that a newcomer needs.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
ARGS ?=
# How many seeds the simulation runs under ThreadSanitizer, which is about ten times slower. Without it,
# the tests' own default holds.
THREAD_SEEDS ?= 200

SWIFT ?= $(shell scripts/find-swift.sh 2>/dev/null)
BIN ?= $(CURDIR)/.build/release
# Programs carry the Swift runtime with them on Linux, so that they run where no toolchain is.
RELEASE := -c release $(if $(filter Linux,$(shell uname -s)),--static-swift-stdlib --disable-local-rpath)
FORMATTED := Package.swift Sources Tests Benchmarks Examples
STAGE := scripts/stage.sh
TEST := $(SWIFT) test --disable-xctest

include scripts/clib.mk

.PHONY: help
help: ## list the targets
	@echo "make run                       start a server on a private Postgres in ./.dormouse"
	@echo "make test                      run all tests"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: ARGS (for run and bench), PREFIX and DESTDIR (for install), SWIFT (path of the compiler)'

# ---- use -------------------------------------------------------------------------------------------

.PHONY: run
run: build ## install what is missing, build, start the server; ARGS="--listen 127.0.0.1:4000" adds flags
	@exec $(BIN)/dormoused --data .dormouse $(ARGS)

.PHONY: build
build: dependencies toolchain build-c ## build dormoused and dormouse (release) into .build/release, the C library into .build/c
	@$(SWIFT) build $(RELEASE) --product dormoused
	@$(SWIFT) build $(RELEASE) --product dormouse
	@$(SWIFT) build $(RELEASE) --product dormouse-kafka
	@$(SWIFT) build $(RELEASE) --product dormouse-rabbitmq

.PHONY: install
install: install-c install-units ## copy what `make build` built, the C library and the systemd units to $(DESTDIR)$(PREFIX)
	@test -x $(BIN)/dormoused -a -x $(BIN)/dormouse || { echo 'Nothing to install yet: run "make build" first.' >&2; exit 66; }
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/dormouse' '$(DESTDIR)$(PREFIX)/share/man/man1' \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions' \
	    '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	install -m 755 $(BIN)/dormoused $(BIN)/dormouse $(BIN)/dormouse-kafka $(BIN)/dormouse-rabbitmq '$(DESTDIR)$(PREFIX)/bin'
	install -m 644 proto/dormouse.proto '$(DESTDIR)$(PREFIX)/share/dormouse'
	install -m 644 docs/man/dormouse.1 docs/man/dormouse-kafka.1 docs/man/dormouse-rabbitmq.1 '$(DESTDIR)$(PREFIX)/share/man/man1'
	$(BIN)/dormouse completion bash >'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/dormouse'
	$(BIN)/dormouse completion zsh >'$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dormouse'
	$(BIN)/dormouse completion fish >'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dormouse.fish'

# Settings that are there already stay.
.PHONY: install-units
install-units:
	install -d '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(PREFIX)/lib/sysusers.d' '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d' \
	    '$(DESTDIR)$(SYSCONFDIR)/dormouse' '$(DESTDIR)$(PREFIX)/share/man/man8' \
	    '$(DESTDIR)$(PREFIX)/share/doc/dormouse-server/examples'
	for unit in dormoused.service dormoused.socket dormouse-kafka@.service dormouse-rabbitmq@.service; do \
	    sed -e 's|/usr/bin/dormouse|$(PREFIX)/bin/dormouse|; s|/etc/dormouse|$(SYSCONFDIR)/dormouse|; s|/usr/share/doc|$(PREFIX)/share/doc|' \
	        deploy/$$unit >'$(DESTDIR)$(UNITDIR)'/$$unit || exit; \
	    chmod 644 '$(DESTDIR)$(UNITDIR)'/$$unit; \
	done
	install -m 644 deploy/dormouse.sysusers '$(DESTDIR)$(PREFIX)/lib/sysusers.d/dormouse.conf'
	install -m 644 deploy/dormouse.tmpfiles '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/dormouse.conf'
	[ -e '$(DESTDIR)$(SYSCONFDIR)/dormouse/dormoused.env' ] || \
	    install -m 644 deploy/dormoused.env '$(DESTDIR)$(SYSCONFDIR)/dormouse/dormoused.env'
	install -m 644 docs/man/dormoused.8 '$(DESTDIR)$(PREFIX)/share/man/man8'
	install -m 644 docs/operating.md '$(DESTDIR)$(PREFIX)/share/doc/dormouse-server'
	install -m 644 deploy/postgres-roles.sql deploy/dropins/* '$(DESTDIR)$(PREFIX)/share/doc/dormouse-server/examples'

.PHONY: deb
deb: build ## make Debian packages (server, command line, C library, its development files) in .build/deb
	@scripts/make-deb.sh .build/deb

.PHONY: build-examples
build-examples: dependencies toolchain ## build the shop, the market, its node and the small worker of the manual (release)
	@for product in shop market market-node visits; do $(SWIFT) build $(RELEASE) --product $$product || exit 1; done

.PHONY: demo-shop
demo-shop: build build-examples ## the story of the event shop, on a private Postgres, in less than a minute
	@DORMOUSE_BIN_DIR=$(BIN) Examples/Shop/demo.sh

.PHONY: demo-market
demo-market: build build-examples ## the story of the market, with a node that it brings along
	@DORMOUSE_BIN_DIR=$(BIN) Examples/Market/demo.sh

.PHONY: bench
bench: build ## measure beside other systems, which it installs; QUICK=1 takes 3 minutes, ARGS are passed on
	@$(SWIFT) build $(RELEASE) --product dormouse-bench
	@Benchmarks/peers.sh
	@DORMOUSE_BIN_DIR=$(BIN) Benchmarks/run.sh $(if $(QUICK),--quick) $(ARGS)

.PHONY: clean
clean: ## remove everything that was built; the data in ./.dormouse stays
	rm -rf .build .build-tsan .build-asan

# ---- tests -----------------------------------------------------------------------------------------

.PHONY: test
test: test-unit test-simulation test-integration test-c test-examples test-valgrind test-fuzz test-instructions test-thread test-address ## install what is missing, run all tests

.PHONY: test-unit
test-unit: dependencies-test toolchain ## Core, Channels, Wire, Net, Store (with a Postgres of its own), CommandLine, EventWorker
	@$(STAGE) unit $(TEST) --filter '^(CoreTests|ChannelsTests|WireTests|NetTests|StoreTests|ConnectorTests|CommandLineTests|EventWorkerTests)\.'

.PHONY: test-simulation
test-simulation: dependencies-test toolchain ## the whole engine on a memory store, random faults from seeds (DORMOUSE_SEEDS)
	@$(STAGE) simulation $(TEST) --filter '^SimulationTests\.'

.PHONY: test-integration
test-integration: dependencies-test build build-examples ## real programs, real sockets, real Postgres
	@$(SWIFT) build $(RELEASE) --product KafkaMock
	@DORMOUSE_BIN_DIR=$(BIN) $(STAGE) integration $(TEST) --no-parallel --filter '^IntegrationTests\.'

.PHONY: test-instructions
test-instructions: dependencies-test toolchain ## instructions of the server's parts for an event, by callgrind, compared with those recorded
	@$(SWIFT) build $(RELEASE) --product dormouse-instructions
	@DORMOUSE_BIN_DIR=$(BIN) $(STAGE) instructions Benchmarks/instructions.sh

.PHONY: test-systemd
test-systemd: deb ## the packages under a real systemd, as root: started, restarted, killed under load; not part of `make test`
	@Tests/Deploy/systemd.sh .build/deb

.PHONY: test-thread
test-thread: dependencies-test toolchain ## Core, Channels, Wire, Net, Store and the simulation under ThreadSanitizer
	@DORMOUSE_SANITIZED=1 DORMOUSE_SEEDS=$(THREAD_SEEDS) TSAN_OPTIONS=halt_on_error=1 $(STAGE) thread $(TEST) \
	    --sanitize=thread --scratch-path .build-tsan \
	    --filter '^(CoreTests|ChannelsTests|WireTests|NetTests|StoreTests|SimulationTests)\.'

.PHONY: test-address
test-address: dependencies-test toolchain ## what touches borrowed memory and C, under AddressSanitizer
	@DORMOUSE_SANITIZED=1 ASAN_OPTIONS=detect_leaks=0 $(STAGE) address $(TEST) \
	    --sanitize=address --scratch-path .build-asan --filter '^(CoreTests|WireTests)\.'

# ---- checks ----------------------------------------------------------------------------------------

.PHONY: lint
lint: dependencies toolchain ## format, generated code, house rules, imports that point down only
	@$(SWIFT) format lint --strict --parallel --recursive $(FORMATTED)
	@scripts/generate-wire.sh --check
	@scripts/tidy.sh
	@$(SWIFT) build --build-tests --explicit-target-dependency-import-check error

.PHONY: format
format: toolchain ## format all Swift files in place
	@$(SWIFT) format --in-place --parallel --recursive $(FORMATTED)

.PHONY: proto
proto: dependencies ## generate Sources/CWire from proto/dormouse.proto
	@scripts/generate-wire.sh

.PHONY: manual
manual: toolchain ## make docs/man/dormouse.1 from the command table, dormoused.8 from its flags
	@$(SWIFT) build --product dormouse && .build/debug/dormouse manual >docs/man/dormouse.1
	@$(SWIFT) build --product dormoused && .build/debug/dormoused --help | scripts/manual-server.sh >docs/man/dormoused.8

# ---- what the others need --------------------------------------------------------------------------

.PHONY: dependencies
dependencies:
	@scripts/install-dependencies.sh

.PHONY: dependencies-test
dependencies-test:
	@scripts/install-dependencies.sh test

.PHONY: toolchain
toolchain:
	@scripts/find-swift.sh >/dev/null
	@for directory in .build .build-tsan .build-asan; do \
	    if [ -e $$directory ] && [ ! -w $$directory ]; then \
	        echo "$(CURDIR)/$$directory belongs to $$(stat -c %U $$directory 2>/dev/null), and you are $$(id -un):" \
	            'it was built by another user. Remove it, or clone the repository anew.' >&2; \
	        exit 77; \
	    fi; \
	done
