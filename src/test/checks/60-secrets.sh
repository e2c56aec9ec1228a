#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# A running back end has its keys in locked memory and nowhere else. bin/vhost-backend is started
# with fresh keys, which come to it in every way, with every engine that this machine has, and is
# looked at busy and idle: its memory, core files that gcore makes of it (also with what the process
# excludes from them), the report of a crash, log, environment, command line, RPC and files. Where a
# key is planted, it is found. Needs root, gdb, and the build of `mvn verify`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

repository=$PWD
tools=$repository/target/native/tools
shared=$repository/target/native/shared
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
work=$(mktemp -d /tmp/ubiblk-secrets.XXXXXX)
pid='' load_pid=''
tests=0

# name, how the keys come (plain, kek, fifo), engine, further JVM options, further configuration
variants_reduced=(
    "plain-auto plain auto"
    "kek-aesni-metadata kek aesni - metadata_path"
    "fifo-auto fifo auto"
    "plain-openssl plain openssl"
    "kek-collected kek auto -Xmn1m"
)
variants_full=(
    "kek-auto kek auto"
    "plain-aesni plain aesni"
    "fifo-aesni fifo aesni"
    "kek-vaes512 kek vaes512"
    "kek-vaes256 kek vaes256"
    "kek-isa-l kek isa-l"
    "kek-openssl kek openssl"
    "fifo-openssl fifo openssl"
    "plain-collected plain auto -Xmn1m"
    "kek-interpreted kek auto -Xint"
    "kek-compiled kek auto -Xcomp"
)

say()
{
    printf 'secrets: %s\n' "$*"
}

die()
{
    say "$*"
    [ ! -s "$work/log" ] || tail -n 30 "$work/log"
    [ ! -s "$work/scan" ] || cat "$work/scan"
    exit 1
}

end_processes()
{
    [ -z "$load_pid" ] || kill -KILL "$load_pid" 2>/dev/null || true
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap end_processes EXIT

# expect STATUS WHAT OPTION... -- ARGUMENT...: secret_scan ends with that status.
expect()
{
    local wanted=$1 what=$2 status=0 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    "$tools/secret_scan" "${options[@]}" "$work/secrets" "$@" >"$work/scan" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || die "$what: exit status $status of the scan, expected $wanted"
    say "$what: $(tail -n 1 "$work/scan")"
    tests=$((tests + 1))
}

# make_keys DIRECTORY
make_keys()
{
    "$java" -cp target/ubiblk/ubiblk.jar:target/test-classes io.ubiblk.secret.FreshKeys "$1"
}

# --- the process ---------------------------------------------------------------------------------

# configure KEYS ENGINE [metadata_path]: the latter not with plain keys.
configure()
{
    rm -f "$work"/{disk.yaml,metadata,kek}
    cat >"$work/disk.yaml" <<END
path: $work/disk.raw
socket: $work/disk.sock
rpc_socket_path: $work/rpc.sock
xts_engine: $2
queue_size: 64
num_queues: 1
END
    case $1 in
    plain) cat "$work/plain.yaml" >>"$work/disk.yaml" ;;
    *) cat "$work/wrapped.yaml" >>"$work/disk.yaml" ;;
    esac
    if [ "${3:-}" = metadata_path ]; then
        echo "metadata_path: $work/metadata" >>"$work/disk.yaml"
        bin/init-metadata --config "$work/disk.yaml" --kek "$work/kek.yaml" >"$work/log" 2>&1 ||
            die "init-metadata failed"
    fi
}

# start KEYS [JVM-OPTION...]: the configured back end, with the environment of the caller. Fails if
# it ends.
start()
{
    local keys=$1 options=(--config "$work/disk.yaml" --log-level trace)
    shift
    rm -rf "$work"/{disk.sock,rpc.sock,tmp,cwd,errors}
    mkdir "$work"/{tmp,cwd,errors}
    case $keys in
    kek) cp "$work/kek.yaml" "$work/kek" && options+=(--kek "$work/kek") ;;
    fifo) mkfifo "$work/kek" && options+=(--kek "$work/kek" --unlink-kek) ;;
    esac
    (
        cd "$work/cwd"
        UBIBLK_ERROR_DIR=$work/errors UBIBLK_JAVA_OPTIONS="-Djava.io.tmpdir=$work/tmp $*" \
            exec "$repository/bin/vhost-backend" "${options[@]}"
    ) >"$work/log" 2>&1 &
    pid=$!
    [ "$keys" != fifo ] || timeout 60 cp "$work/kek.yaml" "$work/kek"
    wait_for_socket || return 1
    [ "$keys" != fifo ] || [ ! -e "$work/kek" ] || die "the FIFO is still there"
}

