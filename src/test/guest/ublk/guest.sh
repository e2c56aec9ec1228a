#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# What happens inside the guest: the real program serves disks of the guest's own kernel. Runs as
# process 1, on the host's file system and programs; tells the host over the serial line.
#
#   guest.sh SCENARIO,SCENARIO...
#
# A new process takes long under emulation, above all a JVM, so that what waits does without any, and
# the reduced check (environment variable scale) starts the program no more often than it has to.
# shellcheck disable=SC2154

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
program=$repository/bin/ublk-backend
tools=$repository/target/native/tools
mount_point=/tmp/mnt
links=/run/ubiblk
declare -A servers=()

# Whether everything is done that can be, and as often.
full()
{
    [ "$scale" = full ]
}

mkdir -p $mount_point $links /tmp/never
mkfifo /tmp/never/written
exec 9<>/tmp/never/written
# Code of so short a life is interpreted in less time than it is compiled in. With a compiler one
# start and one end of some sixty hung under emulation, which no JVM outside of it has done.
export UBIBLK_JAVA_OPTIONS=-Xint

# shellcheck source=src/test/guest/initramfs/report.sh
. "$repository/src/test/guest/initramfs/report.sh"

# Java is some 13 times slower under emulation.
patience_s=180

# wait_until COMMAND...: until it succeeds, or patience is over.
wait_until()
{
    local end=$((SECONDS + patience_s))
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "still not: $*"; return 1; }
        read -rt 0.2 -u 9 || true # sleeps, as nobody writes
    done
}

# --- the program -----------------------------------------------------------------------------------

# launch NAME ARGUMENT...: starts the server of $work/NAME.yaml; its log is $work/NAME.log.
launch()
{
    local name=$1
    shift
    : >"$work/$name.log"
    # What a shell starts in the background has SIGINT ignored.
    env --default-signal=INT "$program" --config "$work/$name.yaml" \
        --device-symlink "$links/$name" "$@" >>"$work/$name.log" 2>&1 &
    servers[$name]=$!
}

# The same, and waits until the disk can be used.
start()
{
    launch "$@"
    wait_until serves_or_ended "$1" || show_threads "$1"
    serves "$1" && return
    tail -n 12 "$work/$1.log"
    return 1
}

serves()
{
    local log
    mapfile -t log <"$work/$1.log"
    [[ ${log[*]} == *'the disk is /dev/ublkb'* ]] && runs "$1" && [ -b "$links/$1" ]
}

serves_or_ended()
{
    serves "$1" || ! runs "$1"
}

runs()
{
    kill -0 "${servers[$1]}" 2>/dev/null
}

ended()
{
    ! runs "$1"
}

