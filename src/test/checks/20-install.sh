#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# An installed tree serves a disk: from its class-data archive, small, leaving no files behind, and
# just as well when the archive is stale or missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

resident_kib_max=$((80 * 1024))
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid"; rm -rf "$work"' EXIT
tests=0

fail()
{
    echo "install check: $*"
    [ ! -s "$work/log" ] || cat "$work/log"
    exit 1
}

# Starts the installed program and waits until it listens.
start()
{
    UBIBLK_JAVA_OPTIONS=${1:-} UBIBLK_ERROR_DIR=$work "$work/prefix/bin/vhost-backend" \
        --config "$work/disk.yaml" >"$work/log" 2>&1 &
    pid=$!
    local end=$((SECONDS + 60))
    until [ -S "$work/vhost.sock" ]; do
        kill -0 "$pid" 2>/dev/null || { pid=; fail "the program ended"; }
        [ "$SECONDS" -lt "$end" ] || fail "does not listen"
        sleep 0.02
    done
}

stop()
{
    local status=0
    kill -TERM "$pid"
    wait "$pid" || status=$?
    pid=
    [ "$status" = 0 ] || fail "exit status $status after SIGTERM"
    [ ! -e "$work/vhost.sock" ] || fail "the socket is still there"
    tests=$((tests + 1))
}

bin/install "$work/prefix"
truncate -s 64M "$work/disk.raw"
cat >"$work/disk.yaml" <<END
path: $work/disk.raw
socket: $work/vhost.sock
END
for file in bin/ublk-backend lib/ubiblk/io_flusher lib/systemd/system/ubiblk-ublk@.service; do
    [ -s "$work/prefix/$file" ] || fail "$file is not installed"
done
archives=("$work"/prefix/lib/ubiblk/classes-*)
[ -s "${archives[0]}" ] || fail "there is no class-data archive"

# The tool for keys, of which the archive has half the classes.
"$work/prefix/bin/keys" generate kek --output "$work/kek.yaml" 2>"$work/log" ||
    fail "keys makes no KEK"
[ ! -s "$work/log" ] || fail "keys is not silent"
tests=$((tests + 1))

# Idle, from the archive.
start "-Xlog:class+load:file=$work/classes.log"
sleep 1
resident_kib=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
echo "resident: $((resident_kib / 1024)) MiB, at most $((resident_kib_max / 1024))"
[ "$resident_kib" -le "$resident_kib_max" ] || fail "too much resident memory"
[ ! -e "/tmp/hsperfdata_$(id -un)/$pid" ] || fail "the JVM publishes its counters in a file"
stop
shared=$(grep -c 'shared objects file' "$work/classes.log")
loaded=$(grep -c 'source:' "$work/classes.log")
echo "classes: $loaded, of which $shared from the archive"
[ "$shared" -gt $((loaded * 9 / 10)) ] || fail "the archive is not used"

# A jar that is newer than its archive, and no archive at all.
touch "$work/prefix/lib/ubiblk/ubiblk.jar"
start
grep -qvE '^\[(INFO|WARN)\]' "$work/log" && fail "a stale archive is not passed over in silence"
stop
rm -f "${archives[@]}"
start
stop

# A crash leaves its report where the operator said, and nowhere else.
start
kill -SEGV "$pid"
wait "$pid" 2>/dev/null || true
reports=("$work"/jvm-error-"$pid".log)
[ -s "${reports[0]}" ] || fail "no crash report in UBIBLK_ERROR_DIR"
for elsewhere in "/tmp/hs_err_pid$pid.log" "hs_err_pid$pid.log"; do
    [ ! -e "$elsewhere" ] || fail "a report in $elsewhere"
done
pid=
tests=$((tests + 1))

echo "$tests starts of programs of an installed tree"
