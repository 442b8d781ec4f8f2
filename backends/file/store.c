/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "key/key.h"

#define SOURCE "file"
#define OTHERS_MAY_READ (S_IRGRP | S_IROTH)
/* What sealing adds to the document is less than this. */
#define SEAL_ROOM 512
#define LOAD_TRIES 3
#define QUOTED_MAX 256 /* the path is in the message twice */

static bool exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* In a form that a shell reads as one word; NULL where it does not fit or is not printable. */
static const char *quote(const char *path, char ret[QUOTED_MAX])
{
    char printable[FILE_PATH_MAX];
    size_t at = 0;

    memcpy(mempcpy(printable, path, strlen(path)), "", 1);
    text_make_printable(printable);
    if (strcmp(printable, path) != 0)
        return NULL;
    ret[at++] = '\'';
    for (; *path != '\0'; path++) {
        if (at >= QUOTED_MAX - 6)
            return NULL;
        if (*path == '\'')
            at = (size_t)((char *)mempcpy(ret + at, "'\\''", 4) - ret);
        else
            ret[at++] = *path;
    }
    memcpy(ret + at, "'", 2);
    return ret;
}

static int refuse_plain(const char *path, struct pullkey_error *error)
{
    char storage[QUOTED_MAX];
    const char *word = quote(path, storage);

    if (!word)
        return error_set(error, PULLKEY_INVALID,
                         "%s is not encrypted, and this store is configured to be: rename it, "
                         "import it with \"pullkey import --from\", and remove it",
                         path);
    return error_set(error, PULLKEY_INVALID,
                     "%s is not encrypted, and this store is configured to be: run F=%s && "
                     "mv \"$F\" \"$F.old\" && pullkey import --yes --from \"$F.old\" && rm "
                     "\"$F.old\"",
                     path, word);
}

static int refuse_sealed(const char *path, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID,
                     "%s is encrypted, and this store is configured not to be: set "
                     "\"encryption\": \"cms\" for it, or move the file away",
                     path);
}

/* A DER SEQUENCE begins with 0x30, which is the digit 0; JSON of ours begins with a brace. */
static bool looks_like_json(const struct buffer *content)
{
    size_t blank = content->length > 0 ? strspn(content->data, " \t\r\n") : 0;

    return blank < content->length && content->data[blank] == '{';
}

static bool looks_sealed(const struct buffer *content)
{
    return content->length > 1 && content->data[0] == 0x30 && (unsigned char)content->data[1] > 127;
}

/* Without its codec a store is no backend that is absent: what it holds must not be passed over. */
static int find_codec(const struct store *store, const struct pullkey_codec **ret,
                      struct pullkey_error *error)
{
    int r = store->host->codec("cms", ret, error);

    if (r != -PULLKEY_UNSUPPORTED)
        return r;
    error->code = PULLKEY_INVALID;
    return -PULLKEY_INVALID;
}

/* Adds what to do about a store of ours that cannot be read; a source is somebody else's. Where
 * there is no room for it, what is wrong is worth more. */
static int advise(const struct store *store, int r, struct pullkey_error *error)
{
    static const char advice[] = "; restore it from a backup, or move it away and log in again";
    size_t used = strlen(error->message);

    if (r == -PULLKEY_INVALID && !store->read_only &&
        used + sizeof(advice) <= sizeof(error->message))
        memcpy(error->message + used, advice, sizeof(advice));
    return r;
}

static int unseal_with(const struct store *store, const char *key_path,
                       const struct buffer *content, struct buffer *ret,
                       struct pullkey_error *error)
{
    const struct pullkey_host *host = store->host;
    const struct pullkey_secret sealed = { .bytes = content->data, .length = content->length };
    const char *path = store->paths[0];
    cleanup_secret struct pullkey_secret key = { 0 };
    struct pullkey_secret plain;
    const struct pullkey_codec *codec;
    int r;

    r = key_read(key_path, &key, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID,
                         "%s cannot be opened because its key %s is missing: bring the key back "
                         "from a backup, or move the store away and log in again",
                         path, key_path);
    if (r == 0)
        r = find_codec(store, &codec, error);
    if (r < 0)
        return error_wrap(error, "%s cannot be opened", path);
    r = codec->unseal(host, &key, &sealed, &plain, error);
    if (r < 0) {
        (void)error_wrap(error, "%s cannot be opened with the key %s", path, key_path);
        return advise(store, r, error);
    }
    buffer_append(ret, plain.bytes, plain.length);
    host->release(plain.bytes);
    return buffer_check(ret, error);
}

