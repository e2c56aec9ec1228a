#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Boots a Debian kernel under QEMU's software emulation on a disk served over vhost-user-blk, lets
# it work with the disk, restarts the back end, boots again, and then reads the raw file itself.
# In the layout "root" the disk is empty at first, is filled from an image while the guest runs, and
# is the guest's root file system.
#
#   src/test/guest/run.sh [--backend ubiblk|qsd] [--keep] [VARIANT...]
#
# With qsd, qemu-storage-daemon stands in for the back end (plain disks only), which tells a fault
# of the back end from one of this test. Needs no KVM. UBIBLK_CHECK=full runs more variants. The
# kernel is kept in ${XDG_CACHE_HOME:-$HOME/.cache}/ubiblk-guest (or UBIBLK_GUEST_CACHE).
set -euo pipefail

guest_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$guest_dir/../../.." && pwd)

say()
{
    printf 'guest test: %s\n' "$*"
}

die()
{
    printf 'guest test: %s\n' "$*" >&2
    exit 1
}

# Runs a condition again and again until it holds or $1 seconds are over.
poll_until()
{
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# shellcheck source=src/test/guest/check.sh
. "$guest_dir/check.sh"
# shellcheck source=src/test/guest/kernel.sh
. "$guest_dir/kernel.sh"
# shellcheck source=src/test/guest/initramfs.sh
. "$guest_dir/initramfs.sh"
# shellcheck source=src/test/guest/payload.sh
. "$guest_dir/payload.sh"
# shellcheck source=src/test/guest/backend.sh
. "$guest_dir/backend.sh"
# shellcheck source=src/test/guest/boot.sh
. "$guest_dir/boot.sh"
# shellcheck source=src/test/guest/raw_file.sh
. "$guest_dir/raw_file.sh"
# shellcheck source=src/test/guest/lazy_disk.sh
. "$guest_dir/lazy_disk.sh"
# shellcheck source=src/test/guest/lazy_files.sh
. "$guest_dir/lazy_files.sh"

# name queues engine keys layout serial [extra configuration line...]
variants_reduced=(
    "plain-1 1 io_uring none whole"
    "plain-2 2 io_uring none partition"
    "encrypted-1 1 io_uring sealed whole"
    "encrypted-2 2 io_uring fresh partition"
    "encrypted-sync-2 2 sync fresh whole"
    "root-autofetch-2 2 io_uring fresh root copy_on_read:true autofetch:true"
)
variants_full=(
    "plain-sync-1 1 sync none partition"
    "plain-sync-2 2 sync none whole"
    "encrypted-sync-1 1 sync sealed partition"
    "plain-cached-2 2 io_uring none partition direct_io:false"
    "encrypted-cached-2 2 io_uring fresh whole direct_io:false"
    "plain-through-1 1 io_uring none whole write_through:true"
    "encrypted-4k-2 2 io_uring fresh partition logical_block_size:4096"
    "plain-memory-2 2 io_uring none whole memory:3G"
    "root-demand-2 2 io_uring sealed root copy_on_read:true"
    "root-through-1 1 io_uring fresh root copy_on_read:false"
    "root-sync-2 2 sync fresh root copy_on_read:false autofetch:true"
    "root-plain-1 1 io_uring none root copy_on_read:true direct_io:false"
)

# Sets variant_* from a line of the tables above.
variant_set()
{
    local words extra
    read -r -a words <<<"$1"
    variant_name=${words[0]}
    variant_queues=${words[1]}
    variant_engine=${words[2]}
    variant_keys=${words[3]}
    variant_layout=${words[4]}
    variant_serial=${variant_name:0:20}
    variant_bytes=$((128 * 1024 * 1024))
    variant_memory=512M
    variant_cache=write_back
    variant_block_size=512
    variant_autofetch=false
    variant_copy_on_read=false
    variant_extra=()
    for extra in "${words[@]:5}"; do
        case $extra in
        memory:*) variant_memory=${extra#*:} ;;
        write_through:true) variant_cache=write_through ;;&
        logical_block_size:*) variant_block_size=${extra#*:} ;;&
        autofetch:*) variant_autofetch=${extra#*:} ;;&
        copy_on_read:*) variant_copy_on_read=${extra#*:} ;;&
        *) variant_extra+=("${extra%%:*}: ${extra#*:}") ;;
        esac
    done
    if [ "$backend" = qsd ]; then
        variant_serial=vhost_user_blk
        variant_cache=write_through
    fi
}

