/* SPDX-License-Identifier: Apache-2.0 */
#include "write.h"

#include <string.h>
#include <sys/random.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/secret.h"
#include "keep.h"
#include "secret.h"

#define PAUSE_MS 20 /* times the attempts so far */
#define PAUSES_MAX 25
#define ATTEMPT_MS 2000 /* of the deadline, without which none is begun */

/* What is to be done with the secret; `credential` NULL: the entry goes. */
struct change {
    struct api *api;
    const struct keep *keep; /* NULL: nothing is kept */
    const char *namespace_name, *name;
    const struct pullkey_request *request;
    const struct pullkey_credential *credential;
};

static int refuse(const struct secret *secret, const char *text, struct pullkey_error *error)
{
    /* Not "unsupported", which an erase takes for "nothing was there". */
    return error_set(error, PULLKEY_DENIED, "the %s %s", secret->name, text);
}

static int change_pair(const struct change *change, struct secret *secret,
                       struct pullkey_error *error)
{
    const struct pullkey_credential *credential = change->credential;
    const struct pullkey_host *host = change->api->host;
    size_t length;

    if (!credential)
        return refuse(secret,
                      "is of the type kubernetes.io/basic-auth, which cannot be empty: "
                      "delete it with kubectl",
                      error);
    if (credential->kind == PULLKEY_IDENTITY_TOKEN)
        return refuse(secret,
                      "is of the type kubernetes.io/basic-auth, and takes no identity "
                      "tokens",
                      error);
    if (auths_check(credential, error) < 0)
        return -(int)error->code;
    secret_close(host, secret);
    length = strlen(credential->username);
    secret->credential.username = host->alloc(length + 1);
    secret->credential.secret.bytes = host->alloc(credential->secret.length + 1);
    if (!secret->credential.username || !secret->credential.secret.bytes)
        return error_memory(error);
    memcpy(secret->credential.username, credential->username, length);
    memcpy(secret->credential.secret.bytes, credential->secret.bytes, credential->secret.length);
    secret->credential.secret.length = credential->secret.length;
    return 0;
}

static int change_secret(const struct change *change, struct secret *secret,
                         struct pullkey_error *error)
{
    const struct pullkey_host *host = change->api->host;
    cJSON *map;
    int r;

    if (secret->is_immutable)
        return refuse(secret, "is immutable: delete it, and make one that is not", error);
    if (secret->type == SECRET_OTHER)
        return refuse(secret, "has another type than those of registries", error);
    if (secret->type == SECRET_BASIC_AUTH)
        return change_pair(change, secret, error);
    if (change->credential)
        return auths_put(host, &secret->document, change->request, change->credential, error);
    r = auths_map(&secret->document, &map, error);
    if (r == 0 && !auths_remove(host, map, change->request))
        r = error_set(error, PULLKEY_NOT_FOUND, "there is no entry for %s in the %s",
                      change->request->text, secret->name);
    return r;
}

static int make_object(const struct change *change, struct json *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4096);
    int r;

    buffer_printf(&text,
                  "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\","
                  "\"namespace\":\"%s\"},\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":"
                  "{\".dockerconfigjson\":\"e30=\"}}",
                  change->name, change->namespace_name);
    r = buffer_check(&text, error);
    return r < 0 ? r : json_parse(ret, "secret", text.data, text.length, 0, error);
}

/* Who is logged out must not come back when the server is down. */
static void forget(const struct change *change, const struct api_object *object)
{
    if (change->keep)
        keep_forget(change->keep, change->api->reader.data, object);
}

/* One round: 0, API_CONFLICT where somebody else was faster, or an error. */
static int attempt(const struct change *change, struct pullkey_error *error)
{
    struct api_object object = { "get", "secrets", change->namespace_name, change->name, NULL };
    cleanup_json struct json json = { 0 }, answer = { 0 };
    cleanup_buffer struct buffer body = BUFFER_INIT(API_BODY_MAX);
    struct secret secret = { 0 };
    int r = api_call(change->api, &object, NULL, &json, error);
    bool is_new = r == -(int)PULLKEY_NOT_FOUND && change->credential;

    /* Whatever comes of it: the answer to a change may be lost. */
    if (r == 0 || r == -(int)PULLKEY_NOT_FOUND)
        forget(change, &object);
    if (is_new)
        r = make_object(change, &json, error);
    /* Counters in what others have written there may have more digits than a double. */
    if (r == 0 && !is_new)
        r = json_keep_numbers(&json, error);
    if (r == 0)
        r = secret_read(change->api->host, json.root, &secret, error);
    if (r == 0) {
        /* Without one the server would write over whatever stands there by then. */
        if (!is_new && !secret.resource_version)
            r = error_set(error, PULLKEY_INVALID,
                          "the API server's answer has no resourceVersion of the %s", secret.name);
        if (r == 0)
            r = change_secret(change, &secret, error);
        if (r == 0)
            r = secret_write(&secret, json.root, error);
        secret_close(change->api->host, &secret);
    }
    if (r == 0)
        r = json_write_tree(&body, json.root, false, error);
    if (r < 0)
        return r;
    object.verb = is_new ? "create" : "update";
    r = api_call(change->api, &object,
                 &(struct pullkey_secret){ .bytes = body.data, .length = body.length }, &answer,
                 error);
    /* Somebody may have read what was there before. */
    forget(change, &object);
    return r;
}

int write_change(struct api *api, const struct keep *keep, const char *namespace_name,
                 const char *name, const struct pullkey_request *request,
                 const struct pullkey_credential *credential, struct pullkey_error *error)
{
    const struct change change = { api, keep, namespace_name, name, request, credential };
    const int64_t end = api->options.deadline_ms - ATTEMPT_MS;
    int r = API_CONFLICT;

    for (int64_t i = 0;; i++) {
        unsigned short random = 0;
        int64_t pause;

        r = attempt(&change, error);
        if (r != API_CONFLICT)
            break;
        /* The more there are who write, the further they have to stay apart. */
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
            random = 0;
        pause = random % (PAUSE_MS * (i < PAUSES_MAX ? i + 1 : PAUSES_MAX));
        if (api->host->monotonic_ms() + pause >= end)
            break;
        http_wait(api->http, pause);
    }
    if (r == API_CONFLICT)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "the secret %s/%s is changed by somebody else all the time: try again",
                         namespace_name, name);
    return r;
}
