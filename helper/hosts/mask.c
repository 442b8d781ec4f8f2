/* SPDX-License-Identifier: Apache-2.0 */
#include "mask.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "toml.h"

#define WHOLE_WORD_BELOW 8     /* bytes */
#define BASE64_FORM_AT_LEAST 6 /* characters; fewer are found anywhere */

#define CHAIN_BYTES 4

/* Where forms are that begin like this. Those of fewer bytes have chains of their first one. */
static size_t chain_of(const char *bytes, size_t length)
{
    uint32_t first = 0;

    if (length < CHAIN_BYTES)
        return (unsigned char)bytes[0];
    memcpy(&first, bytes, CHAIN_BYTES);
    return first * 2654435761u >> 20; /* Knuth's multiplicative hash, to 12 bits */
}

static const struct mask_form *form_at(const struct mask *mask, uint32_t number)
{
    return number > 0 ? &mask->forms[number - 1] : NULL;
}

static bool has_form(const struct mask *mask, const char *bytes, size_t length)
{
    for (const struct mask_form *form = form_at(mask, mask->chains[chain_of(bytes, length)]); form;
         form = form_at(mask, form->next))
        if (form->length == length && memcmp(form->bytes, bytes, length) == 0)
            return true;
    return false;
}

static int add_form(struct mask *mask, const char *bytes, size_t length,
                    struct pullkey_error *error)
{
    struct mask_form *form;
    size_t chain;
    char *copy;

    if (length == 0 || has_form(mask, bytes, length))
        return 0;
    if (mask->count == mask->capacity) {
        size_t capacity = mask->capacity > 0 ? 2 * mask->capacity : 16;
        struct mask_form *forms = secret_alloc(capacity * sizeof(*forms));

        if (!forms)
            return error_memory(error);
        if (mask->count > 0)
            memcpy(forms, mask->forms, mask->count * sizeof(*forms));
        secret_release(mask->forms);
        mask->forms = forms;
        mask->capacity = capacity;
    }
    copy = secret_copy(bytes, length);
    if (!copy)
        return error_memory(error);
    form = &mask->forms[mask->count++];
    chain = chain_of(bytes, length);
    *form = (struct mask_form){ copy, length, length < WHOLE_WORD_BELOW, mask->chains[chain] };
    mask->chains[chain] = (uint32_t)mask->count;
    return 0;
}

/* Without its quotes. */
static int add_quoted(struct mask *mask, struct buffer *quoted, struct pullkey_error *error)
{
    int r = buffer_check(quoted, error);

    return r < 0 ? r : add_form(mask, quoted->data + 1, quoted->length - 2, error);
}

/* The characters that depend on the secret alone, where `before` bytes stand before it. */
static int add_base64(struct mask *mask, const char *secret, size_t length, size_t before,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer bytes = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(4 * PULLKEY_SECRET_MAX);
    size_t begin = (before * 8 + 5) / 6, end = (before + length) * 8 / 6;
    int r;

    buffer_append(&bytes, "\0\0", before);
    buffer_append(&bytes, secret, length);
    r = buffer_check(&bytes, error);
    if (r < 0)
        return r;
    text_base64_encode(&text, bytes.data, bytes.length);
    r = buffer_check(&text, error);
    if (r < 0 || end < begin + BASE64_FORM_AT_LEAST)
        return r;
    r = add_form(mask, text.data + begin, end - begin, error);
    /* RFC 4648 section 5. */
    for (size_t i = begin; i < end; i++)
        text.data[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
    return r < 0 ? r : add_form(mask, text.data + begin, end - begin, error);
}

int mask_add(struct mask *mask, const char *secret, size_t length, struct pullkey_error *error)
{
    cleanup_buffer struct buffer toml = BUFFER_INIT(8 * PULLKEY_SECRET_MAX);
    cleanup_buffer struct buffer json = BUFFER_INIT(8 * PULLKEY_SECRET_MAX);
    int r;

    if (length == 0)
        return 0;
    if (length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "a secret has more than %d bytes",
                         PULLKEY_SECRET_MAX);
    r = add_form(mask, secret, length, error);
    toml_write_string(&toml, secret, length);
    if (r == 0)
        r = add_quoted(mask, &toml, error);
    json_write_string(&json, secret, length);
    if (r == 0)
        r = add_quoted(mask, &json, error);
    for (size_t before = 0; r == 0 && before < 3; before++)
        r = add_base64(mask, secret, length, before, error);
    return r;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (text_lower(c) >= 'a' && text_lower(c) <= 'z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The longest secret of a chain that stands at a position, or 0. */
static size_t match_chain(const struct mask *mask, size_t chain, const char *text, size_t length,
                          size_t at)
{
    size_t longest = 0;

    for (const struct mask_form *form = form_at(mask, mask->chains[chain]); form;
         form = form_at(mask, form->next)) {
        if (form->length <= longest || form->length > length - at || form->bytes[0] != text[at] ||
            memcmp(form->bytes, text + at, form->length) != 0)
            continue;
        if (form->whole_word && ((at > 0 && is_word(text[at - 1]) && is_word(text[at])) ||
                                 (at + form->length < length && is_word(text[at + form->length]) &&
                                  is_word(text[at + form->length - 1]))))
            continue;
        longest = form->length;
    }
    return longest;
}

static size_t match(const struct mask *mask, const char *text, size_t length, size_t at)
{
    size_t few = match_chain(mask, chain_of(text + at, 1), text, length, at);
    size_t more = match_chain(mask, chain_of(text + at, length - at), text, length, at);

    return more > few ? more : few;
}

int mask_apply(const struct mask *mask, const char *text, size_t length, struct buffer *ret,
               struct pullkey_error *error)
{
    size_t at = 0;

    while (at < length) {
        size_t found = match(mask, text, length, at);

        if (found > 0) {
            buffer_append_text(ret, MASK_TEXT);
            at += found;
        } else {
            buffer_append(ret, text + at++, 1);
        }
    }
    return buffer_check(ret, error);
}

bool mask_finds(const struct mask *mask, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        if (match(mask, text, length, at) > 0)
            return true;
    return false;
}

void mask_done(struct mask *mask)
{
    for (size_t i = 0; i < mask->count; i++)
        secret_release(mask->forms[i].bytes);
    secret_release(mask->forms);
    *mask = (struct mask){ 0 };
}
