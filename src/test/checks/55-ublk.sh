#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The real bin/ublk-backend serves disks of a real kernel that has ublk (see
# src/test/guest/ublk/run.sh). Needs the build of `mvn verify`.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../guest/ublk/run.sh" "$@"
