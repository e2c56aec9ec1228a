#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Measures disks that are filled while they are used, and writes target/bench/lazy.md.
#
#   bench/lazy.sh [--rounds N] [--pairs N] [--image-mib N] [--only PATTERN] [--quick]
#
#   --rounds N      interleaved rounds of everything but "fetched" (5)
#   --pairs N       of runs on a fetched disk and on the same without metadata (20)
#   --image-mib N   size of the image (1024; "demand" has one of 4096)
#   --only PATTERN  an extended regular expression on the parts' names:
#       autofetch     fetching everything, beside dd from and to the same file system
#       cold          the first read or write of a stripe, and where its time goes
#       fetched       4 KiB reads of a fetched disk, beside the same disk without metadata
#       instructions  of the request path, by callgrind
#       demand        as cold, while everything is fetched in the background
#   --quick         little of everything: to see that everything runs
#
# Each back end has one core, as dd has, and the client the other. docs/benchmarks.md explains what
# is compared, and why so.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

rounds=5
pairs=20
only=.
image_bytes=$disk_bytes
large_bytes=$((4 * disk_bytes))
requests=300
seconds=1
reads=64000

while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --pairs) pairs=$2 && shift ;;
    --image-mib) image_bytes=$(($2 << 20)) && shift ;;
    --only) only=$2 && shift ;;
    --quick)
        rounds=1 pairs=2 requests=50 seconds=0.2 reads=6400
        image_bytes=$((disk_bytes / 4)) large_bytes=$disk_bytes
        ;;
    *) sed -n '/^# Measures/,/^# Each/p' "$0" | sed 's/^# \{0,1\}//; $d' >&2 && exit 2 ;;
    esac
    shift
done

results=$output/lazy.tsv
report=$output/lazy.md
image=$work/image-$((image_bytes >> 20)).img
large=$work/image-$((large_bytes >> 20)).img

wanted()
{
    [[ $1 =~ $only ]]
}

result()
{
    echo "$*" >>"$results"
}

# --- disks -----------------------------------------------------------------------------------

# "new": nothing is allocated, like a disk that was just made; "written": every block is, like a
# volume that has been in use.
make_target()
{
    local file=$1 kind=$2 bytes=$3
    if [ "$kind" = new ]; then
        rm -f "$file"
        truncate -s "$bytes" "$file"
    else
        disk_bytes=$bytes prepare_disk "$file"
    fi
    # Also the discards of what was removed.
    sync -f "$work"
}

cache_image()
{
    case $1 in
    cached) warm "$2" ;;
    cold) forget "$2" ;;
    esac
}