static bool opens_with(const struct store *store, const char *key_path,
                       const struct buffer *content, struct buffer *ret)
{
    struct pullkey_error ignored;

    return exists(key_path) && unseal_with(store, key_path, content, ret, &ignored) == 0;
}

/* With the key; else with the one that a change of keys (rekey.h) is about to put in its place, or
 * with one that it has kept for a store that was not there. */
static int unseal(const struct store *store, const struct buffer *content, struct buffer *ret,
                  struct pullkey_error *error)
{
    char other[FILE_PATH_MAX];
    struct pullkey_error ignored;
    int r = unseal_with(store, store->key_path, content, ret, error);

    if (r != -PULLKEY_INVALID)
        return r;
    if (key_next(store->key_path, other, &ignored) == 0 && opens_with(store, other, content, ret))
        return 0;
    for (unsigned int number = 1; number <= KEY_OLD_MAX; number++) {
        if (key_old(store->key_path, number, other, &ignored) < 0 || !exists(other))
            break;
        if (opens_with(store, other, content, ret))
            return 0;
    }
    return r;
}

static int read_content(const struct store *store, const char *path, struct buffer *ret,
                        struct pullkey_error *error)
{
    enum file_trust trust = store->read_only ? FILE_INPUT : FILE_OURS;
    mode_t mode;
    int r = file_read(path, trust, 0, ret, &mode, error);

    if (r == -PULLKEY_INVALID && ret->state == BUFFER_FULL)
        return error_set(error, PULLKEY_INVALID, "%s is larger than %d bytes", path,
                         STORE_SIZE_MAX);
    if (r < 0)
        return r;
    if (trust == FILE_OURS && (mode & OTHERS_MAY_READ))
        store->host->log(SOURCE, "%s has mode %04o: others may read it, run chmod 0600 on it", path,
                         (unsigned int)mode);
    return 0;
}

/* A store that is not there, unless it is there in the other form. */
static int missing(const struct store *store, const char *path, struct pullkey_error *error)
{
    if (store->credential)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "there is no %s: the service needs LoadCredentialEncrypted= or "
                         "LoadCredential= for it",
                         path);
    if (store->other_path && exists(store->other_path))
        return store->key_path ? refuse_plain(store->other_path, error)
                               : refuse_sealed(store->other_path, error);
    return error_set(error, PULLKEY_NOT_FOUND, "there is no %s", path);
}

static int parse(const struct store *store, const char *path, const struct buffer *text,
                 struct json *ret, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    cJSON *map;
    int r = json_parse(&json, path, text->data, text->length, 0, error);

    if (r == 0)
        r = json_keep_numbers(&json, error);
    if (r == 0)
        r = auths_map(&json, &map, error);
    if (r < 0)
        return advise(store, r, error);
    *ret = json;
    json = (struct json){ 0 };
    return 0;
}

static int load_once(const struct store *store, size_t index, struct json *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer content = BUFFER_INIT(STORE_SIZE_MAX);
    cleanup_buffer struct buffer plain = BUFFER_INIT(STORE_SIZE_MAX);
    const char *path = store->paths[index];
    const struct buffer *text = &content;
    int r = read_content(store, path, &content, error);

    if (r == -PULLKEY_NOT_FOUND)
        return missing(store, path, error);
    if (r < 0)
        return r;
    if (store->key_path && looks_like_json(&content))
        return refuse_plain(path, error);
    if (!store->key_path && looks_sealed(&content))
        return refuse_sealed(path, error);
    if (store->key_path) {
        r = unseal(store, &content, &plain, error);
        if (r < 0)
            return r;
        text = &plain;
    }
    return parse(store, path, text, ret, error);
}

int store_load(const struct store *store, size_t index, struct json *ret,
               struct pullkey_error *error)
{
    int r = load_once(store, index, ret, error);

    /* A reader holds no lock: store and key may be from before and after a change of keys. */
    for (int tries = 1; r == -PULLKEY_INVALID && store->key_path && tries < LOAD_TRIES; tries++)
        r = load_once(store, index, ret, error);
    return r;
}

