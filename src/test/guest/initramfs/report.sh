# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=sh
#
# How the guest tells the host what it found, over the serial line: "ok ..." and "FAIL ..." per
# check, "guest: N passed, N failed" at the end. Sourced by the init of the initramfs and by that of
# the root file system, which takes over the counts.

passed=${passed:-0}
failed=${failed:-0}

# Runs a command, counts it and has its status: check "what must hold" command...
check()
{
    what=$1
    shift
    if "$@" >/tmp/check.log 2>&1; then
        passed=$((passed + 1))
        echo "ok $what"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL $what: $(tail -n 8 /tmp/check.log)"
    return 1
}

same()
{
    echo "is '$1', expected '$2'"
    [ "$1" = "$2" ]
}

finish()
{
    check "the kernel log has no disk error" no_kernel_error
    echo "guest: $passed passed, $failed failed"
    poweroff -f
}

no_kernel_error()
{
    ! dmesg | grep -v 'MP-BIOS bug' | grep -iE 'I/O error|EXT4-fs (error|warning)|blocked for more than|critical|WARNING:|BUG:'
}
