#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Whether garbage collection reaches a guest: p99.9 of a client while the back end's JVM collects
# without a pause, beside the same with a thread that only burns CPU instead, and with neither.
# Writes target/bench/gc_storm.md.
#
#   bench/gc_storm.sh [--runs N] [--seconds S]
#
# The queue thread is alone on one core; the JVM and the client share the other. So the client is
# held up by the scheduler whenever the JVM is busy, with whatever: only the comparison of the two
# storms says something. The back end's own histogram, from a request's arrival at the queue thread
# to its end, leaves the client's core out.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

runs=5
seconds=5
while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    *) sed -n '/^# Whether/,/^# to its/p' "$0" | sed 's/^# \{0,1\}//' >&2 && exit 2 ;;
    esac
    shift
done

report=$output/gc_storm.md
results=$output/gc_storm.tsv

write_storm_config()
{
    write_config storm "$work/plain.img" false plain
    {
        echo "cpus: [$backend_cpu]"
        echo "rpc_socket_path: $work/storm.rpc"
    } >>"$work/storm.yaml"
}

# The JVM's options are the launcher's; crash reports would hold memory of the process.
start_storm()
{
    local kind=$1
    rm -f "$work/storm.sock"
    taskset -c "$client_cpu" "${UBIBLK_JAVA:-java}" "@$home/jvm.args" \
        -XX:ErrorFile=/dev/null -cp "$home/ubiblk.jar" \
        "$repository/bench/GcStorm.java" "$kind" vhost-backend --config "$work/storm.yaml" \
        >>"$work/log" 2>&1 </dev/null &
    backend_pid=$!
    backend_pids+=("$backend_pid")
    await_socket "$work/storm.sock" "$backend_pid"
}

# p99.9 of reads in microseconds as the queue thread sees it.
queue_p999()
{
    echo '{"command": "stats"}' | nc -N -U "$work/storm.rpc" |
        jq -r '[.stats.queues[].latency.read.p999_us] | max' 2>/dev/null ||
        echo unknown
}

run_storm()
{
    local kind=$1 round=$2 line
    start_storm "$kind"
    sleep 3
    warm "$work/plain.img"
    line=$(taskset -c "$client_cpu" "$programs/vhost_bench" --socket "$work/storm.sock" \
        --work randread --depth 4 --mode eventfd --seconds "$seconds" --pid "$backend_pid")
    echo "storm=$kind round=$round $line queue_p999_us=$(queue_p999)" >>"$results"
    stop_backends
}

build_programs
prepare_work
prepare_disk "$work/plain.img"
: >"$work/log"
: >"$results"
write_storm_config
for ((round = 1; round <= runs; round++)); do
    for kind in gc burn none; do
        run_storm "$kind" "$round"
    done
done

median_of()
{
    sed -n "s/^storm=$1 .* $2=\([0-9.]*\).*/\1/p" "$results" | sort -n |
        awk '{ v[NR] = $1 } END { printf "%.1f (%.1f–%.1f)", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

{
    echo "# Garbage collection and the guest"
    echo
    describe_machine
    echo "* 4 KiB random reads from the page cache, depth 4, eventfd client; $runs rounds of" \
        "$seconds s; medians (lowest–highest)"
    echo
    echo "| beside the queue thread | IOPS | p50 µs | p99 µs | p99.9 µs | p99.9 µs at the queue |"
    echo "|---|---|---|---|---|---|"
    for kind in gc burn none; do
        echo "| $kind | $(median_of $kind iops) | $(median_of $kind p50_us) |" \
            "$(median_of $kind p99_us) | $(median_of $kind p999_us) |" \
            "$(median_of $kind queue_p999_us) |"
    done
} | tee "$report"