int store_try_key(const struct store *store, const char *key_path, struct pullkey_error *error)
{
    cleanup_buffer struct buffer content = BUFFER_INIT(STORE_SIZE_MAX);
    cleanup_buffer struct buffer plain = BUFFER_INIT(STORE_SIZE_MAX);
    int r = read_content(store, store->paths[0], &content, error);

    return r < 0 ? r : unseal_with(store, key_path, &content, &plain, error);
}

int store_lock(const struct store *store, int64_t deadline_ms, struct lock *ret,
               struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];

    if (snprintf(path, sizeof(path), "%s.lock", store->paths[0]) >= (int)sizeof(path))
        return error_set(error, PULLKEY_INVALID, "%s: the path is too long", store->paths[0]);
    return lock_take(path, deadline_ms, ret, error);
}

/* The textual check of the options misses links and "..". */
static int check_key_is_away(const struct store *store, struct pullkey_error *error)
{
    const char *paths[2] = { store->paths[0], store->key_path };
    struct stat status[2];

    for (size_t i = 0; i < 2; i++) {
        char directory[FILE_PATH_MAX];
        size_t length = (size_t)(strrchr(paths[i], '/') - paths[i]);

        memcpy(mempcpy(directory, paths[i], length), "/", 2);
        if (stat(directory, &status[i]) < 0)
            return 0; /* the key's directory is yet to be made, so it is another one */
    }
    if (status[0].st_dev == status[1].st_dev && status[0].st_ino == status[1].st_ino)
        return error_set(error, PULLKEY_INVALID,
                         "the key %s would lie beside the store %s: put it into another directory",
                         store->key_path, store->paths[0]);
    return 0;
}

static int find_key(const struct store *store, bool is_new, int64_t deadline_ms,
                    struct lock *ret_lock, struct pullkey_secret *ret, struct pullkey_error *error)
{
    int r;

    if (!is_new)
        return key_read(store->key_path, ret, error);
    r = check_key_is_away(store, error);
    return r < 0 ? r : key_obtain(store->key_path, deadline_ms, ret_lock, ret, error);
}

static int write_document(const struct store *store, const struct json *document,
                          struct buffer *text, struct pullkey_error *error)
{
    int r = 0;

    /* Indented for people; a document that is too large for that may fit without. */
    for (int indented = 1; indented >= 0; indented--) {
        buffer_done(text);
        r = json_write_tree(text, document->root, indented, error);
        buffer_append_text(text, "\n");
        if (r == 0)
            r = buffer_check(text, error);
        if (r != -PULLKEY_INVALID)
            break;
    }
    if (r == -PULLKEY_INVALID)
        return error_set(error, PULLKEY_INVALID,
                         "%s would become larger than %d bytes: remove entries that are not "
                         "needed with \"pullkey logout\"",
                         store->paths[0], STORE_SIZE_MAX - SEAL_ROOM);
    return r;
}

int store_save_with(const struct store *store, const struct json *document,
                    const struct pullkey_secret *key, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(STORE_SIZE_MAX - SEAL_ROOM);
    struct pullkey_secret sealed = { 0 };
    const struct pullkey_codec *codec;
    int r = write_document(store, document, &text, error);

    if (r < 0)
        return r;
    r = find_codec(store, &codec, error);
    if (r < 0)
        return error_wrap(error, "the store cannot be encrypted");
    r = codec->seal(store->host, key,
                    &(struct pullkey_secret){ .bytes = text.data, .length = text.length }, &sealed,
                    error);
    if (r == 0)
        r = file_replace(store->paths[0], sealed.bytes, sealed.length, 0600, error);
    store->host->release(sealed.bytes);
    return r;
}

int store_save(const struct store *store, const struct json *document, bool is_new,
               int64_t deadline_ms, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(STORE_SIZE_MAX - SEAL_ROOM);
    cleanup_secret struct pullkey_secret key = { 0 };
    cleanup_lock struct lock lock = LOCK_INIT; /* of the key */
    const struct pullkey_codec *codec;
    int r;

    if (!store->key_path) {
        r = write_document(store, document, &text, error);
        return r < 0 ? r : file_replace(store->paths[0], text.data, text.length, 0600, error);
    }
    /* No key is made for a store that could not be written. */
    r = find_codec(store, &codec, error);
    if (r < 0)
        return error_wrap(error,
                          "%s cannot be encrypted (\"encryption\": \"none\" would store it "
                          "plain)",
                          store->paths[0]);
    r = find_key(store, is_new, deadline_ms, &lock, &key, error);
    return r < 0 ? r : store_save_with(store, document, &key, error);
}
