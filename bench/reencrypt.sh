#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
#
# Measures xts beside dd, which copies as many bytes between the same files, and writes
# target/bench/reencrypt.md.
#
#   bench/reencrypt.sh [--rounds N] [--mib N] [--quick]
#
#   --rounds N   interleaved rounds (5)
#   --mib N      size of the disk (4096)
#   --quick      one round of 256 MiB: to see that everything runs
#
# All go past the page cache, in pieces of 1 MiB, and end durable. Both cores are free for each.
# docs/benchmarks.md explains what is compared, and why so.
set -euo pipefail
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

rounds=5
mib=4096
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --mib) mib=$2 && shift ;;
    --quick) rounds=1 mib=256 ;;
    *) sed -n '/^# Measures/,/^# All/p' "$0" | sed 's/^# \{0,1\}//; $d' >&2 && exit 2 ;;
    esac
    shift
done

prepare_work
disk_bytes=$((mib << 20))
disk=$work/reencrypt-$mib.img
other=$work/reencrypt-out.img
results=$output/reencrypt.tsv
report=$output/reencrypt.md
xts=("$repository/bin/xts" --quiet)

write_keys()
{
    local name=$1
    printf 'path: %s\nencryption_key: ["%s", "%s"]\n' "$disk" "$(bench_key "$2")" "$(bench_key "$3")" \
        >"$work/$name.yaml"
}

# timed NAME COMMAND...: seconds, and CPU seconds of the command.
timed()
{
    local name=$1 TIMEFORMAT='%R %U %S' times
    shift
    sync -f "$work"
    times=$({ time "$@" >>"$work/log" 2>&1; } 2>&1) || die "$name failed; see $work/log"
    echo "$name $times" >>"$results"
}

in_place()
{
    "${xts[@]}" --action reencrypt --assume-old-key --config "$work/$1.yaml" \
        --to-config "$work/$2.yaml"
}

measure()
{
    timed "dd, in place" dd if="$disk" of="$disk" bs=1M iflag=direct oflag=direct \
        conv=notrunc,fsync status=none
    timed "reencrypt, in place" in_place "$from" "$to"
    local swap=$from
    from=$to to=$swap
    timed "dd, to a new file" dd if="$disk" of="$other" bs=1M iflag=direct oflag=direct conv=fsync \
        status=none
    rm -f "$other"
    timed "decode, to a new file" "${xts[@]}" --config "$work/$from.yaml" "$disk" "$other"
    rm -f "$other"
    timed "encode, to a new file" "${xts[@]}" --config "$work/$from.yaml" --action encode "$disk" \
        "$other"
    rm -f "$other"
}

# A disk of an earlier run knows its keys, by an attribute of its own.
rm -f "$disk" "$disk".ubiblk-*
prepare_disk "$disk"
write_keys one a b
write_keys two c d
from=one to=two
: >"$results"
for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    measure
done
rm -f "$disk".ubiblk-*

{
    echo "Re-encryption of $mib MiB, $rounds rounds. $(describe_machine)"
    echo
    echo "| work | MiB/s, median | lowest | highest | CPU s |"
    echo "| --- | --- | --- | --- | --- |"
    awk -v mib="$mib" '
        {
            match($0, /[0-9.]+ [0-9.]+ [0-9.]+$/)
            name = substr($0, 1, RSTART - 2)
            split(substr($0, RSTART), t, " ")
            if (!(name in n))
                names[++count] = name
            i = ++n[name]
            rate[name, i] = mib / t[1]
            cpu[name] += t[2] + t[3]
        }
        END {
            for (k = 1; k <= count; k++) {
                name = names[k]
                for (i = 1; i <= n[name]; i++)
                    for (j = i + 1; j <= n[name]; j++)
                        if (rate[name, j] < rate[name, i]) {
                            swap = rate[name, i]
                            rate[name, i] = rate[name, j]
                            rate[name, j] = swap
                        }
                printf "| %s | %.0f | %.0f | %.0f | %.2f |\n", name, \
                    rate[name, int((n[name] + 1) / 2)], rate[name, 1], rate[name, n[name]], \
                    cpu[name] / n[name]
            }
        }' "$results"
} >"$report"
cat "$report"
