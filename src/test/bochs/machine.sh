# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# A machine emulated by Bochs, whose CPU has AVX-512, with Linux and an initramfs. Sourced by
# checks, with src/test/guest/kernel.sh, whose kernel it boots.

bochs_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

bochs_memory_mib=256
# Linux writes down what it made of the CPU's description, and refuses XSAVE if the sizes that Bochs
# tells for XSAVES, XSAVEC and PKU differ from its own sums. The other words only save time.
bochs_command_line="console=ttyS0 loglevel=1 panic=-1 clearcpuid=xsaves,xsavec,pku mitigations=off\
 cryptomgr.notests initcall_blacklist=load_system_certificate_list,jent_mod_init,trace_eval_init"

# The headers of the ELF file $1 as readelf prints them, one per line.
bochs_elf()
{
    LC_ALL=C readelf -lnW "$1" 2>/dev/null
}

# Where the kernel $1 is loaded: the address of its first byte and the one behind its last.
bochs_kernel_range()
{
    local address memory first='' end=0
    while read -r _ _ _ address _ memory _; do
        [ -n "$first" ] || first=$((address))
        [ "$((address + memory))" -le "$end" ] || end=$((address + memory))
    done < <(bochs_elf "$1" | grep '^ *LOAD ')
    echo "${first:-0} $end"
}

# Where the kernel $1 is entered in 32-bit mode: an ELF note of Xen's, number 18, little-endian.
bochs_kernel_entry()
{
    local bytes
    read -r -a bytes < <(bochs_elf "$1" | sed -n 's/.*(0x00000012).*description data: //p')
    [ "${#bytes[@]}" -ge 4 ] || return 1
    echo "0x${bytes[3]}${bytes[2]}${bytes[1]}${bytes[0]}"
}

# Makes the disk $3 that boots the kernel $1 with the initramfs $2.
bochs_disk()
{
    local kernel=$1 initramfs=$2 disk=$3 first end entry behind
    read -r first end < <(bochs_kernel_range "$kernel")
    entry=$(bochs_kernel_entry "$kernel") || die "$kernel has no PVH entry"
    behind=$(((end + 0xfffff) & ~0xfffff))
    objcopy -O binary "$kernel" "$work/kernel.bin"
    truncate -s $((behind - first)) "$work/kernel.bin"
    gcc -c -o "$work/boot_sector.o" "-DCOMMAND_LINE=\"$bochs_command_line\"" \
        -DKERNEL_ADDRESS="$first" -DKERNEL_ENTRY="$entry" \
        -DINITRAMFS_ADDRESS="$behind" -DINITRAMFS_BYTES="$(stat -c %s "$initramfs")" \
        -DMEMORY_BYTES=$((bochs_memory_mib << 20)) "$bochs_dir/boot_sector.S"
    ld -Ttext 0x7c00 -e 0x7c00 --oformat binary -o "$work/boot_sector" "$work/boot_sector.o"
    cat "$work/boot_sector" "$work/kernel.bin" "$initramfs" >"$disk"
    # Bochs wants whole cylinders of 16 tracks of 63 sectors; the last chunk is read to its end.
    truncate -s $(($(stat -c %s "$disk") + 256 * 512)) "$disk"
    truncate -s %$((16 * 63 * 512)) "$disk"
}

# Writes the configuration $1 of a machine with the disk $2 and its serial line in $3. The clock is
# the instructions', so that nothing depends on the speed of the host.
bochs_configure()
{
    cat >"$1" <<END
config_interface: textconfig
display_library: term
plugin_ctrl: unmapped=1, biosdev=1, speaker=0
memory: guest=$bochs_memory_mib, host=$bochs_memory_mib
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_icelake_u, count=1, ips=10000000, reset_on_triple_fault=0
clock: sync=none, time0=utc
boot: disk
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="$2", mode=flat
com1: enabled=1, mode=file, dev="$3"
log: $1.log
error: action=ignore
panic: action=fatal
END
    # Debian's Bochs starts in its debugger.
    echo c >"$1.commands"
}

bochs_pid=

# Runs the machine $1 until it is switched off; fails with 124 if it is not after $2 seconds. Bochs
# shows a screen in any case, here one that nobody looks at; the alternative would listen on a port.
bochs_run()
{
    local status=0
    TERM=vt100 timeout -k 10 "$2" script -q -c "exec bochs -q -f '$1' -rc '$1.commands'" \
        /dev/null </dev/null >"$1.screen" 2>&1 &
    bochs_pid=$!
    wait "$bochs_pid" || status=$?
    bochs_pid=
    return "$status"
}

# For a script that ends before the machine does.
bochs_kill()
{
    [ -z "$bochs_pid" ] || kill "$bochs_pid" 2>/dev/null || true
}
