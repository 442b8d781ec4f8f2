/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for tools that can run no helper: what they get, they keep, so it is said for how
 * long. */
#include "export.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jwt.h"
#include "base/output.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "table.h"
#include "targets.h"

#define NAME "pullkey"
#define SUBDOMAIN_MAX 253
#define LABEL_MAX 63
#define SUFFIX ".pullkey-export-"
#define DIGITS 16 /* behind that */
#define LEFT_SECONDS 60
#define TEXT_MAX (2 * TARGETS_DOCUMENT_MAX)

void export_quote(struct buffer *ret, const char *bytes, size_t length)
{
    buffer_append_text(ret, "'");
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\'')
            buffer_append_text(ret, "'\\''");
        else
            buffer_append(ret, bytes + i, 1);
    }
    buffer_append_text(ret, "'");
}

bool export_is_name(const char *text, size_t limit)
{
    size_t length = strlen(text);
    bool is_inside = false; /* of a label */

    for (size_t i = 0; i < length; i++) {
        bool is_word = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9');

        if (!is_word &&
            (!is_inside || !strchr(limit > LABEL_MAX ? "-." : "-", text[i]) || i + 1 == length))
            return false;
        if (text[i] == '.' && text[i - 1] == '-')
            return false;
        is_inside = text[i] != '.';
    }
    return length > 0 && length <= limit;
}

static int write_secret(const struct admin_call *call, const struct targets *targets,
                        struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer document = BUFFER_INIT(TARGETS_DOCUMENT_MAX);
    const char *name = call->values[ADMIN_NAME] ? call->values[ADMIN_NAME] : NAME;
    const char *namespace_name = call->values[ADMIN_NAMESPACE];
    int r = targets_write(targets, &document, error);

    if (r < 0)
        return r;
    buffer_printf(ret, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"%s\"\n", name);
    if (namespace_name)
        buffer_printf(ret, "  namespace: \"%s\"\n", namespace_name);
    buffer_append_text(ret, "type: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: ");
    text_base64_encode(ret, document.data, document.length);
    buffer_append_text(ret, "\n");
    return buffer_check(ret, error);
}

static int write_variables(const struct target *target, struct buffer *ret,
                           struct pullkey_error *error)
{
    const struct pullkey_credential *credential = &target->credential;

    buffer_append_text(ret, "REGISTRY=");
    export_quote(ret, target->registry, strlen(target->registry));
    buffer_append_text(ret, "\nREGISTRY_USERNAME=");
    export_quote(ret, credential->username, strlen(credential->username));
    buffer_append_text(ret, "\nREGISTRY_PASSWORD=");
    export_quote(ret, credential->secret.bytes, credential->secret.length);
    buffer_append_text(ret, "\n");
    return buffer_check(ret, error);
}

/* The other forms have a user name and a password, and nothing else. */
static int check_kinds(const struct targets *targets, const char *format,
                       struct pullkey_error *error)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].credential.kind == PULLKEY_IDENTITY_TOKEN)
            return error_set(error, PULLKEY_UNSUPPORTED,
                             "what there is for %s is an identity token and no password, which %s "
                             "cannot hold: log in with a password",
                             targets->items[i].registry, format);
    return 0;
}

static int write_format(const struct admin_call *call, const struct targets *targets,
                        struct buffer *ret, struct pullkey_error *error)
{
    const char *format = call->values[ADMIN_FORMAT];
    int r;

    if (format[0] == 'd')
        return targets_write(targets, ret, error);
    r = check_kinds(targets, format, error);
    if (r < 0)
        return r;
    return format[0] == 'k' ? write_secret(call, targets, ret, error)
                            : write_variables(&targets->items[0], ret, error);
}

/* What is written does not renew itself. */
static void tell_expiry(const struct target *target)
{
    const struct pullkey_credential *credential = &target->credential;
    int64_t expiry = credential->expiry != 0 ? credential->expiry : jwt_expiry(&credential->secret);
    time_t end = (time_t)expiry;
    char until[32] = "", left[TABLE_TIME_MAX];
    struct tm utc;

    if (expiry == 0) {
        output_note("%s: no expiry is known", target->registry);
        return;
    }
    if (gmtime_r(&end, &utc))
        (void)strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &utc);
    output_note("%s: expires in %s, at %s", target->registry,
                table_time(expiry - clock_wall_seconds(), left), until);
}

