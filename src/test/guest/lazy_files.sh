# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# Looks at the files of a lazily filled disk from outside, after guest and back end are gone: the
# metadata as dump-metadata prints it, the base disk stripe by stripe against the image, and the
# file system that both make together. Sourced by run.sh.

lazy_files_dump()
{
    local kek
    mapfile -t kek < <(lazy_disk_kek)
    "$repository/bin/dump-metadata" --config "$work/backend.yaml" "${kek[@]}" >"$work/dump"
    cat "$work/dump"
    grep -qFx "stripe size: $lazy_stripe_bytes bytes" "$work/dump"
}

# Prints the ids of one list of the dump, one a line: fetched, written or has-source.
lazy_files_stripes()
{
    sed -n "s/^$1 stripes: //p" "$work/dump" | tr -s ', ' '\n' |
        while IFS=- read -r first last; do
            [ -z "$first" ] || seq "$first" "${last:-$first}"
        done
}

# Sets the files of ids that the checks below work with.
lazy_files_sort_stripes()
{
    local last=$((variant_bytes / lazy_stripe_bytes - 1))
    lazy_files_stripes fetched | sort >"$work/fetched"
    lazy_files_stripes written | sort >"$work/written"
    lazy_files_stripes has-source | sort >"$work/has-source"
    seq 0 "$last" | sort >"$work/all"
    comm -23 "$work/all" "$work/has-source" >"$work/no-source"
    comm -23 "$work/has-source" "$work/fetched" >"$work/cold"
    comm -23 "$work/fetched" "$work/written" >"$work/copied"
    sort "$work/fetched" "$work/no-source" >"$work/local"
}

# Turns ids into ranges of "FIRST COUNT".
lazy_files_ranges()
{
    sort -n | awk 'NR > 1 && $1 == next_id { count++; next_id++; next }
        NR > 1 { print first, count }
        { first = $1; count = 1; next_id = $1 + 1 }
        END { if (NR > 0) print first, count }'
}

# Makes $work/decrypted.img from the base disk, by OpenSSL's cipher.
lazy_files_decrypt()
{
    if [ "$variant_keys" = none ]; then
        cp "$disk_file" "$work/decrypted.img"
    else
        "$xts_tool" decrypt "$xts_key1" "$xts_key2" 0 openssl <"$disk_file" >"$work/decrypted.img"
    fi
    cp "$work/root.img" "$work/padded.img"
    truncate -s "$variant_bytes" "$work/padded.img"
}

# same_stripes LIST FILE FILE: both have the same bytes in the stripes of the list, of which there
# must be some.
lazy_files_same_stripes()
{
    local first count ranges=0
    while read -r first count; do
        cmp -n $((count * lazy_stripe_bytes)) -i $((first * lazy_stripe_bytes)) "$2" "$3" || {
            echo "in stripes $first to $((first + count - 1))"
            return 1
        }
        ranges=$((ranges + 1))
    done < <(lazy_files_ranges <"$1")
    echo "$(wc -l <"$1") stripes in $ranges ranges are the same"
    [ "$ranges" != 0 ]
}

lazy_files_written_differ()
{
    [ -s "$work/written" ] && ! lazy_files_same_stripes "$work/written" "$work/decrypted.img" "$work/padded.img"
}

# Nothing was ever written to a stripe that is not fetched.
lazy_files_cold_are_empty()
{
    truncate -s "$variant_bytes" "$work/zeros.img"
    lazy_files_same_stripes "$work/cold" "$disk_file" "$work/zeros.img"
}

lazy_files_all_fetched()
{
    [ ! -s "$work/cold" ]
}

# Without copy_on_read and autofetch, a stripe is fetched for nothing but a write to it.
lazy_files_only_written_fetched()
{
    diff "$work/fetched" <(comm -12 "$work/written" "$work/has-source")
}

