# SPDX-License-Identifier: AGPL-3.0-only
#
# Turns the lines of lazy.tsv (name=value words, one line per timed run) into a Markdown report.
# Needs samples.awk.

BEGIN {
    # Student's t, two-sided 95 %, for 4 to 29 degrees of freedom.
    split("2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 " \
        "2.110 2.101 2.093 2.086 2.080 2.074 2.069 2.064 2.060 2.056 2.052 2.048 2.045", quantiles)
}

{
    read_words()
    keep_words(key_of())
}

function key_of() {
    if (word["part"] == "autofetch") {
        return "autofetch" SUBSEP word["image"] SUBSEP word["target"] SUBSEP word["peer"]
    }
    if (word["part"] == "cold") {
        return "cold" SUBSEP word["kind"] SUBSEP word["stripe"] SUBSEP word["image"]
    }
    if (word["part"] == "fetched") {
        return "fetched" SUBSEP word["depth"] SUBSEP word["kind"]
    }
    if (word["part"] == "instructions") {
        return "instructions" SUBSEP word["depth"] SUBSEP word["kind"]
    }
    return "demand" SUBSEP word["work"] SUBSEP word["stripe"] SUBSEP word["autofetch"]
}

# With three digits or so.
function figure(value) {
    return sprintf(value < 1 ? "%.3f" : value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
}

# "12.3 (11.9–14.0)"
function spread(key, name, scale,    middle) {
    middle = median(key, name) / scale
    return figure(middle) " (" figure(lowest / scale) "–" figure(highest / scale) ")"
}

# Microseconds as milliseconds.
function ms(key, name) {
    return spread(key, name, 1000)
}

function stripe_name(bytes) {
    return bytes >= 1048576 ? bytes / 1048576 " MiB" : bytes / 1024 " KiB"
}

# Whether there is something of a part; prints its title then.
function begins(part, title,    i, words) {
    for (i = 1; i <= key_count; i++) {
        split(keys[i], words, SUBSEP)
        if (words[1] == part) {
            printf "\n## %s\n\n", title
            return 1
        }
    }
    return 0
}

function autofetch(    i, j, words, key, dd, ratio, low, high) {
    if (!begins("autofetch", "Autofetch beside dd")) {
        return
    }
    for (i = 1; i <= key_count; i++) {
        for (j = 1; j <= runs[keys[i]]; j++) {
            if (split(keys[i], words, SUBSEP) == 4 && words[1] == "autofetch") {
                sample[keys[i], "rate", j] = sample[keys[i], "bytes", j] / sample[keys[i], "seconds", j]
            }
        }
    }
    print "| image | target | what | MiB/s | ÷ dd | rounds | CPU s per GiB | aim | met |"
    print "|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, words, SUBSEP)
        if (words[1] != "autofetch") {
            continue
        }
        dd = words[1] SUBSEP words[2] SUBSEP words[3] SUBSEP "dd"
        printf "| %s | %s | %s | %s |", words[2], words[3], words[4], \
            spread(key, "rate", 1048576)
        ratio = median(key, "rate") / median(dd, "rate")
        for (j = 1; j <= runs[key] && j <= runs[dd]; j++) {
            value = sample[key, "rate", j] / sample[dd, "rate", j]
            low = j == 1 || value < low ? value : low
            high = j == 1 || value > high ? value : high
        }
        if (key == dd) {
            printf " | | %.2f | | |\n", median(key, "cpu_s") / sample[key, "bytes", 1] * 1073741824
        } else {
            printf " %.2f | %.2f–%.2f | %.2f | %s | %s |\n", ratio, low, high, \
                median(key, "cpu_s") / sample[key, "bytes", 1] * 1073741824, \
                words[4] == "encrypted" ? "≥ 0.8" : "", \
                words[4] == "encrypted" ? (ratio >= 0.8 ? "yes" : "no") : ""
        }
    }
}

# What the steps on the way of a request do not explain: hand-overs, waiting, the request itself.
function unexplained(key, kind,    left) {
    if (kind == "read-through") {
        return ""
    }
    left = median(key, "mean_us") - median(key, "source_us") - median(key, "write_us")
    if (kind ~ /^write/) {
        left -= median(key, "sync_us") + median(key, "metadata_us")
    }
    return figure(left / 1000)
}

function step(key, name, is_there) {
    return is_there ? figure(median(key, name) / 1000) : ""
}

