/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Gigabytes per second and core of every AES-XTS engine that works here.
 *
 *   xts_bench [SECONDS]
 *
 * SECONDS (0.2) is CPU time per figure; the best of three is printed. "4096" and "65536" are
 * requests of that many bytes from and to warm memory; "cold" are requests of 64 KiB whose source
 * is read for the first time, as a guest's pages often are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/sector.h"
#include "crypt/xts.h"

enum { REPEATS = 3, CALLS_PER_LOOK = 16, REQUEST_BYTES_MAX = 65536, COLD_BYTES = 256 << 20 };

typedef void (*crypt_fn)(const struct xts *xts, uint64_t sector, const void *source,
                         void *destination, size_t sector_count);

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double warm_rate(const struct xts *xts, crypt_fn crypt, uint8_t *source, uint8_t *buffer,
                        size_t byte_len, double seconds)
{
    double best = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = cpu_seconds(), now = start;
        uint64_t calls = 0;
        while (now - start < seconds) {
            for (int i = 0; i < CALLS_PER_LOOK; i++)
                crypt(xts, calls++, source, buffer, bytes_to_sectors(byte_len));
            now = cpu_seconds();
        }
        double rate = (double)calls * (double)byte_len / (now - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static double cold_rate(const struct xts *xts, const uint8_t *source, uint8_t *buffer)
{
    double best = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = cpu_seconds();
        for (size_t at = 0; at < COLD_BYTES; at += REQUEST_BYTES_MAX)
            xts_encrypt(xts, at, source + at, buffer, bytes_to_sectors(REQUEST_BYTES_MAX));
        double rate = COLD_BYTES / (cpu_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static void measure(enum xts_engine_kind kind, uint8_t *source, uint8_t *buffer, double seconds)
{
    static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};
    static const size_t sizes[] = {512, 4096, REQUEST_BYTES_MAX};
    struct xts *xts;
    struct error error;
    if (xts_create(data_key, tweak_key, kind, NULL, &xts, &error) < 0) {
        printf("%s\n", error.message);
        return;
    }
    printf("%-8s", xts_engine_name(xts));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        printf(" %6.2f %6.2f", warm_rate(xts, xts_encrypt, source, buffer, sizes[i], seconds),
               warm_rate(xts, xts_decrypt, source, buffer, sizes[i], seconds));
    printf(" %6.2f\n", cold_rate(xts, source, buffer));
    xts_destroy(xts);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;
    uint8_t *source = malloc(COLD_BYTES);
    uint8_t *buffer = malloc(REQUEST_BYTES_MAX);
    if (!source || !buffer)
        abort();
    memset(source, 3, COLD_BYTES);
    memset(buffer, 4, REQUEST_BYTES_MAX);
    printf("GB/s     %13s %13s %13s %6s\n         %6s %6s %6s %6s %6s %6s\n", "512", "4096",
           "65536", "cold", "enc", "dec", "enc", "dec", "enc", "dec");
    for (enum xts_engine_kind kind = XTS_ENGINE_VAES512; kind <= XTS_ENGINE_OPENSSL; kind++)
        measure(kind, source, buffer, seconds);
    free(source);
    free(buffer);
    return 0;
}