# write_lazy_config NAME BASE IMAGE direct_io xts_engine|plain [LINE...]
write_lazy_config()
{
    local name=$1 base=$2 from=$3 direct=$4 engine=$5
    shift 5
    write_config "$name" "$base" "$direct" "$engine"
    {
        echo "metadata_path: $work/$name.meta"
        echo "rpc_socket_path: $work/$name.rpc"
        echo "stripe_source:"
        echo "  source: raw"
        echo "  path: $from"
        [ $# = 0 ] || printf '%s\n' "$@"
    } >>"$work/$name.yaml"
}

# make_metadata NAME STRIPE_BYTES: nothing is fetched.
make_metadata()
{
    local name=$1 stripe=$2 shift=0
    while [ $((512 << shift)) -lt "$stripe" ]; do
        shift=$((shift + 1))
    done
    rm -f "$work/$name.meta"
    "$repository/bin/init-metadata" --config "$work/$name.yaml" --stripe-sector-count-shift "$shift" \
        2>>"$work/log" || die "no metadata for $name; see $work/log"
}

start_lazy()
{
    local name=$1
    start_process "$work/$name.sock" "$repository/bin/vhost-backend" --config "$work/$name.yaml"
}

client()
{
    taskset -c "$client_cpu" "$programs/$1" "${@:2}" || die "the client failed: $*"
}

# --- autofetch -------------------------------------------------------------------------------

run_dd()
{
    local target=$1 kind=$2 conv=fsync TIMEFORMAT='%R %U %S'
    # As the command is usually given it makes the file; one that is written throughout it keeps.
    if [ "$kind" = new ]; then
        rm -f "$target"
    else
        conv=fsync,notrunc
    fi
    { time taskset -c "$backend_cpu" \
        dd if="$image" of="$target" bs=1M oflag=direct conv="$conv" status=none \
        2>>"$work/log"; } 2>&1 |
        awk -v bytes="$image_bytes" '{ print "seconds=" $1 " cpu_s=" $2 + $3 " bytes=" bytes }'
}

run_autofetch()
{
    local cache=$1 kind=$2 peer=$3 round=$4 target=$work/target-$2.img engine=auto line
    make_target "$target" "$kind" "$image_bytes"
    if [ "$peer" = dd ]; then
        cache_image "$cache" "$image"
        line=$(run_dd "$target" "$kind")
    else
        [ "$peer" = encrypted ] || engine=plain
        write_lazy_config autofetch "$target" "$image" true "$engine"
        make_metadata autofetch 1048576
        start_lazy autofetch
        cache_image "$cache" "$image"
        line=$(client fetch_time "$work/autofetch.rpc" "$backend_pid")
        stop_backends
    fi
    result "part=autofetch image=$cache target=$kind peer=$peer round=$round $line"
}

measure_autofetch()
{
    local round cache kind i peers=(dd encrypted plain)
    disk_bytes=$image_bytes prepare_disk "$image"
    for ((round = 1; round <= rounds; round++)); do
        say "autofetch: round $round of $rounds"
        for cache in cached cold; do
            for kind in new written; do
                for i in 0 1 2; do
                    run_autofetch "$cache" "$kind" "${peers[(i + round - 1) % 3]}" "$round"
                done
            done
        done
    done
}

# --- cold ------------------------------------------------------------------------------------

run_cold()
{
    local kind=$1 stripe=$2 cache=$3 round=$4 lines=() line
    case $kind in
    read-copy) lines=("copy_on_read: true") ;;
    write-tracked) lines=("track_written: true") ;;
    esac
    make_target "$work/cold.img" new "$image_bytes"
    write_lazy_config cold "$work/cold.img" "$image" true auto "${lines[@]}"
    make_metadata cold "$stripe"
    start_lazy cold
    cache_image "$cache" "$image"
    line=$(client cold_stripes --socket "$work/cold.sock" --rpc "$work/cold.rpc" \
        --stripe "$stripe" --work "${kind%%-*}" --count "$requests")
    stop_backends
    result "part=cold kind=$kind stripe=$stripe image=$cache round=$round $line"
}

measure_cold()
{
    local round kind stripe cache
    disk_bytes=$image_bytes prepare_disk "$image"
    for ((round = 1; round <= rounds; round++)); do
        say "cold: round $round of $rounds"
        for kind in read-copy read-through write write-tracked; do
            for stripe in 1048576 65536; do
                for cache in cached cold; do
                    run_cold "$kind" "$stripe" "$cache" "$round"
                done
            done
        done
    done
}

# --- fetched ---------------------------------------------------------------------------------

# Reads of the one file, served with its metadata or without; a new process each time, so that
# what differs from process to process is part of the spread.
run_fetched()
{
    local kind=$1 pair=$2 depth line
    start_lazy "$kind"
    for depth in 1 32; do
        warm "$work/fetched.img"
        line=$(client vhost_bench --socket "$work/$kind.sock" --work randread --block 4096 \
            --depth "$depth" --mode poll --seconds "$seconds" --ramp 0.3 --pid "$backend_pid")
        result "part=fetched kind=$kind pair=$pair $line"
    done
    stop_backends
}

