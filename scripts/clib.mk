# The C library and its tests; included by the Makefile. Everything is made in .build/c.

CC ?= cc
C_BUILD := .build/c
C_VERSION := $(shell sed -n 's/^\#define DORMOUSE_VERSION "\(.*\)"/\1/p' Sources/CDormouse/include/dormouse.h)
# Changes when a program that was linked against the old one would no longer run.
C_ABI := 0
C_LIBRARY := $(C_BUILD)/libdormouse.so.$(C_ABI)
C_MANUAL := $(sort $(wildcard docs/man/*.3))
C_ARCHIVE := $(C_BUILD)/libdormouse.a
C_SOURCES := $(sort $(wildcard Sources/CDormouse/*.c)) Sources/CWire/arena.c Sources/CWire/dormouse.pb-c.c
C_HEADERS := $(wildcard Sources/CDormouse/*.h Sources/CDormouse/include/*.h Sources/CWire/include/*.h)
C_OBJECTS := $(C_SOURCES:Sources/%.c=$(C_BUILD)/objects/%.o)
C_SANITIZED := $(C_SOURCES:Sources/%.c=$(C_BUILD)/sanitized/%.o)
C_TESTS := $(sort $(wildcard Tests/C/*_test.c))
C_TEST_PROGRAMS := $(C_TESTS:Tests/C/%.c=$(C_BUILD)/tests/%)
C_INCLUDES := -ISources/CDormouse/include -ISources/CDormouse -ISources/CWire/include
C_PACKAGES = $(shell pkg-config --libs libprotobuf-c openssl liblz4)
C_WARNINGS := -std=c99 -Wall -Wextra -Werror -pedantic
C_FLAGS := $(C_WARNINGS) -O2 -g -fPIC -fvisibility=hidden -fno-strict-overflow $(C_INCLUDES)
C_SANITIZE := $(C_WARNINGS) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
    -fno-sanitize-recover=all $(C_INCLUDES)

$(C_BUILD)/objects/%.o: Sources/%.c $(C_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) $(shell pkg-config --cflags libprotobuf-c openssl liblz4) -c -o $@ $<

$(C_BUILD)/sanitized/%.o: Sources/%.c $(C_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_SANITIZE) -c -o $@ $<

$(C_LIBRARY): $(C_OBJECTS) scripts/libdormouse.map
	@$(CC) -shared -Wl,-soname,libdormouse.so.$(C_ABI) -Wl,--version-script=scripts/libdormouse.map \
	    -Wl,-z,defs -Wl,-z,relro -o $@ $(C_OBJECTS) $(C_PACKAGES)
	@ln -sf libdormouse.so.$(C_ABI) $(C_BUILD)/libdormouse.so

# One object, whose hidden symbols are made local: nothing of ours can collide with what a program has, not even
# with its own code from the same .proto.
$(C_ARCHIVE): $(C_OBJECTS)
	@$(LD) -r -o $(C_BUILD)/libdormouse.o $(C_OBJECTS)
	@objcopy --localize-hidden $(C_BUILD)/libdormouse.o
	@rm -f $@ && $(AR) rcs $@ $(C_BUILD)/libdormouse.o

.SECONDARY: $(C_SANITIZED) $(C_OBJECTS)

.PHONY: build-c
build-c: dependencies ## build the C library into .build/c
	@$(MAKE) --silent $(C_LIBRARY) $(C_ARCHIVE)

# The library is a file with its whole version; programs look for the name with the ABI, the linker for the one without.
.PHONY: install-c
install-c: ## copy the C library that `make build-c` built, headers, dormouse.pc, the .proto and man pages to $(DESTDIR)$(PREFIX)
	@test -e $(C_LIBRARY) -a -e $(C_ARCHIVE) || { echo 'Nothing to install yet: run "make build" or "make build-c" first.' >&2; exit 66; }
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(PREFIX)/include' \
	    '$(DESTDIR)$(PREFIX)/share/dormouse' '$(DESTDIR)$(PREFIX)/share/man/man3'
	install -m 644 $(C_LIBRARY) '$(DESTDIR)$(LIBDIR)/libdormouse.so.$(C_VERSION)'
	ln -sf libdormouse.so.$(C_VERSION) '$(DESTDIR)$(LIBDIR)/libdormouse.so.$(C_ABI)'
	ln -sf libdormouse.so.$(C_ABI) '$(DESTDIR)$(LIBDIR)/libdormouse.so'
	install -m 644 $(C_ARCHIVE) '$(DESTDIR)$(LIBDIR)'
	install -m 644 $(wildcard Sources/CDormouse/include/*.h) \
	    '$(DESTDIR)$(PREFIX)/include'
	install -m 644 proto/dormouse.proto '$(DESTDIR)$(PREFIX)/share/dormouse'
	@printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$(LIBDIR)' \
	    'protodir=$${prefix}/share/dormouse' '' 'Name: dormouse' \
	    'Description: client library of Dormouse, named replayable event subscriptions' \
	    'Version: $(C_VERSION)' 'Requires.private: libprotobuf-c openssl liblz4' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -ldormouse' \
	    >'$(DESTDIR)$(LIBDIR)/pkgconfig/dormouse.pc'
	install -m 644 $(C_MANUAL) '$(DESTDIR)$(PREFIX)/share/man/man3'
	scripts/manual-links.sh '$(DESTDIR)$(PREFIX)/share/man/man3' $(C_MANUAL)

$(C_BUILD)/tests/%: Tests/C/%.c $(wildcard Tests/C/*.h) $(C_SANITIZED)
	@mkdir -p $(@D)
	@$(CC) $(C_SANITIZE) -D_DEFAULT_SOURCE -o $@ $< $(C_SANITIZED) $(C_PACKAGES) -lpthread

$(C_BUILD)/tests/memory_test: C_SANITIZE += -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

# The server is the one in .build/release, or in DORMOUSE_BIN_DIR.
.PHONY: test-c
test-c: dependencies-test build-c $(C_TEST_PROGRAMS) ## the C library under AddressSanitizer, with real and hostile servers
	@CC='$(CC)' $(STAGE) manual Tests/C/manual.sh $(C_MANUAL)
	@DORMOUSE_BIN_DIR=$${DORMOUSE_BIN_DIR:-$(BIN)} CC='$(CC)' $(STAGE) c Tests/C/run.sh $(C_BUILD)

.PHONY: test-examples
test-examples: dependencies-test build-c ## the C examples, built as a user would from an installed library, with a real server
	@DORMOUSE_BIN_DIR=$${DORMOUSE_BIN_DIR:-$(BIN)} CC='$(CC)' $(STAGE) examples Tests/C/examples.sh $(C_BUILD)

$(C_BUILD)/plain/%: Tests/C/%.c $(wildcard Tests/C/*.h) $(C_OBJECTS)
	@mkdir -p $(@D)
	@$(CC) $(C_WARNINGS) -O1 -g -D_DEFAULT_SOURCE $(C_INCLUDES) -o $@ $< $(C_OBJECTS) $(C_PACKAGES) -lpthread

.PHONY: test-valgrind
test-valgrind: dependencies-test build-c $(C_BUILD)/plain/live_test $(C_BUILD)/plain/service_test ## the C library in valgrind, with a real server
	@DORMOUSE_BIN_DIR=$${DORMOUSE_BIN_DIR:-$(BIN)} $(STAGE) valgrind Tests/C/valgrind.sh $(C_BUILD)

$(C_BUILD)/dormouse-c-bench: Benchmarks/C/bench.c $(C_ARCHIVE)
	@$(CC) $(C_WARNINGS) -D_POSIX_C_SOURCE=200809L -O2 -g -ISources/CDormouse/include -o $@ $< $(C_ARCHIVE) $(C_PACKAGES)

.PHONY: bench-c
bench-c: build-c $(C_BUILD)/dormouse-c-bench ## build .build/c/dormouse-c-bench, which takes a URI and a number of events
	@echo '$(C_BUILD)/dormouse-c-bench URI EVENTS'

# The toolchain's clang has libFuzzer. A protobuf-c closure is called as another function type than it is, by design.
FUZZ_CC = $(dir $(SWIFT))clang
FUZZ_TARGETS := $(patsubst Tests/Fuzz/%_fuzz.c,%,$(wildcard Tests/Fuzz/*_fuzz.c))
FUZZ_FLAGS := -std=c99 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
    -fno-sanitize=function -fno-sanitize-recover=all -fuse-ld=lld -D_DEFAULT_SOURCE $(C_INCLUDES)
# For each target.
FUZZ_SECONDS ?= 10

$(C_BUILD)/fuzz/%: Tests/Fuzz/%_fuzz.c $(C_SOURCES) $(C_HEADERS)
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(FUZZ_FLAGS) $(shell pkg-config --cflags libprotobuf-c openssl liblz4) -o $@ $< $(C_SOURCES) $(C_PACKAGES)

# The server's parts, built by one script.
FUZZ_SERVER := server_frames server_session server_engine
FUZZ_SERVER_SOURCES := $(wildcard Tests/Fuzz/Server/* Tests/SimulationTests/*.swift Sources/Core/*.swift Sources/Wire/*.swift \
    Sources/Channels/*.swift Sources/Diagnostics/*.swift Sources/Engine/*.swift Sources/CWire/*.c Sources/CWire/include/*.h)

$(C_BUILD)/fuzz/server/done: $(FUZZ_SERVER_SOURCES)
	@Tests/Fuzz/Server/build.sh $(SWIFT) $(@D)
	@cp $(FUZZ_SERVER:%=$(@D)/%) $(C_BUILD)/fuzz
	@touch $@

.PHONY: test-fuzz
test-fuzz: dependencies-test toolchain $(FUZZ_TARGETS:%=$(C_BUILD)/fuzz/%) $(C_BUILD)/fuzz/server/done ## fuzz the C library, the server's decoder, session and engine, FUZZ_SECONDS for each target
	@$(STAGE) fuzz Tests/Fuzz/run.sh $(C_BUILD) $(FUZZ_SECONDS) $(FUZZ_TARGETS) $(FUZZ_SERVER)

.PHONY: instructions-c
instructions-c: dependencies-test build-c $(C_BUILD)/dormouse-c-bench ## instructions of the C library for an event, by callgrind
	@DORMOUSE_BIN_DIR=$${DORMOUSE_BIN_DIR:-$(BIN)} Benchmarks/C/instructions.sh $(C_BUILD)
