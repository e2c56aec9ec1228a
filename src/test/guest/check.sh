# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# How the host counts what it finds from outside the guest. Sourced by run.sh and ublk/run.sh, which
# have say, passed, failed and work.

# Counts one check of the host: check "what must hold" command...
check()
{
    local what=$1
    shift
    if "$@" >"$work/check.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "${variant_name:+$variant_name: }FAILED: $what"
        tail -n 12 "$work/check.log" | sed 's/^/    /'
    fi
}