measure_fetched()
{
    local pair
    disk_bytes=$image_bytes prepare_disk "$image"
    make_target "$work/fetched.img" new "$image_bytes"
    write_lazy_config lazy "$work/fetched.img" "$image" false plain
    write_config plain "$work/fetched.img" false plain
    make_metadata lazy 1048576
    start_lazy lazy
    client fetch_time "$work/lazy.rpc" "$backend_pid" >/dev/null
    stop_backends
    warm --evict "$work/fetched.img"
    for ((pair = 1; pair <= pairs; pair++)); do
        say "fetched: pair $pair of $pairs"
        if ((pair % 2)); then
            run_fetched lazy "$pair"
            run_fetched plain "$pair"
        else
            run_fetched plain "$pair"
            run_fetched lazy "$pair"
        fi
    done
}

# --- instructions ----------------------------------------------------------------------------

need_valgrind()
{
    local install=(apt-get install --no-install-recommends -y valgrind)
    ! command -v valgrind >/dev/null || return 0
    [ "$(id -u)" = 0 ] || die "valgrind is missing; run: sudo ${install[*]}"
    DEBIAN_FRONTEND=noninteractive "${install[@]}" >>"$work/log" 2>&1 ||
        die "valgrind is missing and cannot be installed; see $work/log"
}

# All instructions of a run.
count_instructions()
{
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$programs/gate_cost" "$@" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

measure_instructions()
{
    local depth kind few many
    for depth in 1 32; do
        for kind in plain open tracked; do
            say "instructions: depth $depth, $kind"
            few=$(count_instructions "$kind" "$reads" "$depth")
            many=$(count_instructions "$kind" $((2 * reads)) "$depth")
            if [ -z "$few" ] || [ -z "$many" ]; then
                die "callgrind counts no instructions of gate_cost"
            fi
            result "part=instructions kind=$kind depth=$depth per_io=$(awk \
                "BEGIN { print ($many - $few) / $reads }")"
        done
    done
}

# --- demand ----------------------------------------------------------------------------------

run_demand()
{
    local work_name=$1 stripe=$2 autofetch=$3 round=$4 line beside=() first
    [ "$autofetch" = off ] || beside=(--beside-autofetch)
    first=$((7 * large_bytes / (8 * stripe)))
    make_target "$work/demand.img" new "$large_bytes"
    write_lazy_config demand "$work/demand.img" "$large" true auto "copy_on_read: true"
    make_metadata demand "$stripe"
    start_lazy demand
    cache_image cached "$large"
    line=$(client cold_stripes --socket "$work/demand.sock" --rpc "$work/demand.rpc" \
        --stripe "$stripe" --work "$work_name" --count "$requests" --first "$first" "${beside[@]}")
    stop_backends
    result "part=demand work=$work_name stripe=$stripe autofetch=$autofetch round=$round $line"
}

measure_demand()
{
    local round work_name stripe autofetch
    disk_bytes=$large_bytes prepare_disk "$large"
    for ((round = 1; round <= rounds; round++)); do
        say "demand: round $round of $rounds"
        for work_name in read write; do
            for stripe in 1048576 65536; do
                for autofetch in off on; do
                    run_demand "$work_name" "$stripe" "$autofetch" "$round"
                done
            done
        done
    done
}

# --- all of it -------------------------------------------------------------------------------

build_programs
prepare_work
: >"$work/log"
: >"$results"
! wanted instructions || need_valgrind
machine=$(describe_machine)

begin=$SECONDS
for part in autofetch cold fetched instructions demand; do
    if wanted "$part"; then
        "measure_$part"
    fi
done
rm -f "$work"/{target-new,cold,fetched,demand}.img

{
    echo "# Disks that are filled while they are used"
    echo
    echo "$machine"
    echo "* load average at the end $(cut -d' ' -f1-3 /proc/loadavg)"
    echo "* images of $((image_bytes >> 20)) MiB (demand: $((large_bytes >> 20)) MiB) of random bytes;" \
        "encrypted by the fastest engine and with direct I/O where nothing else is said"
    echo "* $rounds interleaved rounds, medians (lowest–highest); $requests requests each;" \
        "$((SECONDS - begin)) s in all;" \
        "version $(git -C "$repository" describe --always --dirty 2>/dev/null || echo unknown)"
    awk -f "$repository/bench/samples.awk" -f "$repository/bench/lazy_report.awk" "$results"
} >"$report"
cat "$report"
