/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the CPU can do, against what the kernel says that it can. */
#include "crypt/cpu.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "support/cmocka_test.h"

#if defined(__x86_64__)

/* Whether all of the flags, each between spaces, are in /proc/cpuinfo. */
static bool cpuinfo_has(const char *const flags[])
{
    char line[8192];
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "r");
    assert_non_null(file);
    while (!found && fgets(line, sizeof(line), file))
        found = strncmp(line, "flags", 5) == 0;
    fclose(file);
    line[strcspn(line, "\n")] = ' ';
    for (size_t i = 0; flags[i]; i++)
        found = found && strstr(line, flags[i]);
    return found;
}

static void agrees_with_the_kernel(void **state)
{
    (void)state;
    static const char *const aesni[] = {" aes ", " pclmulqdq ", " sse4_1 ", NULL};
    static const char *const vaes256[] = {" aes ",  " pclmulqdq ", " sse4_1 ",     " avx ",
                                          " avx2 ", " vaes ",      " vpclmulqdq ", NULL};
    static const char *const avx512[] = {" avx512f ", " avx512dq ", " avx512bw ", " avx512vl ",
                                         NULL};
    assert_int_equal(cpu_lacks_for_aesni() == NULL, cpuinfo_has(aesni));
    assert_int_equal(cpu_lacks_for_vaes256() == NULL, cpuinfo_has(vaes256));
    assert_int_equal(cpu_lacks_for_vaes512() == NULL, cpuinfo_has(vaes256) && cpuinfo_has(avx512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_kernel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
