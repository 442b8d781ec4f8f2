/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of hosts.toml: the credential goes to the store, and a credHelper takes their place. */
#include "migrate.h"

#include <strings.h>
#include <string.h>

#include "base/error.h"
#include "core/credential.h"
#include "helper-text.h"

/* Why the header of a host stays, or NULL. */
static const char *find_reason(const struct hosts_host *host)
{
    if (!host->name)
        return "containerd sends it to whatever registry a pod names: remove it, or name a server";
    if (!host->reference)
        return "its URL is not one that credentials can be stored for";
    if (host->helper_item && strcmp(host->helper ? host->helper : "", HELPER_TEXT_NAME) != 0)
        return "the host has another credHelper as well: remove one of them";
    return NULL;
}

/* Wherever it stands, also in a spelling that nothing is done with. */
static const struct toml_item *second_header(const struct hosts_host *host)
{
    const struct toml_item *headers = hosts_member(host->table, "header");
    size_t count = 0;

    for (const struct toml_item *item = headers ? headers->first : NULL; item; item = item->next)
        if (strcasecmp(item->key, "authorization") == 0 && ++count > 1)
            return item;
    return NULL;
}

static int examine_host(struct migrate *migrate, const struct node_host_directory *directory,
                        const struct hosts_host *host, bool *ret_wanted,
                        struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    const char *name = host->name ? host->name : "any registry";
    const char *reason = find_reason(host);
    int r;

    if (!reason && second_header(host))
        reason = "there are two such headers for this host: remove one";
    if (!reason)
        reason = migrate_read_basic(host->authorization, &credential, error);
    if (reason)
        return migrate_row(migrate, MIGRATE_PROBLEM, directory->inner, host->authorization->line,
                           reason, error, "the Authorization header of %s stays", name);
    r = migrate_offer(migrate, directory->inner, host->authorization->line, host->reference,
                      &credential, error);
    if (r < 0)
        return r;
    *ret_wanted = r == MIGRATE_TAKEN;
    if (r == MIGRATE_TAKEN && (host->is_http || host->skip_verify))
        return migrate_row(migrate, MIGRATE_NOTE, directory->inner, host->authorization->line,
                           "it was so before; allowInsecure = true says that it is meant", error,
                           "anybody on the way to %s can read the credential", name);
    return 0;
}

static int change(struct migrate *migrate, const struct node_host_directory *directory,
                  const bool *wanted, const struct migrate_mark *mark, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    const struct toml_document *toml = &directory->file.toml;
    struct pullkey_error why;
    int r = migrate_check_hosts_file(migrate->node, directory->inner, &why);

    if (r == 0)
        r = helper_text(&directory->file, directory->name, wanted, &text, &why);
    if (r < 0)
        migrate_rollback(migrate, mark);
    if (r < 0)
        return migrate_row(migrate, MIGRATE_PROBLEM, directory->inner, 0, why.message, error,
                           "the file stays as it is");
    return migrate_change(migrate, directory->inner, toml->text, toml->length, &text,
                          MIGRATE_REMOVES, 0, error);
}

static bool has_authorization(const char *text, size_t length)
{
    static const char name[] = "authorization";

    /* A file that is no TOML may have a NUL in it. */
    for (size_t at = 0; at + strlen(name) <= length; at++)
        if (strncasecmp(text + at, name, strlen(name)) == 0)
            return true;
    return false;
}

/* What was not read may hold anything. */
static int examine_unread(struct migrate *migrate, const struct node_host_directory *directory,
                          struct pullkey_error *error)
{
    return migrate_row(migrate, MIGRATE_PROBLEM, directory->inner, 0, directory->problem.message,
                       error, "it cannot be read, and may hold a credential");
}

/* A file that containerd refuses too. */
static int examine_broken(struct migrate *migrate, const struct node_host_directory *directory,
                          struct pullkey_error *error)
{
    const struct toml_document *toml = &directory->toml;
    int r = migrate_learn_toml(migrate, toml, error);
    const char *text = toml->root ? toml->text : directory->text.data;
    size_t length = toml->root ? toml->length : directory->text.length;

    if (r < 0)
        return r;
    if (!text)
        return examine_unread(migrate, directory, error);
    if (!has_authorization(text, length))
        return 0;
    return migrate_row(migrate, MIGRATE_PROBLEM, directory->inner, 0, directory->problem.message,
                       error,
                       "the file has an Authorization header and cannot be read: containerd does "
                       "not read it either");
}

static int examine_directory(struct migrate *migrate, const struct node_host_directory *directory,
                             const struct migrate_wait *wait, bool *ret_moves,
                             struct pullkey_error *error)
{
    const struct hosts_file *file = &directory->file;
    bool wanted[HOSTS_PER_FILE_MAX] = { false };
    const struct migrate_mark mark = migrate_mark(migrate);
    bool any = false;
    int r;

    if (directory->problem.code != PULLKEY_OK)
        return examine_broken(migrate, directory, error);
    if (!directory->has_file)
        return 0;
    r = migrate_learn_toml(migrate, &file->toml, error);
    for (size_t i = 0; r == 0 && i < file->host_count; i++) {
        if (file->hosts[i].authorization)
            r = examine_host(migrate, directory, &file->hosts[i], &wanted[i], error);
        any = any || wanted[i];
    }
    if (r < 0 || !any)
        return r;
    *ret_moves = true;
    if (wait->why)
        return migrate_row(migrate, MIGRATE_PROBLEM, directory->inner, 0, wait->hint, error,
                           "the headers stay for now, because %s", wait->why);
    return change(migrate, directory, wanted, &mark, error);
}

int migrate_hosts(struct migrate *migrate, const struct node_hosts *hosts,
                  const struct migrate_wait *wait, bool *ret_moves, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < hosts->count; i++)
        r = examine_directory(migrate, &hosts->directories[i], wait, ret_moves, error);
    return r;
}
