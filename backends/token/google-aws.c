/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has keys of AWS shows Google who that is by a request to STS, GetCallerIdentity, which is
 * signed and not sent: Google sends it. The pool that it is for is one of the signed headers, so
 * that nobody else can use it.
 */
#include <stdio.h>
#include <string.h>

#include "aws-keys.h"
#include "base/error.h"
#include "base/secret.h"
#include "google.h"

#define REGION "us-east-1" /* keys are good in all of the partition */
#define TARGET "x-goog-cloud-target-resource"

/* One of the list "headers"; `line` is "Name: value". */
static void write_header(struct buffer *json, const char *line)
{
    const size_t length = strcspn(line, ":");
    const char *value = line + length + strlen(": ");

    buffer_append_text(json, json->data[json->length - 1] == '[' ? "{\"key\":" : ",{\"key\":");
    json_write_string(json, line, length);
    buffer_append_text(json, ",\"value\":");
    json_write_string(json, value, strlen(value));
    buffer_append_text(json, "}");
}

static int write_request(const char *address, const struct url *url, const char *const lines[],
                         struct buffer *json, struct pullkey_error *error)
{
    char host[sizeof("host: ") + URL_AUTHORITY_SIZE] = "host: ";

    url_authority(url, host + strlen(host));
    buffer_append_text(json, "{\"url\":");
    json_write_string(json, address, strlen(address));
    buffer_append_text(json, ",\"method\":\"POST\",\"headers\":[");
    if (buffer_check(json, error) < 0)
        return -(int)error->code;
    write_header(json, host);
    for (; *lines; lines++)
        write_header(json, *lines);
    buffer_append_text(json, "]}");
    return buffer_check(json, error);
}

int google_aws_write(const char *address, const char *region, const char *audience,
                     const char *date, const struct aws_keys *keys, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer time = BUFFER_INIT(64);
    cleanup_buffer struct buffer target = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_buffer struct buffer session = BUFFER_INIT(PULLKEY_SECRET_MAX + 64);
    cleanup_buffer struct buffer authorization = BUFFER_INIT(4096);
    cleanup_buffer struct buffer json = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    cleanup_buffer struct buffer encoded = BUFFER_INIT(PULLKEY_SECRET_MAX);
    const char *lines[5] = { NULL };
    struct url url;
    int r = url_parse(address, &url, error);

    buffer_printf(&time, "x-amz-date: %s", date);
    buffer_printf(&target, TARGET ": %s", audience);
    if (r == 0 && keys->session.length > 0) {
        buffer_append_text(&session, "x-amz-security-token: ");
        buffer_append(&session, keys->session.bytes, keys->session.length);
        r = buffer_check(&session, error);
    }
    if (r == 0)
        r = buffer_check(&time, error);
    if (r == 0)
        r = buffer_check(&target, error);
    if (r < 0)
        return r;
    lines[0] = time.data;
    lines[1] = target.data;
    lines[2] = session.data; /* NULL without one */
    r = aws_sign(keys,
                 &(struct aws_sign){
                     .method = "POST",
                     .url = &url,
                     .service = aws_service_name(AWS_STS),
                     .region = region,
                     .date = date,
                     .headers = lines,
                 },
                 &authorization, error);
    if (r < 0)
        return r;
    lines[session.data ? 3 : 2] = authorization.data;
    r = write_request(address, &url, lines, &json, error);
    if (r < 0)
        return r;
    http_query_value(&encoded, json.data, json.length);
    r = buffer_check(&encoded, error);
    return r < 0 ? r : secret_set(ret, encoded.data, encoded.length, error);
}

/* Where the file names the metadata of the machine, they are asked as if the options said so. */
static int find_keys(struct aws *aws, bool has_machine, struct aws_keys *ret,
                     struct pullkey_error *error)
{
    char name[] = "imds";
    cJSON item = { .type = cJSON_True, .string = name };
    const cJSON wanted = { .type = cJSON_Object, .child = &item };
    int r;

    if (!aws->options && has_machine)
        aws->options = &wanted;
    r = aws_keys_find(aws, ret, error);
    aws->options = NULL;
    if (r == -PULLKEY_NO_IDENTITY)
        error->code = PULLKEY_INVALID; /* the file is there, so its keys must be */
    return r < 0 ? -(int)error->code : 0;
}

int google_aws_subject(struct google *google, const struct google_credentials *credentials,
                       struct pullkey_secret *ret, struct pullkey_error *error)
{
    const char *region = exchange_environment("AWS_REGION");
    cleanup_aws_keys struct aws_keys keys = { 0 };
    cleanup_aws struct aws aws = { 0 };
    struct aws_registry nowhere = { 0 };
    char address[GOOGLE_AWS_ADDRESS_SIZE], date[AWS_DATE_SIZE];
    int r;

    if (!region)
        region = exchange_environment("AWS_DEFAULT_REGION");
    if (!region)
        region = REGION;
    if (!aws_is_region(region))
        return error_set(error, PULLKEY_INVALID, "AWS_REGION must be a region, as us-east-1");
    (void)snprintf(nowhere.region, sizeof(nowhere.region), "%s", region);
    nowhere.partition = aws_partition_of(region);
    r = google_aws_address(credentials->source.verification_url, region, address, error);
    if (r < 0)
        return error_wrap(error, "the regional_cred_verification_url of %s", google->what);
    aws_open(google->exchange, &nowhere, &aws);
    r = find_keys(&aws, credentials->source.has_machine, &keys, error);
    if (r == 0) {
        aws_sign_date(aws_now(&aws), date);
        r = google_aws_write(address, region, credentials->audience, date, &keys, ret, error);
    }
    return r < 0 ? error_wrap(error, "keys of AWS for %s", google->what) : 0;
}
