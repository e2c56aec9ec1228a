#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Boots Debian's generic kernel, which has ublk, under QEMU's software emulation, with the host's
# file system as its own, and lets the real bin/ublk-backend serve disks in it. The raw files are
# then looked at here.
#
#   src/test/guest/ublk/run.sh [--keep] [SCENARIO,SCENARIO... ...]
#
# Each argument is one guest, which goes through its scenarios; all guests run at the same time.
# Needs no KVM and no ublk on the host. The kernel is kept where src/test/guest/run.sh keeps its own.
set -euo pipefail

ublk_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest_dir=$(dirname "$ublk_dir")
repository=$(cd "$guest_dir/../../.." && pwd)
declare -A qemu_pids=() boots=() boot_times=()

say()
{
    printf 'ublk test: %s\n' "$*"
}

die()
{
    printf 'ublk test: %s\n' "$*" >&2
    exit 1
}

# shellcheck source=src/test/guest/check.sh
. "$guest_dir/check.sh"
# shellcheck source=src/test/guest/kernel.sh
. "$guest_dir/kernel.sh"
# shellcheck source=src/test/guest/initramfs.sh
. "$guest_dir/initramfs.sh"
# shellcheck source=src/test/guest/payload.sh
. "$guest_dir/payload.sh"
# shellcheck source=src/test/guest/raw_file.sh
. "$guest_dir/raw_file.sh"

# Only the generic kernel has ublk and 9p.
kernel_metapackages=(linux-image-6.12-amd64)
kernel_cached='linux-image-*deb12-amd64'

# One emulating thread each keeps two CPUs busy.
guests=("plain,encrypted,lazy,mounted" "kill,lazykill,stalled,operate,taken")
disk_bytes=$((96 * 1024 * 1024))
# The end of a disk is no part of its file system; in it the guest writes the file "pattern".
pattern_bytes=$((8 * 1024 * 1024))
boot_silence_s=90
boots_max=3

# The initramfs has nothing but what finds the host's file system.
make_initramfs()
{
    local tree
    tree=$(initramfs_begin)
    initramfs_add_modules "$tree" virtio_pci virtio_blk 9pnet_virtio 9p ext4 ublk_drv
    install -m 755 "$ublk_dir/init" "$tree/init"
    initramfs_end "$tree" "$work/initramfs.cpio"
}

# configure NAME LINE...: an empty disk and its configuration.
configure()
{
    local name=$1
    shift
    rm -f "$work/$name".{raw,meta}
    printf '%s\n' "path: $work/$name.raw" "$@" >"$work/$name.yaml"
    truncate -s "$disk_bytes" "$work/$name.raw"
}

# Two keys, in the way of the configuration; the same ones for every disk here.
keys()
{
    local key
    echo "encryption_key:"
    for key in "$xts_key1" "$xts_key2"; do
        echo "  - \"$(printf '%s' "$key" | busybox xxd -r -p | base64 -w 0)\""
    done
}

# An image with a file system that has the payload; configure_lazy NAME LINE...
configure_lazy()
{
    local name=$1 tree=$work/source
    shift
    if [ ! -e "$work/image.raw" ]; then
        mkdir "$tree"
        cp -r "$work/payload" "$tree/source"
        payload_bytes ballast $((8 * 1024 * 1024)) >"$tree/ballast"
        # In KiB; no multiple of a stripe.
        truncate -s $((40 * 1024 + 36))K "$work/image.raw"
        PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -F -L ubiblk-label -E root_owner=0:0 -d "$tree" "$work/image.raw"
        rm -rf "$tree"
    fi
    configure "$name" "$(keys)" "metadata_path: $work/$name.meta" "stripe_source:" \
        "  source: raw" "  path: \"$work/image.raw\"" "rpc_socket_path: /run/ubiblk/$name.rpc" "$@"
    "$repository/bin/init-metadata" --config "$work/$name.yaml" -s 8
}

