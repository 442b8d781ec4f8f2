/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "core/module.h"
#include "core/resolve-chain.h"
#include "base/output.h"
#include "prompt.h"

#define TOKEN_USER "<token>"
#define QUESTION_MAX (PULLKEY_KEY_MAX + 64)

/* What is known when a login is done. */
struct outcome {
    bool checked;          /* the registry was asked */
    bool accepted;         /* and took the credential; else it asks for none */
    const char *encrypted; /* as JSON: "null" where another program keeps it as it likes */
    bool in_keyring;
    char source[RESOLVE_SOURCE_MAX]; /* the instance that has it now; "" if a rule ignores logins */
    char place[CONFIG_RULE_NAME_MAX];
};

static int ask_username(const char *registry, char **ret, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret line = { 0 };
    char question[QUESTION_MAX];
    int r;

    (void)snprintf(question, sizeof(question), "User name for %s: ", registry);
    r = prompt_line(question, false, &line, error);
    if (r < 0)
        return r;
    *ret = line.bytes;
    line.bytes = NULL;
    return 0;
}

static int get_username(const struct admin_call *call, const char *registry,
                        struct pullkey_credential *ret, struct pullkey_error *error)
{
    const char *given = call->values[ADMIN_USERNAME];

    if (call->values[ADMIN_IDENTITY_TOKEN] && given && strcmp(given, TOKEN_USER) != 0)
        return admin_usage(error, "an identity token has no user name: leave out --username");
    if (call->values[ADMIN_IDENTITY_TOKEN])
        given = TOKEN_USER;
    if (!given && call->values[ADMIN_PASSWORD_STDIN])
        return admin_usage(error, "--password-stdin needs --username, or --identity-token");
    if (given) {
        ret->username = secret_copy(given, strlen(given));
        if (!ret->username)
            return error_memory(error);
    } else {
        int r = ask_username(registry, &ret->username, error);

        if (r < 0)
            return r;
    }
    if (strcmp(ret->username, TOKEN_USER) == 0)
        ret->kind = PULLKEY_IDENTITY_TOKEN;
    return admin_check_username(ret->username, error);
}

static int get_credential(const struct admin_call *call, const char *registry,
                          struct pullkey_credential *ret, struct pullkey_error *error)
{
    char question[QUESTION_MAX + PULLKEY_USERNAME_MAX];
    int r;

    output_wait_end();
    r = get_username(call, registry, ret, error);
    if (r < 0)
        return r;
    if (call->values[ADMIN_PASSWORD_STDIN])
        return admin_read_password(&ret->secret, error);
    if (ret->kind == PULLKEY_IDENTITY_TOKEN)
        (void)snprintf(question, sizeof(question), "Identity token for %s: ", registry);
    else
        (void)snprintf(question, sizeof(question), "Password of %s: ", ret->username);
    r = prompt_line(question, true, &ret->secret, error);
    return r < 0 ? r : admin_check_password(&ret->secret, error);
}

/* The options of the check are asked for by name, as its module reads them (backends/probe). */
static void add_option(struct buffer *options, const char *name, const char *value)
{
    buffer_append_text(options, options->length > 1 ? "," : "");
    json_write_string(options, name, strlen(name));
    buffer_append_text(options, ":");
    json_write_string(options, value, strlen(value));
}

/* The module gets an absolute path: it does not have to know where we are. */
static int add_ca_file(const char *file, struct buffer *options, struct pullkey_error *error)
{
    cleanup_buffer struct buffer ignored = BUFFER_INIT(JSON_SIZE_MAX);
    char path[FILE_PATH_MAX];
    int r;

    if (!realpath(file, path))
        return error_set(error, PULLKEY_INVALID, "--ca-file: there is no file %s", file);
    r = file_read(path, FILE_GIVEN, 0, &ignored, NULL, error);
    if (r < 0)
        return error_wrap(error, "--ca-file");
    add_option(options, "ca_file", path);
    return 0;
}

int admin_probe_options(const struct admin_call *call, const struct registry_reference *reference,
                        struct buffer *options, struct pullkey_error *error)
{
    const char *realm = call->values[ADMIN_REALM];
    int r = 0;

