/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts-file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/go-duration.h"
#include "base/go-url.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/cache.h"

#define HELPER_NAME_MAX 62
#define LIFETIME_MAX ((int64_t)CACHE_LONGEST_SECONDS)
#define HUB_NETWORK_NAME "registry-1.docker.io"

/* What containerd decodes a key into. */
enum value_type {
    VALUE_STRING,
    VALUE_STRINGS,         /* a list of them */
    VALUE_STRING_OR_LISTS, /* a string, or a list of strings or of pairs of them */
    VALUE_BOOL,
    VALUE_HEADER,
    VALUE_DURATION,
    VALUE_TABLE,
    VALUE_ANY,
};

static const struct {
    const char *name;
    enum value_type type;
    enum value_type decoded; /* what it must be also where it is not looked at */
    const char *expected;
} host_keys[] = {
    { "capabilities", VALUE_STRINGS, VALUE_STRINGS, "a list of strings" },
    { "ca", VALUE_STRING_OR_LISTS, VALUE_ANY, "a string or a list of strings" },
    { "client", VALUE_STRING_OR_LISTS, VALUE_ANY,
      "a string, or a list of strings or of pairs of strings" },
    { "skip_verify", VALUE_BOOL, VALUE_BOOL, "true or false" },
    { "header", VALUE_HEADER, VALUE_TABLE, "a table of strings or lists of strings" },
    { "override_path", VALUE_BOOL, VALUE_BOOL, "true or false" },
    { "dial_timeout", VALUE_DURATION, VALUE_STRING, "a duration like \"5s\"" },
};

#define HOST_KEY_COUNT (sizeof(host_keys) / sizeof(host_keys[0]))

/* As Go's strings.ToLower makes one of the other, which knows two letters beyond ASCII that become
 * ones of ASCII. */
bool hosts_key_is(const char *key, const char *name)
{
    for (; *key != '\0' && *name != '\0'; name++) {
        if (text_lower(*key) == *name)
            key++;
        else if (*name == 'k' && strncmp(key, "\xe2\x84\xaa", 3) == 0)
            key += 3;
        else if (*name == 'i' && strncmp(key, "\xc4\xb0", 2) == 0)
            key += 2;
        else
            return false;
    }
    return *key == *name;
}

const struct toml_item *hosts_member(const struct toml_item *table, const char *key)
{
    if (!table || table->kind != TOML_TABLE)
        return NULL;
    for (const struct toml_item *member = table->first; member; member = member->next)
        if (hosts_key_is(member->key, key))
            return member;
    return NULL;
}

static bool has_nul(const struct toml_item *item)
{
    return strlen(item->string) != item->string_length;
}

static bool is_list_of_strings(const struct toml_item *item)
{
    if (item->kind != TOML_ARRAY)
        return false;
    for (const struct toml_item *member = item->first; member; member = member->next)
        if (member->kind != TOML_STRING)
            return false;
    return true;
}

static bool is_pair(const struct toml_item *item)
{
    return is_list_of_strings(item) && item->first && item->first->next && !item->first->next->next;
}

static bool is_string_or_lists(const struct toml_item *item, bool pairs)
{
    if (item->kind == TOML_STRING)
        return true;
    if (item->kind != TOML_ARRAY)
        return false;
    for (const struct toml_item *member = item->first; member; member = member->next)
        if (member->kind != TOML_STRING && !(pairs && is_pair(member)))
            return false;
    return true;
}

static bool is_header(const struct toml_item *item)
{
    if (item->kind != TOML_TABLE)
        return false;
    for (const struct toml_item *member = item->first; member; member = member->next)
        if (member->kind != TOML_STRING && !is_list_of_strings(member))
            return false;
    return true;
}

/* containerd does not mind one of less than nothing. */
static bool is_duration(const char *text)
{
    bool is_negative;

    return go_duration(text, &is_negative);
}

static bool has_type(const struct toml_item *item, enum value_type type, const char *key)
{
    switch (type) {
    case VALUE_STRING: return item->kind == TOML_STRING;
    case VALUE_STRINGS: return is_list_of_strings(item);
    case VALUE_STRING_OR_LISTS: return is_string_or_lists(item, strcmp(key, "client") == 0);
    case VALUE_BOOL: return item->kind == TOML_BOOLEAN;
    case VALUE_HEADER: return is_header(item);
    case VALUE_DURATION:
        return item->kind == TOML_STRING &&
               (item->string_length == 0 || (!has_nul(item) && is_duration(item->string)));
    case VALUE_TABLE: return item->kind == TOML_TABLE;
    case VALUE_ANY: return true;
    default: return false;
    }
}

