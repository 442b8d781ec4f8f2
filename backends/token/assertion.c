/* SPDX-License-Identifier: Apache-2.0 */
#include "assertion.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/secret.h"
#include "sign.h"

#define KEY_FILE_MAX 65536
#define PART_MAX 16384
#define ID_BYTES 16

/* Such files may be links, as those of a Kubernetes secret are. */
static int read_key(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(KEY_FILE_MAX);
    mode_t mode;
    int r = file_read(path, FILE_INPUT, 0, &text, &mode, error);

    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NO_IDENTITY, "there is no private key: %s is missing",
                         path);
    if (r < 0)
        return r;
    if (mode & S_IROTH)
        return error_set(error, PULLKEY_DENIED,
                         "everybody may read the private key %s: run chmod o-r on it", path);
    return buffer_steal(&text, ret, error);
}

static void add_member(struct buffer *json, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(json, "%s\"%s\":", json->length > 1 ? "," : "", name);
    json_write_string(json, value, strlen(value));
}

/* What no two have in common, so that a server sees that one is used twice. */
static int add_id(struct buffer *json, struct pullkey_error *error)
{
    unsigned char id[ID_BYTES];
    int r = random_fill(id, sizeof(id), error);

    if (r < 0)
        return r;
    buffer_append_text(json, ",\"jti\":\"");
    for (size_t i = 0; i < sizeof(id); i++)
        buffer_printf(json, "%02x", id[i]);
    buffer_append_text(json, "\"");
    return 0;
}

int assertion_make(const struct assertion *assertion, int64_t now, struct pullkey_secret *ret,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer header = BUFFER_INIT(PART_MAX), claims = BUFFER_INIT(PART_MAX);
    cleanup_secret struct pullkey_secret key = { 0 };
    int r = read_key(assertion->key_file, &key, error);

    if (r < 0)
        return r;
    buffer_append_text(&header, "{");
    add_member(&header, "alg", "RS256");
    add_member(&header, "typ", "JWT");
    add_member(&header, "kid", assertion->key_id);
    add_member(&header, "x5t", assertion->key_x5t);
    buffer_append_text(&header, "}");
    buffer_append_text(&claims, "{");
    add_member(&claims, "iss", assertion->issuer);
    add_member(&claims, "sub", assertion->subject);
    add_member(&claims, "aud", assertion->audience);
    buffer_printf(&claims, ",\"iat\":%lld,\"exp\":%lld", (long long)now,
                  (long long)now + ASSERTION_SECONDS);
    r = add_id(&claims, error);
    buffer_append_text(&claims, "}");
    if (r == 0)
        r = sign_jwt(&key, &header, &claims, ret, error);
    return r < 0 ? error_wrap(error, "the private key %s", assertion->key_file) : 0;
}
