#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Runs every libFuzzer target for a fixed number of inputs, beginning with the corpus in the tree,
# under the address and undefined behaviour sanitizers. Fewer by default, more with
# UBIBLK_CHECK=full; UBIBLK_SEED replaces the seed. A finding is a failure, and its input is kept in
# target/fuzz, where it can be run again: build/fuzz/fuzz/NAME target/fuzz/NAME-crash-...
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

seed=${UBIBLK_SEED:-42}
factor=1
[ "${UBIBLK_CHECK:-reduced}" != full ] || factor=10
findings=target/fuzz
corpora=$(mktemp -d)
trap 'rm -rf "$corpora"' EXIT

targets=(src/test/c/fuzz/*_fuzz.c)
targets=("${targets[@]##*/}")
targets=("${targets[@]%.c}")

cmake -S . -B build/fuzz -G Ninja -DJNI=OFF -DFUZZ=ON -DCMAKE_C_COMPILER=clang-14
cmake --build build/fuzz --target "${targets[@]}"
mkdir -p "$findings"

# Inputs for a target: those that work with threads and sockets take fewer in the same time.
runs_of()
{
    case $1 in
    vhost_*) echo $((20000 * factor)) ;;
    *) echo $((200000 * factor)) ;;
    esac
}

for name in "${targets[@]}"; do
    runs=$(runs_of "$name")
    echo "$runs runs of $name, seed $seed"
    mkdir "$corpora/$name"
    "build/fuzz/fuzz/$name" -seed="$seed" -runs="$runs" -timeout=60 -rss_limit_mb=4096 \
        -artifact_prefix="$findings/$name-" -print_final_stats=1 \
        "$corpora/$name" "src/test/c/fuzz/corpus/$name"
done