static int check_capabilities(const struct toml_document *toml, const struct toml_item *list,
                              struct pullkey_error *error)
{
    static const char *const known[] = { "pull", "resolve", "push", "referrers" };

    for (const struct toml_item *item = list->first; item; item = item->next) {
        size_t i = 0;

        while (i < 4 && (has_nul(item) || !text_equal_any_case(item->string, known[i])))
            i++;
        if (i == 4)
            return toml_error(
                toml, item, error,
                "containerd knows the capabilities pull, resolve, push and referrers; "
                "with any other it ignores the whole file");
    }
    return 0;
}

bool hosts_has_capability(const struct hosts_host *host, const char *name)
{
    const struct toml_item *list = hosts_member(host->table, "capabilities");

    for (const struct toml_item *item = list && list->kind == TOML_ARRAY ? list->first : NULL; item;
         item = item->next)
        if (item->kind == TOML_STRING && text_equal_any_case(item->string, name))
            return true;
    return false;
}

size_t hosts_first_header(const struct toml_document *toml, const struct toml_item *table)
{
    const char *text = toml->text + table->begin;
    size_t first = text[0] == '[' && text[1] != '[' ? table->begin : SIZE_MAX;

    for (const struct toml_item *item = table->first; item; item = item->next) {
        size_t below = item->kind == TOML_TABLE && !item->is_inline ? hosts_first_header(toml, item)
                                                                    : SIZE_MAX;

        first = below < first ? below : first;
    }
    return first;
}

/* Does containerd see it as a host? The others it only decodes. */
static bool is_seen(const struct toml_document *toml, const struct toml_item *host)
{
    return host->kind == TOML_TABLE && !host->is_inline &&
           hosts_first_header(toml, host) != SIZE_MAX;
}

static int refuse_key(const struct toml_document *toml, const struct toml_item *item,
                      const char *key, const char *expected, struct pullkey_error *error)
{
    return toml_error(toml, item, error,
                      "%s must be %s; as it is, containerd ignores the whole file", key, expected);
}

/* Of two spellings of one key containerd takes the one that comes last, or a bit of both. */
static int check_spelling(const struct toml_document *toml, const struct toml_item *item,
                          const char *key, struct pullkey_error *error)
{
    for (const struct toml_item *other = item->next; other; other = other->next)
        if (hosts_key_is(other->key, key))
            return toml_error(toml, other, error, "%s is there twice, once in another case", key);
    return 0;
}

/* The keys of one host, in any case as containerd takes them. */
static int check_host_table(const struct toml_document *toml, const struct toml_item *table,
                            bool seen, struct pullkey_error *error)
{
    int r = 0;

    for (const struct toml_item *item = table->first; r == 0 && item; item = item->next) {
        size_t i = 0;

        while (i < HOST_KEY_COUNT && !hosts_key_is(item->key, host_keys[i].name))
            i++;
        if (i == HOST_KEY_COUNT)
            continue;
        if (!has_type(item, seen ? host_keys[i].type : host_keys[i].decoded, host_keys[i].name))
            return refuse_key(toml, item, host_keys[i].name, host_keys[i].expected, error);
        r = check_spelling(toml, item, host_keys[i].name, error);
        if (r == 0 && i == 0 && seen)
            r = check_capabilities(toml, item, error);
    }
    return r;
}

static int refuse_url(const struct toml_document *toml, const struct toml_item *item,
                      struct pullkey_error *error)
{
    return toml_error(toml, item, error,
                      "this is no URL; as it is, containerd ignores the whole file");
}

static int check_host(const struct toml_document *toml, const struct toml_item *host, bool seen,
                      struct pullkey_error *error)
{
    if (host->kind != TOML_TABLE)
        return toml_error(toml, host, error,
                          "a host is a table like [host.\"https://registry.example.com\"]; as it "
                          "is, containerd ignores the whole file");
    seen = seen && is_seen(toml, host);
    if (seen && !go_url_is_read(host->key, strlen(host->key)))
        return refuse_url(toml, host, error);
    return check_host_table(toml, host, seen, error);
}

