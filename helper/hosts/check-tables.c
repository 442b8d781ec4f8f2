/* SPDX-License-Identifier: Apache-2.0 */
/* How a hosts.toml writes its hosts: containerd orders and finds them by their tables. */
#include "check.h"

static const struct toml_item *last_header(const struct toml_document *toml,
                                           const struct toml_item *table)
{
    const struct toml_item *last = toml->text[table->begin] == '[' ? table : NULL;

    for (const struct toml_item *item = table->first; item; item = item->next) {
        const struct toml_item *below =
            item->kind == TOML_TABLE && !item->is_inline ? last_header(toml, item) : NULL;

        if (below && (!last || below->begin > last->begin))
            last = below;
    }
    return last;
}

/* Tables of one host that stand apart make it two hosts to containerd 2. */
static void check_order(struct check *check, const struct node_host_directory *directory,
                        const struct toml_item *hosts)
{
    const struct toml_document *toml = &directory->file.toml;

    for (const struct toml_item *host = hosts->first; host; host = host->next) {
        size_t first = hosts_first_header(toml, host);
        const struct toml_item *last = last_header(toml, host);

        for (const struct toml_item *other = hosts->first; last && other; other = other->next) {
            size_t at = hosts_first_header(toml, other);

            if (other == host || at == SIZE_MAX || at < first || at > last->begin)
                continue;
            check_at(check, OUTPUT_WARNING, "host-tables-apart", directory->path, last,
                     "put it right behind the other tables of the host",
                     "a table of %s stands behind one of %s: containerd 2 tries the first host "
                     "twice",
                     check_host_name(host->key), check_host_name(other->key));
            break;
        }
    }
}

static void check_inline(struct check *check, const struct check_root *root,
                         const struct node_host_directory *directory, const struct toml_item *hosts)
{
    bool is_inline = hosts->is_inline;

    if (!check_may_be_from(check, root, 2, 0, 0))
        return;
    for (const struct toml_item *host = hosts->first; host; host = host->next)
        if (is_inline || host->is_inline ||
            hosts_first_header(&directory->file.toml, host) == SIZE_MAX)
            check_at(check, check_release_is_known(check, root) ? OUTPUT_ERROR : OUTPUT_WARNING,
                     "inline-host", directory->path, host, "write it as [host.\"URL\"]",
                     "containerd 2 does not see %s, because it has no [host.\"URL\"] of its own",
                     check_host_name(host->key));
}

/* containerd 1 sorts the hosts of a file by their lines, and takes each for a table meanwhile. */
void check_no_table(struct check *check, const struct check_root *root,
                    const struct node_host_directory *directory)
{
    const struct toml_item *hosts = toml_member(directory->toml.root, "host");

    if (!hosts || hosts->kind != TOML_TABLE || !hosts->first || !hosts->first->next ||
        !check_may_be_before(check, root, 2, 0, 0))
        return;
    for (const struct toml_item *host = hosts->first; host; host = host->next)
        if (host->kind != TOML_TABLE)
            check_at(check, check_level(check, root, OUTPUT_ERROR), "host-no-table",
                     directory->path, host, "write it as [host.\"URL\"], with its keys below",
                     "%s is no table: containerd 1 panics at this file",
                     check_host_name(host->key));
}

void check_host_tables(struct check *check, const struct check_root *root,
                       const struct node_host_directory *directory)
{
    const struct toml_item *hosts = toml_member(directory->file.toml.root, "host");

    if (!hosts || hosts->kind != TOML_TABLE)
        return;
    check_order(check, directory, hosts);
    check_inline(check, root, directory, hosts);
}
