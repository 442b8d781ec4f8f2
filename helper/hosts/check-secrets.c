/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in hosts.toml files, and what people get wrong in them. */
#include "check.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

#define FIX_HELPER                                                                                 \
    "run \"pullkey hosts migrate\", or name a credHelper in [host.\"URL\".auth] instead"

static void check_value(struct check *check, const char *path, const struct toml_item *value,
                        const char *host)
{
    switch (check_authorization(value->string, value->string_length)) {
    case CHECK_VALUE_EXPRESSION:
        check_at(check, OUTPUT_ERROR, "header-not-expanded", path, value,
                 "nothing expands it: name a credHelper instead",
                 "Authorization of %s has text in it that a shell was meant to expand, and is sent "
                 "as it is",
                 host);
        break;
    case CHECK_VALUE_BROKEN:
        check_at(
            check, OUTPUT_ERROR, "header-line-break", path, value,
            "name a credHelper instead; or encode once more, with base64 -w0",
            "Authorization of %s is broken into lines or words: no request can be made with it",
            host);
        break;
    case CHECK_VALUE_MALFORMED:
        check_at(check, OUTPUT_ERROR, "header-malformed", path, value,
                 "name a credHelper instead; or encode USER:PASSWORD, with base64 -w0",
                 "Authorization of %s is not the base64 form of USER:PASSWORD", host);
        break;
    case CHECK_VALUE_NO_SCHEME:
        check_at(check, OUTPUT_ERROR, "header-malformed", path, value,
                 "name a credHelper instead; or begin the value with \"Basic \"",
                 "Authorization of %s does not begin with a scheme, Basic or Bearer", host);
        break;
    case CHECK_VALUE_IDENTITY:
        check_at(check, OUTPUT_ERROR, "header-identity-token", path, value,
                 "use a password or an access token, through a credHelper",
                 "Authorization of %s is an identity token, which containerd cannot exchange",
                 host);
        break;
    case CHECK_VALUE_EMPTY: return;
    case CHECK_VALUE_BASIC:
    case CHECK_VALUE_TOKEN:
    default: break;
    }
    check_at(check, OUTPUT_ERROR, "plaintext-header", path, value, FIX_HELPER,
             "Authorization of %s is in plain text", host);
}

static void check_header(struct check *check, const char *path, const struct toml_item *item,
                         const char *host)
{
    if (text_equal_any_case(item->key, "authorization")) {
        const struct toml_item *value = item->kind == TOML_ARRAY ? item->first : item;

        for (; value; value = item->kind == TOML_ARRAY ? value->next : NULL)
            if (value->kind == TOML_STRING)
                check_value(check, path, value, host);
        if (strcmp(item->key, "Authorization") != 0)
            check_at(check, OUTPUT_WARNING, "header-lower-case", path, item,
                     "write Authorization, with a capital A",
                     "%s of %s: after a challenge containerd sends two Authorization headers",
                     item->key, host);
    } else if (check_is_secret_name(item->key)) {
        check_at(
            check, OUTPUT_ERROR, "header-forwarded", path, item,
            "use Authorization, through a credHelper",
            "%s of %s is in plain text, and goes along with every redirect, to other hosts too",
            item->key, host);
    }
}

/* People try these in hosts.toml; containerd has none of them there. */
static void check_ignored_secrets(struct check *check, const char *path,
                                  const struct toml_item *table, const char *host)
{
    static const char *const names[] = { "password",       "token", "identitytoken",
                                         "identity_token", "auth",  "secret" };

    for (const struct toml_item *item = table && table->kind == TOML_TABLE ? table->first : NULL;
         item; item = item->next)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (item->kind == TOML_STRING && text_equal_any_case(item->key, names[i]))
                check_at(check, OUTPUT_ERROR, "plaintext-ignored", path, item,
                         "run \"pullkey login\" for the host, name credHelper = \"pullkey\", and "
                         "remove this",
                         "%s of %s is in plain text, and containerd has no such key", item->key,
                         host);
}

static void check_table(struct check *check, const char *path, const struct toml_item *table,
                        const char *host)
{
    const struct toml_item *headers = hosts_member(table, "header");
    const struct toml_item *auth = toml_member(table, "auth");

    for (const struct toml_item *item = headers && headers->kind == TOML_TABLE ? headers->first
                                                                               : NULL;
         item; item = item->next)
        check_header(check, path, item, host);
    check_ignored_secrets(check, path, table, host);
    check_ignored_secrets(check, path, auth, host);
}

/* Not even TOML: what is a secret in it is told by its name. */
static void check_text(struct check *check, const char *path, const char *text)
{
    size_t number = 1;

    for (const char *line = text; *line != '\0'; number++) {
        size_t length = strcspn(line, "\n"), blank = strspn(line, " \t\"'"), quotes = 0;

        for (size_t i = 0; i < length; i++)
            quotes += line[i] == '"';
        if (blank < length && strncasecmp(line + blank, "authorization", 13) == 0 &&
            memchr(line, '=', length)) {
            findings_add(&check->findings, OUTPUT_ERROR, "plaintext-header", path, number,
                         FIX_HELPER, "Authorization is in plain text");
            if (quotes % 2 == 1)
                findings_add(&check->findings, OUTPUT_ERROR, "header-line-break", path, number,
                             "name a credHelper instead; or encode once more, with base64 -w0",
                             "Authorization is broken into lines");
        }
        line += length + (line[length] == '\n');
    }
}

void check_secrets(struct check *check, const struct node_host_directory *directory)
{
    const struct toml_item *root =
        directory->file.toml.root ? directory->file.toml.root : directory->toml.root;
    const struct toml_item *server = hosts_member(root, "server");
    const struct toml_item *hosts = toml_member(root, "host");

    if (!root && directory->text.data)
        check_text(check, directory->path, directory->text.data);
    if (!root)
        return;
    check_table(check, directory->path, root,
                server && server->kind == TOML_STRING ? check_host_name(server->string)
                                                      : directory->name);
    for (const struct toml_item *item = hosts && hosts->kind == TOML_TABLE ? hosts->first : NULL;
         item; item = item->next)
        check_table(check, directory->path, item, check_host_name(item->key));
}