# configure_scenario SCENARIO: its disks, as they are before it.
configure_scenario()
{
    case $1 in
    plain)
        configure plain-1 "num_queues: 1"
        configure plain-2 "num_queues: 2"
        ;;
    encrypted)
        configure encrypted-1 "num_queues: 1" "$(keys)"
        configure encrypted-2 "num_queues: 2" "$(keys)"
        ;;
    lazy)
        configure_lazy lazy-1 "num_queues: 1" "copy_on_read: false" "track_written: true"
        configure_lazy lazy-2 "num_queues: 2" "copy_on_read: true" "autofetch: true"
        ;;
    kill) configure kill "num_queues: 2" "$(keys)" ;;
    lazykill)
        # As few as the worker has processes, so that the kill finds queues that are full.
        configure_lazy lazy-kill "num_queues: 2" "queue_size: 4" "copy_on_read: true" \
            "track_written: true"
        ;;
    stalled)
        configure_lazy stalled "num_queues: 1" "copy_on_read: true" "stop_timeout_ms: 1000"
        ;;
    mounted) configure mounted "num_queues: 2" "$(keys)" ;;
    taken)
        configure_lazy taken "num_queues: 1" "queue_size: 2" "copy_on_read: true"
        ;;
    operate)
        configure first "num_queues: 1"
        configure second "num_queues: 2" "$(keys)"
        ;;
    *) die "there is no scenario $1" ;;
    esac
}

