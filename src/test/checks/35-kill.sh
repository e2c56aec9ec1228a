#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# kill -9 of bin/vhost-backend at random moments, over disks that are being filled from an image:
# nothing that it had acknowledged is lost. Needs the build of `mvn verify`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }
UBIBLK_BACKEND_CMD=$PWD/bin/vhost-backend exec target/native/tools/lazy_kill
