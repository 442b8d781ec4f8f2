/* SPDX-License-Identifier: Apache-2.0 */
#include "kubelet-text.h"

#include <string.h>

#include "base/text.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define ANNOTATION_NAME_MAX 63
#define ANNOTATION_PREFIX_MAX 253
#define SCALAR_MAX 128 /* a longer one is no number that anybody wrote */

/* -- YAML ------------------------------------------------------------------------------------- */

/* Digits of a base and nothing else. */
static bool is_whole(const char *text, const char *digits)
{
    return text[0] != '\0' && text[strspn(text, digits)] == '\0';
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, or a whole number of another base. */
static bool is_number(const char *text)
{
    size_t before, after = 0;

    text += text[0] == '-' || text[0] == '+';
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return is_whole(text + 2, DIGITS "abcdefABCDEF");
    if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
        return is_whole(text + 2, "01234567");
    if (text[0] == '0' && (text[1] == 'b' || text[1] == 'B'))
        return is_whole(text + 2, "01");
    before = strspn(text, DIGITS);
    text += before;
    if (text[0] == '.') {
        after = strspn(++text, DIGITS);
        text += after;
    }
    if (before + after == 0)
        return false;
    if (text[0] == 'e' || text[0] == 'E') {
        text++;
        text += text[0] == '-' || text[0] == '+';
        return is_whole(text, DIGITS);
    }
    return text[0] == '\0';
}

static enum kubelet_scalar find_word(const char *text)
{
    static const struct {
        enum kubelet_scalar type;
        const char *words[10];
    } rows[] = {
        { KUBELET_TRUE, { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", NULL } },
        { KUBELET_TRUE, { "On", "ON", NULL } },
        { KUBELET_FALSE, { "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", NULL } },
        { KUBELET_FALSE, { "Off", "OFF", NULL } },
        { KUBELET_NULL, { "", "~", "null", "Null", "NULL", NULL } },
        { KUBELET_NUMBER, { ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", NULL } },
        { KUBELET_NUMBER, { "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL } },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (const char *const *word = rows[i].words; *word; word++)
            if (strcmp(*word, text) == 0)
                return rows[i].type;
    return KUBELET_STRING;
}

enum kubelet_scalar kubelet_scalar(const char *text)
{
    enum kubelet_scalar word = find_word(text);
    bool begins_with_dot = text[0] == '.';
    char plain[SCALAR_MAX];
    size_t used = 0;

    if (word != KUBELET_STRING || text[0] == '\0' || !strchr("+-." DIGITS, text[0]))
        return word;
    for (; *text != '\0' && used + 1 < sizeof(plain); text++)
        if (*text != '_' || begins_with_dot)
            plain[used++] = *text;
    plain[used] = '\0';
    return *text == '\0' && is_number(plain) ? KUBELET_NUMBER : KUBELET_STRING;
}

/* -- Annotations ------------------------------------------------------------------------------ */

/* Letters, digits and `more`, of which none begins or ends it. */
static bool is_part(const char *text, size_t length, size_t limit, const char *more)
{
    if (length == 0 || length > limit || strchr(more, text[0]) || strchr(more, text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr(LETTERS DIGITS, text_lower(text[i])) && !strchr(more, text[i]))
            return false;
    return true;
}

bool kubelet_is_annotation(const char *text)
{
    const char *slash = strchr(text, '/');
    const char *name = slash ? slash + 1 : text;

    if (!is_part(name, strlen(name), ANNOTATION_NAME_MAX, "-_.") ||
        (slash && slash - text > ANNOTATION_PREFIX_MAX))
        return false;
    while (slash) {
        size_t label = strcspn(text, "./");

        if (!is_part(text, label, ANNOTATION_PREFIX_MAX, "-"))
            return false;
        if (text + label == slash)
            break;
        text += label + 1;
    }
    return true;
}
