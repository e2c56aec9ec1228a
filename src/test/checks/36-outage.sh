#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# The image of a disk that bin/vhost-backend is filling cannot be read for a while, or reading it
# hangs: what needs it waits, nothing else does, and no restart is needed afterwards. Needs the
# build of `mvn verify`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.."

[ -r target/ubiblk/ubiblk.jar ] || { echo "no target/ubiblk/ubiblk.jar: mvn verify"; exit 1; }
UBIBLK_BACKEND_CMD=$PWD/bin/vhost-backend target/native/tools/lazy_outage

# The program of the tests whose source can be told to hang, started like the real one.
programs=$PWD/target/check/stalled
stalled=$programs/vhost-backend
mkdir -p "$programs"
ln -sf "$PWD/bin/init-metadata" "$PWD/bin/dump-metadata" "$programs"
cat >"$stalled" <<END
#!/bin/sh
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "@$PWD/target/ubiblk/jvm.args" \
    -cp "$PWD/target/ubiblk/ubiblk.jar:$PWD/target/test-classes" \
    "-Dubiblk.library=$PWD/target/ubiblk" io.ubiblk.backend.StalledBackend "\$@"
END
chmod +x "$stalled"
UBIBLK_BACKEND_CMD=$stalled target/native/tools/lazy_outage stalled
