# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# The guest's only file system besides the disk under test: busybox, the modules it needs, mke2fs
# and e2fsck, and the payload that is copied to the disk. Sourced by run.sh, and by checks that boot
# an initramfs of their own.

# Prints the name of a new tree with busybox in it.
initramfs_begin()
{
    local tree
    tree=$(mktemp -d "$work/initramfs.XXXXXX")
    mkdir -p "$tree"/{bin,dev,etc,mnt,proc,sys,tmp,tools}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    echo "$tree"
}

# Packs the tree $1 as the initramfs $2 and removes it.
initramfs_end()
{
    (cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null) >"$2"
    rm -rf "$1"
}

# Copies the program $1 and the libraries it is linked with into the tree $2. Its directory is one
# of its own since busybox's shell prefers the applet to a program of the same name in PATH.
initramfs_add_program()
{
    local program tree=$2 file
    program=$(PATH=$PATH:/usr/sbin:/sbin command -v "$1") || die "$1 is not installed"
    cp -L "$program" "$tree/tools/"
    for file in $(ldd "$program" | grep -o '/[^ )]*'); do
        mkdir -p "$tree$(dirname "$file")"
        cp -L "$file" "$tree$file"
    done
}

# Puts the modules $2... with all they depend on into the tree $1, numbered in loading order.
initramfs_add_modules()
{
    local tree=$1 module path number=10
    shift
    mkdir -p "$tree/modules"
    for module in "$@"; do
        for path in $(modprobe -d "$kernel_root" -S "$kernel_version" --show-depends "$module" |
            sed -n 's/^insmod \([^ ]*\).*/\1/p'); do
            initramfs_unpack_module "$path" "$tree/modules/$number"
            number=$((number + 1))
        done
    done
}

initramfs_unpack_module()
{
    case $1 in
    *.xz) xz -dc "$1" >"$2.ko" ;;
    *.zst) zstd -qdc "$1" >"$2.ko" ;;
    *) cp "$1" "$2.ko" ;;
    esac
}

# Packs the initramfs $1 with the payload directory $2.
initramfs_build()
{
    local image=$1 payload=$2 tree
    tree=$(initramfs_begin)
    initramfs_add_program mke2fs "$tree"
    initramfs_add_program e2fsck "$tree"
    cp /etc/mke2fs.conf "$tree/etc/"
    initramfs_add_modules "$tree" virtio_pci virtio_blk ext4
    cp -r "$payload" "$tree/payload"
    install -m 755 "$guest_dir/initramfs/init" "$tree/init"
    install -m 644 "$guest_dir/initramfs/report.sh" "$tree/report.sh"
    initramfs_end "$tree" "$image"
}
