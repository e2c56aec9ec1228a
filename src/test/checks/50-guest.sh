#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# A real Linux guest under QEMU works with plain and encrypted disks (see src/test/guest/run.sh).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../guest/run.sh" "$@"
