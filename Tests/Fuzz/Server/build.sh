#!/usr/bin/env bash
# Builds the fuzz targets of the server's parts: Core, CWire, Wire and the engine with libFuzzer's and AddressSanitizer's
# eyes in them, and a program for each file here. The engine's runs on the simulation's store.
#
# usage: Tests/Fuzz/Server/build.sh SWIFT BUILD_FOLDER
#
# SwiftPM has no place for programs whose `main` is libFuzzer's, so the compiler is called as SwiftPM calls it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tools=$(dirname "$1")
build=$2
mkdir -p "$build"

includes=(-I "$build" -I Sources/CWire/include)
flags=(-swift-version 6 -package-name dormouse -parse-as-library -O -g -wmo -sanitize=address,fuzzer -use-ld=lld)
for feature in NonisolatedNonsendingByDefault InternalImportsByDefault MemberImportVisibility ExistentialAny; do
    flags+=(-enable-upcoming-feature "$feature")
done
for option in $(pkg-config --cflags libprotobuf-c liblz4); do flags+=(-Xcc "$option"); done

cat >"$build/module.modulemap" <<END
module CWire {
    header "$PWD/Sources/CWire/include/arena.h"
    header "$PWD/Sources/CWire/include/dormouse.pb-c.h"
    export *
}
END

# compile NAME OPTION OR SOURCE …
compile() {
    "$tools/swiftc" "${flags[@]}" "${includes[@]}" -emit-module -emit-module-path "$build/$1.swiftmodule" \
        -module-name "$1" -c -o "$build/$1.o" "${@:2}"
}

module() { compile "$@" "Sources/$1"/*.swift; }

# program NAME OBJECTS SOURCE …
program() {
    local name=$1 object objects=()
    for object in $2 "${name}Fuzz"; do objects+=("$build/$object.o"); done
    compile "${name}Fuzz" "${@:3}" "Tests/Fuzz/Server/${name}Fuzz.swift"
    # shellcheck disable=SC2046
    "$tools/swiftc" "${flags[@]}" "${objects[@]}" $(pkg-config --libs libprotobuf-c liblz4) -o "$build/server_${name,,}"
}

# Both cores have something to do: what is begun with & is waited for where it is needed.
module Core &
core=$!
module Channels
for file in Sources/CWire/*.c; do
    # shellcheck disable=SC2046
    "$tools/clang" -O1 -g -fsanitize=address,fuzzer-no-link -ISources/CWire/include \
        $(pkg-config --cflags libprotobuf-c) -c "$file" -o "$build/$(basename "$file" .c).o"
done
wait "$core"
program Session 'Core' &
session=$!
includes+=(-I Sources/CLZ4)
module Wire
wait "$session"
parts='Core Wire arena dormouse.pb-c'
program Frames "$parts" &
frames=$!
module Diagnostics
module Engine -enable-testing -D DEBUG
wait "$frames"
mapfile -t simulation < <(grep -L '^import Testing' Tests/SimulationTests/*.swift)
program Engine "$parts Channels Diagnostics Engine" "${simulation[@]}"
