# SPDX-License-Identifier: AGPL-3.0-only
#
# What the reports share: lines of name=value words, kept as samples of a key, and their medians.

# The words of this line, in word[].
function read_words(    i, at) {
    delete word
    for (i = 1; i <= NF; i++) {
        at = index($i, "=")
        word[substr($i, 1, at - 1)] = substr($i, at + 1)
    }
}

# Keeps word[] as one more run of the key.
function keep_words(key,    name) {
    if (!(key in runs)) {
        keys[++key_count] = key
    }
    runs[key]++
    for (name in word) {
        sample[key, name, runs[key]] = word[name]
    }
}

# Sets lowest and highest as well.
function median(key, name,    count, i, j, value, values) {
    count = runs[key]
    for (i = 1; i <= count; i++) {
        value = sample[key, name, i] + 0
        for (j = i - 1; j >= 1 && values[j] > value; j--) {
            values[j + 1] = values[j]
        }
        values[j + 1] = value
    }
    lowest = values[1]
    highest = values[count]
    return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}