# What the threads of a program do that does not end, by the kernel and by the JVM, which tells it in
# the program's log: for the host to print.
show_threads()
{
    local task
    for task in /proc/"${servers[$1]}"/task/*; do
        echo "$(cat "$task/comm"): $(grep State "$task/status"), $(cat "$task/wchan" "$task/stack")"
    done >"$work/$1.threads" 2>&1
    kill -QUIT "${servers[$1]}"
    wait_until grep -q "JNI global refs" "$work/$1.log"
    cat "$work/$1.log" >>"$work/$1.threads"
}

# exits NAME STATUS: it ends by itself with that status.
exits()
{
    local status=0
    wait_until ended "$1" || { show_threads "$1"; tail -n 12 "$work/$1.log"; return 1; }
    wait "${servers[$1]}" || status=$?
    [ $status = "$2" ] && return
    echo "exit status $status, expected $2"
    tail -n 12 "$work/$1.log"
    return 1
}

# stop NAME SIGNAL: it ends with status 0 when it gets the signal.
stop()
{
    kill "-$2" "${servers[$1]}"
    exits "$1" 0
}

kill_server()
{
    kill -KILL "${servers[$1]}"
    wait "${servers[$1]}" 2>/dev/null
    return 0
}

# refused NAME TEXT ARGUMENT...: the program does not serve the disk, and says why.
refused()
{
    local name=$1 text=$2
    shift 2
    launch "$name" "$@"
    exits "$name" 1 && grep -F "$text" "$work/$name.log" && return
    cat "$work/$name.log"
    return 1
}

# The number of the device that a link leads to.
device_of()
{
    readlink "$links/$1" | tr -dc 0-9
}

no_devices()
{
    local devices=(/dev/ublk[bc]*)
    [ ! -e "${devices[0]}" ] || { echo "${devices[@]}"; return 1; }
}

# --- working with a disk ---------------------------------------------------------------------------

# It ends where the pattern begins (run.sh).
pattern_at=$((88 * 1024 * 1024))
make_file_system()
{
    mkfs.ext4 -q -F -N 1024 -L ubiblk-label -E lazy_itable_init=0,lazy_journal_init=0 \
        "$links/$1" $((pattern_at / 1024))k
}

mount_disk()
{
    mount -t ext4 "$links/$1" $mount_point
}

fill_disk()
{
    [ -d /tmp/payload ] || cp -r "$work/payload" /tmp/ || return
    cp -r /tmp/payload $mount_point/ && rm $mount_point/payload/manifest && sync
}

payload_is_intact()
{
    sync
    echo 3 >/proc/sys/vm/drop_caches
    (cd "$mount_point/$1" && sha256sum -c --quiet "$work/payload/manifest")
}

unmount_disk()
{
    umount $mount_point
}

disk_is_clean()
{
    e2fsck -f -n "$links/$1"
}

queue_count()
{
    find "/sys/block/ublkb$(device_of "$1")/mq" -mindepth 1 -maxdepth 1 | wc -l
}

# --- scenarios -------------------------------------------------------------------------------------

# Every thread has what PR_SET_IO_FLUSHER sets: PF_MEMALLOC_NOIO among the flags of stat.
threads_flush()
{
    local stat words count=0
    for stat in /proc/"${servers[$1]}"/task/*/stat; do
        read -r words <"$stat"
        read -ra words <<<"${words##*) }"
        count=$((count + 1))
        [ $((words[6] & 0x00080000)) != 0 ] || { cat "$stat"; return 1; }
    done
    echo "$count threads"
    [ $count -gt 5 ]
}

# What the kernel thinks of the disk's cache.
cache_is()
{
    same "$(cat "/sys/block/ublkb$(device_of "$1")/queue/write_cache")" "$2"
}

# Sectors that the kernel has written to the disk.
sectors_written()
{
    awk '{ print $7 }' "/sys/block/ublkb$(device_of "$1")/stat"
}

# Leaves the pattern in the page cache, and descriptor 5 open: the last closer of a disk writes.
make_dirty()
{
    local before
    exec 5<>"$links/$1" || return
    before=$(sectors_written "$1")
    dd if="$work/pattern" bs=1M seek=$((pattern_at / 1048576)) conv=notrunc status=none >&5 ||
        return
    same "$(sectors_written "$1")" "$before"
}

kept_all_that_was_written()
{
    ! grep -i 'not all that was written' "$work/$1.log"
}

# A disk is measured, made, used and stopped: first_life NAME QUEUES
first_life()
{
    local name=$1
    ln -sfn /dev/null "$links/$name"
    check "$name: the disk is served" start "$name" || return
    check "$name: a leftover symlink was replaced" same "$(readlink "$links/$name")" /dev/ublkb0
    check "$name: there are $2 queues" same "$(queue_count "$name")" "$2"
    check "$name: it has a write-back cache" cache_is "$name" "write back"
    check "$name: its threads may write back memory" threads_flush "$name"
    check_cost "$name"
    check "$name: a file system is made" make_file_system "$name"
    check "$name: it is mounted" mount_disk "$name"
    check "$name: files are copied to it" fill_disk
    check "$name: they are read back" payload_is_intact payload
    check "$name: it is unmounted" unmount_disk
    check "$name: pages of the disk are dirty" make_dirty "$name"
    check "$name: SIGTERM ends the program with 0" stop "$name" TERM
    check "$name: no device is left, though it is still open" no_devices
    check "$name: nothing that was written was given up" kept_all_that_was_written "$name"
    check "$name: no symlink is left" [ ! -L "$links/$name" ]
    exec 5>&-
}

second_life()
{
    local name=$1
    check "$name: the disk is served again" start "$name" || return
    check "$name: its file system is clean" disk_is_clean "$name"
    check "$name: it is mounted again" mount_disk "$name"
    check "$name: the files are intact" payload_is_intact payload
    check "$name: it is unmounted again" unmount_disk
    check "$name: SIGINT ends the program with 0" stop "$name" INT
    check "$name: no device is left again" no_devices
}

