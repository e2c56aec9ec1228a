/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * cmocka with the headers that it wants before it, in the order that it wants them, and asserts
 * that stay.
 */
#ifndef UBIBLK_SUPPORT_CMOCKA_TEST_H
#define UBIBLK_SUPPORT_CMOCKA_TEST_H

#undef NDEBUG

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Ends the running test as skipped; bin/check wants the reason, and excuses only some. */
#define skip_because(reason) (print_message("SKIPPED: %s\n", (reason)), skip())

#endif
