/* SPDX-License-Identifier: Apache-2.0 */
/* What AWS's own programs have left behind: "aws sso login" of IAM Identity Center, "aws login". */
#include "aws-keys.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "aws-login.h"
#include "aws-reply.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/secret.h"
#include "rotate.h"

#define SSO_FOLDER "/.aws/sso/cache"
#define LOGIN_FOLDER "/.aws/login/cache"
#define LOGIN_VARIABLE "AWS_LOGIN_CACHE_DIRECTORY"
#define RENEW_SECONDS 300 /* before its end */
#define QUERY_MAX 1024
#define WHO_SIZE 160

/* FOLDER/HASH.json; the hash is a name, nothing is kept secret or safe by it. */
static int cache_path(const char *folder, const char *name, const EVP_MD *md,
                      char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    char file[2 * EVP_MAX_MD_SIZE + sizeof(".json")];
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size;
    int at = 0;

    if (EVP_Digest(name, strlen(name), hash, &size, md, NULL) != 1)
        return error_set(error, PULLKEY_INTERNAL, "libcrypto cannot compute a digest");
    for (size_t i = 0; i < size; i++)
        at += snprintf(file + at, sizeof(file) - (size_t)at, "%02x", hash[i]);
    (void)snprintf(file + at, sizeof(file) - (size_t)at, ".json");
    return file_join(ret, folder, file, error);
}

/* Below the home directory, which system programs have none of. */
static int home_folder(const struct aws *aws, const char *folder, char ret[FILE_PATH_MAX],
                       struct pullkey_error *error)
{
    int r;

    if (aws->exchange->settings->system)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "a login is a person's, and this is a system program; use a role");
    r = file_home(ret, error);
    if (r == 0 && strlen(ret) + strlen(folder) >= FILE_PATH_MAX)
        r = error_set(error, PULLKEY_INVALID, "the home directory has too long a path");
    if (r == 0)
        memcpy(ret + strlen(ret), folder, strlen(folder) + 1);
    return r;
}

static int refuse_login(const struct aws_sso *sso, const char *text, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_DENIED,
                     "%s of the profile %.100s; log in with: aws sso login --profile %.100s", text,
                     sso->profile, sso->profile);
}

static int read_login(const struct aws *aws, const struct aws_sso *sso, const char *path,
                      struct aws_login *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = file_read(path, FILE_INPUT, 0, &text, NULL, error);

    if (r == -PULLKEY_NOT_FOUND)
        return refuse_login(sso, "nobody is logged in to the SSO", error);
    if (r == 0)
        r = aws_login_read(&text, aws_now(aws), ret, error);
    return r < 0 ? error_wrap(error, "the SSO cache of the profile %.100s", sso->profile) : 0;
}

static int create_token(struct aws *aws, const struct aws_sso *sso, struct aws_login *login,
                        struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret body = { 0 };
    cleanup_response struct http_response response = { 0 };
    char who[WHO_SIZE];
    struct url url;
    const struct aws_call call = {
        .service = AWS_SSO_OIDC,
        .region = sso->region,
        .url = &url,
        .content_type = "application/json",
        .body = &body,
        .who = who,
        .action = "sso-oidc:CreateToken",
    };
    int r = aws_endpoint(aws, AWS_SSO_OIDC, sso->region, "/token", &url, error);

    (void)snprintf(who, sizeof(who), "the SSO login of the profile %.100s", sso->profile);
    if (r == 0)
        r = aws_login_ask(login, &body, error);
    if (r == 0)
        r = aws_call(aws, &call, &response, error);
    if (r < 0)
        return r;
    r = aws_login_renew(login, &response.body, aws_now(aws), error);
    return r < 0 ? error_wrap(error, "the answer of %s", url.host) : 0;
}

/* In its place before anybody uses it; in `room` until then. */
static int renew_held(struct aws *aws, const struct aws_sso *sso, const char *path, int *room,
                      struct aws_login *login, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = create_token(aws, sso, login, error);

    if (r == -PULLKEY_DENIED) {
        struct pullkey_error ignored;
        struct aws_login other = { 0 };

        if (read_login(aws, sso, path, &other, &ignored) == 0 && other.end > aws_now(aws) &&
            strcmp(other.token, login->token) != 0) {
            aws_login_done(login);
            *login = other;
            return 0;
        }
        aws_login_done(&other);
    }
    if (r == 0)
        r = aws_login_write(login, &text, error);
    return r < 0 ? r : rotate_write(path, room, &text, NULL, NULL, error);
}

/*
 * The server takes a refresh token once. The lock is of this program alone: another one of AWS's
 * may have renewed it meanwhile.
 */
static int renew(struct aws *aws, const struct aws_sso *sso, const char *path,
                 struct aws_login *login, struct pullkey_error *error)
{
    cleanup_lock struct lock lock = LOCK_INIT;
    cleanup_room int room = ROTATE_NO_ROOM;
    char lock_path[FILE_PATH_MAX];
    sigset_t old;
    int r;

