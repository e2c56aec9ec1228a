/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The pieces of a form begin at every 16th of its bytes, and at the last 16. In dumps, where words
 * may begin at any byte of a key, they begin at every byte.
 *
 * A hit that lies as far into the form as the one before it, counted from the same start, belongs
 * to the same copy. That holds for copies that do not overlap, and hits come in order.
 */
#include "support/secret_forms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/reference_aes.h"

enum {
    WORD_BYTES = 4,
    LONG_BYTES = 8,
    TEXT_CHARS_MAX = 512,
    WIDTH_MAX = 4,
    INNER_BYTES = REFERENCE_SCHEDULE_BYTES - 2 * PIECE_BYTES,
};

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- findings --------------------------------------------------------------------------------- */

static void note_hit(void *context, uint64_t address, uint32_t owner, uint32_t offset)
{
    struct secret_forms *forms = context;
    struct secret_form *form = &forms->forms[owner];
    struct secret_finding *finding;

    if (form->newest != UINT32_MAX && forms->findings[form->newest].start == address - offset) {
        finding = &forms->findings[form->newest];
        finding->pieces++;
        finding->begins = finding->begins && (finding->pieces > 2 || offset == PIECE_BYTES);
        return;
    }
    if (forms->finding_count == forms->finding_capacity) {
        uint32_t capacity = forms->finding_capacity == 0 ? 64 : 2 * forms->finding_capacity;
        struct secret_finding *findings = realloc(forms->findings, capacity * sizeof(*findings));
        if (findings == NULL) {
            forms->error = -ENOMEM;
            return;
        }
        forms->findings = findings;
        forms->finding_capacity = capacity;
    }
    form->newest = forms->finding_count++;
    forms->findings[form->newest] = (struct secret_finding){.form = owner,
                                                            .pieces = 1,
                                                            .address = address,
                                                            .start = address - offset,
                                                            .begins = offset == 0};
}

int secret_forms_finish(struct secret_forms *forms)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < forms->finding_count; i++) {
        const struct secret_finding *finding = &forms->findings[i];
        if (finding->pieces >= forms->forms[finding->form].pieces_min) {
            forms->findings[kept++] = *finding;
        }
    }
    forms->finding_count = kept;
    return forms->error;
}

bool secret_finding_is_raw_key(const struct secret_forms *forms,
                               const struct secret_finding *finding)
{
    return finding->begins && finding->pieces > 1 &&
           finding->pieces < forms->forms[finding->form].pieces;
}

void secret_forms_search(struct secret_forms *forms, uint64_t address, const uint8_t *bytes,
                         size_t byte_len)
{
    piece_search_feed(forms->search, address, bytes, byte_len);
}

/* --- forms ------------------------------------------------------------------------------------ */

int secret_forms_init(struct secret_forms *forms)
{
    *forms = (struct secret_forms){.search = NULL};
    forms->search = piece_search_create(note_hit, forms);
    return forms->search == NULL ? -ENOMEM : 0;
}

void secret_forms_free(struct secret_forms *forms)
{
    piece_search_destroy(forms->search);
    free(forms->forms);
    free(forms->findings);
    *forms = (struct secret_forms){.search = NULL};
}

/* A form without pieces yet, or NULL. */
static struct secret_form *form_new(struct secret_forms *forms, enum secret_form_kind kind,
                                    const char *name, const char *what)
{
    struct secret_form *form;

    if (forms->form_count == forms->form_capacity) {
        uint32_t capacity = forms->form_capacity == 0 ? 64 : 2 * forms->form_capacity;
        form = realloc(forms->forms, capacity * sizeof(*form));
        if (form == NULL) {
            return NULL;
        }
        forms->forms = form;
        forms->form_capacity = capacity;
    }
    form = &forms->forms[forms->form_count++];
    *form = (struct secret_form){.kind = kind, .pieces_min = 1, .newest = UINT32_MAX};
    snprintf(form->name, sizeof(form->name), "%s, %s", name, what);
    return form;
}

static int piece_add(struct secret_forms *forms, const uint8_t *bytes, size_t offset)
{
    uint32_t owner = forms->form_count - 1;

    forms->forms[owner].pieces++;
    return piece_search_add(forms->search, bytes + offset, owner, (uint32_t)offset);
}

/* The pieces of the newest form. */
static int pieces_add(struct secret_forms *forms, const uint8_t *bytes, size_t byte_len)
{
    int result = 0;

    for (size_t at = 0; at + PIECE_BYTES <= byte_len && result == 0; at += PIECE_BYTES) {
        result = piece_add(forms, bytes, at);
    }
    if (byte_len % PIECE_BYTES != 0 && result == 0) {
        result = piece_add(forms, bytes, byte_len - PIECE_BYTES);
    }
    return result;
}

