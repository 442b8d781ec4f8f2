/* SPDX-License-Identifier: Apache-2.0 */
#include "migrate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"

#define IDENTITY_USER "<token>"

/* Room for one more item, in memory that is wiped. */
static int grow(void **items, size_t *capacity, size_t count, size_t size,
                struct pullkey_error *error)
{
    size_t room = *capacity > 0 ? 2 * *capacity : 16;
    void *grown;

    if (count < *capacity)
        return 0;
    grown = secret_alloc(room * size);
    if (!grown)
        return error_memory(error);
    if (count > 0)
        memcpy(grown, *items, count * size);
    secret_release(*items);
    *items = grown;
    *capacity = room;
    return 0;
}

static void credential_entry_done(struct migrate_credential *credential)
{
    credential_done(&credential->credential);
    secret_release(credential->file);
}

int migrate_row(struct migrate *migrate, enum migrate_level level, const char *file, size_t line,
                const char *where, struct pullkey_error *error, const char *format, ...)
{
    void *rows = migrate->rows;
    char text[PULLKEY_ERROR_SIZE + PULLKEY_KEY_MAX];
    struct migrate_row *row;
    va_list arguments;
    int r = grow(&rows, &migrate->row_capacity, migrate->row_count, sizeof(*row), error);

    migrate->rows = rows;
    if (r < 0)
        return r;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    text_make_printable(text);
    row = &migrate->rows[migrate->row_count++];
    *row = (struct migrate_row){
        .level = level,
        .file = secret_copy(file, strlen(file)),
        .line = line,
        .what = secret_copy(text, strlen(text)),
        .where = where ? secret_copy(where, strlen(where)) : secret_copy("", 0),
    };
    return row->file && row->what && row->where ? 0 : error_memory(error);
}

bool migrate_has_problem(const struct migrate *migrate)
{
    for (size_t i = 0; i < migrate->row_count; i++)
        if (migrate->rows[i].level == MIGRATE_PROBLEM)
            return true;
    return false;
}

struct migrate_mark migrate_mark(const struct migrate *migrate)
{
    return (struct migrate_mark){ migrate->row_count, migrate->credential_count,
                                  migrate->file_count };
}

static void row_done(struct migrate_row *row)
{
    secret_release(row->file);
    secret_release(row->what);
    secret_release(row->where);
}

static void file_done(struct migrate_file *file)
{
    secret_release(file->inner);
    buffer_done(&file->old);
    buffer_done(&file->new);
}

void migrate_rollback(struct migrate *migrate, const struct migrate_mark *mark)
{
    size_t kept = mark->rows;

    for (size_t i = mark->rows; i < migrate->row_count; i++) {
        if (migrate->rows[i].level == MIGRATE_PROBLEM)
            migrate->rows[kept++] = migrate->rows[i];
        else
            row_done(&migrate->rows[i]);
    }
    migrate->row_count = kept;
    while (migrate->credential_count > mark->credentials)
        credential_entry_done(&migrate->credentials[--migrate->credential_count]);
    while (migrate->file_count > mark->files)
        file_done(&migrate->files[--migrate->file_count]);
}

void migrate_done(struct migrate *migrate)
{
    const struct migrate_mark nothing = { 0 };

    migrate_rollback(migrate, &nothing);
    for (size_t i = 0; i < migrate->row_count; i++)
        row_done(&migrate->rows[i]);
    secret_release(migrate->rows);
    secret_release(migrate->credentials);
    secret_release(migrate->files);
    mask_done(&migrate->mask);
    mask_done(&migrate->moved);
    config_done(&migrate->config);
    *migrate = (struct migrate){ 0 };
}

static bool is_equal(const struct pullkey_credential *a, const struct pullkey_credential *b)
{
    return strcmp(a->username, b->username) == 0 && secret_equal(&a->secret, &b->secret);
}

static struct migrate_credential *find(struct migrate *migrate,
                                       const struct registry_reference *reference)
{
    char wanted[REGISTRY_CANONICAL_MAX], name[REGISTRY_CANONICAL_MAX];

    registry_canonical(reference, wanted);
    for (size_t i = 0; i < migrate->credential_count; i++) {
        registry_canonical(&migrate->credentials[i].reference, name);
        if (strcmp(name, wanted) == 0)
            return &migrate->credentials[i];
    }
    return NULL;
}

