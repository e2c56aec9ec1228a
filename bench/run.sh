#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Measures this back end beside qemu-storage-daemon and fio, and writes a table with ratios to
# target/bench/report.md.
#
#   bench/run.sh [--runs N] [--seconds S] [--only PATTERN] [--quick] [--core]
#
#   --runs N        interleaved rounds (5)
#   --seconds S     of each timed run (0.4)
#   --only PATTERN  an extended regular expression on "IO WORK BLOCK DEPTH", such as
#                   'cached randread 4096 32'; the ring alone has IO "ring"
#   --quick         one round of 0.2 s: to see that everything runs
#   --core          this build's C core without Java in place of bin/vhost-backend
#
# Each back end has one core, the client the other. Within a round every peer does the same work one
# after another, so what disturbs the machine disturbs all of them. In cached mode the whole disk is
# read right before each timed run. docs/benchmarks.md explains what is compared, and why so.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

runs=5
seconds=0.4
ramp=0.1
only=.
works=(
    "randread 4096 1" "randread 4096 32" "randread 4096 128" "read 65536 16"
    "randwrite 4096 1" "randwrite 4096 32" "randwrite 4096 128"
)
ring_works=("randread 4096 1" "randread 4096 32" "randread 4096 128")

while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --only) only=$2 && shift ;;
    --quick) runs=1 seconds=0.2 ramp=0.05 ;;
    --core) use_core=true ;;
    *) sed -n '/^# Measures/,/^# Each/p' "$0" | sed 's/^# \{0,1\}//; $d' >&2 && exit 2 ;;
    esac
    shift
done

results=$output/results.tsv
report=$output/report.md

wanted()
{
    [[ "$*" =~ $only ]]
}

any_wanted()
{
    local io=$1 work_name
    shift
    for work_name in "$@"; do
        ! wanted "$io" "$work_name" || return 0
    done
    return 1
}

# --- peers: name, process and disk of each that runs ------------------------------------------

peers=()
declare -A peer_pid peer_disk

add_peer()
{
    peers+=("$1")
    peer_pid[$1]=$backend_pid
    peer_disk[$1]=$2
}

# xts_engine: auto is a peer of its own where it is not aesni anyway.
auto_is_aesni()
{
    [ ! -e "$repository/src/main/c/crypt/xts_vaes256.c" ] || ! grep -qw vaes /proc/cpuinfo
}

start_disk_peers()
{
    local direct=$1 qsd_direct=$2
    peers=()
    start_ours plain "$work/plain.img" "$direct" plain
    add_peer plain "$work/plain.img"
    # As QSD does it: asleep as soon as nothing is there. For clients that need a signal.
    start_ours unpolled "$work/unpolled.img" "$direct" plain 0
    add_peer unpolled "$work/unpolled.img"
    start_qsd qsd file --blockdev "$(qsd_file "$work/plain.img" "$qsd_direct")"
    add_peer qsd "$work/plain.img"
    start_ours aesni "$work/aesni.img" "$direct" aesni
    add_peer aesni "$work/aesni.img"
    if ! auto_is_aesni; then
        start_ours auto "$work/auto.img" "$direct" auto
        add_peer auto "$work/auto.img"
    fi
    start_qsd luks luks --object secret,id=key,data=bench \
        --blockdev "$(qsd_file "$work/luks.img" "$qsd_direct")" \
        --blockdev driver=luks,node-name=luks,file=file,key-secret=key
    add_peer luks "$work/luks.img"
}

start_ring_peers()
{
    peers=()
    start_process "$work/null.sock" "$programs/null_backend" "$work/plain.img" "$work/null.sock"
    add_peer null ""
    start_qsd null-co null --blockdev "driver=null-co,node-name=null,size=$disk_bytes"
    add_peer null-co ""
}

# --- one timed run ---------------------------------------------------------------------------

# What a write leaves dirty is written back before the next run, not during it.
settle()
{
    local disk=$1 work_name=$2
    if [ -n "$disk" ] && [[ $work_name = *write* ]]; then
        sync "$disk"
    fi
}

run_client()
{
    local io=$1 work_name=$2 block=$3 depth=$4 mode=$5 peer=$6 round=$7 line
    if [ "$io" = cached ]; then
        warm "${peer_disk[$peer]}"
    fi
    line=$(taskset -c "$client_cpu" "$programs/vhost_bench" --socket "$work/$peer.sock" \
        --work "$work_name" --block "$block" --depth "$depth" --mode "$mode" \
        --seconds "$seconds" --ramp "$ramp" --pid "${peer_pid[$peer]}") ||
        die "the client failed: $io $work_name $block $depth $mode $peer"
    settle "${peer_disk[$peer]}" "$work_name"
    echo "io=$io peer=$peer round=$round $line" >>"$results"
}

