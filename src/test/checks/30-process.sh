#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The process-level C tests once more, against the program that operators run: bin/vhost-backend
# with a configuration file each, from start to SIGTERM. Needs the build of `mvn verify`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

export UBIBLK_BACKEND_CMD=$PWD/bin/vhost-backend
tests=target/native/test/integration

[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }
for name in termination protocol guest_requests hostile_messages hostile_queues hostile_memory \
    hostile_rings queue_lifecycle data_integrity disconnect; do
    echo "== $name"
    "$tests/${name}_test"
done
