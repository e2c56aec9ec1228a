# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash
#
# What the benchmarks share: where things lie, disks, back ends and the machine's description.
# Sourced; the caller has set -euo pipefail. Every back end that is started here is ended when the
# script ends.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=$repository/build/bench/benchmarks
tools=$repository/build/bench/tools
home=$repository/target/ubiblk
output=$repository/target/bench
work=${UBIBLK_BENCH_DIR:-/var/tmp/ubiblk-bench}
disk_bytes=$((1024 * 1024 * 1024))

# The back end's core and the client's.
backend_cpu=${UBIBLK_BENCH_BACKEND_CPU:-1}
client_cpu=${UBIBLK_BENCH_CLIENT_CPU:-0}

# Set by --core: the back end of this build without Java, for tracers and comparisons.
use_core=false

backend_pids=()
backend_pid=

say()
{
    printf '%s\n' "$*" >&2
}

die()
{
    say "${0##*/}: $*"
    exit 1
}

build_programs()
{
    cmake -S "$repository" -B "$repository/build/bench" -G Ninja -DJNI=OFF >/dev/null
    cmake --build "$repository/build/bench" --target bench backend_host >/dev/null
    if ! $use_core && [ ! -r "$home/ubiblk.jar" ]; then
        die "no $home/ubiblk.jar; build it (mvn package), or use --core"
    fi
}

# An absolute place on a real file system: io_uring hands buffered I/O on tmpfs to worker threads.
prepare_work()
{
    mkdir -p "$work" "$output"
    case $(stat -f -c %T "$work") in
    tmpfs | ramfs | overlayfs) die "$work is on $(stat -f -c %T "$work"); set UBIBLK_BENCH_DIR to a directory on ext4 or xfs" ;;
    esac
}

# A file of random bytes: every block allocated and written, so that nothing is a hole.
prepare_disk()
{
    local file=$1
    if [ "$(stat -c %s "$file" 2>/dev/null || echo 0)" != "$disk_bytes" ]; then
        say "writing $file"
        dd if=/dev/urandom of="$file.new" bs=1M count=$((disk_bytes >> 20)) conv=fsync status=none
        mv "$file.new" "$file"
    fi
}

# A LUKS image whose payload is written throughout; its key is derived quickly.
prepare_luks()
{
    local file=$1 payload
    [ ! -e "$file" ] || return 0
    say "writing $file"
    qemu-img create -q --object secret,id=key,data=bench -f luks \
        -o key-secret=key,iter-time=10 "$file.new" "$disk_bytes"
    payload=$(($(stat -c %s "$file.new") - disk_bytes))
    dd if=/dev/urandom of="$file.new" bs=1M count=$((disk_bytes >> 20)) seek="$payload" \
        oflag=seek_bytes conv=notrunc,fsync status=none
    mv "$file.new" "$file"
}

# warm [--evict] DISK. Idle page cache may be reclaimed within minutes, so this comes right before a
# timed run; --evict before the first one gives every disk the same kind of cache.
warm()
{
    taskset -c "$client_cpu" "$programs/warm_file" "$@"
}

# Throws a disk out of the page cache.
forget()
{
    dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 status=none
}

# --- back ends -------------------------------------------------------------------------------

on_backend_cpu()
{
    exec taskset -c "$backend_cpu" "$@"
}

await_socket()
{
    local socket=$1 pid=$2 tries=0
    until [ -S "$socket" ]; do
        kill -0 "$pid" 2>/dev/null || die "the back end for $socket ended; see $work/log"
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || die "no socket $socket after 60 s; see $work/log"
        sleep 0.1
    done
}

# start_process SOCKET COMMAND...: runs it pinned; its pid is backend_pid.
start_process()
{
    local socket=$1
    shift
    rm -f "$socket"
    (on_backend_cpu "$@") >>"$work/log" 2>&1 </dev/null &
    backend_pid=$!
    backend_pids+=("$backend_pid")
    await_socket "$socket" "$backend_pid"
}

# Two fixed keys in base64, as a configuration without a KEK has them.
bench_key()
{
    printf "%32s" "$1" | base64 -w 0
}

# write_config NAME DISK direct_io xts_engine|plain [POLL_US]: writes NAME.yaml.
write_config()
{
    local name=$1 disk=$2 direct=$3 engine=$4 poll_us=${5:-1000}
    {
        echo "path: $disk"
        echo "socket: $work/$name.sock"
        echo "num_queues: 1"
        echo "queue_size: 256"
        echo "direct_io: $direct"
        echo "poll_queue_timeout_us: $poll_us"
        if [ "$engine" != plain ]; then
            echo "xts_engine: $engine"
            echo "encryption_key:"
            echo "  - \"$(bench_key data)\""
            echo "  - \"$(bench_key tweak)\""
        fi
    } >"$work/$name.yaml"
}

# start_ours NAME DISK direct_io xts_engine|plain [POLL_US]
start_ours()
{
    local name=$1 disk=$2 direct=$3 engine=$4 poll_us=${5:-1000} encryption=()
    if $use_core; then
        [ "$engine" = plain ] || encryption=(encrypted=1 "xts_engine=$engine")
        start_process "$work/$name.sock" "$tools/backend_host" "$disk" "$work/$name.sock" \
            queue_size=256 "direct_io=$direct" "poll_us=$poll_us" "${encryption[@]}"
    else
        write_config "$name" "$disk" "$direct" "$engine" "$poll_us"
        start_process "$work/$name.sock" "$repository/bin/vhost-backend" \
            --config "$work/$name.yaml"
    fi
}

# start_qsd NAME NODE QSD-OPTION...: exports NODE, which the options define.
start_qsd()
{
    local name=$1 node=$2
    shift 2
    start_process "$work/$name.sock" qemu-storage-daemon "$@" \
        --export "type=vhost-user-blk,id=export,node-name=$node,addr.type=unix,addr.path=$work/$name.sock,writable=on,num-queues=2"
}

# Locks would keep it away from a disk that another back end has open but leaves alone.
qsd_file()
{
    local disk=$1 direct=$2
    echo "driver=file,node-name=file,filename=$disk,cache.direct=$direct,aio=io_uring,locking=off"
}

stop_backends()
{
    local pid
    for pid in "${backend_pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${backend_pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    backend_pids=()
}
trap stop_backends EXIT
trap 'exit 130' INT TERM

# --- the machine -----------------------------------------------------------------------------

describe_machine()
{
    echo "* CPU: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores;" \
        "back ends on core $backend_cpu, client on core $client_cpu"
    echo "* kernel $(uname -r), $(findmnt -n -o FSTYPE -T "$work") on $(findmnt -n -o SOURCE -T "$work")," \
        "$(awk '/^MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo) of memory"
    echo "* $(qemu-storage-daemon --version | head -1), $(fio --version)," \
        "$("${UBIBLK_JAVA:-java}" -version 2>&1 | sed -n '2p')"
    echo "* load average at the beginning $(cut -d' ' -f1-3 /proc/loadavg)"
}
