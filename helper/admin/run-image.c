/* SPDX-License-Identifier: Apache-2.0 */
#include "run-image.h"

#include <string.h>

#include "base/text.h"
#include "core/registry.h"

#define TAG_MAX 128
#define DIGEST_HEX_MIN 32

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return is_lower(text_lower(c));
}

static bool is_word(char c)
{
    return is_letter(c) || is_digit(c);
}

/* "." or "_" or "__" or any number of "-" between two words of a path component; 0: none. */
static size_t match_separator(const char *text, size_t length)
{
    size_t size = 0;

    if (length > 0 && text[0] == '-') {
        while (size < length && text[size] == '-')
            size++;
        return size;
    }
    if (length > 1 && text[0] == '_' && text[1] == '_')
        return 2;
    return length > 0 && (text[0] == '.' || text[0] == '_') ? 1 : 0;
}

/* The length of the repository that the text begins with, 0 if there is none. */
static size_t match_repository(const char *text, size_t length)
{
    size_t at = 0, separator;

    for (;;) {
        size_t word = at;

        while (at < length && (is_lower(text[at]) || is_digit(text[at])))
            at++;
        if (at == word)
            return 0;
        if (at < length && text[at] == '/')
            separator = 1;
        else
            separator = match_separator(text + at, length - at);
        if (separator == 0)
            return at;
        at += separator;
    }
}

static size_t match_tag(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length && (is_word(text[at]) || text[at] == '_' ||
                           (at > 0 && (text[at] == '.' || text[at] == '-'))))
        at++;
    return at <= TAG_MAX ? at : 0;
}

static bool is_digest(const char *text, size_t length)
{
    size_t at = 0, hex;

    if (length == 0 || !is_letter(text[0]))
        return false;
    while (at < length && (is_word(text[at]) || strchr("-_+.", text[at])))
        at++;
    if (at == length || text[at] != ':')
        return false;
    hex = ++at;
    while (at < length &&
           (is_digit(text[at]) || (text_lower(text[at]) >= 'a' && text_lower(text[at]) <= 'f')))
        at++;
    return at == length && at - hex >= DIGEST_HEX_MIN;
}

/* Repository, and a tag and a digest where there are any, to the end of the text. */
static bool read_repository(const char *text, size_t length, struct run_image *ret)
{
    size_t size = match_repository(text, length), at = size;

    if (size == 0 || size > RUN_REPOSITORY_MAX)
        return false;
    ret->tag[0] = '\0';
    if (at < length && text[at] == ':') {
        size_t tag = match_tag(text + at + 1, length - at - 1);

        if (tag == 0)
            return false;
        memcpy(mempcpy(ret->tag, text + at + 1, tag), "", 1);
        at += 1 + tag;
    }
    if (at < length) {
        size_t digest = length - at - 1;

        if (text[at] != '@' || digest > RUN_TAG_MAX || !is_digest(text + at + 1, digest))
            return false;
        memcpy(mempcpy(ret->tag, text + at + 1, digest), "", 1);
    }
    memcpy(mempcpy(ret->repository, text, size), "", 1);
    return true;
}

/* What the segment in front of the first slash must look like to be a host, and be one. */
static bool read_authority(const char *text, size_t length, struct run_image *ret)
{
    struct registry_reference reference;
    struct pullkey_error ignored;

    if (length == 0 || length > RUN_AUTHORITY_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_word(text[i]) && !strchr("-.:[]", text[i]))
            return false;
    memcpy(mempcpy(ret->authority, text, length), "", 1);
    if (!strpbrk(ret->authority, ".:") && strcmp(ret->authority, "localhost") != 0)
        return false;
    return registry_parse(ret->authority, length, &reference, &ignored) == 0;
}

/* True, and moved behind it, if the text begins so. */
static bool skip(const char **text, size_t *length, const char *begin)
{
    size_t size = strlen(begin);

    if (*length < size || memcmp(*text, begin, size) != 0)
        return false;
    *text += size;
    *length -= size;
    return true;
}

static bool read_image(const char *text, size_t length, struct run_image *ret)
{
    static const char hub[] = "docker.io", official[] = "library/";
    bool is_image = skip(&text, &length, "docker://");
    const char *slash;
    size_t size;

    if (!is_image)
        (void)skip(&text, &length, "oci://");
    slash = memchr(text, '/', length);
    size = slash ? (size_t)(slash - text) : 0;
    if (slash && read_authority(text, size, ret))
        return read_repository(slash + 1, length - size - 1, ret);
    if (!is_image || !read_repository(text, length, ret))
        return false;
    memcpy(ret->authority, hub, sizeof(hub));
    if (strchr(ret->repository, '/'))
        return true;
    size = strlen(ret->repository);
    if (size + sizeof(official) > sizeof(ret->repository))
        return false;
    memmove(ret->repository + sizeof(official) - 1, ret->repository, size + 1);
    memcpy(ret->repository, official, sizeof(official) - 1);
    return true;
}

bool run_image_read(const char *text, struct run_image *ret)
{
    return read_image(text, strlen(text), ret);
}

/* --password, --creds, --authfile, TOKEN=...: the name of an option or a variable. */
static bool sounds_secret(const char *argument)
{
    static const char *const words[] = { "pass", "cred", "auth", "token", "secret" };
    size_t length = strcspn(argument, "=");

    if (argument[0] != '-' && argument[length] == '\0')
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t size = strlen(words[i]);

        for (size_t at = 0; at + size <= length; at++)
            if (strncasecmp(argument + at, words[i], size) == 0)
                return true;
    }
    return false;
}

/* Moves to the next argument that may be looked at; false at the end. */
static bool next_argument(struct run_images *images)
{
    while (*images->arguments) {
        const char *argument = *images->arguments++;
        const char *equals = strchr(argument, '=');

        if (sounds_secret(argument)) {
            if (!equals && *images->arguments)
                images->arguments++;
        } else if (argument[0] != '-') {
            images->rest = argument;
            return true;
        } else if (equals) {
            images->rest = equals + 1;
            return true;
        }
    }
    return false;
}

bool run_images_next(struct run_images *images, struct run_image *ret)
{
    while (images->rest || next_argument(images)) {
        const char *piece = images->rest;
        size_t length = strcspn(piece, "=,");

        images->rest = piece[length] != '\0' ? piece + length + 1 : NULL;
        if (read_image(piece, length, ret))
            return true;
    }
    return false;
}
