/* SPDX-License-Identifier: Apache-2.0 */
/* JWTs that we sign: what stands in them, and which keys are taken. That they verify is for
 * tests/token. */
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/json.h"
#include "base/jwt.h"
#include "base/secret.h"
#include "base/text.h"
#include "token/assertion.h"

#define NOW 1700000000

static char place[512], path[600];

static int set_up(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    FILE *file;

    (void)state;
    unit_make_directory(place);
    (void)snprintf(path, sizeof(path), "%s/key.pem", place);
    unit_write(path, "", 0, 0600);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(place);
    return 0;
}

static void read_header(const struct pullkey_secret *token, struct json *ret)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(1024);
    struct pullkey_error error;

    assert_fine(text_base64_decode(token->bytes, strcspn(token->bytes, "."), &text, &error), error);
    assert_fine(json_parse(ret, "header", text.data, text.length, 0, &error), error);
}

static const char *text_of(const struct json *json, const char *name)
{
    const cJSON *item = json_member(json->root, name);

    return cJSON_IsString(item) ? item->valuestring : "(none)";
}

static void claims(void **state)
{
    const struct assertion assertion = {
        .key_file = path,
        .key_id = "key \"1\"",
        .key_x5t = "x5t",
        .issuer = "me",
        .subject = "me too",
        .audience = "https://issuer.test/token",
    };
    cleanup_secret struct pullkey_secret token = { 0 }, next = { 0 };
    cleanup_json struct json header = { 0 }, body = { 0 }, other = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(assertion_make(&assertion, NOW, &token, &error), error);
    read_header(&token, &header);
    assert_int_equal(cJSON_GetArraySize(header.root), 4);
    assert_string_equal(text_of(&header, "alg"), "RS256");
    assert_string_equal(text_of(&header, "typ"), "JWT");
    assert_string_equal(text_of(&header, "kid"), "key \"1\"");
    assert_string_equal(text_of(&header, "x5t"), "x5t");
    assert_fine(jwt_claims(&token, &body, &error), error);
    assert_int_equal(cJSON_GetArraySize(body.root), 6);
    assert_string_equal(text_of(&body, "iss"), "me");
    assert_string_equal(text_of(&body, "sub"), "me too");
    assert_string_equal(text_of(&body, "aud"), "https://issuer.test/token");
    assert_int_equal((int)json_member(body.root, "iat")->valuedouble, NOW);
    assert_int_equal(jwt_expiry(&token), NOW + ASSERTION_SECONDS);
    assert_int_equal(strlen(text_of(&body, "jti")), 32);
    assert_fine(assertion_make(&assertion, NOW, &next, &error), error);
    assert_fine(jwt_claims(&next, &other, &error), error);
    assert_string_not_equal(text_of(&body, "jti"), text_of(&other, "jti"));
}

static void no_options(void **state)
{
    const struct assertion assertion = {
        .key_file = path, .issuer = "i", .subject = "s", .audience = "a"
    };
    cleanup_secret struct pullkey_secret token = { 0 };
    cleanup_json struct json header = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(assertion_make(&assertion, NOW, &token, &error), error);
    read_header(&token, &header);
    assert_int_equal(cJSON_GetArraySize(header.root), 2);
}

static void keys(void **state)
{
    const struct assertion assertion = {
        .key_file = path, .issuer = "i", .subject = "s", .audience = "a"
    };
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_int_equal(chmod(path, 0640), 0);
    assert_fine(assertion_make(&assertion, NOW, &token, &error), error);
    secret_done(&token);
    assert_int_equal(chmod(path, 0644), 0);
    assert_refused(assertion_make(&assertion, NOW, &token, &error), PULLKEY_DENIED, "chmod o-r",
                   error);
    unit_write(path, "no key", 6, 0600);
    assert_refused(assertion_make(&assertion, NOW, &token, &error), PULLKEY_INVALID, "RSA key",
                   error);
    assert_int_equal(unlink(path), 0);
    assert_refused(assertion_make(&assertion, NOW, &token, &error), PULLKEY_NO_IDENTITY,
                   "is missing", error);
    assert_null(token.bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(claims), CASE(no_options), CASE(keys) };

    json_start();
    return cmocka_run_group_tests_name("assertion", tests, NULL, NULL);
}
