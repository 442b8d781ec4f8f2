/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of machines whose firmware is Azure's or Google's, which nobody has named: a service
 * that is away is an error and not "no identity". The service is this test. */
#include "unit.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "token/azure.h"
#include "token/google.h"
#include "token/machine.h"

int __wrap_http_send(struct http *http, const struct http_request *request,
                     struct http_response *ret, struct pullkey_error *error);
void __wrap_http_wait(const struct http *http, int64_t ms);
bool __wrap_machine_is_azure(const char *root);
bool __wrap_machine_is_google(const char *root);

#define NOW 1700000000
#define REQUESTS_MAX 16

struct reply {
    long status; /* 0: nobody answers */
    const char *body;
};

static struct {
    struct reply replies[REQUESTS_MAX];
    bool is_elsewhere; /* no machine of theirs */
    bool has_no_flavor;
    struct {
        char target[URL_TARGET_MAX];
        unsigned int attempts;
        int64_t ms;
        bool has_header, is_metadata;
    } asked[REQUESTS_MAX];
    size_t count;
    int64_t waited;
} service;

int __wrap_http_send(struct http *http, const struct http_request *request,
                     struct http_response *ret, struct pullkey_error *error)
{
    const struct reply *reply = &service.replies[service.count];
    const size_t at = service.count++;

    (void)http;
    assert_in_range(at, 0, REQUESTS_MAX - 1);
    memcpy(service.asked[at].target, request->url->target, sizeof(service.asked[at].target));
    service.asked[at].attempts = request->attempts;
    service.asked[at].ms = request->attempt_ms;
    service.asked[at].has_header = request->headers && request->headers[0];
    service.asked[at].is_metadata =
        request->allow_metadata && strcmp(request->url->host, "169.254.169.254") == 0;
    if (reply->status == 0)
        return error_set(error, PULLKEY_UNREACHABLE, "nobody is there");
    ret->status = reply->status;
    if (reply->status == 429 || reply->status >= 500)
        return error_set(error, PULLKEY_UNREACHABLE, "answers %ld", reply->status);
    *ret = (struct http_response){ .status = reply->status,
                                   .headers = BUFFER_INIT(1000),
                                   .body = BUFFER_INIT(1000) };
    if (!service.has_no_flavor)
        buffer_append_text(&ret->headers, "Metadata-Flavor: Google\r\n");
    buffer_append_text(&ret->body, reply->body ? reply->body : "");
    return 0;
}

void __wrap_http_wait(const struct http *http, int64_t ms)
{
    (void)http;
    service.waited += ms;
}

bool __wrap_machine_is_azure(const char *root)
{
    (void)root;
    return !service.is_elsewhere;
}

bool __wrap_machine_is_google(const char *root)
{
    return __wrap_machine_is_azure(root);
}

static int64_t wall(void)
{
    return NOW;
}

static int64_t monotonic(void)
{
    return service.waited;
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .wall_seconds = wall,
    .monotonic_ms = monotonic,
};

static const struct settings no_settings;
static struct pullkey_request request = { .deadline_ms = 20000 };
static struct exchange exchange = { .host = &host, .settings = &no_settings, .request = &request };

static int get_azure(struct pullkey_error *error)
{
    cleanup_oauth_reply struct oauth_reply reply = { 0 };

    return azure_managed_token(&exchange, "https://a.test", NULL, &reply, error);
}

static int get_google(struct pullkey_error *error)
{
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    struct google google = { .exchange = &exchange, .universe = GOOGLE_UNIVERSE };

    return google_metadata_token(&google, NULL, &reply, error);
}

static int get_google_identity(struct pullkey_error *error)
{
    char text[] = "https://a.test";
    const cJSON value = { .type = cJSON_String, .valuestring = text };
    struct identity_token token = { 0 };
    int r = google_get_identity(&exchange, &value, &token, error);

    identity_token_done(&token);
    return r;
}

static int get_azure_identity(struct pullkey_error *error)
{
    char text[] = "https://a.test";
    const cJSON value = { .type = cJSON_String, .valuestring = text };
    struct identity_token token = { 0 };
    int r = azure_get_identity(&exchange, &value, &token, error);

    identity_token_done(&token);
    return r;
}

typedef int getter(struct pullkey_error *error);
static getter *const getters[] = { get_azure, get_azure_identity, get_google, get_google_identity };

static void reset(void)
{
    memset(&service, 0, sizeof(service));
}

