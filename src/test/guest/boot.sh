# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# Boots the guest once under software emulation and watches over it. Sourced by run.sh.

qemu_pid=

# A guest that prints nothing for this long is stuck in its firmware or early boot.
boot_silence_s=60
# The whole boot with everything the guest does; emulation on a loaded host is slow.
boot_limit_s=180
boot_attempts=2

# One thread emulates all virtual CPUs: with a thread for each, a kernel that patches its own text
# now and then meets its breakpoint on another CPU after it has gone, and dies.
boot_start()
{
    local step=$1 log=$2
    qemu-system-x86_64 -M q35,memory-backend=mem -accel tcg,thread=single -cpu max \
        -smp "$variant_queues" -m "$variant_memory" \
        -object "memory-backend-memfd,id=mem,size=$variant_memory,share=on" \
        -nodefaults -display none -no-reboot -serial "file:$log" \
        -kernel "$kernel_root/kernel" -initrd "$work/initramfs.cpio" \
        -append "console=ttyS0 panic=-1 quiet mitigations=off ubiblk.step=$step \
ubiblk.sectors=$((variant_bytes / 512)) ubiblk.serial=$variant_serial \
ubiblk.queues=$variant_queues ubiblk.cache=$variant_cache ubiblk.layout=$variant_layout \
ubiblk.block_size=$variant_block_size" \
        -chardev "socket,id=c0,path=$socket" \
        -device "vhost-user-blk-pci,chardev=c0,num-queues=$variant_queues" \
        >"$log.qemu" 2>&1 </dev/null &
    qemu_pid=$!
}

boot_kill()
{
    [ -n "$qemu_pid" ] || return 0
    kill -KILL "$qemu_pid" 2>/dev/null || true
    wait "$qemu_pid" 2>/dev/null || true
    qemu_pid=
}

# Waits for the end of QEMU. Prints nothing when it ended by itself, else why it was killed.
boot_watch()
{
    local log=$1 begin=$SECONDS
    while kill -0 "$qemu_pid" 2>/dev/null; do
        if [ ! -s "$log" ] && [ $((SECONDS - begin)) -ge "$boot_silence_s" ]; then
            echo "silent"
            return
        fi
        if backend_ended; then
            echo "orphaned"
            return
        fi
        if [ $((SECONDS - begin)) -ge "$boot_limit_s" ]; then
            echo "late"
            return
        fi
        sleep 0.1
    done
}

# Whether the guest, whose serial line went to $1, has ended before its init said that it is there,
# and so before anybody has used the disk: a firmware that hangs, a kernel that emulation breaks.
boot_was_lost()
{
    ! backend_ended && ! grep -q '^guest: Linux .* is up' "$1"
}

# Boots the guest for step $1 (write or verify) with its serial line in $2. Succeeds when the
# guest ran to its end, whatever it found.
boot_guest()
{
    local step=$1 log=$2 attempt end=
    for attempt in $(seq "$boot_attempts"); do
        rm -f "$log"
        boot_start "$step" "$log"
        end=$(boot_watch "$log")
        boot_kill
        boot_was_lost "$log" || break
        say "emulation lost the guest before its init (attempt $attempt of $boot_attempts)"
    done
    case $end in
    silent) echo "the guest never printed anything" >&2 ;;
    orphaned) echo "the back end ended while the guest was running" >&2 ;;
    late) echo "the guest was not done after $boot_limit_s s" >&2 ;;
    *) grep -q '^guest: [0-9]* passed' "$log" && return ;;
    esac
    [ -n "$end" ] || echo "QEMU ended before the guest was done: $(cat "$log.qemu")" >&2
    return 1
}
