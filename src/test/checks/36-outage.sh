#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The image of a disk that bin/vhost-backend is filling cannot be read for a while: what needs it
# waits, nothing else does, and no restart is needed afterwards. Needs the build of `mvn verify`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }
UBIBLK_BACKEND_CMD=$PWD/bin/vhost-backend exec target/native/tools/lazy_outage
