/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent to a token server, byte by byte: the form, and what the client says beside it. */
#include "unit.h"

#include "base/secret.h"
#include "token/oauth.h"

#define ASSERTION_TYPE "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"

/* What the last question was. */
static struct {
    char body[1024], username[128], password[128], content_type[64];
    enum http_scheme scheme;
    enum http_method method;
    unsigned int count;
} sent;

int __wrap_exchange_send(struct exchange *exchange, struct http_request *request,
                         struct http_response *ret, struct pullkey_error *error);
int __wrap_exchange_send(struct exchange *exchange, struct http_request *request,
                         struct http_response *ret, struct pullkey_error *error)
{
    (void)exchange;
    (void)error;
    sent.scheme = request->scheme;
    sent.method = request->method;
    (void)snprintf(sent.body, sizeof(sent.body), "%.*s", (int)request->body->length,
                   request->body->bytes);
    (void)snprintf(sent.username, sizeof(sent.username), "%s",
                   request->username ? request->username : "(none)");
    (void)snprintf(sent.password, sizeof(sent.password), "%s",
                   request->secret ? request->secret->bytes : "(none)");
    (void)snprintf(sent.content_type, sizeof(sent.content_type), "%s", request->content_type);
    sent.count++;
    *ret = (struct http_response){ .status = 200 };
    return 0;
}

/* `id` may be NULL; *form is what oauth_ask leaves. */
static int ask(enum oauth_client_auth auth, const char *id, const char *text, struct buffer *form,
               struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret secret = { 0 };
    struct oauth_client client = { .auth = auth, .id = id };
    struct http_response response;
    struct exchange exchange = { 0 };
    struct url url;

    assert_fine(url_parse("https://issuer.test/token", &url, error), *error);
    assert_fine(secret_set(&secret, text, strlen(text), error), *error);
    client.secret = secret;
    http_query_add(form, "grant_type", "x", 1);
    return oauth_ask(&exchange, &url, form, &client, &response, error);
}

static void forms(void **state)
{
    static const struct {
        enum oauth_client_auth auth;
        const char *id, *body, *username, *password;
    } samples[] = {
        { OAUTH_NONE, NULL, "grant_type=x", "(none)", "(none)" },
        { OAUTH_NONE, "me too", "grant_type=x&client_id=me%20too", "(none)", "(none)" },
        { OAUTH_BASIC, "me:too", "grant_type=x", "me%3Atoo", "a%25b%2Bc%3D%C3%BC" },
        { OAUTH_BASIC_RAW, "me too", "grant_type=x", "me too", "a%b+c=\303\274" },
        { OAUTH_POST, "me", "grant_type=x&client_id=me&client_secret=a%25b%2Bc%3D%C3%BC", "(none)",
          "(none)" },
        { OAUTH_ASSERTION, "me",
          "grant_type=x&client_id=me&client_assertion_type=" ASSERTION_TYPE
          "&client_assertion=a%25b%2Bc%3D%C3%BC",
          "(none)", "(none)" },
        { OAUTH_ASSERTION, NULL,
          "grant_type=x&client_assertion_type=" ASSERTION_TYPE
          "&client_assertion=a%25b%2Bc%3D%C3%BC",
          "(none)", "(none)" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        cleanup_buffer struct buffer form = BUFFER_INIT(1024);
        const bool is_basic = samples[i].auth == OAUTH_BASIC || samples[i].auth == OAUTH_BASIC_RAW;
        struct pullkey_error error;

        assert_fine(ask(samples[i].auth, samples[i].id, "a%b+c=\303\274", &form, &error), error);
        assert_string_equal(sent.body, samples[i].body);
        assert_string_equal(sent.username, samples[i].username);
        assert_string_equal(sent.password, samples[i].password);
        assert_string_equal(sent.content_type, "application/x-www-form-urlencoded");
        assert_int_equal(sent.method, HTTP_POST);
        assert_int_equal(sent.scheme, is_basic ? HTTP_BASIC : HTTP_NO_AUTH);
        /* So that nothing of it is repeated. */
        if (samples[i].auth != OAUTH_NONE)
            assert_non_null(strstr(form.data, "a%25b%2Bc%3D%C3%BC"));
    }
}

/* What does not fit is not sent in part. */
static void too_large(void **state)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(32);
    struct pullkey_error error;

    (void)state;
    sent.count = 0;
    assert_true(ask(OAUTH_POST, "me", "a secret that is longer than the form", &form, &error) < 0);
    assert_non_null(strstr(error.message, "issuer.test"));
    assert_null(strstr(error.message, "a secret"));
    assert_int_equal(sent.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(forms), cmocka_unit_test(too_large) };

    return cmocka_run_group_tests_name("oauth-form", tests, NULL, NULL);
}