static int check_file(const struct toml_document *toml, struct pullkey_error *error)
{
    const struct toml_item *server = hosts_member(toml->root, "server");
    const struct toml_item *host = hosts_member(toml->root, "host");
    int r;

    if (toml->length >= 3 && memcmp(toml->text, "\xef\xbb\xbf", 3) == 0)
        return toml_error(toml, toml->root, error,
                          "it begins with a byte order mark; as it is, containerd ignores the "
                          "whole file");
    r = check_host_table(toml, toml->root, true, error);
    if (r == 0 && server)
        r = check_spelling(toml, server, "server", error);
    if (r == 0 && host)
        r = check_spelling(toml, host, "host", error);
    if (r < 0)
        return r;
    if (server && server->kind != TOML_STRING)
        return refuse_key(toml, server, "server", "a string", error);
    if (server && !go_url_is_read(server->string, server->string_length))
        return refuse_url(toml, server, error);
    if (!host)
        return 0;
    if (host->kind != TOML_TABLE)
        return toml_error(
            toml, host, error,
            "hosts are tables like [host.\"https://registry.example.com\"]; as it is, "
            "containerd ignores the whole file");
    for (const struct toml_item *item = host->first; r == 0 && item; item = item->next)
        r = check_host(toml, item, strcmp(host->key, "host") == 0, error);
    return r;
}

void hosts_directory_registry(const char *directory, char ret[REGISTRY_HOST_MAX + 8])
{
    size_t length = strnlen(directory, REGISTRY_HOST_MAX + 7);
    char *colon;

    memcpy(mempcpy(ret, directory, length), "", 1);
    if (length < 3 || ret[length - 1] != '_')
        return;
    ret[length - 1] = '\0';
    colon = strrchr(ret, '_');
    if (colon && colon > ret && colon[1] != '\0' &&
        strspn(colon + 1, "0123456789") == strlen(colon + 1))
        *colon = ':';
    else
        ret[length - 1] = '_';
}

size_t hosts_registry_names(const char *registry, char ret[HOSTS_NAMES_MAX][HOSTS_NAME_SIZE])
{
    const char *colon = strrchr(registry, ':'), *bracket = strchr(registry, ']');
    size_t count = 0;

    if (colon && (!bracket || colon > bracket))
        (void)snprintf(ret[count++], HOSTS_NAME_SIZE, "%.*s_%s_", (int)(colon - registry), registry,
                       colon + 1);
    (void)snprintf(ret[count++], HOSTS_NAME_SIZE, "%s", registry);
    (void)snprintf(ret[count++], HOSTS_NAME_SIZE, "_default");
    return count;
}

/* A text that is not allocated: a problem must not get lost for want of memory. */
static void set_problem(struct hosts_host *host, const char *text)
{
    if (!host->problem)
        host->problem = text;
}

/* "15m", "12h", "90s", or seconds. 0 where it is none of these. */
static int64_t read_lifetime(const struct toml_item *item)
{
    int64_t value = 0, unit = 1;
    const char *text = item->string;

    if (item->kind == TOML_INTEGER)
        return item->integer > 0 && item->integer <= LIFETIME_MAX ? item->integer : 0;
    if (item->kind != TOML_STRING || has_nul(item))
        return 0;
    while (*text >= '0' && *text <= '9' && value <= LIFETIME_MAX)
        value = value * 10 + (*text++ - '0');
    if (*text == 'h')
        unit = 3600;
    else if (*text == 'm')
        unit = 60;
    else if (*text != 's')
        return 0;
    return text[1] == '\0' && value <= LIFETIME_MAX / unit ? value * unit : 0;
}

static void read_helper(struct hosts_host *host, const struct toml_item *item)
{
    static const char prefix[] = "docker-credential-";

    if (item->kind == TOML_STRING && strncmp(item->string, prefix, strlen(prefix)) == 0) {
        set_problem(host,
                    "credHelper is what follows docker-credential- in the name of the program");
        return;
    }
    if (item->kind != TOML_STRING || has_nul(item) ||
        !text_is_name(item->string, HELPER_NAME_MAX)) {
        set_problem(host, "credHelper must be the NAME of a docker-credential-NAME");
        return;
    }
    host->helper = item->string;
    host->helper_item = item;
}

