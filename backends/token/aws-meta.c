/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services that tell a container or a machine of AWS who it is. They are asked where the
 * environment or the options say so, and the machine's also where its firmware is Amazon's: nobody
 * waits for what is not there.
 */
#include "aws-keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws-reply.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "machine.h"

#define CONTAINER_BASE "http://169.254.170.2"
#define CONTAINER_ATTEMPT_MS 2000
#define CONTAINER_ATTEMPTS 3
#define MACHINE_BASE "http://169.254.169.254"
#define MACHINE_BASE_IPV6 "http://[fd00:ec2::254]"
#define MACHINE_ATTEMPT_MS 1000
#define MACHINE_TIMEOUT_MAX_S 10
#define MACHINE_ATTEMPTS_MAX 5
#define TOKEN_PATH "/latest/api/token"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

bool aws_is_container_host(const struct url *url)
{
    static const char *const hosts[] = { "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };

    if (url->https || url_is_loopback(url))
        return true;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (strcmp(url->host, hosts[i]) == 0)
            return true;
    return false;
}

/* Where the environment says, or the options in place of the fixed host. */
static int find_container(struct aws *aws, struct url *ret, struct pullkey_error *error)
{
    const char *relative = exchange_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = exchange_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *own = settings_text(aws->exchange->settings->endpoints, "container");
    char address[URL_TARGET_MAX];
    int r;

    if (!relative && !full)
        return aws_nothing(aws, error, "no AWS_CONTAINER_CREDENTIALS_... is set");
    if (relative &&
        (relative[0] != '/' ||
         strlen(relative) + sizeof(CONTAINER_BASE) + strlen(own ? own : "") >= sizeof(address)))
        return error_set(error, PULLKEY_INVALID,
                         "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with '/'");
    if (relative)
        (void)snprintf(address, sizeof(address), "%s%s", own ? own : CONTAINER_BASE, relative);
    r = url_parse(relative ? address : full, ret, error);
    if (r < 0)
        return error_wrap(error, "AWS_CONTAINER_CREDENTIALS_%s",
                          relative ? "RELATIVE_URI" : "FULL_URI");
    if (!aws_is_container_host(ret))
        return error_set(
            error, PULLKEY_INVALID,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or of this machine, ECS "
            "or EKS");
    return 0;
}

/* "Authorization: ..." where there is one; the file is read each time. */
static int find_authorization(struct buffer *line, struct pullkey_error *error)
{
    const char *path = exchange_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *value = exchange_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    cleanup_buffer struct buffer token = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r;

    if (path) {
        r = file_read(path, FILE_INPUT, 0, &token, NULL, error);
        if (r < 0) {
            error->code = r == -PULLKEY_NOT_FOUND ? PULLKEY_INVALID : error->code;
            return error_wrap(error, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        }
        value = token.data ? token.data : "";
        if (token.length > 0 && token.data[token.length - 1] == '\n')
            token.data[--token.length] = '\0';
        if (strlen(value) != token.length)
            return error_set(error, PULLKEY_INVALID, "%s is not text", path);
    }
    if (!value || value[0] == '\0')
        return 0;
    if (strpbrk(value, "\r\n"))
        return error_set(error, PULLKEY_INVALID,
                         "the authorization of the container's credentials has more than one line");
    buffer_printf(line, "Authorization: ");
    buffer_append_text(line, value);
    return buffer_check(line, error);
}

int aws_container_keys(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(PULLKEY_SECRET_MAX + 32);
    cleanup_response struct http_response response = { 0 };
    const char *headers[2] = { NULL };
    char server[URL_AUTHORITY_SIZE], expiration[AWS_EXPIRATION_SIZE];
    struct url url;
    struct http_request request = {
        .url = &url,
        .headers = headers,
        .secret_path = true, /* ECS gives each task one, and asks for nothing else */
        .attempts = CONTAINER_ATTEMPTS,
        .attempt_ms = CONTAINER_ATTEMPT_MS,
    };
    int r = find_container(aws, &url, error);

    if (r == 0)
        r = find_authorization(&line, error);
    headers[0] = line.data;
    if (r == 0)
        r = exchange_send(aws->exchange, &request, &response, error);
    if (r < 0)
        return r == -PULLKEY_NOT_FOUND ? r : error_wrap(error, "the container's credentials");
    url_authority(&url, server);
    if (response.status != 200)
        return error_set(error, PULLKEY_DENIED,
                         "%s refuses to say who this container is (HTTP %ld); has the task or the "
                         "pod a role?",
                         server, response.status);
    (void)snprintf(ret->what, sizeof(ret->what), "the container's role, from %.200s", server);
    r = aws_read_json(AWS_JSON_METADATA, &response.body, ret, expiration, error);
    return r < 0 ? error_wrap(error, "the answer of %s", server) : 0;
}

static unsigned int number_of(const char *name, unsigned int usual, unsigned int most)
{
    const char *text = exchange_environment(name);
    const unsigned long value = text ? strtoul(text, NULL, 10) : usual;

    return value == 0 ? usual : value > most ? most : (unsigned int)value;
}

/* A place below the metadata service; *ret_is_named: somebody has said where it is. */
static int find_machine(const struct aws *aws, const char *path, struct url *ret,
                        struct pullkey_error *error)
{
    const char *mode = exchange_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    const char *base = exchange_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    size_t length;
    int r;

    if (!base)
        base = mode && text_equal_any_case(mode, "IPv6") ? MACHINE_BASE_IPV6 : MACHINE_BASE;
    r = exchange_endpoint(aws->exchange, "imds", base, ret, error);
    if (r < 0)
        return error_wrap(error, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (!url_is_metadata(ret) && !url_is_loopback(ret) && !ret->https)
        return error_set(error, PULLKEY_INVALID,
                         "AWS_EC2_METADATA_SERVICE_ENDPOINT must be https, or of this machine");
    length = strlen(ret->target);
    while (length > 0 && ret->target[length - 1] == '/')
        length--;
    if (length + strlen(path) >= sizeof(ret->target))
        return error_set(error, PULLKEY_INVALID, "the metadata service has too long a path");
    memcpy(ret->target + length, path, strlen(path) + 1);
    return 0;
}

static int ask(struct aws *aws, enum http_method method, const char *path, const char *line,
               struct http_response *ret, struct pullkey_error *error)
{
    const char *headers[] = { line, NULL };
    struct url url;
    struct http_request request = {
        .url = &url,
        .method = method,
        .headers = headers,
        .attempts = number_of("AWS_METADATA_SERVICE_NUM_ATTEMPTS", 1, MACHINE_ATTEMPTS_MAX),
        .attempt_ms = 1000 * (int64_t)number_of("AWS_METADATA_SERVICE_TIMEOUT",
                                                MACHINE_ATTEMPT_MS / 1000, MACHINE_TIMEOUT_MAX_S),
    };
    int r = find_machine(aws, path, &url, error);

    return r < 0 ? r : exchange_send(aws->exchange, &request, ret, error);
}

/* A session of version 2; the first version, which any proxy can be talked into, is never used. */
static int get_session(struct aws *aws, struct buffer *line, long *ret_status,
                       struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    int r = ask(aws, HTTP_PUT, TOKEN_PATH, "X-aws-ec2-metadata-token-ttl-seconds: 300", &response,
                error);

    *ret_status = response.status;
    if (r == -PULLKEY_UNREACHABLE && response.status != 0)
        return error_wrap(error, "the machine's metadata");
    if (r == -PULLKEY_UNREACHABLE)
        return error_wrap(error, "the machine's metadata do not answer (in a container: the hop "
                                 "limit of the instance must be 2)");
    if (r < 0)
        return r;
    if (response.status != 200)
        return error_set(
            error, PULLKEY_DENIED,
            "the machine's metadata have no sessions of IMDSv2 (HTTP %ld), and are not asked "
            "without one: allow IMDSv2 for the instance, or set AWS_EC2_METADATA_DISABLED=true",
            response.status);
    return aws_read_session(&response.body, line, error);
}

static int get_role(struct aws *aws, const char *line, char ret[AWS_ROLE_SIZE],
                    struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    int r = ask(aws, HTTP_GET, ROLES_PATH, line, &response, error);

    if (r < 0)
        return r;
    if (response.status == 404)
        return aws_nothing(aws, error, "this machine has no role (instance profile)");
    if (response.status != 200 || response.body.length == 0)
        return error_set(error, PULLKEY_DENIED,
                         "the machine's metadata do not name its role (HTTP %ld): try again, or "
                         "attach an instance profile",
                         response.status);
    return aws_read_role(&response.body, ret, error);
}

static int get_keys(struct aws *aws, const char *line, const char *role, struct aws_keys *ret,
                    struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    char path[sizeof(ROLES_PATH) + AWS_ROLE_SIZE], expiration[AWS_EXPIRATION_SIZE];
    int r;

    (void)snprintf(path, sizeof(path), ROLES_PATH "%s", role);
    r = ask(aws, HTTP_GET, path, line, &response, error);
    if (r < 0)
        return r;
    if (response.status != 200)
        return error_set(error, PULLKEY_DENIED,
                         "the machine's metadata have no keys for its role %s (HTTP %ld)", role,
                         response.status);
    (void)snprintf(ret->what, sizeof(ret->what), "the machine's role %s", role);
    r = aws_read_json(AWS_JSON_METADATA, &response.body, ret, expiration, error);
    return r < 0 ? error_wrap(error, "the machine's metadata") : 0;
}

int aws_machine_keys(struct aws *aws, bool is_wanted, struct aws_keys *ret,
                     struct pullkey_error *error)
{
    const char *disabled = exchange_environment("AWS_EC2_METADATA_DISABLED");
    cleanup_buffer struct buffer line = BUFFER_INIT(AWS_SESSION_MAX + 64);
    char role[AWS_ROLE_SIZE];
    long status;
    int r;

    if (disabled && text_equal_any_case(disabled, "true"))
        return aws_nothing(aws, error, "AWS_EC2_METADATA_DISABLED is set");
    is_wanted = is_wanted || exchange_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (!is_wanted && !machine_is_amazon(""))
        return aws_nothing(aws, error, "this is no machine of EC2 (\"imds\": true would ask)");
    r = get_session(aws, &line, &status, error);
    /* A container that cannot reach what nobody told it to ask still pulls what is public. */
    if (r == -PULLKEY_UNREACHABLE && !is_wanted && aws->registry.is_public) {
        if (status == 0)
            return aws_nothing(aws, error, "the machine's metadata do not answer");
        /* Who is busy has an identity all the same: forgiven only where nobody named us, and not
         * kept. */
        error->code = PULLKEY_UNSUPPORTED;
        return -(int)error->code;
    }
    if (r == 0)
        r = get_role(aws, line.data, role, error);
    return r < 0 ? r : get_keys(aws, line.data, role, ret, error);
}
