/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"

#define FORMAT_VERSION 2
#define SHORTEST_STAY 60 /* seconds that even a failure stays, for those who wait for it */
#define INTEGER_MAX 9007199254740992.0 /* 2^53: up to here a double holds every whole number */

static bool read_integer(const cJSON *object, const char *name, int64_t *ret)
{
    const cJSON *item = json_member(object, name);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= INTEGER_MAX))
        return false;
    *ret = (int64_t)item->valuedouble;
    return true;
}

static bool has_key(const cJSON *root, const struct cache_slot *slot)
{
    const cJSON *keys = json_member(root, "key");
    const cJSON *item = cJSON_IsArray(keys) ? keys->child : NULL;

    for (size_t i = 0; i < CACHE_KEY_PARTS; i++, item = item->next)
        if (!cJSON_IsString(item) || strcmp(item->valuestring, slot->parts[i]) != 0)
            return false;
    return item == NULL;
}

static bool read_token(const cJSON *token, struct cache_entry *ret)
{
    const cJSON *username = json_member(token, "username");
    const cJSON *secret = json_member(token, "secret");
    const cJSON *identity = json_member(token, "identity_token");
    const cJSON *per_pod = json_member(token, "per_pod");
    struct pullkey_credential *credential = &ret->credential;
    struct pullkey_error ignored;
    int64_t scope;

    if (!cJSON_IsString(username) || strlen(username->valuestring) > PULLKEY_USERNAME_MAX ||
        !cJSON_IsString(secret) || strlen(secret->valuestring) > PULLKEY_SECRET_MAX ||
        !cJSON_IsBool(identity) || !read_integer(token, "expiry", &credential->expiry) ||
        !read_integer(token, "scope", &scope) || scope > PULLKEY_SCOPE_IMAGE ||
        !cJSON_IsBool(per_pod))
        return false;
    if (credential->expiry == 0 ? ret->end > ret->fetched + CACHE_COALESCE_MAX
                                : ret->end > credential->expiry - CACHE_LEEWAY_SECONDS)
        return false;
    credential->scope = (enum pullkey_scope)scope;
    credential->per_pod = cJSON_IsTrue(per_pod);
    credential->kind = cJSON_IsTrue(identity) ? PULLKEY_IDENTITY_TOKEN : PULLKEY_PASSWORD;
    credential->username = secret_copy(username->valuestring, strlen(username->valuestring));
    if (!credential->username || secret_set(&credential->secret, secret->valuestring,
                                            strlen(secret->valuestring), &ignored) < 0)
        return false;
    ret->outcome = CACHE_TOKEN;
    return true;
}

static bool read_failure(const cJSON *failure, struct cache_entry *ret)
{
    const cJSON *class = json_member(failure, "class");
    const cJSON *message = json_member(failure, "message");

    if (!cJSON_IsString(class) || !cJSON_IsString(message))
        return false;
    for (unsigned int code = PULLKEY_OK + 1; code < PULLKEY_ERROR_CLASS_MAX; code++) {
        if (strcmp(class->valuestring, error_class_name(code)) == 0) {
            (void)error_set(&ret->failure, code, "%s", message->valuestring);
            ret->outcome = CACHE_FAILURE;
            return true;
        }
    }
    return false;
}

/* Times that no clock of ours can have written, or that were written before the clock was set back,
 * make a miss. */
static bool has_sane_times(const cJSON *root, struct cache_entry *ret)
{
    const int64_t now = clock_wall_seconds();

    if (!read_integer(root, "fetched", &ret->fetched) || !read_integer(root, "end", &ret->end) ||
        !read_integer(root, "refresh", &ret->refresh) ||
        ret->end > ret->fetched + CACHE_LONGEST_SECONDS)
        return false;
    /* What is good for seconds would be good for a minute more. */
    return ret->fetched <= now || (ret->fetched <= now + CACHE_LEEWAY_SECONDS &&
                                   ret->end > ret->fetched + CACHE_COALESCE_MAX);
}

bool cache_entry_parse(const char *text, size_t length, const struct cache_slot *slot,
                       struct cache_entry *ret)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *token, *failure;
    int64_t version;

    if (json_parse(&json, "token", text, length, 0, &ignored) < 0)
        return false;
    if (!cJSON_IsObject(json.root) || !read_integer(json.root, "version", &version) ||
        version != FORMAT_VERSION || !has_key(json.root, slot) || !has_sane_times(json.root, ret))
        return false;
    token = json_member(json.root, "token");
    failure = json_member(json.root, "failure");
    if (token && failure)
        return false;
    if (token)
        return read_token(token, ret);
    if (failure)
        return read_failure(failure, ret);
    ret->outcome = CACHE_UNKEPT;
    return true;
}

static bool read_bytes(const struct cache *cache, int fd, struct buffer *text)
{
    struct pullkey_error ignored;
    struct stat status;

    /* No name left is fine: it was replaced after it was opened. */
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink > 1 ||
        status.st_uid != cache->owner || (status.st_mode & 07777) != 0600)
        return false;
    return buffer_read_file(text, fd, (size_t)status.st_size, &ignored) == 0;
}

