# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# The files that travel through the disk. The same seed gives the same bytes, so that the host can
# compare what it finds in the raw file with what the guest was given. Sourced by run.sh.

# Planted in every text file and in no place of an encrypted disk.
payload_marker=UBIBLK-PLAINTEXT-MARKER

# Prints $2 bytes that depend only on the seed and on the name $1.
payload_bytes()
{
    local key
    key=$(printf '%s %s' "$payload_seed" "$1" | sha256sum | cut -d' ' -f1)
    head -c "$2" /dev/zero | openssl enc -aes-256-ctr -K "$key" -iv "${key:0:32}"
}

# Prints $2 lines, each with the marker and its own number.
payload_text()
{
    seq -f "$payload_marker $payload_seed $1 line %.0f" "$2"
}

# Makes the payload in directory $1: sizes around sectors, blocks and pages, text and binary, one
# long stream, nested directories, and a manifest of checksums.
payload_make()
{
    local directory=$1 size number
    mkdir -p "$directory/text/deep/er" "$directory/sizes"
    for size in 0 1 511 512 513 4095 4096 4097 65535 65536 65537 1048577; do
        payload_bytes "size $size" "$size" >"$directory/sizes/$size"
    done
    for number in $(seq 24); do
        payload_text "$number" $((number * number)) >"$directory/text/$number"
        payload_bytes "deep $number" $((number * 3001)) >"$directory/text/deep/er/$number"
    done
    { payload_text stream 10000 && payload_bytes stream 4194304; } >"$directory/stream"
    (cd "$directory" && find . -type f ! -name manifest -print0 | sort -z |
        xargs -0 sha256sum) >"$work/manifest"
    mv "$work/manifest" "$directory/manifest"
}