# Makes $work/plain.img, the file system as the guest saw it: the base disk where it is filled, and
# the image elsewhere.
lazy_files_compose()
{
    local first count
    cp "$work/padded.img" "$work/plain.img"
    while read -r first count; do
        dd if="$work/decrypted.img" of="$work/plain.img" bs="$lazy_stripe_bytes" skip="$first" \
            seek="$first" count="$count" conv=notrunc status=none
    done < <(lazy_files_ranges <"$work/local")
}

lazy_files_base_is_complete()
{
    cmp -n $((lazy_image_kib * 1024)) "$work/decrypted.img" "$work/plain.img"
}

lazy_files_get()
{
    PATH=$PATH:/usr/sbin:/sbin debugfs -R "$1" "$work/plain.img"
}

lazy_files_payload()
{
    rm -rf "$work/found"
    mkdir "$work/found"
    lazy_files_get "rdump /payload $work/found"
    lazy_files_get "rdump /written $work/found"
    diff -r "$work/payload" "$work/found/payload" && diff -r "$work/payload" "$work/found/written/copy"
}

# What both boots wrote, worked out from the seed again.
lazy_files_writes()
{
    local expected=$work/found/expected
    head -c $((40 * 65536)) "$work/payload/stream" | cmp - "$work/found/written/write" &&
        head -c $((40 * 65536)) "$work/payload/stream" | cmp - "$work/found/written/verify" || return
    payload_bytes overwritten $((3 * 1024 * 1024)) >"$expected"
    head -c 3000 "$work/payload/stream" |
        dd of="$expected" bs=1000 seek=1500 conv=notrunc status=none
    lazy_files_get "dump /overwritten $work/found/overwritten"
    cmp "$expected" "$work/found/overwritten" || return
    lazy_files_get "dump /appended $work/found/appended"
    printf '%s\n' 'in the image' 'appended by step write' 'appended by step verify' |
        cmp - "$work/found/appended" || return
    [[ $(lazy_files_get "stat /removed" 2>&1) == *"File not found"* ]]
}

lazy_files_ballast()
{
    lazy_files_get "dump /ballast $work/found/ballast"
    payload_bytes ballast $((24 * 1024 * 1024)) | cmp - "$work/found/ballast"
}

lazy_files_hide_markers()
{
    raw_file_hides_markers && ! raw_file_contains BDEV_UBI "$work/metadata"
}

lazy_files_check_stripes()
{
    check "what was fetched and not written is the image" \
        lazy_files_same_stripes "$work/copied" "$work/decrypted.img" "$work/padded.img"
    check "what was written is not the image" lazy_files_written_differ
    if [ "$variant_autofetch" = true ]; then
        check "every stripe of the image is fetched" lazy_files_all_fetched
        check "the base disk alone is the whole file system" lazy_files_base_is_complete
    else
        check "what was not fetched is still empty" lazy_files_cold_are_empty
    fi
}

lazy_files_check()
{
    check "the raw file keeps its size" raw_file_has_its_size
    check "dump-metadata prints the stripes" lazy_files_dump
    lazy_files_sort_stripes
    check "the base disk can be decrypted" lazy_files_decrypt
    check "base disk and image make a file system" lazy_files_compose
    if [ "$variant_autofetch$variant_copy_on_read" = falsefalse ]; then
        check "only what was written is fetched" lazy_files_only_written_fetched
        check "what was not fetched is still empty" lazy_files_cold_are_empty
    else
        lazy_files_check_stripes
    fi
    check "e2fsck on the host finds nothing" raw_file_is_clean
    check "the payload and its copy are there" lazy_files_payload
    check "everything that the guest wrote is there" lazy_files_writes
    check "what nobody touched is there" lazy_files_ballast
    if [ "$variant_keys" = none ]; then
        check "the markers are in the raw file of a plain disk" raw_file_shows_markers
    else
        check "no plaintext is in the files of an encrypted disk" lazy_files_hide_markers
    fi
}
