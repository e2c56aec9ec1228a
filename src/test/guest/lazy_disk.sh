# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# A disk that is empty at first and filled from an image: the image with a root file system, the
# metadata file, the configuration, and what the RPC says of the progress. Sourced by run.sh.

# 256 sectors, 128 KiB: small enough that what the guest touches is a part of the image.
lazy_stripe_shift=8
lazy_stripe_bytes=$((512 << lazy_stripe_shift))
# In KiB; no multiple of a stripe.
lazy_image_kib=$((72 * 1024 + 36))

lazy_disk_configure()
{
    cat >>"$work/backend.yaml" <<END
metadata_path: $work/metadata
rpc_socket_path: $socket_dir/rpc.sock
track_written: true
stripe_source:
  source: raw
  path: "$work/root.img"
END
}

# Makes the image once: busybox, an init of its own, the payload, files to be changed, and ballast
# that nobody reads.
lazy_disk_make_image()
{
    local tree
    [ ! -e "$work/root.img" ] || return 0
    tree=$(mktemp -d "$work/root.XXXXXX")
    mkdir -p "$tree"/{bin,sbin,lib,dev,proc,sys,tmp,written}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    local applet
    for applet in sh mount grep sha256sum dd cmp cp mkdir rm sync tail dmesg poweroff readlink; do
        ln -s busybox "$tree/bin/$applet"
    done
    install -m 755 "$guest_dir/root/init" "$tree/sbin/init"
    install -m 644 "$guest_dir/initramfs/report.sh" "$tree/lib/report.sh"
    cp -r "$work/payload" "$tree/payload"
    payload_bytes ballast $((24 * 1024 * 1024)) >"$tree/ballast"
    payload_bytes overwritten $((3 * 1024 * 1024)) >"$tree/overwritten"
    payload_bytes removed 400000 >"$tree/removed"
    echo "in the image" >"$tree/appended"
    truncate -s "${lazy_image_kib}K" "$work/root.fresh"
    PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -F -L ubiblk-label -E root_owner=0:0 -d "$tree" \
        "$work/root.fresh"
    mv "$work/root.fresh" "$work/root.img"
    rm -rf "$tree"
}

# The KEK's option of the metadata programs.
lazy_disk_kek()
{
    [ "$variant_keys" != sealed ] || printf '%s\n' --kek "$work/kek.yaml"
}

lazy_disk_init_metadata()
{
    local kek
    mapfile -t kek < <(lazy_disk_kek)
    rm -f "$work/metadata"
    "$repository/bin/init-metadata" --config "$work/backend.yaml" "${kek[@]}" \
        -s "$lazy_stripe_shift"
}

lazy_disk_make()
{
    lazy_disk_make_image
    check "the metadata file is made" lazy_disk_init_metadata
    [ "$failed" = 0 ]
}

# Prints one number of the RPC's status: fetched, source, no_source or total.
lazy_disk_status()
{
    printf '{"command":"status"}\n' | nc -N -U "$socket_dir/rpc.sock" |
        jq -e ".status.stripes.$1"
}

lazy_disk_is_filled()
{
    [ "$(lazy_disk_status fetched)" -eq "$(lazy_disk_status source)" ]
}

lazy_disk_counts_are_right()
{
    local total=$((variant_bytes / lazy_stripe_bytes))
    local source=$(((lazy_image_kib * 1024 + lazy_stripe_bytes - 1) / lazy_stripe_bytes))
    echo "total $(lazy_disk_status total), source $(lazy_disk_status source)," \
        "no_source $(lazy_disk_status no_source); expected $total, $source, $((total - source))"
    [ "$(lazy_disk_status total)" = "$total" ] && [ "$(lazy_disk_status source)" = "$source" ] &&
        [ "$(lazy_disk_status no_source)" = "$((total - source))" ]
}

lazy_disk_is_filled_in_part()
{
    echo "$(lazy_disk_status fetched) of $(lazy_disk_status source) stripes are fetched"
    [ "$(lazy_disk_status fetched)" -gt 0 ] &&
        [ "$(lazy_disk_status fetched)" -lt "$(lazy_disk_status source)" ]
}

# After a boot, while the back end runs.
lazy_disk_check_progress()
{
    local step=$1
    check "the RPC counts the stripes ($step)" lazy_disk_counts_are_right
    if [ "$variant_autofetch" = true ]; then
        check "autofetch fills the disk ($step)" poll_until 60 lazy_disk_is_filled
    else
        check "only a part of the image is fetched ($step)" lazy_disk_is_filled_in_part
    fi
    say "$variant_name: $(lazy_disk_status fetched) of $(lazy_disk_status source) stripes" \
        "fetched after boot $step"
}
