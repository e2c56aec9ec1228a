#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Boots Debian's generic kernel, which has ublk, under QEMU's software emulation, with the host's
# file system as its own, and lets the real bin/ublk-backend serve disks in it. The raw files are
# then looked at here.
#
#   src/test/guest/ublk/run.sh [--keep] [SCENARIO...]
#
# Needs no KVM and no ublk on the host. The kernel is kept where src/test/guest/run.sh keeps its own.
set -euo pipefail

ublk_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest_dir=$(dirname "$ublk_dir")
repository=$(cd "$guest_dir/../../.." && pwd)
qemu_pid=

say()
{
    printf 'ublk test: %s\n' "$*"
}

die()
{
    printf 'ublk test: %s\n' "$*" >&2
    exit 1
}

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

scenarios=(plain encrypted lazy kill lazykill operate cost)
disk_bytes=$((96 * 1024 * 1024))
boot_silence_s=90
boot_limit_s=1500

# The initramfs has nothing but what finds the host's file system.
make_initramfs()
{
    local tree=$work/initramfs
    mkdir -p "$tree"/{bin,modules}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    initramfs_add_modules "$tree" virtio_pci virtio_blk 9pnet_virtio 9p ext4 ublk_drv
    install -m 755 "$ublk_dir/init" "$tree/init"
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs.cpio"
    rm -rf "$tree"
}

# configure NAME LINE...: an empty disk and its configuration.
configure()
{
    local name=$1
    shift
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
        payload_bytes ballast $((24 * 1024 * 1024)) >"$tree/ballast"
        # In KiB; no multiple of a stripe.
        truncate -s $((72 * 1024 + 36))K "$work/image.raw"
        PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -F -L ubiblk-label -E root_owner=0:0 -d "$tree" "$work/image.raw"
        rm -rf "$tree"
    fi
    configure "$name" "$(keys)" "metadata_path: $work/$name.meta" "stripe_source:" \
        "  source: raw" "  path: \"$work/image.raw\"" "rpc_socket_path: /run/ubiblk/$name.rpc" "$@"
    "$repository/bin/init-metadata" --config "$work/$name.yaml" -s 8
}

configure_all()
{
    xts_key1=$(openssl rand -hex 32)
    xts_key2=$(openssl rand -hex 32)
    configure plain-1 "num_queues: 1"
    configure plain-2 "num_queues: 2"
    configure encrypted-1 "num_queues: 1" "$(keys)"
    configure encrypted-2 "num_queues: 2" "$(keys)"
    configure kill "num_queues: 2" "$(keys)"
    configure_lazy lazy-1 "num_queues: 1" "copy_on_read: false" "track_written: true"
    configure_lazy lazy-2 "num_queues: 2" "copy_on_read: true" "autofetch: true"
    configure_lazy lazy-kill "num_queues: 2" "copy_on_read: true" "track_written: true"
}

boot_start()
{
    local scenario=$1 serial=$2
    qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536M \
        -nodefaults -display none -no-reboot -serial "file:$serial" \
        -kernel "$kernel_root/kernel" -initrd "$work/initramfs.cpio" \
        -append "console=ttyS0 panic=-1 quiet mitigations=off ubiblk.repository=$repository \
ubiblk.work=$work ubiblk.scenario=$scenario ubiblk.rounds=$rounds ubiblk.seed=$payload_seed" \
        -virtfs local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$work,mount_tag=work,security_model=none,multidevs=remap" \
        >"$serial.qemu" 2>&1 </dev/null &
    qemu_pid=$!
}

boot_kill()
{
    [ -n "$qemu_pid" ] || return 0
    kill -KILL "$qemu_pid" 2>/dev/null || true
    wait "$qemu_pid" 2>/dev/null || true
    qemu_pid=
}

# Succeeds when the guest ran to its end, whatever it found.
boot_guest()
{
    local scenario=$1 serial=$2 begin=$SECONDS
    boot_start "$scenario" "$serial"
    while kill -0 "$qemu_pid" 2>/dev/null; do
        if [ $((SECONDS - begin)) -ge "$boot_limit_s" ] ||
            { [ ! -s "$serial" ] && [ $((SECONDS - begin)) -ge "$boot_silence_s" ]; }; then
            break
        fi
        sleep 0.2
    done
    boot_kill
    grep -q '^guest: [0-9]* passed' "$serial"
}

run_scenario()
{
    local scenario=$1 begin=$SECONDS serial=$work/$1.serial counts
    boot_guest "$scenario" "$serial" || boot_guest "$scenario" "$serial" || {
        failed=$((failed + 1))
        say "$scenario: the guest did not come to its end"
        tail -n 30 "$serial"
        return
    }
    counts=$(tr -d '\r' <"$serial" | sed -n 's/^guest: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    tr -d '\r' <"$serial" | grep -A4 '^FAIL' || true
    tr -d '\r' <"$serial" | grep '^figure' || true
    check_raw_files "$scenario"
    say "$scenario: ${counts% *} passed, ${counts#* } failed ($((SECONDS - begin)) s)"
}

# Counts one check of the host: check "what must hold" command...
check()
{
    local what=$1
    shift
    if "$@" >"$work/check.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: $what"
        tail -n 12 "$work/check.log" | sed 's/^/    /'
    fi
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

check_raw_files()
{
    case $1 in
    plain) check_raw_file plain-1 none && check_raw_file plain-2 none ;;
    encrypted) check_raw_file encrypted-1 fresh && check_raw_file encrypted-2 fresh ;;
    lazy) check_raw_file lazy-2 fresh ;;
    esac
}

# The real program where the kernel has no ublk: one sentence, and status 1.
says_what_is_missing()
{
    local status=0
    "$repository/bin/ublk-backend" --config "$work/plain-1.yaml" >"$work/missing.log" 2>&1 ||
        status=$?
    cat "$work/missing.log"
    [ "$status" = 1 ] && grep -q 'this kernel has no ublk.*module ublk_drv' "$work/missing.log"
}

clean_up()
{
    boot_kill
    if [ "$keep" = yes ]; then
        say "files are in $work"
    else
        rm -rf "$work"
    fi
}

main()
{
    local scenario tool
    keep=no
    [ "${1:-}" != --keep ] || { keep=yes && shift; }
    [ $# = 0 ] || scenarios=("$@")
    xts_tool=${UBIBLK_XTS_TOOL:-$repository/target/native/tools/xts_tool}
    [ -r "$repository/target/ubiblk/ubiblk.jar" ] || die "build first: mvn verify"
    for tool in "$xts_tool" "$repository/target/native/tools/fs_worker"; do
        [ -x "$tool" ] || die "$tool is missing: mvn verify"
    done
    guest_cache=${UBIBLK_GUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-$repository/target}/.cache}/ubiblk-guest}
    mkdir -p "$guest_cache"
    work=$(mktemp -d "$repository/target/ublk.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    payload_seed=${UBIBLK_SEED:-42}
    rounds=5
    [ "${UBIBLK_CHECK:-reduced}" != full ] || rounds=20
    passed=0
    failed=0
    kernel_provide
    say "kernel $kernel_version, seed $payload_seed"
    payload_make "$work/payload"
    make_initramfs
    configure_all
    [ -e /dev/ublk-control ] || check "a host without ublk is told so" says_what_is_missing
    for scenario in "${scenarios[@]}"; do
        run_scenario "$scenario"
    done
    say "${#scenarios[@]} scenarios: $passed passed, $failed failed"
    [ "$failed" = 0 ] || keep=yes
    [ "$failed" = 0 ]
}

main "$@"