wait_for_socket()
{
    local end=$((SECONDS + 60))
    until [ -S "$work/disk.sock" ]; do
        kill -0 "$pid" 2>/dev/null || { pid=; return 1; }
        [ "$SECONDS" -lt "$end" ] || die "does not listen"
        sleep 0.02
    done
}

stop()
{
    local status=0
    kill -TERM "$pid"
    wait "$pid" || status=$?
    pid=
    [ "$status" = 0 ] || die "exit status $status after SIGTERM"
}

start_load()
{
    mkfifo "$work/load.in" "$work/load.out"
    "$tools/blk_load" "$work/disk.sock" <"$work/load.in" >"$work/load.out" 2>>"$work/log" &
    load_pid=$!
    exec 8>"$work/load.in" 9<"$work/load.out"
    rm "$work/load.in" "$work/load.out"
    await_load busy
}

await_load()
{
    local word
    read -r -t 60 -u 9 word || die "the load gives no answer"
    [ "$word" = "$1" ] || die "the load is $word, expected $1"
}

stop_load()
{
    exec 8>&-
    wait "$load_pid" || die "a request failed"
    load_pid=
    exec 9<&-
}

# --- looking at it -------------------------------------------------------------------------------

# scan_core STATUS WHAT GCORE-OPTION SCAN-OPTION...
scan_core()
{
    local status=$1 what=$2 gcore_option=$3
    shift 3
    cp "/proc/$pid/smaps" "$work/smaps"
    # shellcheck disable=SC2086 # no option is no word
    timeout 300 gcore $gcore_option -o "$work/core" "$pid" >"$work/gcore" 2>&1 ||
        { cat "$work/gcore"; die "gcore failed"; }
    expect "$status" "$what" "$@" -- core "$work/core.$pid" "$work/smaps"
    rm "$work/core.$pid"
}

ask_rpc()
{
    local command
    for command in version status queues stats unknown; do
        printf '{"command":"%s"}\n' "$command" | timeout 5 nc.openbsd -U -W 1 "$work/rpc.sock"
    done >"$work/rpc"
    grep -q '"queues"' "$work/rpc" || die "the RPC does not answer"
}

# What others can read of it while it runs, and what it wrote.
scan_outputs()
{
    local written
    cp "/proc/$pid/environ" "$work/environ"
    cp "/proc/$pid/cmdline" "$work/cmdline"
    mapfile -t written < <(find "$work/errors" "$work/tmp" "$work/cwd" -type f)
    [ ! -e "$work/metadata" ] || written+=("$work/metadata")
    expect "$1" "$2: log, environment, command line, RPC, ${#written[@]} files" -- \
        files "$work/log" "$work/environ" "$work/cmdline" "$work/rpc" "${written[@]}"
}

run_variant()
{
    local name=$1 keys=$2 engine=$3 jvm=${4:--} extra=${5:-} where=(--locked) dumped=()
    [ "$jvm" != - ] || jvm=
    # OpenSSL expands keys into memory of its own, which cannot be made to be locked.
    [ "$engine" != openssl ] || where=(--schedules='[heap]') dumped=("${where[@]}")
    [ "$engine" != isa-l ] || export LD_LIBRARY_PATH=$work/isa-l
    configure "$keys" "$engine" "$extra"
    if ! start "$keys" "$jvm"; then
        grep -qE 'xts_engine.* cannot be used' "$work/log" || die "$name does not start"
        say "$name: not on this machine"
        unset LD_LIBRARY_PATH
        return 0
    fi
    unset LD_LIBRARY_PATH
    expect 0 "$name, started" "${where[@]}" -- pid "$pid"
    start_load
    expect 0 "$name, busy" "${where[@]}" -- pid "$pid"
    scan_core 0 "$name, busy, core with all mappings" -a "${where[@]}" --registers
    echo >&8
    await_load idle
    expect 0 "$name, idle" "${where[@]}" -- pid "$pid"
    scan_core 0 "$name, idle, core" '' "${dumped[@]}"
    scan_core 0 "$name, idle, core with all mappings" -a "${where[@]}"
    ask_rpc
    scan_outputs 0 "$name"
    stop_load
    stop
    expect 0 "$name, stopped: log" -- files "$work/log"
}

