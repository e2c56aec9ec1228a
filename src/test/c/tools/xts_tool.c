/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Encrypts or decrypts raw sectors from standard input to standard output, so that a test can look
 * into a disk from outside:
 *
 *   xts_tool encrypt|decrypt DATA_KEY TWEAK_KEY FIRST_SECTOR [ENGINE] < in > out
 *
 * A key is 64 hex digits, or @FILE with 64 hex digits on its first line. ENGINE is auto by default.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "crypt/xts.h"
#include "support/vectors.h"

enum { CHUNK_SECTORS = 2048, KEY_DIGITS = 2 * XTS_KEY_BYTES };

static int usage(const char *problem)
{
    fprintf(stderr,
            "xts_tool: %s\n"
            "usage: xts_tool encrypt|decrypt DATA_KEY TWEAK_KEY FIRST_SECTOR [ENGINE] < in > out\n",
            problem);
    return 2;
}

static bool key_read(const char *argument, uint8_t key[XTS_KEY_BYTES])
{
    char digits[KEY_DIGITS + 1] = {0};
    if (argument[0] != '@')
        return hex_decode(argument, argument + strlen(argument), key, XTS_KEY_BYTES);
    FILE *file = fopen(argument + 1, "r");
    if (!file)
        return false;
    size_t got = fread(digits, 1, KEY_DIGITS, file);
    fclose(file);
    return hex_decode(digits, digits + got, key, XTS_KEY_BYTES);
}

static bool engine_parse(const char *name, enum xts_engine_kind *kind)
{
    static const char *const names[] = {
        [XTS_ENGINE_AUTO] = "auto",       [XTS_ENGINE_VAES512] = "vaes512",
        [XTS_ENGINE_VAES256] = "vaes256", [XTS_ENGINE_AESNI] = "aesni",
        [XTS_ENGINE_ISAL] = "isa-l",      [XTS_ENGINE_OPENSSL] = "openssl",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum xts_engine_kind)i;
            return true;
        }
    }
    return false;
}

static int copy(const struct xts *xts, bool decrypt, uint64_t sector)
{
    static uint8_t buffer[CHUNK_SECTORS * SECTOR_BYTES];
    size_t got;
    while ((got = fread(buffer, 1, sizeof(buffer), stdin)) > 0) {
        if (got % SECTOR_BYTES != 0) {
            fprintf(stderr, "xts_tool: the input ends inside a sector\n");
            return 1;
        }
        size_t count = bytes_to_sectors(got);
        if (decrypt)
            xts_decrypt(xts, sector, buffer, buffer, count);
        else
            xts_encrypt(xts, sector, buffer, buffer, count);
        if (fwrite(buffer, 1, got, stdout) != got)
            break;
        sector += count;
    }
    if (ferror(stdin) || ferror(stdout) || fflush(stdout) != 0) {
        fprintf(stderr, "xts_tool: reading or writing failed: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];
    enum xts_engine_kind kind = XTS_ENGINE_AUTO;
    if (argc != 5 && argc != 6)
        return usage("four or five arguments are needed");
    bool decrypt = strcmp(argv[1], "decrypt") == 0;
    if (!decrypt && strcmp(argv[1], "encrypt") != 0)
        return usage("neither encrypt nor decrypt");
    if (!key_read(argv[2], data_key) || !key_read(argv[3], tweak_key))
        return usage("a key is not 64 lower-case hex digits, or its file cannot be read");
    char *end;
    uint64_t sector = strtoull(argv[4], &end, 0);
    if (end == argv[4] || *end != '\0')
        return usage("FIRST_SECTOR is not a number");
    if (argc == 6 && !engine_parse(argv[5], &kind))
        return usage("ENGINE is none of auto, vaes512, vaes256, aesni, isa-l, openssl");
    struct xts *xts;
    struct error error;
    if (xts_create(data_key, tweak_key, kind, NULL, &xts, &error) < 0) {
        fprintf(stderr, "xts_tool: %s\n", error.message);
        return 1;
    }
    int status = copy(xts, decrypt, sector);
    xts_destroy(xts);
    return status;
}
