/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A failure that a person will read: an errno value and one sentence.
 *
 * For cold paths only (opening, negotiating, starting). The sentence names the thing, the value and
 * the limit; it never holds key material.
 */
#ifndef UBIBLK_BASE_ERROR_H
#define UBIBLK_BASE_ERROR_H

enum { ERROR_MESSAGE_BYTES = 512 };

/* Owned by the caller; code is 0 or a negative errno. */
struct error {
    int code;
    char message[ERROR_MESSAGE_BYTES];
};

/*
 * Fills *error (which may be NULL) with a negative errno and a sentence cut at ERROR_MESSAGE_BYTES.
 * Returns code, so that a caller can write "return error_set(…)". Any thread.
 */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and the text of -code appended. */
int error_set_errno(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
