/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The forms in which a key can lie about in memory or stand in a text, and where they were found.
 *
 * A form is a sequence of bytes, looked for by its pieces of 16 bytes (support/piece_search.h), so
 * that a part of it is found as well. Pieces that belong to one copy are one *finding*.
 *
 *   binary forms   both AES-256 schedules of a key, whose first two round keys are the key itself,
 *                  with words as FIPS 197 has them and with the bytes of each word reversed
 *   textual forms  base64 and hexadecimal digits, in one, two or four bytes per character; in dumps
 *                  also 64-bit words in either order, and bytes with spaces between
 *   wrapped forms  the base64 of a wrapped key: no secret without the KEK
 *
 * Belongs to one thread.
 */
#ifndef UBIBLK_SUPPORT_SECRET_FORMS_H
#define UBIBLK_SUPPORT_SECRET_FORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/piece_search.h"

enum { SECRET_KEY_BYTES = 32, SECRET_FORM_NAME_BYTES = 96 };

enum secret_form_kind { SECRET_FORM_BINARY, SECRET_FORM_TEXT, SECRET_FORM_WRAPPED };

struct secret_form {
    char name[SECRET_FORM_NAME_BYTES];
    enum secret_form_kind kind;
    uint32_t pieces;     /* of the whole form */
    uint32_t pieces_min; /* fewer than these in one copy are chance, and no finding */
    uint32_t newest;     /* its newest finding, or UINT32_MAX */
};

struct secret_finding {
    uint32_t form;
    uint32_t pieces;  /* found of this copy */
    uint64_t address; /* of the first piece found */
    uint64_t start;   /* where the whole copy begins or would begin */
    bool begins;      /* the copy's first 32 bytes are there: of an encryption schedule, the key */
};

struct secret_forms {
    struct piece_search *search;
    struct secret_form *forms; /* form_count of them, owned */
    uint32_t form_count, form_capacity;
    struct secret_finding *findings; /* finding_count of them, by address within a form, owned */
    uint32_t finding_count, finding_capacity;
    int error; /* of a hit that could not be written down */
};

/* 0 or -ENOMEM. */
int secret_forms_init(struct secret_forms *forms);
void secret_forms_free(struct secret_forms *forms);

/* Adds every form of a key, called name in reports. 0 or -ENOMEM. */
int secret_forms_add_key(struct secret_forms *forms, const char *name, const uint8_t *key);

/* Adds the base64 text of a wrapped key, at least 16 characters. 0 or -ENOMEM. */
int secret_forms_add_wrapped(struct secret_forms *forms, const char *name, const char *text);

/*
 * Reads a file of lines "key NAME BASE64" and "wrapped NAME BASE64" and adds what they say. 0 or
 * -errno; -EBADMSG for anything else in it.
 */
int secret_forms_read(struct secret_forms *forms, const char *path);

/* As piece_search_feed; findings are added. */
void secret_forms_search(struct secret_forms *forms, uint64_t address, const uint8_t *bytes,
                         size_t byte_len);

/* Ends a search: leaves out what is chance. 0, or -ENOMEM if a hit was lost. */
int secret_forms_finish(struct secret_forms *forms);

/* Whether the finding has the 32 bytes of the key and not the schedule that begins with them. */
bool secret_finding_is_raw_key(const struct secret_forms *forms,
                               const struct secret_finding *finding);

#endif
