/* SPDX-License-Identifier: Apache-2.0 */
#include "targets.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/secret.h"
#include "base/text.h"
#include "doctor.h"

#define HUB "docker.io"
#define HUB_KEY "https://index.docker.io/v1/" /* as docker has it in its file; others know it */

void targets_release(struct targets **targets)
{
    for (size_t i = 0; *targets && i < (*targets)->count; i++)
        credential_done(&(*targets)->items[i].credential);
    secret_release(*targets);
    *targets = NULL;
}

bool targets_is_same_registry(const struct registry_reference *a,
                              const struct registry_reference *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

int targets_add(struct targets *targets, const struct registry_reference *reference,
                const char *authority, size_t length, struct pullkey_error *error)
{
    struct target *target;

    for (size_t i = 0; i < targets->count; i++) {
        const struct registry_reference *other = &targets->items[i].reference;

        if (targets_is_same_registry(reference, other) &&
            strcmp(reference->path, other->path) == 0 && reference->http == other->http)
            return 0;
    }
    if (targets->count == TARGETS_MAX)
        return admin_usage(error, "more than %d registries and repositories are named",
                           TARGETS_MAX);
    target = &targets->items[targets->count++];
    target->reference = *reference;
    if (strcmp(reference->host, HUB) == 0 && reference->port == 0)
        memcpy(target->registry, HUB, sizeof(HUB));
    else
        memcpy(mempcpy(target->registry, authority, length), "", 1);
    return 0;
}

int targets_add_named(struct targets *targets, const char *name, struct pullkey_error *error)
{
    struct registry_reference reference;
    char authority[RUN_AUTHORITY_MAX];
    const char *text;
    size_t length;
    int r = doctor_read_reference(name, &reference, error);

    if (r < 0)
        return r;
    text = strstr(reference.text, "://");
    text = text ? text + 3 : reference.text;
    length = strcspn(text, "/");
    if (reference.opaque || length > sizeof(authority))
        return admin_usage(error, "%s is not the name of a registry", reference.text);
    for (size_t i = 0; i < length; i++)
        authority[i] = text_lower(text[i]);
    return targets_add(targets, &reference, authority, length, error);
}

/* What neither form of the file nor CRICTL_AUTH can hold. */
static int check_credential(const struct target *target, struct pullkey_error *error)
{
    const struct pullkey_credential *credential = &target->credential;

    if (credential->kind == PULLKEY_IDENTITY_TOKEN) {
        if (!text_is_utf8(credential->secret.bytes, credential->secret.length))
            return error_set(error, PULLKEY_INVALID, "the identity token for %s is not text",
                             target->registry);
    } else if (strchr(credential->username, ':')) {
        return error_set(error, PULLKEY_INVALID,
                         "the user name for %s holds a colon, and cannot be handed to a command",
                         target->registry);
    }
    return 0;
}

static int get_credential(const struct config *config, struct target *target, const char *otherwise,
                          struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(config);
    char source[RESOLVE_SOURCE_MAX] = "";
    int r = resolve_get(&resolve, &target->reference, &target->credential, source, error);

    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "there is no credential for %s: run \"pullkey %slogin %s\", or %s",
                         target->registry, config->system ? "--system " : "", target->registry,
                         otherwise);
    if (r < 0)
        return error_wrap(error, "%s", target->registry);
    log_line("pullkey", "the credential for %s is from %s", target->reference.text, source);
    return check_credential(target, error);
}

/* A file has one place for a registry: two repositories of it with two credentials have none. */
static int check_agreement(const struct admin_call *call, const struct targets *targets,
                           struct pullkey_error *error)
{
    for (size_t i = 0; i < targets->count; i++)
        for (size_t j = i + 1; j < targets->count; j++) {
            const struct target *a = &targets->items[i], *b = &targets->items[j];

            if (targets_is_same_registry(&a->reference, &b->reference) &&
                (strcmp(a->credential.username, b->credential.username) != 0 ||
                 !secret_equal(&a->credential.secret, &b->credential.secret)))
                return error_set(error, PULLKEY_INVALID,
                                 "%s and %s have two credentials, and there is room for one of a "
                                 "registry: choose %s",
                                 a->reference.text, b->reference.text,
                                 call->command ? "with --for" : "one");
        }
    return 0;
}

int targets_get(const struct admin_call *call, struct targets *targets, const char *otherwise,
                struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    int r = admin_load(call, &config, error);

    for (size_t i = 0; i < targets->count && r == 0; i++)
        r = get_credential(&config, &targets->items[i], otherwise, error);
    output_wait_end();
    return r < 0 ? r : check_agreement(call, targets, error);
}

int targets_write_pair(const struct pullkey_credential *credential, struct buffer *ret,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer pair = BUFFER_INIT(PULLKEY_USERNAME_MAX + 1 + PULLKEY_SECRET_MAX);
    int r;

    buffer_append_text(&pair, credential->username);
    buffer_append_text(&pair, ":");
    if (credential->kind != PULLKEY_IDENTITY_TOKEN)
        buffer_append(&pair, credential->secret.bytes, credential->secret.length);
    r = buffer_check(&pair, error);
    if (r < 0)
        return r;
    text_base64_encode(ret, pair.data, pair.length);
    return buffer_check(ret, error);
}

static int append_entry(const struct target *target, struct buffer *ret,
                        struct pullkey_error *error)
{
    const struct pullkey_secret *secret = &target->credential.secret;
    const char *key = strcmp(target->registry, HUB) == 0 ? HUB_KEY : target->registry;
    int r;

    json_write_string(ret, key, strlen(key));
    buffer_append_text(ret, ":{\"auth\":\"");
    r = targets_write_pair(&target->credential, ret, error);
    if (r < 0)
        return r;
    buffer_append_text(ret, "\"");
    if (target->credential.kind == PULLKEY_IDENTITY_TOKEN) {
        buffer_append_text(ret, ",\"identitytoken\":");
        json_write_string(ret, secret->bytes, secret->length);
    }
    buffer_append_text(ret, "}");
    return 0;
}

/* True if an entry before it has the same key: another repository of the same registry. */
static bool is_written(const struct targets *targets, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(targets->items[i].registry, targets->items[at].registry) == 0)
            return true;
    return false;
}

int targets_write(const struct targets *targets, struct buffer *ret, struct pullkey_error *error)
{
    int r = 0;

    buffer_append_text(ret, "{\"auths\":{");
    for (size_t i = 0; i < targets->count && r == 0; i++) {
        if (is_written(targets, i))
            continue;
        buffer_append_text(ret, i > 0 ? "," : "");
        r = append_entry(&targets->items[i], ret, error);
    }
    buffer_append_text(ret, "}}\n");
    return r < 0 ? r : buffer_check(ret, error);
}