    buffer_append_text(options, "{");
    if (call->values[ADMIN_CA_FILE])
        r = add_ca_file(call->values[ADMIN_CA_FILE], options, error);
    if (r < 0)
        return r;
    if (call->values[ADMIN_PLAIN_HTTP]) {
        struct registry_reference plain = *reference;
        char endpoint[REGISTRY_CANONICAL_MAX];

        plain.path[0] = '\0';
        plain.http = true;
        registry_canonical(&plain, endpoint);
        add_option(options, "endpoint", endpoint);
    }
    if (realm) {
        buffer_append_text(options, options->length > 1 ? "," : "");
        buffer_append_text(options, "\"realms\":[");
        json_write_string(options, realm, strlen(realm));
        buffer_append_text(options, "]");
    }
    buffer_append_text(options, "}");
    return buffer_check(options, error);
}

static int check_with_registry(const struct admin_call *call,
                               const struct registry_reference *reference,
                               const struct pullkey_credential *credential, struct outcome *outcome,
                               struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_probe_result result = { 0 };
    struct registry_request request;
    const struct pullkey_probe *probe;
    int r = module_find_probe("probe", &probe, error);

    if (r == -PULLKEY_UNSUPPORTED)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the module that asks registries (probe) is not installed: install it, or "
                         "store unchecked with --no-verify");
    if (r == 0)
        r = admin_probe_options(call, reference, &options, error);
    if (r < 0)
        return r;
    output_progress("Checking with %s ...", reference->text);
    registry_request(reference, clock_monotonic_ms() + RESOLVE_DEADLINE_MS, &request);
    r = probe->check(&module_host, &request.request, credential, options.data, &result, error);
    if (r < 0)
        return error_wrap(error, "nothing was stored: %s", reference->text);
    outcome->checked = true;
    outcome->accepted = result.verdict == PULLKEY_ACCEPTED;
    return 0;
}

/* A store of type file encrypts unless it is told not to. */
static void describe_store(const struct config_instance *instance, struct outcome *outcome)
{
    const cJSON *encryption = json_member(instance->options, "encryption");

    outcome->in_keyring = strcmp(instance->type, "keyring") == 0;
    if (outcome->in_keyring)
        outcome->encrypted = "true";
    else if (strcmp(instance->type, "file") != 0)
        outcome->encrypted = "null";
    else
        outcome->encrypted =
            cJSON_IsString(encryption) && strcmp(encryption->valuestring, "cms") != 0 ? "false"
                                                                                      : "true";
}

static void describe_source(const struct resolve *resolve,
                            const struct registry_reference *reference, struct outcome *outcome)
{
    struct resolve_chain chain;

    resolve_chain_find(resolve, reference, &chain);
    config_rule_name(chain.rule, outcome->place);
    for (size_t i = 0; i < chain.count; i++)
        if (strcmp(chain.items[i]->name, outcome->source) == 0)
            describe_store(chain.items[i], outcome);
}

/* What a client gets from now on must be what was stored. */
static int confirm(const struct resolve *resolve, const struct registry_reference *reference,
                   const struct pullkey_credential *credential, const struct outcome *outcome,
                   struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential answer = { 0 };
    char source[RESOLVE_SOURCE_MAX] = "";
    int r = resolve_get(resolve, reference, &answer, source, error);

    if (r < 0)
        return error_wrap(error, "stored in %s, but clients do not get it (%s)", outcome->source,
                          outcome->place);
    if (strcmp(source, outcome->source) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "stored in %s, but clients get the credential of %s, which %s asks first: "
                         "remove it there, or change the order",
                         outcome->source, source, outcome->place);
    if (strcmp(answer.username, credential->username) != 0 ||
        !secret_equal(&answer.secret, &credential->secret))
        return error_set(error, PULLKEY_INVALID,
                         "stored in %s, but it answers with another credential (%s): another key "
                         "there serves %s first",
                         outcome->source, outcome->place, reference->text);
    return 0;
}

static int report_json(const struct registry_reference *reference, const char *username,
                       const struct outcome *outcome, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_SIZE_MAX);

    buffer_append_text(&json, "{\"registry\":");
    json_write_string(&json, reference->text, strlen(reference->text));
    buffer_append_text(&json, ",\"username\":");
    json_write_string(&json, username, strlen(username));
    buffer_printf(&json, ",\"stored\":%s", outcome->source[0] != '\0' ? "true" : "false");
    if (outcome->source[0] != '\0') {
        buffer_append_text(&json, ",\"source\":");
        json_write_string(&json, outcome->source, strlen(outcome->source));
        buffer_printf(&json, ",\"encrypted\":%s", outcome->encrypted);
    }
    buffer_printf(&json, ",\"verified\":%s}\n", outcome->accepted ? "true" : "false");
    return output_buffer(&json, error);
}