# boot_guest SCENARIO,SCENARIO...: in the background. One thread emulates both virtual CPUs: with a
# thread for each, a kernel that patches its own text now and then meets its breakpoint on another
# CPU after it has gone, and dies.
boot_guest()
{
    local guest=$1 serial=$work/${1//,/-}.serial scenario
    rm -f "$serial"
    for scenario in ${guest//,/ }; do
        configure_scenario "$scenario"
    done
    qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max -smp 2 -m 1G \
        -nodefaults -display none -no-reboot -serial "file:$serial" \
        -kernel "$kernel_root/kernel" -initrd "$work/initramfs.cpio" \
        -append "console=ttyS0 panic=-1 quiet mitigations=off ubiblk.repository=$repository \
ubiblk.work=$work ubiblk.scenarios=$guest ubiblk.scale=$scale ubiblk.seed=$payload_seed" \
        -virtfs local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$work,mount_tag=work,security_model=none,multidevs=remap" \
        >"$serial.qemu" 2>&1 </dev/null &
    qemu_pids[$guest]=$!
    boot_times[$guest]=$SECONDS
    boots[$guest]=$((${boots[$guest]:-0} + 1))
}

kill_guest()
{
    kill -KILL "${qemu_pids[$1]}" 2>/dev/null || true
    wait "${qemu_pids[$1]}" 2>/dev/null || true
    unset "qemu_pids[$1]"
}

# Whether the guest has ended, or has to be.
guest_is_over()
{
    local serial=$work/${1//,/-}.serial age=$((SECONDS - boot_times[$1]))
    ! kill -0 "${qemu_pids[$1]}" 2>/dev/null || [ "$age" -ge "$guest_limit_s" ] ||
        { [ ! -s "$serial" ] && [ "$age" -ge "$boot_silence_s" ]; }
}

# Whether the guest has ended before its init said that it is there, and so before anything of ours
# ran: a firmware that hangs, a kernel that emulation breaks.
boot_was_lost()
{
    ! grep -qs '^guest: Linux .* is up' "$work/${1//,/-}.serial"
}

# What the guest told, counted, and its disks from outside.
report_guest()
{
    local guest=$1 told=$work/${1//,/-}.told scenario counts
    tr -d '\r' <"${told%.told}.serial" >"$told"
    counts=$(sed -n 's/^guest: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$told")
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    grep -A4 '^FAIL' "$told" || true
    cat "$work"/*.threads 2>/dev/null || true
    grep -E '^(figure|guest: [a-z]* took)' "$told" || true
    for scenario in ${guest//,/ }; do
        check_raw_files "$scenario"
    done
    say "$guest: ${counts% *} passed, ${counts#* } failed (after $SECONDS s)"
}

# end_guest SCENARIO,SCENARIO...: looks at a guest that is over. One that was lost is booted again;
# one that dies later has failed, whatever it died of.
end_guest()
{
    local guest=$1 serial=$work/${1//,/-}.serial
    kill_guest "$guest"
    if grep -q '^guest: [0-9]* passed' "$serial"; then
        report_guest "$guest"
        return
    fi
    say "$guest: boot ${boots[$guest]} did not come to its end"
    grep -m 3 -E "Oops|RIP:|panic" "$serial" || tail -n 30 "$serial" || true
    if boot_was_lost "$guest" && [ "${boots[$guest]}" -lt "$boots_max" ]; then
        boot_guest "$guest"
    else
        failed=$((failed + 1))
    fi
}

run_guests()
{
    local guest
    for guest in "${guests[@]}"; do
        boot_guest "$guest"
    done
    while [ ${#qemu_pids[@]} -gt 0 ]; do
        for guest in "${!qemu_pids[@]}"; do
            ! guest_is_over "$guest" || end_guest "$guest"
        done
        sleep 0.2
    done
}

# What was dirty when the device was stopped, from the image that raw_file_system has made.
raw_file_has_pattern()
{
    tail -c "$pattern_bytes" "$work/plain.img" | cmp - "$work/pattern"
}

# check_raw_file NAME none|fresh: the disk of that name, from outside.
# shellcheck disable=SC2034
check_raw_file()
{
    disk_file=$work/$1.raw
    variant_keys=$2
    variant_layout=whole
    check "$1: the file system can be read from the raw file" raw_file_system
    check "$1: e2fsck on the host finds nothing" raw_file_is_clean
    check "$1: the payload is in the raw file" raw_file_has_payload
    if [ "$2" = none ]; then
        check "$1: the markers are in the raw file" raw_file_shows_markers
    else
        check "$1: no plaintext is in the raw file" raw_file_hides_markers
    fi
}

# check_stopped_file NAME none|fresh: the same of a disk that was stopped with dirty pages.
check_stopped_file()
{
    check_raw_file "$@"
    check "$1: what was dirty at SIGTERM is in the raw file" raw_file_has_pattern
}

# check_secret_file NAME: one that need not have all of its file system.
# shellcheck disable=SC2034
check_secret_file()
{
    disk_file=$work/$1.raw
    variant_keys=fresh
    variant_layout=whole
    check "$1: the raw file can be decrypted" raw_file_system
    check "$1: no plaintext is in the raw file" raw_file_hides_markers
}

check_raw_files()
{
    case $1 in
    plain)
        check_stopped_file plain-1 none
        [ "$scale" != full ] || check_stopped_file plain-2 none
        ;;
    encrypted)
        [ "$scale" != full ] || check_stopped_file encrypted-1 fresh
        check_stopped_file encrypted-2 fresh
        ;;
    lazy)
        [ "$scale" != full ] || check_secret_file lazy-1
        check_raw_file lazy-2 fresh
        ;;
    kill) check_secret_file kill ;;
    lazykill) check_secret_file lazy-kill ;;
    mounted) [ "$scale" != full ] || check_raw_file mounted fresh ;;
    esac
}

# The real program where the kernel has no ublk: one sentence, and status 1.
says_what_is_missing()
{
    local status=0
    configure missing "num_queues: 1"
    "$repository/bin/ublk-backend" --config "$work/missing.yaml" >"$work/missing.log" 2>&1 ||
        status=$?
    cat "$work/missing.log"
    [ "$status" = 1 ] && grep -q 'this kernel has no ublk.*module ublk_drv' "$work/missing.log"
}

clean_up()
{
    local guest
    for guest in "${!qemu_pids[@]}"; do
        kill_guest "$guest"
    done
    if [ "$keep" = yes ]; then
        say "files are in $work"
    else
        rm -rf "$work"
    fi
}

main()
{
    local tool
    keep=no
    [ "${1:-}" != --keep ] || { keep=yes && shift; }
    [ $# = 0 ] || guests=("$@")
    xts_tool=${UBIBLK_XTS_TOOL:-$repository/target/native/tools/xts_tool}
    [ -r "$repository/target/ubiblk/ubiblk.jar" ] || die "build first: mvn verify"
    for tool in "$xts_tool" "$repository/target/native/tools/fs_worker"; do
        [ -x "$tool" ] || die "$tool is missing: mvn verify"
    done
    work=$(mktemp -d "$repository/target/ublk.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    payload_seed=${UBIBLK_SEED:-42}
    scale=${UBIBLK_CHECK:-reduced}
    guest_limit_s=900
    [ "$scale" != full ] || guest_limit_s=3600
    passed=0
    failed=0
    kernel_provide
    say "kernel $kernel_version, seed $payload_seed"
    payload_make "$work/payload"
    payload_bytes pattern "$pattern_bytes" >"$work/pattern"
    make_initramfs
    xts_key1=$(openssl rand -hex 32)
    xts_key2=$(openssl rand -hex 32)
    [ -e /dev/ublk-control ] || check "a host without ublk is told so" says_what_is_missing
    run_guests
    say "${#guests[@]} guests, $scale counts: $passed passed, $failed failed"
    [ "$failed" = 0 ] || keep=yes
    [ "$failed" = 0 ]
}

main "$@"