/* Keys that are ours are matched exactly: nobody else reads them. */
static void read_own_keys(struct hosts_host *host)
{
    const struct toml_item *auth = toml_member(host->table, "auth");
    const struct toml_item *helper = toml_member(auth, "credHelper");
    const struct toml_item *lifetime = toml_member(auth, "assumeLifetime");
    const struct toml_item *insecure = toml_member(auth, "allowInsecure");

    host->assume_lifetime = HOSTS_LIFETIME_DEFAULT;
    if (!helper && !host->is_server)
        helper = toml_member(host->table, "credHelper");
    if (helper)
        read_helper(host, helper);
    if (lifetime) {
        host->assume_lifetime = read_lifetime(lifetime);
        if (host->assume_lifetime == 0)
            set_problem(host, "assumeLifetime must be a time like \"15m\" or \"12h\", of 7 days at "
                              "most");
    }
    if (insecure && insecure->kind != TOML_BOOLEAN)
        set_problem(host, "allowInsecure must be true or false");
    host->allow_insecure = insecure && insecure->kind == TOML_BOOLEAN && insecure->boolean;
}

/*
 * How containerd reads it: without a scheme it is https, but only if it does not begin with "http".
 * A scheme in capitals is none then, so nobody's is one that registry_parse finds behind it, nor
 * blanks that it trims.
 */
static int read_address(struct hosts_host *host, struct pullkey_error *error)
{
    size_t length = strlen(host->name);

    host->reference = secret_alloc(sizeof(*host->reference));
    if (!host->reference)
        return error_memory(error);
    if ((strncmp(host->name, "http", 4) == 0
             ? strncmp(host->name, "https://", 8) != 0 && strncmp(host->name, "http://", 7) != 0
             : strstr(host->name, "://") != NULL) ||
        strcspn(host->name, "?#\"'<>`{}|^ \t\r\n") != length ||
        registry_parse(host->name, length, host->reference, error) < 0 || host->reference->opaque) {
        secret_release(host->reference);
        host->reference = NULL;
        return 0;
    }
    host->is_http = host->reference->http;
    return 0;
}

static bool is_loopback_name(const struct registry_reference *reference)
{
    return strcmp(reference->host, "localhost") == 0 || strncmp(reference->host, "127.", 4) == 0 ||
           strcmp(reference->host, "[::1]") == 0 ||
           strncmp(reference->host, "[::ffff:127.", 12) == 0;
}

/* The image's own registry: https, but on this machine not verified, and with a port a guess
 * between http and https. */
static int read_own_registry(struct hosts_host *host, const char *registry,
                             struct pullkey_error *error)
{
    static const char hub[] = HUB_NETWORK_NAME;
    char name[REGISTRY_HOST_MAX + 8];
    int r;

    if (strcmp(registry, "_default") == 0)
        return 0;
    hosts_directory_registry(registry, name);
    host->own_name = strcmp(name, "docker.io") == 0 ? secret_copy(hub, strlen(hub))
                                                    : secret_copy(name, strlen(name));
    if (!host->own_name)
        return error_memory(error);
    host->name = host->own_name;
    r = read_address(host, error);
    if (r == 0 && host->reference && is_loopback_name(host->reference)) {
        host->is_http = host->reference->port != 0;
        host->skip_verify = true;
    }
    return r;
}

/*
 * containerd 1.7 takes an escape in a name as it stands: a host may become one without a name,
 * which is whatever registry is asked for, and a server none. What merely looks like one, as in a
 * string of several lines, is refused with it.
 */
static bool has_escaped_name(const struct toml_document *toml)
{
    const char *line = toml->text, *end = toml->text + toml->length;

    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));

        next = next ? next + 1 : end;
        while (line < next && *line != '=' && *line != '#')
            if (*line++ == '\\')
                return true;
        line = next;
    }
    return false;
}

static void find_problem(struct hosts_host *host, const struct toml_document *toml)
{
    if (!host->helper)
        return;
    if (!host->name)
        set_problem(host, "credHelper in [auth] of _default needs a server: without one containerd "
                          "would send the credential to whatever registry a pod names");
    else if (host->is_server && !host->own_name && !toml_member(host->table, "server"))
        set_problem(host,
                    "server must be in lower case: containerd 1.7 does not see it as it is, and "
                    "would send the credential to whatever registry is asked for");
    else if (!host->reference)
        set_problem(host, "its URL is not one that credentials can be sent to");
    else if ((host->is_http || host->skip_verify) && !host->allow_insecure)
        set_problem(host, "over http:// or with skip_verify anybody on the way can read the "
                          "credential; put allowInsecure = true beside credHelper if that is fine");
    else if (host->authorization)
        set_problem(host, "it has an Authorization header as well; remove that, or the credHelper");
    else if (has_escaped_name(toml))
        set_problem(host, "a key or a table of this file has a backslash in its name, which "
                          "containerd 1.7 reads otherwise; write the name without");
}

