/* SPDX-License-Identifier: AGPL-3.0-only */
/* Libraries that may or may not be installed: found at run time, asked for functions by name. */
#ifndef UBIBLK_CRYPT_DYNAMIC_LIBRARY_H
#define UBIBLK_CRYPT_DYNAMIC_LIBRARY_H

#include <stddef.h>

struct error;

/* One function: its name, and where in the caller's table of function pointers it goes. */
struct dynamic_function {
    const char *name;
    size_t table_offset;
};

/*
 * Loads a library by its soname. Returns 0 and an owned *library for dynamic_library_close, or
 * -ENOTSUP with the loader's words in *error. Any thread.
 */
int dynamic_library_open(const char *soname, void **library, struct error *error);

/* NULL is fine. */
void dynamic_library_close(void *library);

/*
 * Fills table (borrowed) with all the functions. Returns 0, or -ENOTSUP naming the first one that
 * the library does not have; then table is filled in part.
 */
int dynamic_library_resolve(void *library, const char *soname,
                            const struct dynamic_function *functions, size_t function_count,
                            void *table, struct error *error);

#endif
