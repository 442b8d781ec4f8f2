/* SPDX-License-Identifier: Apache-2.0 */
/* What leads from a file of Google's to whoever has no token: certificates, and keys of AWS. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "google.h"
#include "registry-host.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define CHAIN_MAX 10 /* certificates */
#define STS_HOSTS                                                                                  \
    "^sts(-fips)?\\.[a-z0-9-]+\\.(amazonaws\\.(com|com\\.cn|eu)|api\\.aws|"                        \
    "api\\.amazonwebservices\\.(com\\.cn|eu))$"

int google_certificate_path(const struct json *config, const char *name, const char **ret,
                            struct pullkey_error *error)
{
    const cJSON *workload = json_member(json_member(config->root, "cert_configs"), "workload");
    const cJSON *path = json_member(workload, name);

    *ret = cJSON_IsString(path) ? path->valuestring : "";
    if (**ret == '/')
        return 0;
    return error_set(error, PULLKEY_INVALID,
                     "%s has no absolute \"%s\" in \"workload\" of \"cert_configs\"", config->name,
                     name);
}

/* The DER of the next certificate of a PEM text as base64, which it is inside; false at its end. */
static bool next_certificate(const char **at, struct buffer *ret)
{
    const char *begin = strstr(*at, BEGIN), *end;

    if (!begin)
        return false;
    begin += strlen(BEGIN);
    end = strstr(begin, END);
    if (!end)
        return false;
    for (const char *c = begin; c < end; c++)
        if (!strchr("\r\n\t ", *c))
            buffer_append(ret, c, 1);
    *at = end + strlen(END);
    return ret->length > 0;
}

int google_certificate_chain(const char *leaf_pem, const char *chain_pem, struct buffer *ret,
                             struct pullkey_error *error)
{
    cleanup_buffer struct buffer leaf = BUFFER_INIT(GOOGLE_FILE_MAX);
    int count = 0;

    if (!next_certificate(&leaf_pem, &leaf))
        return error_set(error, PULLKEY_INVALID, "its certificate is no PEM");
    buffer_append_text(ret, "[");
    json_write_string(ret, leaf.data, leaf.length);
    for (;; count++) {
        cleanup_buffer struct buffer next = BUFFER_INIT(GOOGLE_FILE_MAX);

        if (!next_certificate(&chain_pem, &next))
            break;
        if (count == CHAIN_MAX)
            return error_set(error, PULLKEY_INVALID, "its chain has more than %d certificates",
                             CHAIN_MAX);
        if (next.length == leaf.length && memcmp(next.data, leaf.data, leaf.length) == 0) {
            if (count == 0)
                continue; /* a chain may begin with it */
            return error_set(error, PULLKEY_INVALID,
                             "its chain has its own certificate, and not as the first");
        }
        buffer_append_text(ret, ",");
        json_write_string(ret, next.data, next.length);
    }
    buffer_append_text(ret, "]");
    return buffer_check(ret, error);
}

int google_aws_address(const char *pattern, const char *region, char ret[GOOGLE_AWS_ADDRESS_SIZE],
                       struct pullkey_error *error)
{
    const char *place = strstr(pattern, "{region}");
    const size_t before = place ? (size_t)(place - pattern) : strlen(pattern);
    struct url url;
    int r;

    if (snprintf(ret, GOOGLE_AWS_ADDRESS_SIZE, "%.*s%s%s", (int)before, pattern,
                 place ? region : "",
                 place ? place + strlen("{region}") : "") >= GOOGLE_AWS_ADDRESS_SIZE)
        return error_set(error, PULLKEY_INVALID, "it is too long");
    r = url_parse(ret, &url, error);
    if (r == 0 && (!url.https || url.port != 443 || !registry_host_matches(url.host, STS_HOSTS)))
        r = error_set(error, PULLKEY_DENIED,
                      "it leads to %s, which is not STS of AWS over https://", url.host);
    return r;
}
