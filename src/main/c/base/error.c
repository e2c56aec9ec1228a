/* SPDX-License-Identifier: AGPL-3.0-only */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t error_format(struct error *error, int code, const char *format, va_list args)
{
    error->code = code;
    int length = vsnprintf(error->message, sizeof(error->message), format, args);
    if (length < 0) {
        error->message[0] = '\0';
        return 0;
    }
    return (size_t)length < sizeof(error->message) ? (size_t)length : sizeof(error->message) - 1;
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        error_format(error, code, format, args);
        va_end(args);
    }
    return code;
}

int error_set_errno(struct error *error, int code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        size_t used = error_format(error, code, format, args);
        va_end(args);
        char text[128];
        /* GNU strerror_r: the text may or may not be in our buffer. */
        snprintf(error->message + used, sizeof(error->message) - used, ": %s",
                 strerror_r(-code, text, sizeof(text)));
    }
    return code;
}
