/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth-options.h"

#include <string.h>

#include "base/error.h"
#include "identity.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const grants[] = { "token-exchange", "jwt-bearer", "client-credentials",
                                      "refresh-token" };
static const char *const auths[] = { "none", "basic", "basic-raw", "post", "assertion" };

static int find(const char *text, const char *const names[], size_t count)
{
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -1;
}

enum oauth_grant oauth_grant_of(const cJSON *oauth)
{
    const int found = find(settings_text(oauth, "grant"), grants, COUNT(grants));

    return found < 0 ? OAUTH_GRANT_EXCHANGE : (enum oauth_grant)found;
}

enum oauth_client_auth oauth_auth_of(const cJSON *oauth)
{
    const int found = find(settings_text(oauth, "client_auth"), auths, COUNT(auths));

    if (found >= 0)
        return (enum oauth_client_auth)found;
    if (json_member(oauth, "client_assertion") || json_member(oauth, "client_key"))
        return OAUTH_ASSERTION;
    return json_member(oauth, "client_secret") ? OAUTH_BASIC : OAUTH_NONE;
}

static bool is_text(const cJSON *item)
{
    return cJSON_IsString(item) && item->valuestring[0] != '\0';
}

static int check_text(const struct settings *settings, const cJSON *item,
                      struct pullkey_error *error)
{
    return is_text(item) ? 0 : json_error(&settings->json, item, error, "must be text");
}

static int check_texts(const struct settings *settings, const cJSON *item,
                       struct pullkey_error *error)
{
    const cJSON *each;

    if (!cJSON_IsArray(item))
        return is_text(item)
                   ? 0
                   : json_error(&settings->json, item, error, "must be text, or a list of texts");
    cJSON_ArrayForEach(each, item) {
        if (check_text(settings, each, error) < 0)
            return -(int)error->code;
    }
    return 0;
}

/* RFC 8693 section 2.1. */
static int check_resource(const struct settings *settings, const cJSON *item,
                          struct pullkey_error *error)
{
    const cJSON *each = cJSON_IsArray(item) ? item->child : item;
    int r = check_texts(settings, item, error);

    for (; r == 0 && each; each = cJSON_IsArray(item) ? each->next : NULL)
        if (!strchr(each->valuestring, ':') || strchr(each->valuestring, '#'))
            r = json_error(&settings->json, each, error, "must be a URI without a fragment");
    return r;
}

static int check_url(const struct settings *settings, const cJSON *item,
                     struct pullkey_error *error)
{
    struct pullkey_error cause;
    struct url url;

    if (is_text(item) && url_parse(item->valuestring, &url, &cause) == 0 &&
        (url.https || url_is_loopback(&url)))
        return 0;
    return json_error(&settings->json, item, error, "must be an https:// address");
}

static int check_path(const struct settings *settings, const cJSON *item,
                      struct pullkey_error *error)
{
    return is_text(item) && item->valuestring[0] == '/'
               ? 0
               : json_error(&settings->json, item, error, "must be an absolute path");
}

static int check_grant(const struct settings *settings, const cJSON *item,
                       struct pullkey_error *error)
{
    return is_text(item) && find(item->valuestring, grants, COUNT(grants)) >= 0
               ? 0
               : json_error(&settings->json, item, error,
                            "must be token-exchange, jwt-bearer, client-credentials or "
                            "refresh-token");
}

static int check_auth(const struct settings *settings, const cJSON *item,
                      struct pullkey_error *error)
{
    return is_text(item) && find(item->valuestring, auths, COUNT(auths)) >= 0
               ? 0
               : json_error(&settings->json, item, error,
                            "must be none, basic, basic-raw, post or assertion");
}

/* A parameter that is there twice is an error to every server (RFC 6749 section 3.2). */
static int check_parameters(const struct settings *settings, const cJSON *item,
                            struct pullkey_error *error)
{
    static const char *const ours[] = {
        "grant_type",    "subject_token", "subject_token_type",    "actor_token",
        "assertion",     "refresh_token", "requested_token_type",  "actor_token_type",
        "audience",      "resource",      "client_assertion_type", "scope",
        "client_secret", "client_id",     "client_assertion",
    };
    const cJSON *each;

    if (!cJSON_IsObject(item))
        return json_error(&settings->json, item, error, "must be an object of texts");
    cJSON_ArrayForEach(each, item) {
        if (check_text(settings, each, error) < 0)
            return -(int)error->code;
        if (find(each->string, ours, COUNT(ours)) >= 0)
            return json_error(&settings->json, each, error, "has an option of its own");
    }
    return 0;
}

static int check_assertion(const struct settings *settings, const cJSON *item,
                           struct pullkey_error *error)
{
    static const char *const names[] = { "key",     "key_id",   "key_x5t", "issuer",
                                         "subject", "audience", NULL };
    int r;

    if (!cJSON_IsObject(item))
        return json_error(&settings->json, item, error, "must be an object");
    r = settings_check_texts(settings, item, names, error);
    if (r < 0)
        return r;
    if (!json_member(item, "key") || !json_member(item, "issuer"))
        return json_error(&settings->json, item, error, "needs \"key\" and \"issuer\"");
    return check_path(settings, json_member(item, "key"), error);
}

/* For which grants a member is. */
enum {
    EXCHANGE = 1 << OAUTH_GRANT_EXCHANGE,
    JWT = 1 << OAUTH_GRANT_JWT,
    REFRESH = 1 << OAUTH_GRANT_REFRESH,
    ANY = EXCHANGE | JWT | REFRESH | 1 << OAUTH_GRANT_CLIENT,
};

