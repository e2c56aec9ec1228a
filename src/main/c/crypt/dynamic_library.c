/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * dlopen for optional libraries. ISO C knows no conversion from dlsym's object pointer to a
 * function pointer, so the bytes of the pointer are copied, as POSIX permits.
 */
#include "dynamic_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"

_Static_assert(sizeof(void *) == sizeof(void (*)(void)),
               "pointers to data and functions are alike");

int dynamic_library_open(const char *soname, void **library, struct error *error)
{
    *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (*library)
        return 0;
    const char *reason = dlerror();
    return error_set(error, -ENOTSUP, "%s", reason ? reason : soname);
}

void dynamic_library_close(void *library)
{
    if (library)
        dlclose(library);
}

int dynamic_library_resolve(void *library, const char *soname,
                            const struct dynamic_function *functions, size_t function_count,
                            void *table, struct error *error)
{
    for (size_t i = 0; i < function_count; i++) {
        void *function = dlsym(library, functions[i].name);
        if (!function)
            return error_set(error, -ENOTSUP, "%s has no function %s", soname, functions[i].name);
        memcpy((char *)table + functions[i].table_offset, &function, sizeof(function));
    }
    return 0;
}
