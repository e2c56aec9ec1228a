#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The newcomer's first command works and verifies what it wrote.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

output=$(bin/quickstart 2>&1) || { printf '%s\n' "$output"; exit 1; }
printf '%s\n' "$output"
for expected in 'every byte matched' '{"version":' '"queues":' 'device vhost-user-blk-pci' \
    'SIGTERM: stopping' 'stopped'; do
    grep -qF -- "$expected" <<<"$output" || { echo "does not say: $expected"; exit 1; }
done
echo "1 quickstart"