static const struct member {
    const char *name;
    unsigned int grants;
    int (*check)(const struct settings *settings, const cJSON *item, struct pullkey_error *error);
} members[] = {
    { "token_url", ANY, check_url },
    { "grant", ANY, check_grant },
    { "audience", ANY, check_texts },
    { "resource", ANY, check_resource },
    { "scope", ANY, check_texts },
    { "parameters", ANY, check_parameters },
    { "username", ANY, check_text },
    { "client_id", ANY, check_text },
    { "client_auth", ANY, check_auth },
    { "client_secret", ANY, identity_check },
    { "client_assertion", ANY, identity_check },
    { "client_key", ANY, check_path },
    { "client_key_id", ANY, check_text },
    { "client_key_x5t", ANY, check_text },
    { "client_audience", ANY, check_text },
    { "subject_token_type", EXCHANGE, check_text },
    { "requested_token_type", EXCHANGE, check_text },
    { "actor", EXCHANGE, identity_check },
    { "actor_token_type", EXCHANGE, check_text },
    { "assertion", JWT, check_assertion },
    { "refresh_token_file", REFRESH, check_path },
};

static int check_member(const struct settings *settings, const cJSON *item, enum oauth_grant grant,
                        struct pullkey_error *error)
{
    for (size_t i = 0; i < COUNT(members); i++) {
        if (strcmp(members[i].name, item->string) != 0)
            continue;
        if (!(members[i].grants & (1u << grant)))
            return json_error(&settings->json, item, error, "is not for the grant %s",
                              grants[grant]);
        return members[i].check(settings, item, error);
    }
    return json_error(&settings->json, item, error, "there is no such option");
}

/* What the client says must be of one kind, and there. */
static int check_client(const struct settings *settings, const cJSON *oauth,
                        struct pullkey_error *error)
{
    const cJSON *secret = json_member(oauth, "client_secret");
    const cJSON *assertion = json_member(oauth, "client_assertion");
    const cJSON *key = json_member(oauth, "client_key");
    const enum oauth_client_auth auth = oauth_auth_of(oauth);
    const bool has_id = json_member(oauth, "client_id");

    if ((secret != NULL) + (assertion != NULL) + (key != NULL) > 1)
        return json_error(&settings->json, oauth, error,
                          "takes one of \"client_secret\", \"client_assertion\" and "
                          "\"client_key\"");
    if (!key && (json_member(oauth, "client_key_id") || json_member(oauth, "client_key_x5t") ||
                 json_member(oauth, "client_audience")))
        return json_error(&settings->json, oauth, error,
                          "what is said of the client's key needs \"client_key\"");
    if (auth == OAUTH_NONE)
        return secret || assertion || key
                   ? json_error(&settings->json, json_member(oauth, "client_auth"), error,
                                "is none, and the client has something to say")
                   : 0;
    if (auth == OAUTH_ASSERTION)
        return assertion || (key && has_id)
                   ? 0
                   : json_error(&settings->json, oauth, error,
                                "an assertion needs \"client_assertion\", or \"client_key\" and "
                                "\"client_id\"");
    /* RFC 7617 section 2: a name ends at the colon. */
    if (auth == OAUTH_BASIC_RAW && has_id && strchr(settings_text(oauth, "client_id"), ':'))
        return json_error(&settings->json, json_member(oauth, "client_id"), error,
                          "must have no ':' for basic-raw");
    return secret && has_id ? 0
                            : json_error(&settings->json, oauth, error,
                                         "the client needs \"client_id\" and \"client_secret\"");
}

static int check_grant_needs(const struct settings *settings, const cJSON *oauth,
                             struct pullkey_error *error)
{
    const bool has_identity = settings->identity != NULL;

    switch (oauth_grant_of(oauth)) {
    case OAUTH_GRANT_JWT:
        if (has_identity == (json_member(oauth, "assertion") != NULL))
            return json_error(&settings->json, oauth, error,
                              "this grant needs an \"identity\" beside it, or an \"assertion\"");
        return 0;
    case OAUTH_GRANT_REFRESH:
        if (!json_member(oauth, "refresh_token_file"))
            return json_error(&settings->json, oauth, error,
                              "this grant needs a \"refresh_token_file\"");
        break;
    case OAUTH_GRANT_CLIENT: break;
    case OAUTH_GRANT_EXCHANGE:
    default:
        return has_identity ? 0
                            : json_error(&settings->json, oauth, error,
                                         "this grant needs an \"identity\" beside it");
    }
    return has_identity ? json_error(&settings->json, oauth, error,
                                     "this grant has no use for the \"identity\" beside it")
                        : 0;
}

int oauth_check(const struct settings *settings, struct pullkey_error *error)
{
    const cJSON *oauth = settings->oauth, *item;
    int r = 0;

    if (!oauth)
        return error_set(error, PULLKEY_INVALID, "the recipe \"oauth\" needs the object \"oauth\"");
    if (settings->hosts)
        return json_error(&settings->json, settings->hosts, error,
                          "the recipe \"oauth\" serves every registry that a rule has for it");
    cJSON_ArrayForEach(item, oauth) {
        r = check_member(settings, item, oauth_grant_of(oauth), error);
        if (r < 0)
            return r;
    }
    if (!json_member(oauth, "token_url"))
        return json_error(&settings->json, oauth, error, "has no \"token_url\"");
    r = settings->identity ? identity_check(settings, settings->identity, error) : 0;
    if (r == 0)
        r = check_client(settings, oauth, error);
    return r < 0 ? r : check_grant_needs(settings, oauth, error);
}