static bool read_named(const struct cache *cache, const char *name, struct buffer *text)
{
    int fd = openat(cache->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool fine = fd >= 0 && read_bytes(cache, fd, text);

    if (fd >= 0)
        (void)close(fd);
    return fine;
}

void cache_entry_read(const struct cache *cache, const struct cache_slot *slot,
                      struct cache_entry *ret)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CACHE_ENTRY_MAX);

    *ret = (struct cache_entry){ 0 };
    if (!read_named(cache, slot->name, &text) ||
        !cache_entry_parse(text.data, text.length, slot, ret))
        cache_entry_done(ret);
}

bool cache_entry_read_any(const struct cache *cache, const char *name, struct json *ret_key,
                          struct cache_slot *ret_slot, struct cache_entry *ret, size_t *ret_size)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CACHE_ENTRY_MAX);
    struct pullkey_error ignored;
    const cJSON *item;

    if (!read_named(cache, name, &text) ||
        json_parse(ret_key, "token", text.data, text.length, 0, &ignored) < 0)
        return false;
    item = json_member(ret_key->root, "key");
    item = item ? item->child : NULL;
    for (size_t i = 0; i < CACHE_KEY_PARTS; i++, item = item->next) {
        if (!cJSON_IsString(item))
            return false;
        ret_slot->parts[i] = item->valuestring;
    }
    *ret_size = text.length;
    if (cache_entry_parse(text.data, text.length, ret_slot, ret))
        return true;
    cache_entry_done(ret);
    return false;
}

static void write_string(struct buffer *text, const char *string)
{
    json_write_string(text, string, strlen(string));
}

static void format_entry(struct buffer *text, const struct cache_slot *slot,
                         const struct cache_entry *entry)
{
    buffer_printf(text, "{\"version\":%d,\"key\":[", FORMAT_VERSION);
    for (size_t i = 0; i < CACHE_KEY_PARTS; i++) {
        buffer_append_text(text, i > 0 ? "," : "");
        write_string(text, slot->parts[i]);
    }
    buffer_printf(text, "],\"fetched\":%jd,\"end\":%jd,\"refresh\":%jd", (intmax_t)entry->fetched,
                  (intmax_t)entry->end, (intmax_t)entry->refresh);
    if (entry->outcome == CACHE_TOKEN) {
        const struct pullkey_credential *credential = &entry->credential;

        buffer_append_text(text, ",\"token\":{\"username\":");
        write_string(text, credential->username);
        buffer_append_text(text, ",\"secret\":");
        json_write_string(text, credential->secret.bytes, credential->secret.length);
        buffer_printf(text, ",\"identity_token\":%s,\"expiry\":%jd,\"scope\":%d,\"per_pod\":%s}",
                      credential->kind == PULLKEY_IDENTITY_TOKEN ? "true" : "false",
                      (intmax_t)credential->expiry, (int)credential->scope,
                      credential->per_pod ? "true" : "false");
    } else if (entry->outcome == CACHE_FAILURE) {
        buffer_append_text(text, ",\"failure\":{\"class\":");
        write_string(text, error_class_name(entry->failure.code));
        buffer_append_text(text, ",\"message\":");
        write_string(text, entry->failure.message);
        buffer_append_text(text, "}");
    }
    buffer_append_text(text, "}\n");
}

static int write_file(int fd, const struct buffer *text, const struct cache_entry *entry,
                      struct pullkey_error *error)
{
    /* A password that is merely coalesced is swept as soon as it may be. */
    const bool is_brief = entry->outcome == CACHE_TOKEN && entry->credential.expiry == 0;
    const int64_t stay = entry->fetched + (is_brief ? 0 : SHORTEST_STAY);
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       { .tv_sec = entry->end > stay ? entry->end : stay } };
    int r;

    r = file_write_all(fd, text->data, text->length, error);

    if (r == 0 && futimens(fd, times) < 0)
        r = error_errno(error, errno, "cannot set a time");
    return r;
}

int cache_entry_write(const struct cache *cache, const struct cache_slot *slot,
                      const struct cache_entry *entry, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CACHE_ENTRY_MAX);
    char temporary[CACHE_NAME_SIZE + 4];
    int fd, r;

    format_entry(&text, slot, entry);
    r = buffer_check(&text, error);
    if (r < 0)
        return r;
    /* What would not be read back is not written. */
    if (!text_is_utf8(text.data, text.length))
        return error_set(error, PULLKEY_INVALID, "a token that is not text is not kept");
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", slot->name);
    (void)unlinkat(cache->fd, temporary, 0);
    fd = openat(cache->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot make a file in %s", cache->path);
    r = write_file(fd, &text, entry, error);
    (void)close(fd);
    if (r == 0 && renameat(cache->fd, temporary, cache->fd, slot->name) < 0)
        r = error_errno(error, errno, "cannot rename a file in %s", cache->path);
    if (r < 0)
        (void)unlinkat(cache->fd, temporary, 0);
    return r;
}

void cache_entry_remove(const struct cache *cache, const struct cache_slot *slot)
{
    (void)unlinkat(cache->fd, slot->name, 0);
}

void cache_entry_done(struct cache_entry *entry)
{
    credential_done(&entry->credential);
    *entry = (struct cache_entry){ 0 };
}
