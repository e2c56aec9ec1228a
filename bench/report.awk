# SPDX-License-Identifier: AGPL-3.0-only
#
# Turns the lines of results.tsv (name=value words, one line per timed run) into a Markdown report:
# the ratios that matter first, then medians with their spread. Needs samples.awk.

# Ratio of the medians of two peers on the same work; "" when one is missing.
function ratio(io, work, mode, name, over_mode, over, metric,    a, b) {
    a = io SUBSEP work SUBSEP mode SUBSEP name
    b = io SUBSEP work SUBSEP over_mode SUBSEP over
    if (!(a in runs) || !(b in runs) || median(b, metric) == 0) {
        return ""
    }
    return median(a, metric) / median(b, metric)
}

# The ratios of every pair of runs of the same round, as "lowest-highest".
function round_spread(io, work, mode, name, over_mode, over, metric,    a, b, i, value, low, high) {
    a = io SUBSEP work SUBSEP mode SUBSEP name
    b = io SUBSEP work SUBSEP over_mode SUBSEP over
    for (i = 1; i <= runs[a] && i <= runs[b]; i++) {
        value = sample[b, metric, i] ? sample[a, metric, i] / sample[b, metric, i] : 0
        low = (i == 1 || value < low) ? value : low
        high = (i == 1 || value > high) ? value : high
    }
    return sprintf("%.2f–%.2f", low, high)
}

function aim(text, works, mode, name, over_mode, over, metric, op, limit,    n, i, list, value, io, k) {
    n = split(works, list, ",")
    for (k = 1; k <= 3; k++) {
        io = k == 1 ? "cached" : k == 2 ? "direct" : "ring"
        for (i = 1; i <= n; i++) {
            value = ratio(io, list[i], mode, name, over_mode, over, metric)
            if (value == "") {
                continue
            }
            printf "| %s | %s | %s | %s | %.2f | %s | %s %s | %s |\n", text, io, list[i], mode,
                value, round_spread(io, list[i], mode, name, over_mode, over, metric), op, limit,
                limit == "" ? "" : (op == "≥" ? value >= limit : value <= limit) ? "yes" : "no"
        }
    }
}

function aims(    small, deep, every) {
    deep = "randread 4096 32,randwrite 4096 32"
    every = deep ",read 65536 16"
    print "\n## Ratios\n"
    print "In I/O per second of back-end CPU time unless the line says latency. The range is that of"
    print "the rounds, each compared with the peer's run of the same round.\n"
    print "| what | I/O | work | client | ratio | rounds | aim | met |"
    print "|---|---|---|---|---|---|---|---|"
    aim("plain ÷ QSD", deep, "poll", "plain", "poll", "qsd", "iops_per_cpu", "≥", 1.1)
    aim("plain ÷ fio", deep, "poll", "plain", "fio", "fio", "iops_per_cpu", "≥", 0.9)
    aim("plain ÷ QSD", deep, "eventfd", "plain", "eventfd", "qsd", "iops_per_cpu", "≥", 2)
    aim("plain, poll time 0 ÷ QSD", deep, "eventfd", "unpolled", "eventfd", "qsd",
        "iops_per_cpu", "≥", 2)
    aim("aesni ÷ QSD LUKS", every, "poll", "aesni", "poll", "luks", "iops_per_cpu", "≥", 4)
    aim("aesni ÷ QSD LUKS", every, "eventfd", "aesni", "eventfd", "luks", "iops_per_cpu", "≥", 4)
    aim("aesni ÷ plain", deep, "poll", "aesni", "poll", "plain", "iops_per_cpu", "≥", 0.7)
    aim("auto ÷ plain", every, "poll", "auto", "poll", "plain", "iops_per_cpu", "", "")
    small = "randread 4096 1,randwrite 4096 1"
    aim("plain ÷ QSD", small, "poll", "plain", "poll", "qsd", "iops_per_cpu", "≥", 1)
    aim("plain ÷ QSD", small, "eventfd", "plain", "eventfd", "qsd", "iops_per_cpu", "≥", 1)
    aim("plain, poll time 0 ÷ QSD", small, "eventfd", "unpolled", "eventfd", "qsd",
        "iops_per_cpu", "≥", 1)
    aim("plain ÷ QSD, p50 latency", small, "poll", "plain", "poll", "qsd", "p50_us", "≤", 1)
    aim("plain ÷ QSD, p50 latency", small, "eventfd", "plain", "eventfd", "qsd", "p50_us", "≤", 1)
    aim("plain, poll time 0 ÷ QSD, p50 latency", small, "eventfd", "unpolled", "eventfd", "qsd",
        "p50_us", "≤", 1)
    aim("null ÷ QSD null-co", "randread 4096 1,randread 4096 32,randread 4096 128", "poll", "null",
        "poll", "null-co", "iops_per_cpu", "", "")
    aim("null ÷ QSD null-co", "randread 4096 1,randread 4096 32,randread 4096 128", "eventfd",
        "null", "eventfd", "null-co", "iops_per_cpu", "", "")
}

function title(peer) {
    return peer == "plain" ? "ours, plain" : peer == "aesni" ? "ours, aesni" : \
        peer == "auto" ? "ours, xts auto" : peer == "null" ? "ours, null engine" : \
        peer == "unpolled" ? "ours, plain, poll time 0" : peer == "qsd" ? "QSD file" : peer == "luks" ? "QSD LUKS" : \
        peer == "null-co" ? "QSD null-co" : peer
}

function table(    i, key, part, io) {
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, part, SUBSEP)
        if (part[1] != io) {
            io = part[1]
            printf "\n## %s\n\n", io == "ring" ? "The ring alone" : \
                io == "cached" ? "Cached (direct_io: false)" : "Direct (direct_io: true)"
            print "| work | client | back end | IOPS | p50 µs | p99 µs | CPU s/s | I/O per CPU s | lowest–highest | RSS MiB |"
            print "|---|---|---|---|---|---|---|---|---|---|"
        }
        printf "| %s | %s | %s | %.0f | %.1f | %.1f | %.2f | %.0f k |", part[2], part[3],
            title(part[4]), median(key, "iops"), median(key, "p50_us"), median(key, "p99_us"),
            median(key, "cpu_s") / median(key, "seconds"), median(key, "iops_per_cpu") / 1000
        printf " %.0f–%.0f k | %s |\n", lowest / 1000, highest / 1000,
            part[4] == "fio" ? "" : sprintf("%.1f", median(key, "rss_kib") / 1024)
    }
}

{
    read_words()
    keep_words(word["io"] SUBSEP word["work"] " " word["block"] " " word["depth"] SUBSEP \
        word["mode"] SUBSEP word["peer"])
}

# The CPU time of a fio run is that of its process less what starting and ending it costs.
function settle_fio(    i, j, key, part, idle, used) {
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, part, SUBSEP)
        if (part[4] != "fio") {
            continue
        }
        idle = median(key, "idle_cpu_s")
        for (j = 1; j <= runs[key]; j++) {
            used = sample[key, "all_cpu_s", j] - idle
            used = used > 0.001 ? used : 0.001
            sample[key, "cpu_s", j] = used
            sample[key, "iops_per_cpu", j] = sample[key, "ops", j] / used
        }
    }
}

END {
    settle_fio()
    aims()
    table()
}