scenario_plain()
{
    first_life plain-1 1
    full || return # the others have a second one, and the host looks at the file
    second_life plain-1
    first_life plain-2 2
    second_life plain-2
}

scenario_encrypted()
{
    if full; then
        first_life encrypted-1 1
        second_life encrypted-1
    fi
    first_life encrypted-2 2
    second_life encrypted-2
}

# One number of the RPC's status.
stripes()
{
    printf '{"command":"status"}\n' | nc -N -U "$links/$1.rpc" | jq -e ".status.stripes.$2"
}

is_filled()
{
    [ "$(stripes "$1" fetched)" -eq "$(stripes "$1" source)" ]
}

is_filled_in_part()
{
    echo "$(stripes "$1" fetched) of $(stripes "$1" source) stripes are fetched"
    [ "$(stripes "$1" fetched)" -gt 0 ] && [ "$(stripes "$1" fetched)" -lt "$(stripes "$1" source)" ]
}

# A disk that starts empty and has the image's file system. lazy_life NAME autofetch|demand
lazy_life()
{
    local name=$1
    check "$name: the disk is served" start "$name" || return
    check "$name: the image's file system is mounted" mount_disk "$name"
    check "$name: the image's files are intact" payload_is_intact source
    check "$name: files are copied to it" fill_disk
    check "$name: they are read back" payload_is_intact payload
    if [ "$2" = autofetch ]; then
        check "$name: autofetch fills it" wait_until is_filled "$name"
    else
        check "$name: only what was touched is there" is_filled_in_part "$name"
    fi
    check "$name: it is unmounted" unmount_disk
    check "$name: SIGTERM ends the program with 0" stop "$name" TERM
    check "$name: the disk is served again" start "$name" || return
    check "$name: its file system is clean" disk_is_clean "$name"
    check "$name: it is mounted again" mount_disk "$name"
    check "$name: the image's files are intact again" payload_is_intact source
    check "$name: the copies are intact" payload_is_intact payload
    check "$name: it is unmounted again" unmount_disk
    check "$name: SIGHUP ends the program with 0" stop "$name" HUP
}

scenario_lazy()
{
    ! full || lazy_life lazy-1 demand
    lazy_life lazy-2 autofetch
}

# --- a stop while a file system is mounted

# Such a program may take as long as the emulated JVM needs to end, but not what a wait would.
stops_soon()
{
    local begin=$SECONDS
    stop "$1" TERM || return
    echo "after $((SECONDS - begin)) s"
    [ $((SECONDS - begin)) -lt 30 ]
}

is_repaired()
{
    e2fsck -f -p "$links/$1"
    [ $? -le 1 ]
}

# The kernel has something to say of a mounted file system whose disk has gone; nothing before that.
unmount_lost_disk()
{
    unmount_disk
    dmesg --clear
}

# SIGTERM under a file system to which files were copied a moment ago.
stopped_while_mounted()
{
    local name=$1
    check "$name: the disk is served" start "$name" || return
    check "$name: a file system is made" make_file_system "$name"
    check "$name: it is mounted" mount_disk "$name"
    check "$name: files are copied to it" fill_disk
    check "$name: more of them are, and not synced" cp -r /tmp/payload $mount_point/late
    check "$name: the kernel log has no disk error until then" no_kernel_error
    check "$name: SIGTERM ends the program soon, with 0" stops_soon "$name"
    check "$name: no device is left, though it is still mounted" no_devices
    check "$name: nothing that was written was given up" kept_all_that_was_written "$name"
    check "$name: it can be unmounted" unmount_lost_disk
    check "$name: the disk is served again" start "$name" || return
    check "$name: e2fsck finds nothing that it cannot mend by itself" is_repaired "$name"
    check "$name: it is mounted again" mount_disk "$name"
    check "$name: the files are intact" payload_is_intact payload
    check "$name: those that were not synced are, too" payload_is_intact late
}

