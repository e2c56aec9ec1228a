#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# How fast the AES-XTS engines are, beside each other and beside the limit of the CPU. Writes
# target/bench/xts.md.
#
#   bench/xts.sh [--rounds N] [--seconds S] [--quick]
#
#   --rounds N    rounds of which the median is taken (7)
#   --seconds S   of CPU time for each figure of a round (0.02)
#   --quick       2 rounds of 1 ms, to see that everything works
#
# Runs on the core that is a back end's in the other benchmarks.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

for argument in "$@"; do
    case $argument in
    --rounds | --seconds | --quick | [0-9]* | .[0-9]*) ;;
    *) sed -n '/^# How/,/^# Runs/p' "$0" | sed 's/^# \{0,1\}//' >&2 && exit 2 ;;
    esac
done

report=$output/xts.md
use_core=true
mkdir -p "$output"
build_programs

{
    echo "# AES-XTS"
    echo
    echo "* CPU: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores," \
        "measured on core $backend_cpu"
    echo "* kernel $(uname -r), $(openssl version 2>/dev/null || echo "no openssl command")"
    echo "* load average at the beginning $(cut -d' ' -f1-3 /proc/loadavg)"
    taskset -c "$backend_cpu" "$programs/xts_bench" "$@"
} | tee "$report"
