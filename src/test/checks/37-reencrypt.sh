#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# kill -9 of `bin/xts --action reencrypt` at random moments: the same command goes on, and in the end
# the disk has its content under the new keys. Needs the build of `mvn verify`.
#
# UBIBLK_CHECK=full: 100 kills on a disk of 4 GiB, in place of 12 on one of 192 MiB. UBIBLK_SEED
# (42) decides when. The files lie in UBIBLK_CHECK_DIR (/var/tmp).
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }
if [ "${UBIBLK_CHECK:-}" = full ]; then kills_wanted=100 mib=4096; else kills_wanted=12 mib=192; fi
seed=${UBIBLK_SEED:-42}
RANDOM=$seed
work=$(mktemp -d -p "${UBIBLK_CHECK_DIR:-/var/tmp}" ubiblk-reencrypt-XXXXXX)
pid=
mounted=
loop=
cleanup()
{
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "$mounted" ] || umount "$work/small" || true
    [ -z "$loop" ] || losetup --detach "$loop" || true
    rm -rf "$work"
}
trap cleanup EXIT

die()
{
    echo "FAILED (seed $seed): $*"
    exit 1
}

# configure NAME KEY-BYTE [DISK]: two different keys that begin with it; DISK has no metadata.
configure()
{
    local first second disk=("path: ${3:-}")
    [ $# = 3 ] || disk=("path: $work/disk.raw" "metadata_path: $work/disk.meta")
    first=$(printf "%032d" "$2" | base64)
    second=$(printf "%032d" $(($2 + 1)) | base64)
    printf '%s\n' "${disk[@]}" >"$work/$1.yaml"
    cat >>"$work/$1.yaml" <<END
socket: $work/vhost.sock
encryption_key: ["$first", "$second"]
END
}

xts()
{
    bin/xts --quiet "$@"
}

refused()
{
    local words=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        die "'$*' was not refused"
    fi
    grep -qF "$words" "$work/log" || die "'$*' says nothing of \"$words\": $(cat "$work/log")"
}

state()
{
    sed -n 's/^state=//p' "$work/disk.raw.ubiblk-keys" 2>/dev/null || true
}

milliseconds()
{
    echo $(($(date +%s%N) / 1000000))
}

check_content()
{
    xts --config "$work/$1.yaml" "$work/disk.raw" "$work/decoded.raw"
    cmp "$work/plain.raw" "$work/decoded.raw" || die "the content is wrong under the keys of $1"
    rm "$work/decoded.raw"
    bin/dump-metadata --config "$work/$1.yaml" >/dev/null || die "the metadata is wrong"
}

configure one 10
configure two 20
configure three 30
head -c $((mib << 20)) /dev/urandom >"$work/plain.raw"
xts --config "$work/one.yaml" --action encode "$work/plain.raw" "$work/disk.raw"
bin/init-metadata --config "$work/one.yaml"

# --- refusals leave the disk as it is ---

reencrypt=(bin/xts --quiet --action reencrypt)
refused "enciphered with other keys" \
    "${reencrypt[@]}" --config "$work/two.yaml" --to-config "$work/three.yaml"
if [ "$(id -u)" = 0 ] && mkdir "$work/small" && mount -t tmpfs -o size=4m none "$work/small"; then
    mounted=yes
    refused "the journal, which takes" "${reencrypt[@]}" --config "$work/one.yaml" \
        --to-config "$work/two.yaml" --journal "$work/small/journal"
    [ -z "$(ls "$work/small")" ] || die "a journal that could not be made is left behind"
else
    echo "SKIPPED: a journal without space needs root"
fi
[ -z "$(state)" ] || die "a refusal left a marker"
check_content one

# --- a block device: its marker lies in a directory of its own, its journal where it is told ---

check_device()
{
    export UBIBLK_KEYS_DIR=$work/keys
    configure device-one 10 "$loop"
    configure device-two 20 "$loop"
    local change=("${reencrypt[@]}" --config "$work/device-one.yaml"
        --to-config "$work/device-two.yaml" --assume-old-key)
    refused "$loop is a block device: --journal must say where" "${change[@]}"
    "${change[@]}" --journal "$work/journal"
    grep -qx state=reencrypted "$UBIBLK_KEYS_DIR"/*.ubiblk-keys || die "$loop has no marker"
    [ ! -e "$work/journal" ] || die "the journal of $loop was left behind"
    refused "are not its keys" bin/vhost-backend --config "$work/device-one.yaml"
    xts --config "$work/device-two.yaml" "$loop" "$work/decoded.raw"
    cmp "$work/device.plain" "$work/decoded.raw" || die "the content of $loop is wrong"
    rm "$work/decoded.raw"
    unset UBIBLK_KEYS_DIR
}

head -c $((16 << 20)) "$work/plain.raw" >"$work/device.plain"
xts --config "$work/one.yaml" --action encode "$work/device.plain" "$work/device.raw"
if [ "$(id -u)" = 0 ] && loop=$(losetup --find --show "$work/device.raw"); then
    check_device
    losetup --detach "$loop"
    loop=
else
    echo "SKIPPED: a block device needs root and a loop device"
fi

# --- kills ---

begin=$(milliseconds)
"${reencrypt[@]}" --config "$work/one.yaml" --to-config "$work/two.yaml"
whole=$(($(milliseconds) - begin))
check_content two
from=two to=one
kills=0 half=0 works=1 completed=true
while [ "$kills" -lt "$kills_wanted" ] || ! $completed; do
    completed=false
    before=$(state)
    "${reencrypt[@]}" --config "$work/$from.yaml" --to-config "$work/$to.yaml" \
        >"$work/log" 2>&1 &
    pid=$!
    if [ "$kills" -lt "$kills_wanted" ]; then
        # The moment is random from when there is something to be half done on; now and then sooner.
        after=$((RANDOM % (whole / 4 + 100)))
        if [ "$before" = reencrypting ]; then
            after=$((after + 200))
        elif [ $((RANDOM % 8)) != 0 ]; then
            until [ "$(state)" = reencrypting ] || ! kill -0 "$pid" 2>/dev/null; do
                sleep 0.01
            done
        fi
        sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
        kill -KILL "$pid" 2>/dev/null || true
    fi
    status=0
    wait "$pid" 2>/dev/null || status=$?
    pid=
    if [ "$status" = 137 ]; then
        kills=$((kills + 1))
        if [ "$(state)" = reencrypting ]; then
            half=$((half + 1))
            if [ "$half" = 1 ]; then
                refused "is half re-encrypted; this finishes it: xts --action reencrypt --config" \
                    bin/vhost-backend --config "$work/$from.yaml"
                refused "is half re-encrypted" bin/vhost-backend --config "$work/$to.yaml"
                refused "is half re-encrypted" bin/ublk-backend --config "$work/$to.yaml"
                refused "not those that it was begun with" "${reencrypt[@]}" \
                    --config "$work/$from.yaml" --to-config "$work/three.yaml"
                refused "not those that it was begun with" "${reencrypt[@]}" \
                    --config "$work/three.yaml" --to-config "$work/$to.yaml"
                refused "is half re-encrypted" \
                    xts --config "$work/$to.yaml" "$work/disk.raw" "$work/decoded.raw"
            fi
        fi
    elif [ "$status" = 0 ]; then
        works=$((works + 1)) completed=true
        [ "$(state)" = reencrypted ] || die "done, and the marker says $(state)"
        [ ! -e "$work/disk.raw.ubiblk-journal" ] || die "the journal was left behind"
        check_content "$to"
        refused "are not its keys" bin/vhost-backend --config "$work/$from.yaml"
        refused "are not its keys" bin/ublk-backend --config "$work/$from.yaml"
        swap=$from from=$to to=$swap
    else
        die "status $status: $(cat "$work/log")"
    fi
done
[ "$half" -gt $((kills / 3)) ] || die "only $half of $kills kills left a half-done disk"
echo "$kills kills, $half of them with the disk half done, $works re-encryptions of $mib MiB, seed $seed"
