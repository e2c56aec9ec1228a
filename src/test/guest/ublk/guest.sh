#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# What happens inside the guest: the real program serves disks of the guest's own kernel. Runs as
# process 1, on the host's file system and programs; tells the host over the serial line.
# shellcheck disable=SC2154

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
program=$repository/bin/ublk-backend
state=/tmp/state
mount_point=/tmp/mnt
server=
mkdir -p $state $mount_point

# shellcheck source=src/test/guest/initramfs/report.sh
. "$repository/src/test/guest/initramfs/report.sh"

# Java is some 13 times slower under emulation.
patience_s=180

# wait_until COMMAND...: until it succeeds, or patience is over.
wait_until()
{
    local end=$((SECONDS + patience_s))
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "still not: $*"; return 1; }
        sleep 0.1
    done
}

# --- the program -----------------------------------------------------------------------------------

# start NAME ARGUMENT...: serves $work/NAME.yaml until it says what the disk is, or ends.
start()
{
    local name=$1
    shift
    log=$work/$name.log
    : >"$log"
    # What a shell starts in the background has SIGINT ignored.
    env --default-signal=INT "$program" --config "$work/$name.yaml" \
        --device-symlink "/run/ubiblk/$name" "$@" >>"$log" 2>&1 &
    server=$!
    wait_until serves_or_ended && serves || { tail -n 12 "$log"; return 1; }
    disk=/run/ubiblk/$name
}

serves()
{
    grep -q 'the disk is /dev/ublkb' "$log" && kill -0 "$server" 2>/dev/null &&
        { [ -L "/run/ubiblk/$(basename "$log" .log)" ] || return 1; }
}

serves_or_ended()
{
    serves || ! kill -0 "$server" 2>/dev/null
}

ended()
{
    ! kill -0 "$server" 2>/dev/null
}

# Sends a signal and succeeds when the program exits with 0.
stop()
{
    local status=0
    kill "-$1" "$server"
    wait_until ended || { tail -n 12 "$log"; return 1; }
    wait "$server" || status=$?
    server=
    [ $status = 0 ] || { echo "exit status $status"; tail -n 12 "$log"; }
    [ $status = 0 ]
}

kill_server()
{
    kill -KILL "$server"
    wait "$server" 2>/dev/null
    server=
}

no_devices()
{
    local devices
    devices=$(ls /dev | grep ublk[bc])
    [ -z "$devices" ] || { echo "$devices"; return 1; }
}

# --- working with the disk -------------------------------------------------------------------------

make_file_system()
{
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$disk"
}

mount_disk()
{
    mount -t ext4 "$disk" $mount_point
}

fill_disk()
{
    cp -r "$work/payload" $mount_point/ && sync
}

drop_caches()
{
    sync && echo 3 >/proc/sys/vm/drop_caches
}

payload_is_intact()
{
    drop_caches
    (cd $mount_point/payload && sha256sum -c --quiet manifest)
}

unmount_disk()
{
    umount $mount_point
}

disk_is_clean()
{
    e2fsck -f -n "$disk"
}

# --- scenarios -------------------------------------------------------------------------------------

# The whole way of a disk named $1: made, used, stopped, served again.
whole_life()
{
    local name=$1 queues=$2
    ln -sfn /dev/null "/run/ubiblk/$name"
    check "$name: the disk is served" start "$name" || return
    check "$name: a leftover symlink was replaced" same "$(readlink "$disk")" /dev/ublkb0
    check "$name: there are $queues queues" same \
        "$(find /sys/block/ublkb0/mq -mindepth 1 -maxdepth 1 | wc -l)" "$queues"
    check "$name: a file system is made" make_file_system
    check "$name: it is mounted" mount_disk
    check "$name: files are copied to it" fill_disk
    check "$name: they are read back" payload_is_intact
    check "$name: it is unmounted" unmount_disk
    check "$name: SIGTERM ends the program with 0" stop TERM
    check "$name: no device is left" no_devices
    check "$name: no symlink is left" [ ! -L "/run/ubiblk/$name" ]
    check "$name: the disk is served again" start "$name" || return
    check "$name: its file system is clean" disk_is_clean
    check "$name: it is mounted again" mount_disk
    check "$name: the files are intact" payload_is_intact
    check "$name: it is unmounted again" unmount_disk
    check "$name: SIGINT ends the program with 0" stop INT
}

scenario_life()
{
    mkdir -p /run/ubiblk
    whole_life plain 1
}

"scenario_$1"
[ -z "$server" ] || kill_server
finish