# fio counts CPU time of its own thread only, so the whole process is timed; the report takes off
# what a run of one request costs.
fio_command()
{
    local io=$1 work_name=$2 block=$3 depth=$4 direct=0
    shift 4
    [ "$io" = cached ] || direct=1
    taskset -c "$backend_cpu" fio --name=fio --filename="$work/plain.img" --size="$disk_bytes" \
        --ioengine=io_uring --direct="$direct" --rw="$work_name" --bs="$block" \
        --iodepth="$depth" --norandommap --randrepeat=0 --invalidate=0 \
        --lat_percentiles=1 --clat_percentiles=0 --percentile_list=50:99:99.9 \
        --output-format=json --output="$work/fio.json" "$@"
}

# The CPU seconds of a fio run, its children included.
fio_cpu()
{
    local TIMEFORMAT='%U %S'
    { time fio_command "$@" >/dev/null 2>&1; } 2>&1 | awk '{ print $1 + $2 }'
}

run_fio()
{
    local io=$1 work_name=$2 block=$3 depth=$4 round=$5 idle cpu
    idle=$(fio_cpu "$io" "$work_name" "$block" "$depth" --number_ios=1)
    if [ "$io" = cached ]; then
        warm "$work/plain.img"
    fi
    cpu=$(fio_cpu "$io" "$work_name" "$block" "$depth" --time_based \
        --runtime="$(awk "BEGIN { print $seconds * 1000 }")ms")
    settle "$work/plain.img" "$work_name"
    jq -r --arg head "io=$io peer=fio round=$round mode=fio work=$work_name block=$block depth=$depth" \
        --argjson cpu "$cpu" --argjson idle "$idle" '
        .jobs[0] | (if .read.total_ios > 0 then .read else .write end)
        | "\($head) seconds=\(.runtime / 1000) ops=\(.total_ios) iops=\(.iops)"
        + " p50_us=\(.lat_ns.percentile["50.000000"] / 1000)"
        + " p99_us=\(.lat_ns.percentile["99.000000"] / 1000)"
        + " p999_us=\(.lat_ns.percentile["99.900000"] / 1000)"
        + " all_cpu_s=\($cpu) idle_cpu_s=\($idle)"' "$work/fio.json" >>"$results"
}

# --- all of it -------------------------------------------------------------------------------

run_round()
{
    local io=$1 round=$2 work_line mode peer
    shift 2
    for work_line in "$@"; do
        wanted "$io" "$work_line" || continue
        for mode in poll eventfd; do
            for peer in "${peers[@]}"; do
                [ "$mode $peer" != "poll unpolled" ] || continue
                # shellcheck disable=SC2086
                run_client "$io" $work_line "$mode" "$peer" "$round"
            done
        done
        # shellcheck disable=SC2086
        [ "$io" = ring ] || run_fio "$io" $work_line "$round"
    done
}

run_rounds()
{
    local io=$1 round
    shift
    for ((round = 1; round <= runs; round++)); do
        say "$io: round $round of $runs"
        run_round "$io" "$round" "$@"
    done
    stop_backends
}

build_programs
prepare_work
: >"$work/log"
: >"$results"
machine=$(describe_machine)
prepare_disk "$work/plain.img"
prepare_disk "$work/unpolled.img"
prepare_disk "$work/aesni.img"
auto_is_aesni || prepare_disk "$work/auto.img"
prepare_luks "$work/luks.img"

begin=$SECONDS
if any_wanted cached "${works[@]}"; then
    for disk in "$work"/{plain,unpolled,aesni,auto,luks}.img; do
        [ -e "$disk" ] || continue
        warm --evict "$disk"
    done
    start_disk_peers false off
    run_rounds cached "${works[@]}"
fi
if any_wanted direct "${works[@]}"; then
    for disk in "$work"/{plain,unpolled,aesni,auto,luks}.img; do
        [ -e "$disk" ] || continue
        forget "$disk"
    done
    start_disk_peers true on
    run_rounds direct "${works[@]}"
fi
if any_wanted ring "${ring_works[@]}"; then
    start_ring_peers
    run_rounds ring "${ring_works[@]}"
fi

{
    echo "# Benchmark"
    echo
    echo "$machine"
    echo "* load average at the end $(cut -d' ' -f1-3 /proc/loadavg)"
    echo "* $runs interleaved rounds of $seconds s, $((SECONDS - begin)) s in all;" \
        "ours: $($use_core && echo "the C core alone" || echo "bin/vhost-backend")," \
        "version $(git -C "$repository" describe --always --dirty 2>/dev/null || echo unknown)"
    awk -f "$repository/bench/samples.awk" -f "$repository/bench/report.awk" "$results"
} >"$report"
cat "$report"
