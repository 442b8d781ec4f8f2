/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of ~/.aws/config and ~/.aws/credentials, and the roles that lead from one to another. */
#include "aws-keys.h"

#include <stdio.h>
#include <string.h>

#include "aws-reply.h"
#include "base/error.h"
#include "base/file.h"

#define CHAIN_MAX 5
#define DEFAULT "default"

/* The profiles on the way to the one that has keys. */
struct chain {
    const char *names[CHAIN_MAX];
    size_t count;
};

static int read_file(const struct aws *aws, const char *variable, const char *usual,
                     struct aws_ini *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(AWS_INI_MAX);
    const char *own = exchange_environment(variable);
    char path[FILE_PATH_MAX];
    int r;

    if (own && strncmp(own, "~/", 2) == 0) { /* which AWS's programs expand */
        usual = own + 1;
        own = NULL;
    } else if (!own && aws->exchange->settings->system) {
        return 0;
    }
    if (!own && file_home(path, error) < 0)
        return 0;
    if (own)
        (void)snprintf(path, sizeof(path), "%s", own);
    else if (strlen(path) + strlen(usual) < sizeof(path))
        memcpy(path + strlen(path), usual, strlen(usual) + 1);
    r = file_read(path, FILE_INPUT, 0, &text, NULL, error);
    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    return r < 0 ? r : aws_ini_parse(path, text.data ? text.data : "", text.length, ret, error);
}

static int read_files(struct aws *aws, struct pullkey_error *error)
{
    int r;

    if (aws->has_files)
        return 0;
    r = read_file(aws, "AWS_CONFIG_FILE", "/.aws/config", &aws->config, error);
    if (r == 0)
        r = read_file(aws, "AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials", &aws->credentials,
                      error);
    aws->has_files = r == 0;
    return r;
}

static bool is_default(const char *name)
{
    return strcmp(name, DEFAULT) == 0;
}

static bool has_profile(const struct aws *aws, const char *name)
{
    return aws_ini_has(&aws->credentials, "", name) || aws_ini_has(&aws->config, "profile", name) ||
           (is_default(name) && aws_ini_has(&aws->config, "", name));
}

/* The credentials file goes before the other. */
static const char *get(const struct aws *aws, const char *profile, const char *key)
{
    const char *value = aws_ini_get(&aws->credentials, "", profile, key);

    if (!value)
        value = aws_ini_get(&aws->config, "profile", profile, key);
    if (!value && is_default(profile))
        value = aws_ini_get(&aws->config, "", profile, key);
    return value;
}

static int find(struct aws *aws, const char *name, struct chain *chain, struct aws_keys *ret,
                struct pullkey_error *error);

static int static_keys(const struct aws *aws, const char *name, struct aws_keys *ret,
                       struct pullkey_error *error)
{
    const char *id = get(aws, name, "aws_access_key_id");
    const char *secret = get(aws, name, "aws_secret_access_key");
    int r;

    if (!id && !secret)
        return error_set(error, PULLKEY_NOT_FOUND, "the profile %.100s has no keys", name);
    if (!id || !secret)
        return error_set(error, PULLKEY_INVALID,
                         "the profile %.100s must have aws_access_key_id and aws_secret_access_key",
                         name);
    (void)snprintf(ret->what, sizeof(ret->what), "the keys %.4s... of the profile %.100s", id,
                   name);
    r = aws_keys_set(ret, id, secret, get(aws, name, "aws_session_token"), error);
    return r < 0 ? error_wrap(error, "the profile %.100s", name) : 0;
}

/* source_profile; a profile that names itself has static keys. */
static int source_keys(struct aws *aws, const char *name, const char *source, struct chain *chain,
                       struct aws_keys *ret, struct pullkey_error *error)
{
    int r;

    if (strcmp(name, source) == 0)
        r = static_keys(aws, name, ret, error);
    else if (!has_profile(aws, source))
        r = error_set(error, PULLKEY_INVALID, "there is no such profile");
    else
        r = find(aws, source, chain, ret, error);
    if (r == -PULLKEY_NOT_FOUND) /* it is named, so it must have some */
        error->code = PULLKEY_INVALID;
    return r < 0 ? error_wrap(error, "source_profile %.100s of the profile %.100s", source, name)
                 : 0;
}

static int named_source_keys(struct aws *aws, const char *name, const char *source,
                             struct aws_keys *ret, struct pullkey_error *error)
{
    int r;

    if (strcmp(source, "Environment") == 0)
        r = aws_environment_keys(aws, ret, error);
    else if (strcmp(source, "Ec2InstanceMetadata") == 0)
        r = aws_machine_keys(aws, true, ret, error);
    else if (strcmp(source, "EcsContainer") == 0)
        r = aws_container_keys(aws, ret, error);
    else
        r = error_set(error, PULLKEY_INVALID,
                      "it must be Environment, Ec2InstanceMetadata or EcsContainer");
    if (r == -PULLKEY_NOT_FOUND)
        error->code = PULLKEY_INVALID;
    return r < 0 ? error_wrap(error, "credential_source of the profile %.100s", name) : 0;
}

