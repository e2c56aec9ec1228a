# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# Looks at the raw file from outside, after guest and back end are gone. Sourced by run.sh.

# Makes $work/plain.img: the ext4 file system as the guest saw it.
raw_file_system()
{
    local skip=0 image=$disk_file
    if [ "$variant_keys" != none ]; then
        image=$work/decrypted.img
        # By OpenSSL's cipher, so that a mistake of our own engines cannot cancel out.
        "$xts_tool" decrypt "$xts_key1" "$xts_key2" 0 openssl <"$disk_file" >"$image"
    fi
    # The partition begins at logical block 2048.
    [ "$variant_layout" != partition ] || skip=$((2048 * variant_block_size / 1048576))
    dd if="$image" of="$work/plain.img" bs=1M skip="$skip" conv=sparse status=none
}

raw_file_is_clean()
{
    PATH=$PATH:/usr/sbin:/sbin e2fsck -f -n "$work/plain.img"
}

# The payload, read from the image without mounting it, equals what the guest was given.
raw_file_has_payload()
{
    rm -rf "$work/found"
    mkdir "$work/found"
    PATH=$PATH:/usr/sbin:/sbin debugfs -R "rdump /payload $work/found" "$work/plain.img"
    (cd "$work/found/payload" && sha256sum --quiet -c "$work/payload/manifest") &&
        [ "$(find "$work/found/payload" -type f | wc -l)" = "$(wc -l <"$work/payload/manifest")" ]
}

# What was written in each cache mode and after the restart.
raw_file_has_cache_mode_files()
{
    local name expected
    expected=$(head -c 524288 "$work/payload/stream" | sha256sum)
    for name in through back through-again restarted; do
        PATH=$PATH:/usr/sbin:/sbin debugfs -R "dump /$name $work/found/$name" "$work/plain.img"
        [ "$(sha256sum <"$work/found/$name")" = "$expected" ] || {
            echo "$name differs"
            return 1
        }
    done
}

raw_file_contains()
{
    LC_ALL=C grep -a -q -F -e "$1" "$2"
}

# A plain disk has the markers in clear; an encrypted one only after decryption.
raw_file_hides_markers()
{
    raw_file_contains "$payload_marker" "$work/plain.img" || {
        echo "no marker in the decrypted image: this check would prove nothing"
        return 1
    }
    ! raw_file_contains "$payload_marker" "$disk_file" &&
        ! raw_file_contains ubiblk-label "$disk_file"
}

raw_file_shows_markers()
{
    raw_file_contains "$payload_marker" "$disk_file" && raw_file_contains ubiblk-label "$disk_file"
}

raw_file_has_its_size()
{
    echo "the file has $(stat -c %s "$disk_file") bytes, expected $variant_bytes"
    [ "$(stat -c %s "$disk_file")" = "$variant_bytes" ]
}