static int learn(struct mask *mask, const struct pullkey_credential *credential,
                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer pair = BUFFER_INIT(PULLKEY_SECRET_MAX + PULLKEY_USERNAME_MAX + 1);
    cleanup_buffer struct buffer encoded = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    int r = mask_add(mask, credential->secret.bytes, credential->secret.length, error);

    /* A short secret has no base64 form of its own. */
    buffer_printf(&pair, "%s:", credential->username);
    buffer_append(&pair, credential->secret.bytes, credential->secret.length);
    if (r < 0 || buffer_check(&pair, error) < 0)
        return -(int)error->code;
    text_base64_encode(&encoded, pair.data, pair.length);
    r = buffer_check(&encoded, error);
    return r < 0 ? r : mask_add(mask, encoded.data, encoded.length, error);
}

/* What the store says; a new credential is put into the list. */
static int accept(struct migrate *migrate, const char *file, size_t line,
                  const struct registry_reference *reference, struct pullkey_credential *credential,
                  struct pullkey_error *error)
{
    void *items = migrate->credentials;
    struct migrate_credential *entry;
    struct pullkey_error why;
    int r = grow(&items, &migrate->credential_capacity, migrate->credential_count, sizeof(*entry),
                 error);

    migrate->credentials = items;
    if (r < 0)
        return r;
    entry = &migrate->credentials[migrate->credential_count];
    *entry = (struct migrate_credential){ .reference = *reference, .line = line };
    entry->file = secret_copy(file, strlen(file));
    if (!entry->file)
        return error_memory(error);
    entry->credential = *credential;
    *credential = (struct pullkey_credential){ 0 };
    r = migrate_store_check(migrate, entry, &why);
    if (r < 0) {
        credential_entry_done(entry);
        *entry = (struct migrate_credential){ 0 };
        r = migrate_row(migrate, MIGRATE_PROBLEM, file, line, why.message, error,
                        "the credential for %s stays", reference->text);
        return r < 0 ? r : MIGRATE_LEFT;
    }
    migrate->credential_count++;
    return learn(&migrate->moved, &entry->credential, error);
}

int migrate_offer(struct migrate *migrate, const char *file, size_t line,
                  const struct registry_reference *reference, struct pullkey_credential *credential,
                  struct pullkey_error *error)
{
    const struct migrate_credential *known = find(migrate, reference);
    cleanup_buffer struct buffer name = BUFFER_INIT(4096);
    cleanup_credential struct pullkey_credential taken = *credential;
    char username[PULLKEY_USERNAME_MAX + 1];
    struct pullkey_error why;
    int r;

    *credential = (struct pullkey_credential){ 0 };
    r = learn(&migrate->mask, &taken, error);
    if (r < 0)
        return r;
    if (strcmp(taken.username, IDENTITY_USER) == 0)
        r = error_set(&why, PULLKEY_UNSUPPORTED,
                      "an identity token cannot be sent in a header: log in with a password");
    else
        r = credential_check(&taken, &why);
    if (r == 0 && known && !is_equal(&known->credential, &taken))
        r = error_set(&why, PULLKEY_INVALID,
                      "%s:%zu has another one for it: keep one of them, or write a path of its own "
                      "into one URL",
                      known->file, known->line);
    if (r < 0) {
        r = migrate_row(migrate, MIGRATE_PROBLEM, file, line, why.message, error,
                        "the credential for %s stays", reference->text);
        return r < 0 ? r : MIGRATE_LEFT;
    }
    memcpy(username, taken.username, strlen(taken.username) + 1);
    if (!known) {
        r = accept(migrate, file, line, reference, &taken, error);
        if (r != MIGRATE_TAKEN)
            return r;
        known = &migrate->credentials[migrate->credential_count - 1];
    }
    r = migrate_store_name(migrate, reference, &name, error);
    return r < 0 ? r
                 : migrate_row(migrate, MIGRATE_DONE, file, line, name.data, error,
                               "credential of %s for %s%s", username, reference->text,
                               known->is_stored ? " (stored already)" : "");
}

static size_t line_of(const char *text, size_t length, const struct mask *mask)
{
    size_t number = 1;

    for (size_t at = 0; at < length; number++) {
        size_t end = edit_line_end(text, length, at);

        if (mask_finds(mask, text + at, end - at))
            return number;
        at = end;
    }
    return 0;
}