    if (snprintf(lock_path, sizeof(lock_path), "%s.lock", path) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "the home directory has too long a path");
    r = lock_take(lock_path, aws->exchange->request->deadline_ms, &lock, error);
    if (r < 0)
        return error_wrap(error, "the SSO login cannot be renewed");
    aws_login_done(login);
    r = read_login(aws, sso, path, login, error);
    if (r < 0 || login->end > aws_now(aws) + RENEW_SECONDS || !login->is_renewable)
        return r;
    r = rotate_take_room(path, &room, error);
    if (r < 0)
        return error_wrap(error, "the SSO login is not renewed, as the new one could not be kept");
    rotate_hold(&old);
    r = renew_held(aws, sso, path, &room, login, error);
    rotate_release(&old);
    return r;
}

static int get_login(struct aws *aws, const struct aws_sso *sso, struct aws_login *ret,
                     struct pullkey_error *error)
{
    const char *name = sso->session ? sso->session : sso->start_url;
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX];
    int r = home_folder(aws, SSO_FOLDER, folder, error);

    if (r == 0)
        r = cache_path(folder, name, EVP_sha1(), path, error);
    if (r == 0)
        r = read_login(aws, sso, path, ret, error);
    if (r < 0)
        return r;
    if (ret->is_renewable && ret->end <= aws_now(aws) + RENEW_SECONDS) {
        r = renew(aws, sso, path, ret, error);
        if (r < 0 && ret->token && ret->end > aws_now(aws)) {
            aws->exchange->host->log(EXCHANGE_SOURCE, "%s; it is still valid", error->message);
            r = 0;
        }
        if (r < 0)
            return r;
    }
    return ret->end > aws_now(aws) ? 0 : refuse_login(sso, "the SSO login has expired", error);
}

static int get_role(struct aws *aws, const struct aws_sso *sso, const struct aws_login *login,
                    struct aws_keys *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(PULLKEY_SECRET_MAX);
    cleanup_buffer struct buffer query = BUFFER_INIT(QUERY_MAX);
    cleanup_response struct http_response response = { 0 };
    char expiration[AWS_EXPIRATION_SIZE];
    struct url url;
    struct aws_call call = {
        .service = AWS_SSO,
        .region = sso->region,
        .url = &url,
        .who = ret->what,
        .action = "sso:GetRoleCredentials",
    };
    int r = aws_endpoint(aws, AWS_SSO, sso->region, "/federation/credentials", &url, error);

    http_query_add(&query, "role_name", sso->role, strlen(sso->role));
    http_query_add(&query, "account_id", sso->account, strlen(sso->account));
    buffer_append_text(&line, "x-amz-sso_bearer_token: ");
    buffer_append_text(&line, login->token);
    if (r == 0)
        r = buffer_check(&query, error);
    if (r == 0)
        r = buffer_check(&line, error);
    call.query = query.data;
    call.header = line.data;
    if (r == 0)
        r = aws_call(aws, &call, &response, error);
    if (r < 0)
        return r;
    r = aws_read_json(AWS_JSON_SSO, &response.body, ret, expiration, error);
    return r < 0 ? error_wrap(error, "the answer of %s", url.host) : 0;
}

int aws_sso_keys(struct aws *aws, const struct aws_sso *sso, struct aws_keys *ret,
                 struct pullkey_error *error)
{
    cleanup_login struct aws_login login = { 0 };
    int r;

    if (!sso->region || !aws_is_region(sso->region) || !sso->account || !sso->role ||
        !sso->start_url)
        return error_set(error, PULLKEY_INVALID,
                         "the profile %.100s needs sso_start_url, sso_region, sso_account_id and "
                         "sso_role_name",
                         sso->profile);
    r = get_login(aws, sso, &login, error);
    if (r < 0)
        return r;
    (void)snprintf(ret->what, sizeof(ret->what),
                   "the role %.64s of account %.12s (SSO, profile %.64s)", sso->role, sso->account,
                   sso->profile);
    return get_role(aws, sso, &login, ret, error);
}

int aws_login_keys(struct aws *aws, const char *session, const char *profile, struct aws_keys *ret,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    const char *own = exchange_environment(LOGIN_VARIABLE);
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX], end[AWS_EXPIRATION_SIZE] = "", advice[160];
    int r = 0;

    (void)snprintf(ret->what, sizeof(ret->what), "the login of the profile %.100s", profile);
    (void)snprintf(advice, sizeof(advice), "log in with: aws login --profile %.100s", profile);
    if (!own)
        r = home_folder(aws, LOGIN_FOLDER, folder, error);
    if (r == 0)
        r = cache_path(own ? own : folder, session, EVP_sha256(), path, error);
    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &text, NULL, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_DENIED, "%s is not there; %s", ret->what, advice);
    if (r == 0)
        r = aws_read_json(AWS_JSON_LOGIN, &text, ret, end, error);
    if (r < 0)
        return error_wrap(error, "%s", ret->what);
    r = aws_check_life(aws, end, ret->what, advice, error);
    if (r < 0)
        aws_keys_done(ret);
    return r;
}