/* Nobody answers: two looks of a second each, and an error. */
static void away(void **state)
{
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(getters); i++) {
        reset();
        if (getters[i](&error) != -PULLKEY_UNREACHABLE)
            fail_msg("%zu: %s", i, error.message);
        assert_non_null(strstr(error.message, "does not answer"));
        assert_int_equal(service.count, 2);
        assert_int_equal(service.waited, 1000);
        for (size_t j = 0; j < service.count; j++) {
            assert_int_equal(service.asked[j].attempts, 1);
            assert_int_equal(service.asked[j].ms, 1000);
            assert_true(service.asked[j].is_metadata);
        }
    }
}

/* One that starts is asked for the token as often as others, and for longer than a second. */
static void starts(void **state)
{
    static const long first[] = { 200, 400, 404, 429, 503 };
    static const char token[] = "{\"access_token\":\"t\",\"expires_in\":\"600\"}";
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(getters); i++) {
        for (size_t j = 0; j < UNIT_COUNT(first); j++) {
            reset();
            service.replies[1].status = first[j];
            service.replies[2] = (struct reply){ 200, token };
            assert_fine(getters[i](&error), error);
            assert_int_equal(service.count, 3);
            assert_int_equal(service.asked[2].attempts, 0);
            assert_in_range(service.asked[2].ms, 4000, 8000);
            assert_true(service.asked[2].has_header);
            assert_null(strstr(service.asked[1].target, "service-accounts"));
        }
    }
}

/* There, and then gone or busy: an error too. */
static void busy(void **state)
{
    static const long statuses[] = { 0, 429, 503 };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(getters); i++) {
        for (size_t j = 0; j < UNIT_COUNT(statuses); j++) {
            reset();
            service.replies[0].status = 400;
            service.replies[1].status = statuses[j];
            if (getters[i](&error) != -PULLKEY_UNREACHABLE)
                fail_msg("%zu, %ld: %s", i, statuses[j], error.message);
            assert_int_equal(service.count, 2);
        }
    }
    reset();
    service.replies[0].status = service.replies[1].status = 200;
    service.has_no_flavor = true;
    assert_int_equal(get_google(&error), -PULLKEY_INVALID);
    assert_non_null(strstr(error.message, "Metadata-Flavor"));
}

/* Elsewhere nobody is asked. */
static void elsewhere(void **state)
{
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(getters); i++) {
        reset();
        service.is_elsewhere = true;
        assert_int_equal(getters[i](&error), -PULLKEY_NO_IDENTITY);
        assert_int_equal(service.count, 0);
    }
}

/* Cloud Run shows no firmware. It is asked as a machine is, and no longer. */
static void cloud_run(void **state)
{
    static const char *const names[] = { "K_SERVICE", "CLOUD_RUN_JOB" };
    static const char token[] = "{\"access_token\":\"t\",\"expires_in\":\"600\"}";
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        assert_int_equal(setenv(names[i], "x", 1), 0);
        reset();
        service.is_elsewhere = true;
        service.replies[0].status = 200;
        service.replies[1] = (struct reply){ 200, token };
        assert_fine(get_google(&error), error);
        assert_int_equal(service.asked[1].ms, MACHINE_TOKEN_MS);
        reset();
        service.is_elsewhere = true;
        /* Knative sets the first one on any machine. */
        assert_int_equal(get_google_identity(&error),
                         i == 0 ? -PULLKEY_NO_IDENTITY : -PULLKEY_UNREACHABLE);
        assert_int_equal(service.count, 2);
        assert_int_equal(service.waited, 1000);
        assert_int_equal(get_azure(&error), -PULLKEY_NO_IDENTITY);
        assert_int_equal(unsetenv(names[i]), 0);
    }
}

int main(void)
{
    static const char *const names[] = {
        "IDENTITY_ENDPOINT", "MSI_ENDPOINT",      "AZURE_CLIENT_ID",
        "GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP",
        "NO_GCE_CHECK",      "K_SERVICE",         "CLOUD_RUN_JOB",
    };
    const struct CMUnitTest tests[] = { cmocka_unit_test(away), cmocka_unit_test(starts),
                                        cmocka_unit_test(busy), cmocka_unit_test(elsewhere),
                                        cmocka_unit_test(cloud_run) };

    for (size_t i = 0; i < UNIT_COUNT(names); i++)
        (void)unsetenv(names[i]);
    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
