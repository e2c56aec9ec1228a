#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# What a disk costs that does nothing: CPU time of a back end that is idle or waits for its storage,
# time from start to listening socket, resident memory. Writes target/bench/idle.md.
#
#   bench/idle.sh [--starts N] [--seconds S] [--core]
#
#   --starts N    starts of which the median is taken (15)
#   --seconds S   for which each idle state is watched (5)
#   --core        this build's C core without Java in place of bin/vhost-backend
#
# To make requests wait for as long as is wanted, the disk lies in a FUSE file system that
# qemu-storage-daemon serves, and that process is stopped; this needs root and /dev/fuse and is left
# out, with a line that says so, where they are missing.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

starts=15
seconds=5
while [ $# -gt 0 ]; do
    case $1 in
    --starts) starts=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --core) use_core=true ;;
    *) sed -n '/^# What/,/^# out/p' "$0" | sed 's/^# \{0,1\}//' >&2 && exit 2 ;;
    esac
    shift
done

report=$output/idle.md
small_bytes=$((64 * 1024 * 1024))
mount=$work/fuse.img
storage_pid=

# A file that stands for the disk behind a file system of another process's making.
start_slow_storage()
{
    [ "$(id -u)" = 0 ] && [ -c /dev/fuse ] || return 0
    umount "$mount" 2>/dev/null || true
    : >"$mount"
    qemu-storage-daemon --blockdev "driver=file,node-name=file,filename=$work/small.img" \
        --export "type=fuse,id=export,node-name=file,mountpoint=$mount,writable=on" \
        >>"$work/log" 2>&1 </dev/null &
    storage_pid=$!
    local tries=0
    until [ "$(stat -c %s "$mount")" = "$small_bytes" ]; do
        tries=$((tries + 1))
        if [ "$tries" = 50 ] || ! kill -0 "$storage_pid" 2>/dev/null; then
            stop_slow_storage
            return 0
        fi
        sleep 0.1
    done
}

stop_slow_storage()
{
    [ -n "$storage_pid" ] || return 0
    kill -CONT "$storage_pid" 2>/dev/null || true
    kill -TERM "$storage_pid" 2>/dev/null || true
    wait "$storage_pid" 2>/dev/null || true
    storage_pid=
}
trap 'stop_backends; stop_slow_storage' EXIT

measure_cpu()
{
    local disk=$work/small.img
    start_slow_storage
    if [ -n "$storage_pid" ]; then
        disk=$mount
    else
        echo "(waiting for storage: not measured, since it needs root and /dev/fuse)"
        echo
    fi
    start_ours idle "$disk" false plain
    echo '```'
    # shellcheck disable=SC2086
    taskset -c "$client_cpu" "$programs/idle_cpu" "$work/idle.sock" "$backend_pid" "$seconds" \
        $storage_pid
    echo '```'
    stop_backends
    stop_slow_storage
}

# start_command NAME: sets command to what starts ours with the configuration NAME.
start_command()
{
    if $use_core; then
        command=("$tools/backend_host" "$work/small.img" "$work/$1.sock")
    else
        command=("$repository/bin/vhost-backend" --config "$work/$1.yaml")
    fi
}

# The defaults, and one queue: what a disk in the field has.
measure_starts()
{
    local engine command
    for engine in plain auto; do
        write_config "start-$engine" "$work/small.img" auto "$engine"
        sed -i '/^queue_size/d' "$work/start-$engine.yaml"
        start_command "start-$engine"
        echo "$engine: $("$programs/start_time" "$starts" "$work/start-$engine.sock" \
            "${command[@]}" 2>>"$work/log" | tail -1)"
    done
}

build_programs
prepare_work
: >"$work/log"
if [ "$(stat -c %s "$work/small.img" 2>/dev/null || echo 0)" != "$small_bytes" ]; then
    dd if=/dev/urandom of="$work/small.img" bs=1M count=$((small_bytes >> 20)) status=none
fi

{
    echo "# Idle"
    echo
    describe_machine
    echo
    echo "## CPU time of a back end with nothing to do, $seconds s in each state"
    echo
    measure_cpu
    echo
    echo "## From start to listening socket, and resident memory a second later ($starts starts)"
    echo
    echo '```'
    measure_starts
    echo '```'
} | tee "$report"
