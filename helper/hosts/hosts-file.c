/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts-file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define HELPER_NAME_MAX 62
#define LIFETIME_MAX ((int64_t)7 * 24 * 3600)
#define HUB_NETWORK_NAME "registry-1.docker.io"

/* What containerd decodes a key into. */
enum value_type {
    VALUE_STRING,
    VALUE_STRINGS,         /* a list of them */
    VALUE_STRING_OR_LISTS, /* a string, or a list of strings or of pairs of them */
    VALUE_BOOL,
    VALUE_HEADER,
    VALUE_DURATION,
};

static const struct {
    const char *name;
    enum value_type type;
    const char *expected;
} host_keys[] = {
    { "capabilities", VALUE_STRINGS, "a list of strings" },
    { "ca", VALUE_STRING_OR_LISTS, "a string or a list of strings" },
    { "client", VALUE_STRING_OR_LISTS, "a string, or a list of strings or of pairs of strings" },
    { "skip_verify", VALUE_BOOL, "true or false" },
    { "header", VALUE_HEADER, "a table of strings or lists of strings" },
    { "override_path", VALUE_BOOL, "true or false" },
    { "dial_timeout", VALUE_DURATION, "a duration like \"5s\"" },
};

#define HOST_KEY_COUNT (sizeof(host_keys) / sizeof(host_keys[0]))

const struct toml_item *hosts_member(const struct toml_item *table, const char *key)
{
    const struct toml_item *found = toml_member(table, key);

    if (found || !table || table->kind != TOML_TABLE)
        return found;
    for (const struct toml_item *member = table->first; member; member = member->next)
        if (text_equal_any_case(member->key, key))
            return member;
    return NULL;
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

/* Go's time.ParseDuration: numbers, each with a unit, a sign in front; "0" needs none. */
static bool is_duration(const char *text)
{
    static const char *const units[] = {
        "ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h"
    };

    text += *text == '-' || *text == '+';
    if (strcmp(text, "0") == 0)
        return true;
    do {
        size_t whole = strspn(text, "0123456789"), fraction = 0, unit = 0;

        text += whole;
        if (*text == '.') {
            fraction = strspn(++text, "0123456789");
            text += fraction;
        }
        if (whole + fraction == 0)
            return false;
        for (size_t i = 0; unit == 0 && i < sizeof(units) / sizeof(units[0]); i++)
            if (strncmp(text, units[i], strlen(units[i])) == 0 &&
                !isalpha((unsigned char)text[strlen(units[i])]))
                unit = strlen(units[i]);
        if (unit == 0)
            return false;
        text += unit;
    } while (*text != '\0');
    return true;
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
        return item->kind == TOML_STRING && (item->string_length == 0 || is_duration(item->string));
    default: return false;
    }
}

static int check_capabilities(const struct toml_document *toml, const struct toml_item *list,
                              struct pullkey_error *error)
{
    static const char *const known[] = { "pull", "resolve", "push", "referrers" };

    for (const struct toml_item *item = list->first; item; item = item->next) {
        size_t i = 0;

        while (i < 4 && !text_equal_any_case(item->string, known[i]))
            i++;
        if (i == 4)
            return toml_error(
                toml, item, error,
                "containerd knows the capabilities pull, resolve, push and referrers; "
                "with any other it ignores the whole file");
    }
    return 0;
}

/* The keys of one host, in any case as containerd takes them. */
static int check_host_table(const struct toml_document *toml, const struct toml_item *table,
                            struct pullkey_error *error)
{
    for (const struct toml_item *item = table->first; item; item = item->next) {
        size_t i = 0;

        while (i < HOST_KEY_COUNT && !text_equal_any_case(item->key, host_keys[i].name))
            i++;
        if (i == HOST_KEY_COUNT)
            continue;
        if (!has_type(item, host_keys[i].type, host_keys[i].name))
            return toml_error(toml, item, error,
                              "%s must be %s; as it is, containerd ignores the whole file",
                              host_keys[i].name, host_keys[i].expected);
        if (i == 0 && check_capabilities(toml, item, error) < 0)
            return -(int)error->code;
    }
    return 0;
}

