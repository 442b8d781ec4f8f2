/* SPDX-License-Identifier: Apache-2.0 */
#include "mirrors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/secret.h"
#include "helper-text.h"
#include "hosts-file.h"

#define URL_MAX 2048

static bool is_localhost(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "localhost:", 10) == 0 ||
           strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static int refuse(const char *url, const char *why, struct pullkey_error *error)
{
    /* What stands before an '@' may be a password. */
    const char *at = strrchr(url, '@');

    return error_set(error, PULLKEY_INVALID, "the endpoint %s%s %s", at ? "...@" : "",
                     at ? at + 1 : url, why);
}

static int add(struct mirrors *mirrors, const char *text, struct pullkey_error *error)
{
    struct mirrors_endpoint *endpoint = &mirrors->items[mirrors->count];
    const char *scheme = strstr(text, "://"), *rest = scheme ? scheme + 3 : text;
    size_t length = strcspn(rest, "/");
    char url[URL_MAX];
    struct registry_reference reference;
    struct pullkey_error why;

    if (memchr(rest, '@', length))
        return refuse(text, "has a user name, which containerd never sends: remove it", error);
    if (mirrors->count == MIRRORS_ENDPOINTS_MAX)
        return error_set(error, PULLKEY_INVALID, "there are more than %d endpoints",
                         MIRRORS_ENDPOINTS_MAX);
    *endpoint = (struct mirrors_endpoint){ 0 };
    if (length == 0 || length >= sizeof(endpoint->host) ||
        strcspn(text, "?#\"'<>`{}|^\\ \t\r\n") != strlen(text))
        return refuse(text, "is no URL of a registry", error);
    memcpy(mempcpy(endpoint->host, rest, length), "", 1);
    endpoint->is_http = scheme ? strncmp(text, "http://", 7) == 0 : is_localhost(endpoint->host);
    if (scheme && !endpoint->is_http && strncmp(text, "https://", 8) != 0)
        return refuse(text, "is neither https:// nor http://", error);
    if (snprintf(url, sizeof(url), "%s://%s", endpoint->is_http ? "http" : "https", rest) >=
            (int)sizeof(url) ||
        registry_parse(url, strlen(url), &reference, &why) < 0 || reference.opaque)
        return refuse(text, "is no URL of a registry", error);
    endpoint->has_path = rest[length] != '\0' && strcmp(rest + length, "/v2") != 0;
    for (size_t i = 0; i < mirrors->count; i++)
        if (strcmp(mirrors->items[i].url, url) == 0)
            return 0;
    endpoint->url = secret_copy(url, strlen(url));
    if (!endpoint->url)
        return error_memory(error);
    mirrors->count++;
    return 0;
}

static int add_listed(struct mirrors *mirrors, const struct toml_item *list,
                      struct pullkey_error *error)
{
    int r = 0;

    if (list && list->kind != TOML_ARRAY)
        return error_set(error, PULLKEY_INVALID, "endpoint must be a list of URLs");
    for (const struct toml_item *item = list ? list->first : NULL; r == 0 && item;
         item = item->next) {
        if (item->kind != TOML_STRING || strlen(item->string) != item->string_length)
            return error_set(error, PULLKEY_INVALID, "endpoint must be a list of URLs");
        r = add(mirrors, item->string, error);
    }
    return r;
}

int mirrors_find(const char *registry, const struct toml_item *endpoint, struct mirrors *ret,
                 struct pullkey_error *error)
{
    cleanup_mirrors struct mirrors mirrors = { .is_default = strcmp(registry, "*") == 0 };
    int r = add_listed(&mirrors, endpoint, error);

    for (size_t i = 0; i < mirrors.count; i++)
        if (strcmp(mirrors.items[i].host, registry) == 0)
            goto done;
    if (r == 0 && !mirrors.is_default)
        r = add(&mirrors, strcmp(registry, "docker.io") == 0 ? "registry-1.docker.io" : registry,
                error);
done:
    if (r < 0)
        return r;
    *ret = mirrors;
    mirrors = (struct mirrors){ 0 };
    return 0;
}

void mirrors_done(struct mirrors *mirrors)
{
    for (size_t i = 0; i < mirrors->count; i++)
        secret_release(mirrors->items[i].url);
    mirrors->count = 0;
}