# What was killed under a file system is deleted without waiting for it to be unmounted.
deleted_while_mounted()
{
    local name=$1 number
    number=$(device_of "$name")
    kill_server "$name"
    check "$name: it is quiesced" wait_until listed "^$number: quiesced"
    check "$name: it is deleted while it is mounted" operator --delete "$number"
    check "$name: no device is left" no_devices
    check "$name: it can be unmounted as well" unmount_lost_disk
}

scenario_mounted()
{
    full || return
    stopped_while_mounted mounted
    deleted_while_mounted mounted
}

# --- kill -9

operations()
{
    stat -c %s /tmp/progress 2>/dev/null || echo 0
}

works_on()
{
    [ "$(operations)" -gt "$1" ]
}

worker_runs()
{
    kill -0 "$worker" 2>/dev/null || { cat /tmp/worker.log; return 1; }
}

worker_ends()
{
    local status=0
    kill -TERM -- "-$worker"
    wait "$worker" || status=$?
    cat /tmp/worker.log
    [ $status = 0 ]
}

# Requests that the disk has.
in_flight()
{
    local reads writes
    read -r reads writes <"/sys/block/ublkb$(device_of "$1")/inflight"
    echo $((reads + writes))
}

# kill_round NAME: kills the server in the middle of the work and starts it again.
kill_round()
{
    local name=$1 before
    before=$(operations)
    # So many operations more, another number each time, to be hit at another place.
    wait_until works_on $((before + 20 + RANDOM % 100)) || return
    in_flight "$name" >>/tmp/in_flight
    kill_server "$name"
    before=$(operations)
    start "$name" || return
    wait_until works_on $((before + 20)) && worker_runs && same "$(readlink "$links/$name")" \
        /dev/ublkb0
}

# kill_rounds NAME COUNT
kill_rounds()
{
    local name=$1 round
    check "$name: the disk is served" start "$name" || return
    [ "$name" = lazy-kill ] || check "$name: a file system is made" make_file_system "$name"
    check "$name: it is mounted" mount_disk "$name"
    # Has the markers that the host looks for in the raw file.
    check "$name: a text is copied to it" cp "$work/payload/text/24" $mount_point/
    mkdir $mount_point/work
    rm -f /tmp/progress /tmp/in_flight
    setsid "$tools/fs_worker" $mount_point/work 4 /tmp/progress >/tmp/worker.log 2>&1 &
    worker=$!
    for round in $(seq "$2"); do
        check "$name: the work goes on after kill -9 and a restart, round $round" \
            kill_round "$name" || return
    done
    echo "figure $2 kills with $(operations) operations, seed ${seed:-42}; requests in flight at" \
        "a kill: $(xargs </tmp/in_flight)"
    check "$name: all that was written is there" worker_ends
    check "$name: it is unmounted" unmount_disk
    check "$name: its file system is clean" disk_is_clean "$name"
    check "$name: SIGTERM ends the program with 0" stop "$name" TERM
    check "$name: no device is left" no_devices
}

scenario_kill()
{
    if full; then kill_rounds kill 20; else kill_rounds kill 2; fi
}

scenario_lazykill()
{
    if full; then kill_rounds lazy-kill 20; else kill_rounds lazy-kill 1; fi
}

# --- an image that cannot be read

# The program of the tests whose source can be told to hang, started like the real one.
make_stalled_program()
{
    cat >/tmp/stalled-backend <<END
#!/bin/sh
exec "$repository/target/ubiblk/io_flusher" $(command -v java) "@$repository/target/ubiblk/jvm.args" -Xint \\
    -cp "$repository/target/ubiblk/ubiblk.jar:$repository/target/test-classes" \\
    "-Dubiblk.library=$repository/target/ubiblk" io.ubiblk.backend.StalledBackend "\$@"
END
    chmod +x /tmp/stalled-backend
}

has_in_flight()
{
    same "$(in_flight "$1")" "$2"
}

read_fails()
{
    local status=0
    wait "$1" || status=$?
    cat /tmp/dd.log
    [ $status = 1 ] && grep -q 'Input/output error' /tmp/dd.log
}

scenario_stalled()
{
    local program=/tmp/stalled-backend reader
    make_stalled_program
    check "stalled: the disk is served" start stalled || return
    touch "$work/image.raw.stalled"
    dd if=$links/stalled of=/dev/null bs=4k count=1 skip=8000 iflag=direct 2>/tmp/dd.log &
    reader=$!
    check "stalled: a read waits for the image" wait_until has_in_flight stalled 1
    check "stalled: the kernel log has no disk error until then" no_kernel_error
    check "stalled: SIGTERM ends the program with 0" stop stalled TERM
    check "stalled: the read fails" read_fails $reader
    check "stalled: no device is left" no_devices
    dmesg --clear
}

