# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# The guest's kernel: Debian's own package, unpacked into a cache and never installed.
#
# Sourced by run.sh and ublk/run.sh, and by checks that boot it otherwise. It is kept in
# ${XDG_CACHE_HOME:-$HOME/.cache}/ubiblk-guest (or UBIBLK_GUEST_CACHE). A bzImage boots as well, but
# its decompressor runs under emulation and takes a good part of the boot, so the kernel is unpacked
# here if that can be done, and enters through PVH.

# What users install, best first, and which directories of the cache are as good.
kernel_metapackages=(linux-image-6.12-cloud-amd64 linux-image-6.12-amd64 linux-image-cloud-amd64)
kernel_cached='linux-image-*cloud*'

# Prints the concrete kernel packages to try, best first: the names users install are metapackages.
kernel_candidates()
{
    local meta
    for meta in "${kernel_metapackages[@]}"; do
        apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p'
    done
}

# Reads a little-endian integer of $3 bytes at offset $2 of file $1.
kernel_header_field()
{
    od -An -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# Writes the uncompressed kernel inside bzImage $1 to $2, or the bzImage itself. Offsets are those of Linux's x86 boot
# protocol: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c. The payload
# ends with its uncompressed size in four bytes that zstd and xz would take for garbage.
kernel_decompress()
{
    local image=$1 kernel=$2 setup offset length unpack trailer=4
    setup=$(kernel_header_field "$image" $((0x1f1)) 1)
    offset=$(($(kernel_header_field "$image" $((0x248)) 4) + (setup + 1) * 512))
    length=$(kernel_header_field "$image" $((0x24c)) 4)
    case $(od -An -t x1 -j "$offset" -N 4 "$image" | tr -d ' ') in
    28b52ffd) unpack=zstd ;;
    fd377a58) unpack=xz ;;
    1f8b08*) unpack=gzip trailer=0 ;;
    *) cp "$image" "$kernel" && return ;;
    esac
    tail -c "+$((offset + 1))" "$image" | head -c $((length - trailer)) | "$unpack" -dc >"$kernel"
}

# Downloads and unpacks the kernel package $1 as directory $2.
kernel_unpack()
{
    local package=$1 directory=$2 fresh version
    say "unpacking $package into $guest_cache"
    fresh=$(mktemp -d "$guest_cache/unpack.XXXXXX")
    (cd "$fresh" && apt-get -qq download "$package" 2>apt.log) || {
        cat "$fresh/apt.log" >&2
        rm -rf "$fresh"
        return 1
    }
    dpkg -x "$fresh"/*.deb "$fresh/root"
    [ -d "$fresh/root/lib/modules" ] || mv "$fresh/root/usr/lib/modules" "$fresh/root/lib/"
    version=$(ls "$fresh/root/lib/modules")
    depmod -b "$fresh/root" "$version"
    kernel_decompress "$fresh/root/boot/vmlinuz-$version" "$fresh/root/kernel"
    mv "$fresh/root" "$directory"
    rm -rf "$fresh"
}

# Sets kernel_root to an unpacked kernel: one from the cache, else the first that can be had.
kernel_provide()
{
    local package
    guest_cache=${UBIBLK_GUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-$repository/target}/.cache}/ubiblk-guest}
    mkdir -p "$guest_cache"
    exec 8>"$guest_cache/lock"
    flock 8
    kernel_root=$(find "$guest_cache" -maxdepth 1 -name "$kernel_cached" | sort -V | tail -1)
    [ -n "$kernel_root" ] || [ -n "$(kernel_candidates)" ] || [ "$(id -u)" != 0 ] ||
        apt-get -qq update
    for package in $(kernel_candidates); do
        [ -z "$kernel_root" ] || break
        if [ -d "$guest_cache/$package" ] || kernel_unpack "$package" "$guest_cache/$package"; then
            kernel_root=$guest_cache/$package
        fi
    done
    exec 8>&-
    [ -n "$kernel_root" ] || die "no kernel: 'apt-get update' and apt sources for bookworm and" \
        "bookworm-security are needed to download ${kernel_metapackages[0]}"
    kernel_version=$(ls "$kernel_root/lib/modules")
}
