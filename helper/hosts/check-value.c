/* SPDX-License-Identifier: Apache-2.0 */
/* What a header, or a URL, holds. */
#include "check.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

bool check_is_secret_name(const char *name)
{
    static const char *const parts[] = { "auth",   "token",    "key",        "secret", "cookie",
                                         "passwd", "password", "credential", "session" };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

const char *check_host_name(const char *url)
{
    const char *at = strrchr(url, '@'), *name = at ? at + 1 : url;

    return url[strcspn(url, "?#")] == '\0' ? name : "a URL with a query";
}

bool check_has_user(const char *url)
{
    const char *authority = strstr(url, "://");

    authority = authority ? authority + 3 : url;
    return authority[strcspn(authority, "/@")] == '@';
}

static bool begins_with_word(const char *text, size_t length, const char *word)
{
    size_t size = strlen(word);

    return length > size && strncasecmp(text, word, size) == 0 && text[size] == ' ';
}

/* The user name that docker stores an identity token with. */
#define IDENTITY "<token>:"

static enum check_value check_basic(const char *text, size_t length)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(PULLKEY_SECRET_MAX);
    struct pullkey_error ignored;

    if (length == 0 || text_base64_decode(text, length, &plain, &ignored) < 0 ||
        plain.length == 0 || !memchr(plain.data, ':', plain.length))
        return CHECK_VALUE_MALFORMED;
    return strncmp(plain.data, IDENTITY, strlen(IDENTITY)) == 0 ? CHECK_VALUE_IDENTITY
                                                                : CHECK_VALUE_BASIC;
}

enum check_value check_authorization(const char *text, size_t length)
{
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (length == 0)
        return CHECK_VALUE_EMPTY;
    if (memmem(text, length, "$(", 2) || memmem(text, length, "${", 2) || memchr(text, '`', length))
        return CHECK_VALUE_EXPRESSION;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n' || text[i] == '\r')
            return CHECK_VALUE_BROKEN;
    if (!begins_with_word(text, length, "basic")) {
        size_t word = strcspn(text, " ");

        return word > 0 && word < length ? CHECK_VALUE_TOKEN : CHECK_VALUE_NO_SCHEME;
    }
    text += 6;
    length -= 6;
    while (length > 0 && *text == ' ') {
        text++;
        length--;
    }
    if (memchr(text, ' ', length) || memchr(text, '\t', length))
        return CHECK_VALUE_BROKEN;
    return check_basic(text, length);
}