static int check_file(const struct toml_document *toml, struct pullkey_error *error)
{
    const struct toml_item *server = hosts_member(toml->root, "server");
    const struct toml_item *host = hosts_member(toml->root, "host");
    int r = check_host_table(toml, toml->root, error);

    if (r < 0)
        return r;
    if (server && server->kind != TOML_STRING)
        return toml_error(toml, server, error,
                          "server must be a string; as it is, containerd ignores the whole file");
    if (!host)
        return 0;
    if (host->kind != TOML_TABLE)
        return toml_error(
            toml, host, error,
            "hosts are tables like [host.\"https://registry.example.com\"]; as it is, "
            "containerd ignores the whole file");
    for (const struct toml_item *item = host->first; item; item = item->next) {
        if (item->kind != TOML_TABLE)
            return toml_error(toml, item, error,
                              "a host is a table like [host.\"https://registry.example.com\"]; as "
                              "it is, containerd ignores the whole file");
        r = check_host_table(toml, item, error);
        if (r < 0)
            return r;
    }
    return 0;
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

/* The first header that names a table or one in it: that is how containerd orders them. */
static size_t first_header(const struct toml_document *toml, const struct toml_item *table)
{
    size_t first = toml->text[table->begin] == '[' ? table->begin : SIZE_MAX;

    for (const struct toml_item *item = table->first; item; item = item->next) {
        size_t below =
            item->kind == TOML_TABLE && !item->is_inline ? first_header(toml, item) : SIZE_MAX;

        first = below < first ? below : first;
    }
    return first;
}

static void set_problem(struct hosts_host *host, const char *text)
{
    if (!host->problem)
        host->problem = secret_copy(text, strlen(text));
}

/* "15m", "12h", "90s", or seconds. 0 where it is none of these. */
static int64_t read_lifetime(const struct toml_item *item)
{
    int64_t value = 0, unit = 1;
    const char *text = item->string;

    if (item->kind == TOML_INTEGER)
        return item->integer > 0 && item->integer <= LIFETIME_MAX ? item->integer : 0;
    if (item->kind != TOML_STRING)
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
    if (item->kind != TOML_STRING || strlen(item->string) != item->string_length ||
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

/* How containerd reads it: without a scheme it is https, but only if it does not begin with
 * "http". */
static int read_address(struct hosts_host *host, struct pullkey_error *error)
{
    bool bare = strncmp(host->name, "http", 4) != 0;
    size_t length = strlen(host->name);

    host->reference = secret_alloc(sizeof(*host->reference));
    if (!host->reference)
        return error_memory(error);
    if (length > PULLKEY_KEY_MAX ||
        (!bare && strncmp(host->name, "https://", 8) != 0 &&
         strncmp(host->name, "http://", 7) != 0) ||
        registry_parse(host->name, length, host->reference, error) < 0 || host->reference->opaque ||
        strcspn(host->name, "?#\"'<>`{}|^") != length) {
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
           strcmp(reference->host, "[::1]") == 0;
}

/* The image's own registry: https, but a guess between http and https on this machine. */
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
    if (r == 0 && host->reference && is_loopback_name(host->reference) &&
        host->reference->port != 0) {
        host->is_http = true;
        host->skip_verify = true;
    }
    return r;
}

static void find_problem(struct hosts_host *host)
{
    if (!host->helper)
        return;
    if (!host->name)
        set_problem(host, "credHelper in [auth] of _default needs a server: without one containerd "
                          "would send the credential to whatever registry a pod names");
    else if (!host->reference)
        set_problem(host, "its URL is not one that credentials can be sent to");
    else if ((host->is_http || host->skip_verify) && !host->allow_insecure)
        set_problem(host, "over http:// or with skip_verify anybody on the way can read the "
                          "credential; put allowInsecure = true beside credHelper if that is fine");
    else if (host->authorization)
        set_problem(host, "it has an Authorization header as well; remove that, or the credHelper");
}

static int read_host(struct hosts_host *host, const char *registry, const struct settings *settings,
                     struct pullkey_error *error)
{
    const struct toml_item *verify = hosts_member(host->table, "skip_verify");
    int r = host->name ? read_address(host, error) : read_own_registry(host, registry, error);

    if (r < 0)
        return r;
    host->skip_verify = host->skip_verify || (verify && verify->boolean);
    host->authorization = hosts_member(hosts_member(host->table, "header"), "authorization");
    read_own_keys(host);
    if (!host->helper && !host->problem && host->reference && settings)
        host->helper = settings_helper(settings, host->reference);
    find_problem(host);
    return 0;
}

static int order_hosts(const void *a, const void *b, void *context)
{
    const struct toml_document *toml = context;
    size_t first = first_header(toml, ((const struct hosts_host *)a)->table);
    size_t second = first_header(toml, ((const struct hosts_host *)b)->table);

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
        if (!item->is_inline && first_header(&file->toml, item) != SIZE_MAX)
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
        r = read_host(&file.hosts[i], registry, settings, error);
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
        secret_release(file->hosts[i].problem);
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