static int read_text(const struct toml_item *tls, const char *key, const char **ret,
                     struct pullkey_error *error)
{
    const struct toml_item *item = hosts_member(tls, key);

    if (item && item->kind != TOML_STRING)
        return error_set(error, PULLKEY_INVALID, "%s must be a string", key);
    *ret = item && item->string[0] != '\0' ? item->string : NULL;
    return 0;
}

static void write_text(struct buffer *text, const char *value)
{
    toml_write_string(text, value, strlen(value));
}

static int write_tls(const struct toml_item *tls, const char *indent, bool *ret_insecure,
                     struct buffer *text, struct pullkey_error *error)
{
    const struct toml_item *skip = hosts_member(tls, "insecure_skip_verify");
    const char *ca = NULL, *certificate = NULL, *key = NULL;

    if (read_text(tls, "ca_file", &ca, error) < 0 ||
        read_text(tls, "cert_file", &certificate, error) < 0 ||
        read_text(tls, "key_file", &key, error) < 0)
        return -(int)error->code;
    if (skip && skip->kind != TOML_BOOLEAN)
        return error_set(error, PULLKEY_INVALID, "insecure_skip_verify must be true or false");
    if (!certificate != !key)
        return error_set(error, PULLKEY_INVALID, "cert_file and key_file belong together");
    if (ca) {
        buffer_printf(text, "%sca = ", indent);
        write_text(text, ca);
        buffer_append_text(text, "\n");
    }
    if (certificate) {
        buffer_printf(text, "%sclient = [[", indent);
        write_text(text, certificate);
        buffer_append_text(text, ", ");
        write_text(text, key);
        buffer_append_text(text, "]]\n");
    }
    *ret_insecure = skip && skip->boolean;
    if (*ret_insecure)
        buffer_printf(text, "%sskip_verify = true\n", indent);
    return 0;
}

/* The keys of a host, and its helper under `auth`, a header or the beginning of a dotted key. */
static int write_host(const struct mirrors_endpoint *endpoint, const char *indent,
                      const char *capabilities, struct buffer *text, struct pullkey_error *error)
{
    bool insecure = false;

    if (capabilities)
        buffer_printf(text, "%scapabilities = [%s]\n", indent, capabilities);
    if (endpoint->has_path)
        buffer_printf(text, "%soverride_path = true\n", indent);
    if (write_tls(endpoint->tls, indent, &insecure, text, error) < 0)
        return -(int)error->code;
    if (!endpoint->has_helper)
        return 0;
    if (capabilities) {
        buffer_append_text(text, "[host.");
        write_text(text, endpoint->url);
        buffer_append_text(text, ".auth]\n");
    }
    buffer_printf(text, "%scredHelper = \"" HELPER_TEXT_NAME "\"\n",
                  capabilities ? indent : "auth.");
    if (insecure || endpoint->is_http)
        buffer_printf(text, "%sallowInsecure = true\n", capabilities ? indent : "auth.");
    return 0;
}

static int write_table(const struct mirrors_endpoint *endpoint, const char *capabilities,
                       struct buffer *text, struct pullkey_error *error)
{
    buffer_append_text(text, "\n[host.");
    write_text(text, endpoint->url);
    buffer_append_text(text, "]\n");
    return write_host(endpoint, "  ", capabilities, text, error);
}

int mirrors_write(const struct mirrors *mirrors, struct buffer *ret, struct pullkey_error *error)
{
    size_t count = mirrors->count;
    int r = 0;

    if (count > 0 && !mirrors->is_default) {
        const struct mirrors_endpoint *last = &mirrors->items[count - 1];

        buffer_append_text(ret, "server = ");
        write_text(ret, last->url);
        buffer_append_text(ret, "\n");
        /* containerd up to 1.7.31 does not read a file without a table of a host. */
        if (count == 1)
            return write_table(last, "\"pull\", \"resolve\", \"push\"", ret, error) < 0
                       ? -(int)error->code
                       : buffer_check(ret, error);
        r = write_host(last, "", NULL, ret, error);
        count--;
    }
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_table(&mirrors->items[i], "\"pull\", \"resolve\"", ret, error);
    return r < 0 ? r : buffer_check(ret, error);
}
