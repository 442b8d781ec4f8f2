/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of AWS: published vectors, and those of the registry calls. */
#include "unit.h"

#include "base/secret.h"
#include "token/aws-sign.h"
#include "token/sign.h"

#define DATE "20150830T123600Z"
#define X_DATE "X-Amz-Date: " DATE
#define JSON_TYPE "Content-Type: application/x-amz-json-1.1"
#define ECR_TARGET "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
#define PUBLIC_TARGET "X-Amz-Target: SpencerFrontendService.GetAuthorizationToken"

static void vectors(void **state)
{
    static const struct {
        const char *method, *url, *query, *service, *headers[6], *body, *canonical, *signature;
    } rows[] = {
        { "GET",
          "https://example.amazonaws.com/",
          NULL,
          "service",
          { X_DATE },
          NULL,
          "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "POST",
          "https://example.amazonaws.com/",
          NULL,
          "service",
          { "Content-Type:application/x-www-form-urlencoded", X_DATE },
          "Param1=value1",
          "42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281",
          "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
        { "POST",
          "https://api.ecr.us-east-1.amazonaws.com/",
          NULL,
          "ecr",
          { JSON_TYPE, ECR_TARGET, X_DATE },
          "{}",
          "696f9d23764d52f5c339be08179976e1c31aee8c781de678b4b36b35ccedda1f",
          "527a2155e9afc2426cb4c659023df9c031e8103458f349819615ff25111f5de0" },
        { "POST",
          "https://api.ecr.us-east-1.amazonaws.com/",
          NULL,
          "ecr",
          { JSON_TYPE, ECR_TARGET, X_DATE, "X-Amz-Security-Token: SESSIONTOKENEXAMPLE" },
          "{}",
          "73fc17fefb273ec216e2ac883ebfb767ee432e70f327dbae12b5e89d54250879",
          "59423eae4db2e26154d6177cc92ace4d6512ea1718c52889b45aea183ee47abd" },
        { "POST",
          "https://api.ecr-public.us-east-1.amazonaws.com/",
          NULL,
          "ecr-public",
          { JSON_TYPE, PUBLIC_TARGET, X_DATE },
          "{}",
          "8709576bf4de49dab8b4b34519cab17862c938aeccc76e70518b3c633d2fe859",
          "7f4ca0d963a87df3d01f6c4ab2257843501fb7772d9351b0a56f5eca8095cd59" },
        { "GET",
          "https://iam.amazonaws.com/",
          "Version=2010-05-08&Action=ListUsers",
          "iam",
          { "Content-Type: application/x-www-form-urlencoded;  charset=utf-8 ", X_DATE },
          NULL,
          NULL,
          "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7" },
    };
    struct aws_keys keys = { .id = "AKIDEXAMPLE" };
    struct pullkey_error error = { 0 };

    (void)state;
    assert_fine(secret_set(&keys.secret, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40, &error),
                error);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer canonical = BUFFER_INIT(4096), names = BUFFER_INIT(4096);
        cleanup_buffer struct buffer line = BUFFER_INIT(4096);
        const struct pullkey_secret body = { (char *)(uintptr_t)rows[i].body,
                                             rows[i].body ? strlen(rows[i].body) : 0 };
        struct url url;
        const struct aws_sign what = {
            .method = rows[i].method,
            .url = &url,
            .query = rows[i].query,
            .service = rows[i].service,
            .region = "us-east-1",
            .date = DATE,
            .headers = rows[i].headers,
            .body = rows[i].body ? &body : NULL,
        };
        unsigned char hash[SIGN_SHA256_SIZE];
        char text[SIGN_SHA256_TEXT_SIZE];

        assert_fine(url_parse(rows[i].url, &url, &error), error);
        assert_fine(aws_sign_canonical(&what, &canonical, &names, &error), error);
        assert_fine(sign_sha256(canonical.data, canonical.length, hash, &error), error);
        sign_hex(hash, text);
        if (rows[i].canonical)
            assert_string_equal(text, rows[i].canonical);
        assert_fine(aws_sign(&keys, &what, &line, &error), error);
        assert_string_equal(strstr(line.data, "Signature=") + 10, rows[i].signature);
    }
    aws_keys_done(&keys);
}

static void dates(void **state)
{
    char date[AWS_DATE_SIZE];

    (void)state;
    aws_sign_date(1440938160, date);
    assert_string_equal(date, DATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vectors), cmocka_unit_test(dates) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
