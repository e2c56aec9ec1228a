#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The AES-XTS engine for AVX-512 on every machine: its tests, those of the agreement of all engines,
# of traces of keys and of what the CPU can do. Where the CPU has no AVX-512 they run on Linux on a
# CPU that has, emulated by Bochs, with a fiftieth of the usual counts, or with UBIBLK_CHECK=full
# with the usual ones. Needs the build of `mvn verify`, and bochs.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

repository=$PWD
tests=$repository/target/native/test/crypt
programs=(cpu_test xts_vaes512_test xts_traces_test xts_agreement_test)
check=brief limit_s=900
[ "${UBIBLK_CHECK:-reduced}" != full ] || check=reduced limit_s=7200

say()
{
    printf 'vaes512: %s\n' "$*"
}

die()
{
    say "$*"
    exit 1
}

skip()
{
    echo "SKIPPED: $*"
    exit 77
}

# shellcheck source=src/test/guest/kernel.sh
. src/test/guest/kernel.sh
# shellcheck source=src/test/guest/initramfs.sh
. src/test/guest/initramfs.sh
# shellcheck source=src/test/bochs/machine.sh
. src/test/bochs/machine.sh

cpu_has_vaes512()
{
    local flags flag
    flags=" $(grep -m1 '^flags' /proc/cpuinfo) "
    for flag in avx512f avx512dq avx512bw avx512vl vaes vpclmulqdq; do
        [[ $flags == *" $flag "* ]] || return 1
    done
}

# Makes the initramfs $1: the programs with their libraries and vectors. The program openssl brings
# the library that an engine loads.
make_initramfs()
{
    local tree program
    tree=$(initramfs_begin)
    for program in "${programs[@]}"; do
        initramfs_add_program "$tests/$program" "$tree"
    done
    initramfs_add_program openssl "$tree"
    mkdir -p "$tree$repository/src/test/resources/vectors"
    cp -r src/test/resources/vectors/xts "$tree$repository/src/test/resources/vectors/"
    printf '%s\n' "${programs[@]}" >"$tree/programs"
    echo "export UBIBLK_CHECK=$check UBIBLK_SEED=${UBIBLK_SEED:-42}" >"$tree/environment"
    install -m 755 src/test/bochs/init "$tree/init"
    initramfs_end "$tree" "$1"
}

# What the programs have to have said in $1, so that a test that passed over the engine is no pass.
assess()
{
    local program
    for program in "${programs[@]}"; do
        grep -qx "== $program ended with 0" "$1" || die "$program did not pass"
    done
    ! grep -i skipped "$1" || die "tests were skipped on a CPU that has all they need"
    grep -q ' random requests to each of vaes512, vaes256, aesni, openssl, seed' "$1" ||
        die "the engines did not all agree"
}

run_emulated()
{
    local ended=yes
    kernel_provide
    say "Linux $kernel_version on a CPU with AVX-512, emulated by Bochs"
    make_initramfs "$work/initramfs.cpio"
    bochs_disk "$kernel_root/kernel" "$work/initramfs.cpio" "$work/disk"
    bochs_configure "$work/machine" "$work/disk" "$work/serial"
    bochs_run "$work/machine" "$limit_s" || ended=no
    touch "$work/serial"
    tr -d '\r' <"$work/serial" | tee "$work/output"
    [ "$ended" = yes ] || tail -n 20 "$work/machine.screen" "$work/machine.log" | tr -d '\r'
    [ "$ended" = yes ] || die "the machine failed, or was not switched off in $limit_s s"
    assess "$work/output"
}

[ "$(uname -m)" = x86_64 ] || skip "the CPU lacks the instructions of x86-64"
[ -x "$tests/xts_vaes512_test" ] || die "no $tests: mvn verify"
if cpu_has_vaes512; then
    say "this CPU has AVX-512: what step java has tested is the engine itself"
    for program in "${programs[@]}"; do
        "$tests/$program"
    done
    exit 0
fi
command -v bochs >/dev/null || skip "neither the CPU nor Bochs, which is missing, has AVX-512"
work=$(mktemp -d "$repository/target/vaes512.XXXXXX")
trap 'bochs_kill; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
run_emulated