static int report(const struct admin_call *call, const struct registry_reference *reference,
                  const char *username, const struct outcome *outcome, struct pullkey_error *error)
{
    const bool is_file = strcmp(outcome->encrypted, "true") == 0 && !outcome->in_keyring;
    const char *how = is_file ? " (encrypted)" : "";

    if (call->values[ADMIN_JSON])
        return report_json(reference, username, outcome, error);
    if (outcome->source[0] == '\0')
        output_line("Nothing was stored for %s: %s ignores logins", reference->text,
                    outcome->place);
    else if (outcome->accepted)
        output_line("Login to %s as %s succeeded; stored in %s%s", reference->text, username,
                    outcome->source, how);
    else
        output_line("Stored a credential for %s as %s in %s%s; %s", reference->text, username,
                    outcome->source, how,
                    outcome->checked ? "this registry serves anybody, so its answer proves nothing"
                                     : "it was not checked");
    return 0;
}

/* What is locked would be in the way: as the entry to be replaced, or before the new one. */
static int check_locked(const struct resolve *resolve, const struct resolve_opened *opened,
                        const struct registry_reference *reference, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential ignored = { 0 };
    struct registry_request request;
    int r;

    registry_request(reference, resolve->deadline_ms, &request);
    r = opened->backend->get(opened->state, &request.request, &ignored, error);
    return r == -PULLKEY_LOCKED
               ? error_wrap(error, "nothing was stored: %s", opened->instance->name)
               : 0;
}

static int check_store(const struct config *config, const struct registry_reference *reference,
                       struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(config);
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = resolve_find_store(&resolve, reference, NULL, &opened, error);

    if (r < 0)
        return error_wrap(error, "nothing can be stored");
    return opened.backend && admin_can_unlock(opened.backend)
               ? check_locked(&resolve, &opened, reference, error)
               : 0;
}

/* What has the credential instead is said to everybody. */
static void log_absence(const struct config *config)
{
    if (config->is_builtin_chain && !config->session_bus && !config->system)
        log_line("keyring", "not used: %s",
                 file_caller_is_root() ? "root has none" : "there is no session bus");
}

int admin_login(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_config struct config config = { 0 };
    struct outcome outcome = { .encrypted = "null" };
    struct registry_reference reference;
    struct resolve resolve;
    int r;

    if (call->values[ADMIN_NO_VERIFY] &&
        (call->values[ADMIN_CA_FILE] || call->values[ADMIN_REALM] ||
         call->values[ADMIN_PLAIN_HTTP]))
        return admin_usage(error, "--ca-file, --realm and --plain-http are for the check that "
                                  "--no-verify leaves out");
    r = admin_reference(call->argument_count > 0 ? call->arguments[0] : ADMIN_DEFAULT_REGISTRY,
                        &reference, error);
    if (r == 0)
        r = admin_load(call, &config, error);
    if (r == 0)
        log_absence(&config);
    /* Nobody is asked for a password that cannot be kept. */
    if (r == 0)
        r = check_store(&config, &reference, error);
    if (r == 0)
        r = get_credential(call, reference.text, &credential, error);
    if (r == 0 && !call->values[ADMIN_NO_VERIFY])
        r = check_with_registry(call, &reference, &credential, &outcome, error);
    if (r < 0)
        return r;
    resolve = admin_resolve(&config);
    r = resolve_store(&resolve, &reference, &credential, outcome.source, error);
    if (r < 0)
        return outcome.source[0] != '\0' ? r : error_wrap(error, "nothing was stored");
    describe_source(&resolve, &reference, &outcome);
    if (outcome.source[0] != '\0') {
        r = confirm(&resolve, &reference, &credential, &outcome, error);
        if (r < 0)
            return r;
    }
    if (reference.http)
        output_note("Most tools ask for it without http:// in front; if yours does, log in again "
                    "without it, with --plain-http");
    return report(call, &reference, credential.username, &outcome, error);
}