static int binary_add(struct secret_forms *forms, const char *name, const char *what,
                      const uint8_t *bytes, size_t byte_len)
{
    if (form_new(forms, SECRET_FORM_BINARY, name, what) == NULL) {
        return -ENOMEM;
    }
    return pieces_add(forms, bytes, byte_len);
}

/* A text with width bytes per character, the first of which is the character. Pieces of wide
 * characters say little each, so several must come together. */
static int text_add_wide(struct secret_forms *forms, enum secret_form_kind kind, const char *name,
                         const char *what, const char *text, uint32_t width)
{
    uint8_t bytes[TEXT_CHARS_MAX * WIDTH_MAX] = {0};
    char described[SECRET_FORM_NAME_BYTES];
    size_t chars = strlen(text);
    struct secret_form *form;

    for (size_t i = 0; i < chars; i++) {
        bytes[i * width] = (uint8_t)text[i];
    }
    snprintf(described, sizeof(described), "%s, %u bits per character", what, 8 * width);
    form = form_new(forms, kind, name, described);
    if (form == NULL) {
        return -ENOMEM;
    }
    form->pieces_min = width;
    return pieces_add(forms, bytes, chars * width);
}

static int text_add(struct secret_forms *forms, enum secret_form_kind kind, const char *name,
                    const char *what, const char *text)
{
    int result = 0;

    for (uint32_t width = 1; width <= WIDTH_MAX && result == 0; width *= 2) {
        result = text_add_wide(forms, kind, name, what, text, width);
    }
    return result;
}

static void reverse_words(uint8_t *bytes, size_t byte_len, size_t word_bytes)
{
    for (size_t at = 0; at + word_bytes <= byte_len; at += word_bytes) {
        for (size_t i = 0; i < word_bytes / 2; i++) {
            uint8_t byte = bytes[at + i];
            bytes[at + i] = bytes[at + word_bytes - 1 - i];
            bytes[at + word_bytes - 1 - i] = byte;
        }
    }
}

/* Both schedules; of the decryption schedule what the other one does not have. */
static int schedules_add(struct secret_forms *forms, const char *name, const uint8_t *key)
{
    uint8_t encrypt[REFERENCE_SCHEDULE_BYTES], decrypt[REFERENCE_SCHEDULE_BYTES];
    int result;

    reference_expand(key, encrypt, decrypt);
    result = binary_add(forms, name, "encryption schedule", encrypt, sizeof(encrypt));
    if (result == 0) {
        result = binary_add(forms, name, "decryption schedule", decrypt + PIECE_BYTES, INNER_BYTES);
    }
    reverse_words(encrypt, sizeof(encrypt), WORD_BYTES);
    reverse_words(decrypt, sizeof(decrypt), WORD_BYTES);
    if (result == 0) {
        result = binary_add(forms, name, "encryption schedule in words", encrypt, sizeof(encrypt));
    }
    if (result == 0) {
        result = binary_add(forms, name, "decryption schedule in words", decrypt + PIECE_BYTES,
                            INNER_BYTES);
    }
    return result;
}

/* --- dumps ------------------------------------------------------------------------------------ */

static void hex_of(const uint8_t *bytes, size_t byte_len, const char *digits, const char *between,
                   char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < byte_len; i++) {
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
        if (between[0] != '\0') {
            out[at++] = between[0];
        }
    }
}

/* Every eight bytes of bytes as the digits of a 64-bit word, in both orders of its bytes. The
 * eight bytes are what a hit says; whether copies continue is not asked. */
static int dump_add(struct secret_forms *forms, const char *name, const char *what,
                    const uint8_t *bytes, size_t byte_len, const char *digits)
{
    int result = 0;

    if (form_new(forms, SECRET_FORM_TEXT, name, what) == NULL) {
        return -ENOMEM;
    }
    for (size_t at = 0; at + LONG_BYTES <= byte_len && result == 0; at++) {
        uint8_t word[LONG_BYTES];
        char text[3 * LONG_BYTES];
        memcpy(word, bytes + at, sizeof(word));
        hex_of(word, sizeof(word), digits, "", text);
        result = piece_add(forms, (const uint8_t *)text, 0);
        hex_of(word, sizeof(word), digits, " ", text);
        if (result == 0) {
            result = piece_add(forms, (const uint8_t *)text, 0);
        }
        reverse_words(word, sizeof(word), sizeof(word));
        hex_of(word, sizeof(word), digits, "", text);
        if (result == 0) {
            result = piece_add(forms, (const uint8_t *)text, 0);
        }
    }
    return result;
}