# Four readers, and a queue of two: what is read must be what the image has.
start_readers()
{
    local number
    readers=()
    for number in 0 1 2 3; do
        dd if="$links/$1" of="/tmp/read.$number" bs=4k count=1 iflag=direct \
            skip=$((2000 * (number + 1))) 2>>/tmp/dd.log &
        readers+=($!)
    done
}

readers_have_the_image()
{
    local number
    for number in 0 1 2 3; do
        wait "${readers[number]}" || { cat /tmp/dd.log; return 1; }
        cmp -n 4096 -i 0:$((2000 * 4096 * (number + 1))) "/tmp/read.$number" "$work/image.raw" ||
            return
    done
}

# A queue of which the server had every request when it was killed: the kernel has none left by
# which it could notice before its timer.
scenario_taken()
{
    full || return
    local program=/tmp/stalled-backend
    make_stalled_program
    rm -f "$work/image.raw.stalled"
    check "taken: the disk is served" start taken || return
    touch "$work/image.raw.stalled"
    start_readers taken
    check "taken: the server has all of the queue" wait_until has_in_flight taken 2
    kill_server taken
    rm "$work/image.raw.stalled"
    check "taken: the queue is still full" has_in_flight taken 2
    check "taken: the device is taken over" start taken
    check "taken: under its number" same "$(readlink $links/taken)" /dev/ublkb0
    check "taken: the readers have what the image has" readers_have_the_image
    check "taken: SIGTERM ends the program with 0" stop taken TERM
    check "taken: no device is left" no_devices
}

# --- several devices, and what operators do

listed()
{
    "$program" --list >/tmp/list 2>&1
    cat /tmp/list
    grep -qE "$1" /tmp/list
}

both_are_quiesced()
{
    listed '^0: quiesced, 196608 sectors, 1 queues of 64, process [0-9]+, hash [0-9a-f]{16}$' &&
        grep -q '^5: quiesced, 196608 sectors, 2 queues of 64, process' /tmp/list
}

operator()
{
    "$program" "$@" >/tmp/operator.log 2>&1
}

operator_refused()
{
    local text=$1
    shift
    operator "$@"
    same $? 1 && grep -F "$text" /tmp/operator.log && return
    cat /tmp/operator.log
    return 1
}

devices_in_use()
{
    check "both are listed" listed '^5: live, 196608 sectors, 2 queues of 64, process'
    check "a disk in use is not served twice" refused first "is locked by process"
    servers[first]=$(sed -n 's/^0: live.* process \([0-9]*\),.*/\1/p' /tmp/list)
    check "a device in use is not deleted" operator_refused "is being served by process" --delete 0
}

two_devices()
{
    check "one disk is served" start first
    check "another one is served" start second --dev-id 5
    check "it has the number that was asked for" same "$(readlink $links/second)" /dev/ublkb5
    ! full || devices_in_use
    kill_server second
    kill_server first
    check "they are quiesced without their servers" wait_until both_are_quiesced
    check "another disk's device is not taken over" refused first "its hash is" --dev-id 5
    check "a disk finds its own device" start second
    check "under its number" same "$(readlink $links/second)" /dev/ublkb5
}

taken_over_and_killed()
{
    check "and the other disk, too" start first
    check "under its number as well" same "$(readlink $links/first)" /dev/ublkb0
    kill_server first
    check "it is quiesced once more" wait_until listed '^0: quiesced'
}

changed_disk()
{
    kill_server second
    truncate -s 100M "$work/second.raw"
    check "a disk that has grown is not taken over" refused second "has 196608 sectors"
    truncate -s 96M "$work/second.raw"
    sed -i 's/^num_queues: 2/num_queues: 1/' "$work/second.yaml"
    check "nor one with other queues" refused second "has 2 queues of 64"
    sed -i 's/^num_queues: 1/num_queues: 2/' "$work/second.yaml"
    check "as it was, it is" start second
}