static int add_file(struct migrate *migrate, const char *inner, const char *old, size_t old_length,
                    struct buffer *new, struct migrate_file *ret, struct pullkey_error *error)
{
    void *files = migrate->files;
    struct migrate_file *file;
    int r = grow(&files, &migrate->file_capacity, migrate->file_count, sizeof(*file), error);

    migrate->files = files;
    if (r < 0)
        return r;
    ret->inner = secret_copy(inner, strlen(inner));
    ret->old = (struct buffer)BUFFER_INIT(old_length + 1);
    buffer_append(&ret->old, old ? old : "", old_length);
    ret->new = *new;
    *new = (struct buffer)BUFFER_INIT(1);
    file = &migrate->files[migrate->file_count++];
    *file = *ret;
    r = buffer_check(&file->old, error);
    return file->inner ? r : error_memory(error);
}

int migrate_change(struct migrate *migrate, const char *inner, const char *old, size_t old_length,
                   struct buffer *new, enum migrate_order order, unsigned int restart,
                   struct pullkey_error *error)
{
    struct migrate_file file = { .order = order, .restart = restart };
    size_t line;
    int r = 0;

    file.is_yaml = order == MIGRATE_YAML;
    if (new->length == old_length && (old_length == 0 || memcmp(new->data, old, old_length) == 0))
        return 0;
    line = line_of(new->data ? new->data : "", new->length, &migrate->moved);
    if (line > 0)
        r = migrate_row(migrate, MIGRATE_PROBLEM, inner, line, "remove it by hand", error,
                        "a secret that moves stands here too, in the new text");
    return r < 0 ? r : add_file(migrate, inner, old, old_length, new, &file, error);
}

int migrate_create(struct migrate *migrate, const char *inner, struct buffer *new,
                   enum migrate_order order, struct pullkey_error *error)
{
    struct migrate_file file = { .order = order, .is_new = true };

    return add_file(migrate, inner, NULL, 0, new, &file, error);
}

const char *migrate_read_pair(const char *username, size_t username_length, const char *password,
                              size_t password_length, struct pullkey_credential *ret,
                              struct pullkey_error *error)
{
    if (memchr(username, ':', username_length))
        return "the user name has a colon, which HTTP Basic authentication cannot carry";
    if (memchr(username, '\0', username_length) || memchr(password, '\0', password_length))
        return "there is a NUL in the user name or the password, which no store can hold";
    ret->username = secret_copy(username, username_length);
    if (!ret->username || secret_set(&ret->secret, password, password_length, error) < 0) {
        credential_done(ret);
        (void)error_memory(error);
        return "there is not enough memory";
    }
    return NULL;
}

const char *migrate_read_encoded(const char *text, size_t length, struct pullkey_credential *ret,
                                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer packed = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    cleanup_buffer struct buffer plain = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    struct pullkey_error why;
    const char *colon;

    for (size_t i = 0; i < length; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            buffer_append(&packed, text + i, 1);
    if (packed.length == 0 || text_base64_decode(packed.data, packed.length, &plain, &why) < 0 ||
        plain.length == 0)
        return "it is no base64 of a user name and a password";
    colon = memchr(plain.data, ':', plain.length);
    if (!colon)
        return "there is no colon between a user name and a password in it";
    return migrate_read_pair(plain.data, (size_t)(colon - plain.data), colon + 1,
                             plain.length - (size_t)(colon + 1 - plain.data), ret, error);
}

const char *migrate_read_basic(const struct toml_item *item, struct pullkey_credential *ret,
                               struct pullkey_error *error)
{
    const char *text;

    if (item->kind == TOML_ARRAY && item->first && !item->first->next)
        item = item->first;
    if (item->kind != TOML_STRING)
        return "it has more than one value";
    text = item->string + strspn(item->string, " \t");
    if (strncasecmp(text, "Basic", 5) != 0 || !strchr(" \t\r\n", text[5]) || text[5] == '\0')
        return "only Basic credentials can be stored";
    if (strstr(text, "$("))
        return "the shell did not expand $(...) when the file was written: this is no credential";
    return migrate_read_encoded(text + 6, item->string_length - (size_t)(text + 6 - item->string),
                                ret, error);
}