# Work of a tool takes hours. It is stopped in the midst of it, with two pairs of keys and two KEKs.
run_tool()
{
    local end=$((SECONDS + 60))
    cp "$work/secrets" "$work/secrets.one"
    mkdir "$work/new"
    make_keys "$work/new"
    sed -E 's/^(key|wrapped) /&new-/' "$work/new/secrets" >>"$work/secrets"
    truncate -s 1G "$work/tool.raw"
    echo "path: $work/tool.raw" | tee "$work/old.yaml" >"$work/new.yaml"
    cat "$work/wrapped.yaml" >>"$work/old.yaml"
    cat "$work/new/wrapped.yaml" >>"$work/new.yaml"
    bin/xts --action reencrypt --assume-old-key --quiet --log-level trace \
        --config "$work/old.yaml" --kek "$work/kek.yaml" \
        --to-config "$work/new.yaml" --to-kek "$work/new/kek.yaml" >"$work/log" 2>&1 &
    pid=$!
    until [ -e "$work/tool.raw.ubiblk-journal" ]; do
        kill -0 "$pid" 2>/dev/null || die "xts has ended"
        [ "$SECONDS" -lt "$end" ] || die "xts does not begin"
        sleep 0.01
    done
    kill -STOP "$pid"
    expect 0 "xts at work" --locked -- pid "$pid"
    [ -e "$work/tool.raw.ubiblk-journal" ] || die "xts had ended"
    cp "$work/tool.raw.ubiblk-journal" "$work/journal"
    kill -CONT "$pid"
    wait "$pid" || die "xts failed"
    pid=
    expect 0 "xts: log, journal, marker" -- \
        files "$work/log" "$work/journal" "$work/tool.raw.ubiblk-keys"
    mv "$work/secrets.one" "$work/secrets"
    rm "$work"/tool.raw* "$work/journal"
}

# A crash while requests are in flight.
run_crash()
{
    local report
    configure kek auto
    start kek || die "does not start"
    start_load
    kill -SEGV "$pid"
    wait "$pid" 2>/dev/null || true
    exec 8>&- 9<&-
    wait "$load_pid" || true
    report=$work/errors/jvm-error-$pid.log
    pid='' load_pid=''
    [ -s "$report" ] || die "a crash left no report"
    [ "$(find "$work/errors" "$work/tmp" "$work/cwd" -type f | wc -l)" = 1 ] ||
        die "a crash left more than a report: $(find "$work/errors" "$work/tmp" "$work/cwd")"
    expect 0 "report of a crash" -- files "$report" "$work/log"
    cp "$report" "$work/report"
}

# Every way of looking finds what is there.
run_planted()
{
    local key digits
    key=$(sed -n 's/^key data-key //p' "$work/secrets")
    digits=$(od -A n -v -t x1 "$work/data.key" | tr -d ' \n')
    configure kek auto
    LD_PRELOAD=$shared/libkey_planter.so KEY_PLANTER_FILE=$work/data.key LEAKED=$key \
        start kek "-Dleaked=$digits" || die "does not start with what is planted"
    expect 1 "planted in memory" -- pid "$pid"
    scan_core 1 "planted in memory, core" ''
    scan_core 1 "planted in memory, core with all mappings" -a
    cp "/proc/$pid/environ" "$work/environ"
    cp "/proc/$pid/cmdline" "$work/cmdline"
    expect 1 "planted in the environment" -- files "$work/environ"
    expect 1 "planted in the command line" -- files "$work/cmdline"
    cp "$work/log" "$work/planted"
    expect 0 "nothing planted in the log" -- files "$work/planted"
    echo "[DEBUG] the key is $key" >>"$work/planted"
    expect 1 "planted in the log" -- files "$work/planted"
    expect 0 "nothing planted in the report of a crash" -- files "$work/report"
    cp "$work/report" "$work/planted"
    od -A x -v -t x8 "$work/data.key" >>"$work/planted"
    expect 1 "planted in the report of a crash, as words" -- files "$work/planted"
    cp "$work/report" "$work/planted"
    od -A x -v -t x1 "$work/data.key" >>"$work/planted"
    expect 1 "planted in the report of a crash, as bytes" -- files "$work/planted"
    stop
}

# A key that is in a register alone is in no memory, but in a core file.
run_planted_register()
{
    [ "$(uname -m)" = x86_64 ] || return 0
    configure plain auto
    LD_PRELOAD=$shared/libkey_planter.so KEY_PLANTER_REGISTER=$work/data.key start plain ||
        die "does not start with what is planted"
    expect 0 "planted in a register" --locked -- pid "$pid"
    scan_core 1 "planted in a register, core" ''
    scan_core 0 "planted in a register, core, where registers may have keys" '' --registers
    stop
}

# --- all of it -----------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || { echo "SKIPPED: needs root to read the memory of another process"; exit 77; }
[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }

make_keys "$work"
truncate -s 64M "$work/disk.raw"
mkdir "$work/isa-l"
ln -s "$shared/libisal_standin.so" "$work/isa-l/libisal_crypto.so.2"

variants=("${variants_reduced[@]}")
[ "${UBIBLK_CHECK:-reduced}" != full ] || variants+=("${variants_full[@]}")
for variant in "${variants[@]}"; do
    # shellcheck disable=SC2086 # a line of words
    run_variant $variant
done
run_tool
run_crash
run_planted
run_planted_register
echo "[  PASSED  ] $tests test(s): ${#variants[@]} variants"