static int dumps_add(struct secret_forms *forms, const char *name, const uint8_t *key)
{
    uint8_t encrypt[REFERENCE_SCHEDULE_BYTES], decrypt[REFERENCE_SCHEDULE_BYTES];
    int result;

    reference_expand(key, encrypt, decrypt);
    result = dump_add(forms, name, "dump of the encryption schedule", encrypt, sizeof(encrypt),
                      "0123456789abcdef");
    if (result == 0) {
        result = dump_add(forms, name, "dump of the decryption schedule", decrypt, sizeof(decrypt),
                          "0123456789abcdef");
    }
    if (result == 0) {
        result = dump_add(forms, name, "dump of the key in capitals", key, SECRET_KEY_BYTES,
                          "0123456789ABCDEF");
    }
    reverse_words(encrypt, sizeof(encrypt), WORD_BYTES);
    if (result == 0) {
        result = dump_add(forms, name, "dump of the encryption schedule in words", encrypt,
                          sizeof(encrypt), "0123456789abcdef");
    }
    return result;
}

/* --- texts ------------------------------------------------------------------------------------ */

static void base64_of(const uint8_t *key, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < SECRET_KEY_BYTES; i += 3) {
        size_t left = SECRET_KEY_BYTES - i;
        uint32_t bits = (uint32_t)key[i] << 16 | (left > 1 ? (uint32_t)key[i + 1] << 8 : 0) |
                        (left > 2 ? key[i + 2] : 0);
        out[at++] = base64_digits[bits >> 18 & 63];
        out[at++] = base64_digits[bits >> 12 & 63];
        out[at++] = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        out[at++] = left > 2 ? base64_digits[bits & 63] : '=';
    }
    out[at] = '\0';
}

/* 0, or -EBADMSG unless text is the base64 of a key. */
static int base64_key(const char *text, uint8_t key[SECRET_KEY_BYTES])
{
    size_t at = 0;
    uint32_t bits = 0;

    for (size_t i = 0; text[i] != '\0' && text[i] != '='; i++) {
        const char *digit = strchr(base64_digits, text[i]);
        if (digit == NULL) {
            return -EBADMSG;
        }
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        if (i % 4 != 0) {
            if (at == SECRET_KEY_BYTES) {
                return -EBADMSG;
            }
            key[at++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    return at == SECRET_KEY_BYTES ? 0 : -EBADMSG;
}

int secret_forms_add_key(struct secret_forms *forms, const char *name, const uint8_t *key)
{
    char base64[TEXT_CHARS_MAX], lower[2 * SECRET_KEY_BYTES + 1] = "",
                                                              upper[2 * SECRET_KEY_BYTES + 1] = "";
    int result = schedules_add(forms, name, key);

    base64_of(key, base64);
    hex_of(key, SECRET_KEY_BYTES, "0123456789abcdef", "", lower);
    hex_of(key, SECRET_KEY_BYTES, "0123456789ABCDEF", "", upper);
    if (result == 0) {
        result = text_add(forms, SECRET_FORM_TEXT, name, "base64", base64);
    }
    if (result == 0) {
        result = text_add(forms, SECRET_FORM_TEXT, name, "digits", lower);
    }
    if (result == 0) {
        result = text_add(forms, SECRET_FORM_TEXT, name, "capital digits", upper);
    }
    return result == 0 ? dumps_add(forms, name, key) : result;
}

int secret_forms_add_wrapped(struct secret_forms *forms, const char *name, const char *text)
{
    return text_add(forms, SECRET_FORM_WRAPPED, name, "wrapped, base64", text);
}

static int line_add(struct secret_forms *forms, const char *line)
{
    char what[16], name[32], text[TEXT_CHARS_MAX];
    uint8_t key[SECRET_KEY_BYTES];

    if (sscanf(line, "%15s %31s %511s", what, name, text) != 3) {
        return -EBADMSG;
    }
    if (strcmp(what, "wrapped") == 0) {
        return strlen(text) < PIECE_BYTES ? -EBADMSG : secret_forms_add_wrapped(forms, name, text);
    }
    if (strcmp(what, "key") != 0 || base64_key(text, key) != 0) {
        return -EBADMSG;
    }
    return secret_forms_add_key(forms, name, key);
}

int secret_forms_read(struct secret_forms *forms, const char *path)
{
    char line[TEXT_CHARS_MAX + 64];
    FILE *file = fopen(path, "re");
    int result = 0;

    if (file == NULL) {
        return -errno;
    }
    while (result == 0 && fgets(line, sizeof(line), file) != NULL) {
        result = line_add(forms, line);
    }
    fclose(file);
    return result;
}