static int role_keys(struct aws *aws, const char *name, struct chain *chain, struct aws_keys *ret,
                     struct pullkey_error *error)
{
    const char *source = get(aws, name, "source_profile");
    const char *named = get(aws, name, "credential_source");
    const struct aws_role role = {
        .arn = get(aws, name, "role_arn"),
        .session_name = get(aws, name, "role_session_name"),
        .external_id = get(aws, name, "external_id"),
        .duration = get(aws, name, "duration_seconds"),
        .token_file = get(aws, name, "web_identity_token_file"),
    };
    cleanup_aws_keys struct aws_keys keys = { 0 };
    int r;

    if (get(aws, name, "mfa_serial"))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the profile %.100s wants a code of a second factor (mfa_serial), and "
                         "nobody is here to type it; use another profile",
                         name);
    if (!!source + !!named + !!role.token_file != 1)
        return error_set(error, PULLKEY_INVALID,
                         "the profile %.100s has a role_arn, and needs exactly one of "
                         "source_profile, credential_source and web_identity_token_file",
                         name);
    if (role.token_file)
        return aws_assume_role(aws, NULL, &role, ret, error);
    r = source ? source_keys(aws, name, source, chain, &keys, error)
               : named_source_keys(aws, name, named, &keys, error);
    return r < 0 ? r : aws_assume_role(aws, &keys, &role, ret, error);
}

static int sso_keys(struct aws *aws, const char *name, struct aws_keys *ret,
                    struct pullkey_error *error)
{
    struct aws_sso sso = {
        .profile = name,
        .session = get(aws, name, "sso_session"),
        .start_url = get(aws, name, "sso_start_url"),
        .region = get(aws, name, "sso_region"),
        .account = get(aws, name, "sso_account_id"),
        .role = get(aws, name, "sso_role_name"),
    };

    if (sso.session) {
        if (!aws_ini_has(&aws->config, "sso-session", sso.session))
            return error_set(error, PULLKEY_INVALID,
                             "the profile %.100s names the sso-session %.100s, which is not there",
                             name, sso.session);
        sso.start_url = aws_ini_get(&aws->config, "sso-session", sso.session, "sso_start_url");
        sso.region = aws_ini_get(&aws->config, "sso-session", sso.session, "sso_region");
    }
    return aws_sso_keys(aws, &sso, ret, error);
}

/* As AWS's own programs have it: keys of the credentials file, a program, keys of the other. */
static int own_keys(struct aws *aws, const char *name, struct aws_keys *ret,
                    struct pullkey_error *error)
{
    const char *process = get(aws, name, "credential_process");
    const char *session = get(aws, name, "login_session");

    if (aws_ini_get(&aws->credentials, "", name, "aws_access_key_id"))
        return static_keys(aws, name, ret, error);
    if (session)
        return aws_login_keys(aws, session, name, ret, error);
    if (process)
        return aws_process_keys(aws, process, name, ret, error);
    return static_keys(aws, name, ret, error);
}

/* -PULLKEY_NOT_FOUND for a profile that says nothing of keys. */
static int find(struct aws *aws, const char *name, struct chain *chain, struct aws_keys *ret,
                struct pullkey_error *error)
{
    for (size_t i = 0; i < chain->count; i++)
        if (strcmp(chain->names[i], name) == 0)
            return error_set(error, PULLKEY_INVALID,
                             "the profiles lead in a circle: source_profile comes back to %.100s",
                             name);
    if (chain->count == CHAIN_MAX)
        return error_set(error, PULLKEY_INVALID, "more than %d profiles lead to each other",
                         CHAIN_MAX);
    chain->names[chain->count++] = name;
    if (get(aws, name, "role_arn"))
        return role_keys(aws, name, chain, ret, error);
    if (get(aws, name, "sso_account_id") || get(aws, name, "sso_role_name"))
        return sso_keys(aws, name, ret, error);
    return own_keys(aws, name, ret, error);
}

int aws_profile_keys(struct aws *aws, const char *name, struct aws_keys *ret,
                     struct pullkey_error *error)
{
    struct chain chain = { 0 };
    bool is_named;
    int r;

    if (!name)
        name = exchange_environment("AWS_PROFILE");
    if (!name)
        name = exchange_environment("AWS_DEFAULT_PROFILE");
    is_named = name != NULL;
    if (!name)
        name = DEFAULT;
    r = read_files(aws, error);
    if (r < 0)
        return r;
    if (is_named && !has_profile(aws, name))
        return error_set(error, PULLKEY_INVALID,
                         "there is no profile %.100s in ~/.aws/config or ~/.aws/credentials", name);
    r = find(aws, name, &chain, ret, error);
    if (r != -PULLKEY_NOT_FOUND)
        return r;
    return aws_nothing(aws, error,
                       has_profile(aws, name) ? "the profile %.100s has no keys"
                                              : "~/.aws has no profile %.100s",
                       name);
}