deleted_and_served_again()
{
    check "it is not listed any more" listed '^5: live'
    check "nor is it there" same "$(grep -c '^0:' /tmp/list)" 0
    check "there is nothing to delete twice" operator_refused "there is no ublk device 0" --delete 0
    check "the disk can be served again" start first
    check "SIGTERM ends it with 0" stop first TERM
}

clean_up()
{
    check "a killed server's symlink is left" [ -L $links/first ]
    check "its device is deleted" operator --delete 0
    check "it is gone" [ ! -e /dev/ublkb0 ]
    ! full || deleted_and_served_again
    check "stopping a device ends its server" operator --stop "$(device_of second)"
    check "with status 0" exits second 0
    check "the symlink is removed" [ ! -L $links/second ]
    check "no device is left" no_devices
}

scenario_operate()
{
    two_devices
    ! full || taken_over_and_killed
    ! full || changed_disk
    clean_up
}

# --- what a request costs

# Counts system calls of threads by the kernel's own tracing: trace_begin THREAD... Not those of
# clock_gettime (228): reading the clock is one only after the kernel has come to distrust the TSC,
# which it does when emulation stands still for long.
trace_begin()
{
    local thread filter=
    for thread in "$@"; do
        filter+="${filter:+ || }common_pid==$thread"
    done
    tracing=/sys/kernel/tracing
    [ -d $tracing/events ] || mount -t tracefs tracefs $tracing
    echo "hist:keys=id:vals=hitcount if ($filter) && id != 228" \
        >$tracing/events/raw_syscalls/sys_enter/trigger
}

trace_end()
{
    sed -n 's/^ *Hits: //p' "$tracing/events/raw_syscalls/sys_enter/hist"
    echo '!hist:keys=id:vals=hitcount' >"$tracing/events/raw_syscalls/sys_enter/trigger"
}

# User and system time of a process, in clock ticks of 10 ms.
ticks()
{
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# measure NAME DEPTH COUNT READ_OR_WRITE MOST: system calls of the queues' threads, at most MOST each.
measure()
{
    local name=$1 server=${servers[$1]} comm thread threads=() calls before after
    for comm in /proc/"$server"/task/*/comm; do
        read -r thread <"$comm"
        [[ $thread != queue-* ]] || threads+=("$(basename "${comm%/comm}")")
    done
    same "$(queue_count "$name")" ${#threads[@]} || return
    before=$(ticks "$server")
    trace_begin "${threads[@]}"
    fio --name=x --filename="$links/$name" --rw="$4" --bs=4k --direct=1 --ioengine=libaio \
        --iodepth="$2" --number_ios="$3" --randseed=1 --allow_mounted_write=1 >/tmp/fio.log 2>&1 ||
        { cat /tmp/fio.log; return 1; }
    calls=$(trace_end)
    after=$(ticks "$server")
    awk -v name="$name" -v depth="$2" -v count="$3" -v kind="$4" -v calls="$calls" \
        -v ticks=$((after - before)) 'BEGIN {
            printf "figure %d I/O, %s %s depth %d: %.2f system calls and %.0f us of CPU " \
                "(emulated) each, seed 1\n", count, name, kind, depth, calls / count,
                ticks * 10000 / count }' | tee -a /tmp/figures
    awk -v calls="$calls" -v count="$3" -v most="$5" 'BEGIN { exit !(calls > 0 && calls / count <= most) }'
}

# check_cost NAME: overwrites the disk.
check_cost()
{
    local name=$1 few=100 many=640
    ! full || few=600 many=3000
    check "$name: writes at depth 1 cost few system calls" measure "$name" 1 $few randwrite 2.2
    check "$name: reads at depth 1 cost few system calls" measure "$name" 1 $few randread 2.2
    # How many completions come at a time is up to the file system and the scheduler.
    check "$name: writes at depth 32 cost no more" measure "$name" 32 $many randwrite 2.2
    check "$name: reads at depth 32 cost fewer" measure "$name" 32 $many randread 1.5
}

for scenario in ${1//,/ }; do
    begin=$SECONDS
    "scenario_$scenario"
    echo "guest: $scenario took $((SECONDS - begin)) s"
done
[ ! -e /tmp/figures ] || cat /tmp/figures
for name in "${!servers[@]}"; do
    if runs "$name"; then kill_server "$name"; fi
done
finish