# Adds the guest's own counts from its serial log and shows what it found wrong.
count_guest()
{
    local log=$1 line
    line=$(tr -d '\r' <"$log" | sed -n 's/^guest: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    passed=$((passed + ${line% *}))
    failed=$((failed + ${line#* }))
    [ "${line#* }" = 0 ] || tr -d '\r' <"$log" | grep -A8 '^FAIL' | sed 's/^/    /' || true
}

show_logs()
{
    local log
    for log in "$@"; do
        [ -s "$log" ] || continue
        echo "    --- the end of $(basename "$log")"
        tail -n 25 "$log" | tr -d '\r' | sed 's/^/    /'
    done
}

# One life of the back end with one boot of the guest: boot_once write|verify
boot_once()
{
    local step=$1 before=$failed
    local serial=$work/$variant_name-$step.serial log=$work/$variant_name-$step.backend
    check "the back end starts ($step)" backend_start "$log"
    if [ -n "$backend_pid" ]; then
        check "the guest runs to its end ($step)" boot_guest "$step" "$serial"
        if [ "$failed" = "$before" ]; then
            count_guest "$serial"
            [ "$variant_layout" != root ] || lazy_disk_check_progress "$step"
        fi
        check "the back end stops on SIGTERM ($step)" backend_stop
    fi
    [ "$failed" = "$before" ] || show_logs "$serial" "$log"
    [ "$failed" = "$before" ]
}

check_raw_file()
{
    check "the raw file keeps its size" raw_file_has_its_size
    check "the file system can be read from the raw file" raw_file_system
    check "e2fsck on the host finds nothing" raw_file_is_clean
    check "the payload is in the raw file" raw_file_has_payload
    check "the files of all cache modes are in the raw file" raw_file_has_cache_mode_files
    if [ "$variant_keys" = none ]; then
        check "the markers are in the raw file of a plain disk" raw_file_shows_markers
    else
        check "no plaintext is in the raw file of an encrypted disk" raw_file_hides_markers
    fi
}

variant_run()
{
    local begin=$SECONDS
    passed=0
    failed=0
    rm -f "$disk_file"
    truncate -s "$variant_bytes" "$disk_file"
    backend_configure
    if [ "$variant_layout" = root ]; then
        lazy_disk_make && boot_once write && boot_once verify && lazy_files_check
    else
        boot_once write && boot_once verify && check_raw_file
    fi
    say "$variant_name: $passed passed, $failed failed ($((SECONDS - begin)) s)"
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
}

# Sees to the Debian packages: installs them when it may, else says how.
require_packages()
{
    local need=() pair
    for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static modprobe:kmod xz:xz-utils \
        zstd:zstd mke2fs:e2fsprogs debugfs:e2fsprogs openssl:openssl nc:netcat-openbsd jq:jq; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || need+=("${pair#*:}")
    done
    [ "${#need[@]}" != 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "missing packages; run: sudo apt-get install ${need[*]}"
    say "installing ${need[*]}"
    apt-get -qq update || true
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${need[@]}" \
        >/dev/null || die "could not install: apt-get install ${need[*]}"
}

clean_up()
{
    boot_kill
    backend_kill
    rm -rf "$socket_dir"
    if [ "$keep" = yes ]; then
        say "files are in $work"
    else
        rm -rf "$work"
    fi
}

usage()
{
    sed -n '4,13s/^# \{0,1\}//p' "$guest_dir/run.sh"
}

parse_arguments()
{
    backend=ubiblk
    keep=no
    chosen=()
    while [ $# -gt 0 ]; do
        case $1 in
        --backend) backend=${2:?} && shift ;;
        --keep) keep=yes ;;
        --help) usage && exit 0 ;;
        -*) die "unknown option $1" ;;
        *) chosen+=("$1") ;;
        esac
        shift
    done
}

# The programs of this project that the chosen back end needs.
require_build()
{
    local program
    [ "$backend" = ubiblk ] || return 0
    for program in "$repository"/bin/{vhost-backend,init-metadata,dump-metadata} "$xts_tool"; do
        [ -x "$program" ] || die "$program is missing: build first (mvn -DskipTests package)"
    done
}

# Prints the lines of the variants to run.
chosen_variants()
{
    local line all=("${variants_reduced[@]}" "${variants_full[@]}") default=("${variants_reduced[@]}")
    [ "${UBIBLK_CHECK:-reduced}" != full ] || default=("${all[@]}")
    [ "${#chosen[@]}" = 0 ] || default=("${all[@]}")
    for line in "${default[@]}"; do
        [ "${#chosen[@]}" = 0 ] || [[ " ${chosen[*]} " == *" ${line%% *} "* ]] || continue
        [ "$backend" = ubiblk ] || [[ $line == *" none "* && $line != *" root"* ]] || continue
        printf '%s\n' "$line"
    done
}

main()
{
    local line lines
    parse_arguments "$@"
    xts_tool=${UBIBLK_XTS_TOOL:-$repository/target/native/tools/xts_tool}
    require_packages
    require_build
    mkdir -p "$repository/target"
    # The socket's name must be short; the disk should be on a real file system, not on tmpfs.
    work=$(mktemp -d "$repository/target/guest.XXXXXX")
    socket_dir=$(mktemp -d "${TMPDIR:-/tmp}/ubiblk-guest.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    socket=$socket_dir/vhost.sock
    disk_file=$work/disk.raw
    payload_seed=${UBIBLK_SEED:-42}
    total_passed=0
    total_failed=0
    kernel_provide
    say "back end $backend, kernel $kernel_version, seed $payload_seed"
    payload_make "$work/payload"
    initramfs_build "$work/initramfs.cpio" "$work/payload"
    mapfile -t lines < <(chosen_variants)
    [ "${#lines[@]}" != 0 ] || die "no such variant: ${chosen[*]}"
    for line in "${lines[@]}"; do
        variant_set "$line"
        variant_run
    done
    say "${#lines[@]} variants: $total_passed passed, $total_failed failed"
    [ "$total_failed" = 0 ] || keep=yes
    [ "$total_failed" = 0 ]
}

main "$@"