/* Headers have names in ASCII, in any case. */
static const struct toml_item *find_authorization(const struct toml_item *headers)
{
    const struct toml_item *found = toml_member(headers, "Authorization");

    for (const struct toml_item *item = headers ? headers->first : NULL; !found && item;
         item = item->next)
        if (text_equal_any_case(item->key, "authorization"))
            found = item;
    return found;
}

static int read_host(const struct toml_document *toml, const char *registry,
                     const struct settings *settings, struct hosts_host *host,
                     struct pullkey_error *error)
{
    const struct toml_item *verify = hosts_member(host->table, "skip_verify");
    int r = host->name ? read_address(host, error) : read_own_registry(host, registry, error);

    if (r < 0)
        return r;
    host->skip_verify = host->skip_verify || (verify && verify->boolean);
    host->authorization = find_authorization(hosts_member(host->table, "header"));
    read_own_keys(host);
    if (!host->helper && !host->problem && host->reference && settings)
        host->helper = settings_helper(settings, host->reference);
    find_problem(host, toml);
    return 0;
}

static int order_hosts(const void *a, const void *b, void *context)
{
    const struct toml_document *toml = context;
    size_t first = hosts_first_header(toml, ((const struct hosts_host *)a)->table);
    size_t second = hosts_first_header(toml, ((const struct hosts_host *)b)->table);

    return first < second ? -1 : first > second;
}

/* Hosts that have a header: containerd sees no others. */
static int find_hosts(struct hosts_file *file, struct pullkey_error *error)
{
    const struct toml_item *hosts = toml_member(file->toml.root, "host");
    const struct toml_item *server = hosts_member(file->toml.root, "server");
    size_t count = 1;

    for (const struct toml_item *item = hosts ? hosts->first : NULL; item; item = item->next)
        count++;
    if (count > HOSTS_PER_FILE_MAX)
        return toml_error(&file->toml, hosts, error, "there are more than %d hosts",
                          HOSTS_PER_FILE_MAX - 1);
    file->hosts = secret_alloc(count * sizeof(*file->hosts));
    if (!file->hosts)
        return error_memory(error);
    for (const struct toml_item *item = hosts ? hosts->first : NULL; item; item = item->next)
        if (is_seen(&file->toml, item))
            file->hosts[file->host_count++] =
                (struct hosts_host){ .name = item->key, .table = item };
    qsort_r(file->hosts, file->host_count, sizeof(*file->hosts), order_hosts, &file->toml);
    file->hosts[file->host_count++] = (struct hosts_host){
        .name = server && server->string[0] != '\0' ? server->string : NULL,
        .table = file->toml.root,
        .is_server = true,
    };
    return 0;
}

int hosts_file_parse(const char *path, const char *registry, const char *text, size_t length,
                     const struct settings *settings, struct hosts_file *ret,
                     struct pullkey_error *error)
{
    struct hosts_file file = { 0 };
    int r = toml_parse(&file.toml, path, text, length, error);

    if (r == 0)
        r = check_file(&file.toml, error);
    if (r == 0)
        r = find_hosts(&file, error);
    for (size_t i = 0; r == 0 && i < file.host_count; i++)
        r = read_host(&file.toml, registry, settings, &file.hosts[i], error);
    if (r < 0) {
        hosts_file_done(&file);
        return r;
    }
    *ret = file;
    return 0;
}

void hosts_file_done(struct hosts_file *file)
{
    for (size_t i = 0; i < file->host_count; i++) {
        secret_release(file->hosts[i].reference);
        secret_release(file->hosts[i].own_name);
    }
    secret_release(file->hosts);
    toml_done(&file->toml);
    *file = (struct hosts_file){ 0 };
}

bool hosts_host_is_managed(const struct hosts_host *host)
{
    return host->helper && !host->problem;
}