function cold(    i, key, words, fetches) {
    if (!begins("cold", "The first request to a stripe")) {
        return
    }
    print "Milliseconds. Steps are averages of what the process did: per stripe for the first two, per"
    print "commit for the others; what is left of the request's mean is not in them. A commit after a"
    print "read is waited for by nobody.\n"
    print "| request | stripe | image | p50 | p99 | slowest | p50 again | mean | source | base write |" \
        " base sync | metadata | left | commits per request |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, words, SUBSEP)
        if (words[1] != "cold") {
            continue
        }
        fetches = words[2] != "read-through"
        printf "| %s | %s | %s | %s | %s |", words[2], stripe_name(words[3]), words[4], \
            ms(key, "p50_us"), ms(key, "p99_us")
        median(key, "max_us")
        printf " %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", figure(highest / 1000), \
            figure(median(key, "again_p50_us") / 1000), figure(median(key, "mean_us") / 1000), \
            step(key, "source_us", fetches), step(key, "write_us", fetches), \
            step(key, "sync_us", fetches), step(key, "metadata_us", fetches), \
            unexplained(key, words[2]), fetches ? sprintf("%.2f", median(key, "commits")) : ""
    }
}

# The mean of the ratios of each pair and half the width of its 95 % confidence interval, in half;
# half is "" for fewer than five pairs.
function paired_ratio(a, b, name,    n, j, sum, squares, mean) {
    n = runs[a] < runs[b] ? runs[a] : runs[b]
    sum = squares = 0
    for (j = 1; j <= n; j++) {
        sum += sample[a, name, j] / sample[b, name, j]
    }
    mean = sum / n
    for (j = 1; j <= n; j++) {
        squares += (sample[a, name, j] / sample[b, name, j] - mean) ^ 2
    }
    half = n < 5 ? "" : quantiles[n > 30 ? 26 : n - 4] * sqrt(squares / (n - 1) / n)
    return mean
}

function fetched_row(depth, text, name, format,    lazy, plain, ratio) {
    lazy = "fetched" SUBSEP depth SUBSEP "lazy"
    plain = "fetched" SUBSEP depth SUBSEP "plain"
    if (!(lazy in runs) || !(plain in runs)) {
        return
    }
    ratio = paired_ratio(lazy, plain, name)
    printf "| %s | %s | %s | %s | %d | %.4f | %s |\n", depth, text, \
        sprintf(format, median(lazy, name)), sprintf(format, median(plain, name)), runs[lazy], \
        ratio, half == "" ? "five pairs at least" : sprintf("%.4f–%.4f", ratio - half, ratio + half)
}

function fetched(    i, depth, depths) {
    if (!begins("fetched", "A fetched disk beside the same without metadata")) {
        return
    }
    print "4 KiB random reads from the page cache. The ratio is the mean of those of the pairs, lazy ÷"
    print "plain, with its 95 % confidence interval (Student's t).\n"
    print "| depth | measure | lazy, median | plain, median | pairs | ratio | confidence interval |"
    print "|---|---|---|---|---|---|---|"
    split("1 32", depths, " ")
    for (i = 1; i <= 2; i++) {
        depth = depths[i]
        fetched_row(depth, "I/O per second", "iops", "%.0f")
        fetched_row(depth, "I/O per CPU second", "iops_per_cpu", "%.0f")
        fetched_row(depth, "p50 µs", "p50_us", "%.2f")
    }
}

function instructions(    i, key, words, plain, more) {
    if (!begins("instructions", "Instructions per 4 KiB read")) {
        return
    }
    print "Of the request path of a queue on the null engine, as callgrind counts.\n"
    print "| depth | disk | instructions per I/O | more than plain | aim | met |"
    print "|---|---|---|---|---|---|"
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, words, SUBSEP)
        if (words[1] != "instructions") {
            continue
        }
        plain = words[1] SUBSEP words[2] SUBSEP "plain"
        more = (sample[key, "per_io", 1] / sample[plain, "per_io", 1] - 1) * 100
        printf "| %s | %s | %.1f | %s | %s | %s |\n", words[2], words[3], \
            sample[key, "per_io", 1], key == plain ? "" : sprintf("%.1f %%", more), \
            words[3] == "open" ? "≤ 2 %" : "", words[3] == "open" ? (more <= 2 ? "yes" : "no") : ""
    }
}

function demand(    i, key, words, off) {
    if (!begins("demand", "The first request to a stripe while everything is fetched")) {
        return
    }
    print "Milliseconds; image in the page cache. With autofetch on, all requests were made while it ran,"
    print "to stripes far ahead of it.\n"
    print "| request | stripe | autofetch | requests per round | p50 | p99 | slowest | p50 ÷ off | p99 ÷ off |"
    print "|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= key_count; i++) {
        key = keys[i]
        split(key, words, SUBSEP)
        if (words[1] != "demand") {
            continue
        }
        off = words[1] SUBSEP words[2] SUBSEP words[3] SUBSEP "off"
        printf "| %s | %s | %s | %d | %s | %s |", words[2], stripe_name(words[3]), words[4], \
            median(key, "requests"), ms(key, "p50_us"), ms(key, "p99_us")
        median(key, "max_us")
        printf " %s |", figure(highest / 1000)
        if (key == off) {
            print " | |"
        } else {
            printf " %.2f | %.2f |\n", median(key, "p50_us") / median(off, "p50_us"), \
                median(key, "p99_us") / median(off, "p99_us")
        }
    }
}

END {
    autofetch()
    cold()
    fetched()
    instructions()
    demand()
}