static int check_call(const struct admin_call *call, struct pullkey_error *error)
{
    const char *format = call->values[ADMIN_FORMAT];
    const char *name = call->values[ADMIN_NAME];
    const char *namespace_name = call->values[ADMIN_NAMESPACE];

    if (!format)
        return admin_usage(error, "\"export\" needs --format %s",
                           admin_options[ADMIN_FORMAT].values);
    if ((name || namespace_name) && format[0] != 'k')
        return admin_usage(error, "--name and --namespace go with --format k8s-secret");
    if (name && !export_is_name(name, SUBDOMAIN_MAX))
        return admin_usage(error, "--name: %s is no name of a secret", name);
    if (namespace_name && !export_is_name(namespace_name, LABEL_MAX))
        return admin_usage(error, "--namespace: %s is no name of a namespace", namespace_name);
    if (format[0] == 'e' && call->argument_count > 1)
        return admin_usage(error, "--format env takes one registry");
    if (!call->values[ADMIN_OUTPUT] && output_is_terminal())
        return admin_usage(error, "secrets are not shown on a terminal: give --output FILE");
    return 0;
}

/* What of an object the new one has not: another member than "auths", or another registry's. */
static const char *find_lost(const cJSON *before, const cJSON *after)
{
    const cJSON *auths = json_member(after, "auths");

    for (const cJSON *item = before->child; item; item = item->next) {
        if (strcmp(item->string, "auths") != 0 || !cJSON_IsObject(item))
            return item->string;
        for (const cJSON *entry = item->child; entry; entry = entry->next)
            if (!json_member(auths, entry->string))
                return entry->string;
    }
    return NULL;
}

/* A rename puts a file in the place of a device, a pipe, a link, or the user's config.json too. */
static int check_old(const char *path, const struct buffer *text, bool is_json,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer old = BUFFER_INIT(TEXT_MAX);
    cleanup_json struct json before = { 0 }, after = { 0 };
    const char *lost = NULL;
    struct pullkey_error why;
    struct stat status;
    int r;

    if (lstat(path, &status) < 0)
        return 0; /* who writes it says why, if not because there is none */
    if (!S_ISREG(status.st_mode))
        return error_set(error, PULLKEY_DENIED,
                         "%s is not a regular file, and was not changed: name another", path);
    r = file_read(path, FILE_GIVEN, 0, &old, NULL, error);
    if (r == 0 && is_json)
        r = json_parse(&after, NAME, text->data, text->length, 0, error);
    if (r < 0)
        return error_wrap(error, "%s was not changed", path);
    r = json_parse(&before, path, old.data ? old.data : "", old.length, 0, &why);
    if (r == -PULLKEY_INTERNAL)
        *error = why;
    if (r == 0 && cJSON_IsObject(before.root))
        lost = find_lost(before.root, after.root);
    if (lost)
        return error_set(error, PULLKEY_DENIED,
                         "%s was not changed: it has \"%s\", which would be lost; name another "
                         "file, or remove it first",
                         path, lost);
    return r == -PULLKEY_INTERNAL ? r : 0;
}

/* What runs left beside the file that were killed: none of them writes for so long. */
static void tidy(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t length = strlen(name), mark = sizeof(SUFFIX) - 1;
    char directory[FILE_PATH_MAX];
    const struct dirent *entry;
    struct stat status;
    DIR *entries;

    (void)snprintf(directory, sizeof(directory), "%.*s.", (int)(name - path), path);
    entries = opendir(directory);
    while (entries && (entry = readdir(entries)))
        if (strncmp(entry->d_name, name, length) == 0 &&
            strncmp(entry->d_name + length, SUFFIX, mark) == 0 &&
            strspn(entry->d_name + length + mark, "0123456789abcdef") == DIGITS &&
            entry->d_name[length + mark + DIGITS] == '\0' &&
            fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) && status.st_uid == file_caller() &&
            status.st_mtime < clock_wall_seconds() - LEFT_SECONDS)
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        (void)closedir(entries);
}

/* Beside the file nothing is ours but names that begin like this one. */
static int write_file(const char *path, const struct buffer *text, struct pullkey_error *error)
{
    char suffix[sizeof(SUFFIX) + DIGITS];
    uint64_t number;
    int r = random_fill(&number, sizeof(number), error);

    if (r < 0)
        return r;
    tidy(path);
    (void)snprintf(suffix, sizeof(suffix), SUFFIX "%016" PRIx64, number);
    return file_replace_by(path, suffix, NULL, text->data, text->length, 0600, error);
}

int admin_export(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_targets struct targets *targets = secret_alloc(sizeof(*targets));
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);
    const char *path = call->values[ADMIN_OUTPUT];
    int r;

    if (!targets)
        return error_memory(error);
    r = check_call(call, error);
    for (size_t i = 0; i < call->argument_count && r == 0; i++)
        r = targets_add_named(targets, call->arguments[i], error);
    if (r == 0)
        r = targets_get(call, targets, "leave it out", error);
    if (r == 0)
        r = write_format(call, targets, &text, error);
    if (r == 0 && path)
        r = check_old(path, &text, call->values[ADMIN_FORMAT][0] == 'd', error);
    if (r == 0)
        r = path ? write_file(path, &text, error) : output_buffer(&text, error);
    for (size_t i = 0; i < targets->count && r == 0; i++)
        tell_expiry(&targets->items[i]);
    return r;
}
