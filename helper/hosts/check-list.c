/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts with a credential. */
#include "check.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/output.h"
#include "base/secret.h"
#include "base/text.h"
#include "ask.h"

#define OUR_HELPER "pullkey"
#define NAMES_MAX 400 /* bytes of one finding */
#define LINE_SIZE_MAX (32u * 1024 * 1024)

/* "true" where what answers is a password that somebody stored: containerd from 2.1 on sends it to
 * the token server that the registry names. Of programs of others nobody knows: "null". */
static const char *is_long_lived(const struct check *check, const struct hosts_host *host)
{
    const char *answer = "false";
    struct ask_chain chain;

    if (host->authorization)
        return "true";
    if (!check->config || strcmp(host->helper, OUR_HELPER) != 0)
        return "null";
    chain = ask_chain(check->config, host->reference);
    for (size_t i = 0; i < chain.count; i++) {
        if (strcmp(chain.items[i].type, "exec") == 0)
            answer = "null";
        else if (strcmp(chain.items[i].type, "token") != 0)
            return "true";
    }
    return answer;
}

/* The scheme is "" where the registry asks for nothing. */
static void write_answer(const struct check_answer *answer, struct buffer *json)
{
    bool is_known = answer && answer->is_known;

    buffer_append_text(json, ",\"scheme\":");
    if (is_known)
        json_write_string(json, answer->result.scheme, strlen(answer->result.scheme));
    else
        buffer_append_text(json, "null");
    buffer_append_text(json, ",\"token_server\":");
    if (is_known && answer->result.realm_host[0] != '\0')
        json_write_string(json, answer->result.realm_host, strlen(answer->result.realm_host));
    else
        buffer_append_text(json, "null");
}

static void write_host(const struct check *check, const struct node_host_directory *directory,
                       const struct hosts_host *host, void *context)
{
    struct buffer *json = context;
    const char *name = check_host_name(host->name);

    buffer_append_text(json, json->data[json->length - 1] == '[' ? "{\"host\":" : ",\n {\"host\":");
    json_write_string(json, name, strlen(name));
    buffer_append_text(json, ",\"registry\":");
    json_write_name(json, directory->name);
    buffer_append_text(json, ",\"file\":");
    json_write_name(json, directory->path);
    if (host->authorization)
        buffer_append_text(json, ",\"helper\":null");
    else
        buffer_printf(json, ",\"helper\":\"%s\"", host->helper);
    buffer_printf(json, ",\"long_lived\":%s", is_long_lived(check, host));
    write_answer(check_find_answer(check, host->reference), json);
    buffer_append_text(json, "}");
}

typedef void visit_host(const struct check *check, const struct node_host_directory *directory,
                        const struct hosts_host *host, void *context);

static void visit(const struct check *check, visit_host *each, void *context)
{
    for (size_t i = 0; i < check->root_count; i++)
        for (size_t j = 0; !check->roots[i].is_target && j < check->roots[i].hosts.count; j++) {
            const struct node_host_directory *directory = &check->roots[i].hosts.directories[j];

            for (size_t k = 0; k < directory->file.host_count; k++)
                if (directory->file.hosts[k].reference &&
                    (hosts_host_is_managed(&directory->file.hosts[k]) ||
                     directory->file.hosts[k].authorization))
                    each(check, directory, &directory->file.hosts[k], context);
        }
}

void check_write_hosts(const struct check *check, struct buffer *json)
{
    buffer_append_text(json, "[");
    visit(check, write_host, json);
    buffer_append_text(json, "]");
}

/* Hosts of several registries may be one. */
struct sighting {
    const struct node_host_directory *directory;
    const struct hosts_host *host;
};

struct sightings {
    struct sighting *items;
    size_t count, capacity;
    bool has_failed;
};

static void add_sighting(const struct check *check, const struct node_host_directory *directory,
                         const struct hosts_host *host, void *context)
{
    struct sightings *list = context;

    if (strcmp(is_long_lived(check, host), "true") != 0)
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        struct sighting *items = secret_alloc(capacity * sizeof(*items));

        if (!items) {
            list->has_failed = true;
            return;
        }
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        secret_release(list->items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (struct sighting){ directory, host };
}

static int order(const void *a, const void *b)
{
    const struct sighting *first = a, *second = b;
    int r = strcmp(check_host_name(first->host->name), check_host_name(second->host->name));

    return r != 0 ? r : strcmp(first->directory->name, second->directory->name);
}

static void write_registries(const struct sighting *items, size_t count, struct buffer *line)
{
    if (strcmp(items[0].directory->name, items[count - 1].directory->name) == 0)
        return;
    buffer_printf(line, " (for %s", items[0].directory->name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(items[i - 1].directory->name, items[i].directory->name) != 0)
            buffer_printf(line, ", %s", items[i].directory->name);
    buffer_append_text(line, ")");
}

static int print_host(const struct check *check, const struct sighting *items, size_t count,
                      struct pullkey_error *error)
{
    const struct check_answer *answer = check_find_answer(check, items[0].host->reference);
    cleanup_buffer struct buffer line = BUFFER_INIT(LINE_SIZE_MAX);

    buffer_append_text(&line, check_host_name(items[0].host->name));
    write_registries(items, count, &line);
    if (!answer || !answer->is_asked)
        buffer_append_text(&line, " (which token server it names was not asked)");
    else if (!answer->is_known)
        buffer_printf(&line, " did not answer: %s", answer->why);
    else if (answer->result.realm_host[0] != '\0')
        buffer_printf(&line, ", and the token server that it names: %s", answer->result.realm_host);
    else
        buffer_append_text(&line, ", which names no token server");
    if (buffer_check(&line, error) < 0)
        return -(int)error->code;
    output_line("  %s", line.data);
    return 0;
}

int check_print_hosts(const struct check *check, struct pullkey_error *error)
{
    struct sightings list = { 0 };
    int r = 0;

    visit(check, add_sighting, &list);
    if (list.has_failed)
        r = error_memory(error);
    if (r == 0 && list.count > 0) {
        qsort(list.items, list.count, sizeof(*list.items), order);
        output_line("Hosts that are sent a password which stays good until somebody changes it:");
    }
    for (size_t i = 0, next; r == 0 && i < list.count; i = next) {
        const char *name = check_host_name(list.items[i].host->name);

        for (next = i + 1; next < list.count; next++)
            if (strcmp(check_host_name(list.items[next].host->name), name) != 0)
                break;
        r = print_host(check, list.items + i, next - i, error);
    }
    secret_release(list.items);
    return r;
}

/* -- Pull secrets ----------------------------------------------------------------------------- */

/* Of those that were not asked ECR is known: each of its registries asks for Basic. */
static bool asks_for_basic(const struct check *check, const struct hosts_host *host)
{
    const struct check_answer *answer = check_find_answer(check, host->reference);

    if (answer && answer->is_known)
        return text_equal_any_case(answer->result.scheme, "Basic");
    return fnmatch("*.dkr.ecr.*.amazonaws.com", host->reference->host, 0) == 0 ||
           fnmatch("*.dkr.ecr.*.amazonaws.com.cn", host->reference->host, 0) == 0;
}

struct winners {
    struct buffer *names;
    const char *path; /* of the first one */
    size_t line, more;
};

static void add_winner(const struct check *check, const struct node_host_directory *directory,
                       const struct hosts_host *host, void *context)
{
    const struct toml_item *item = host->helper_item ? host->helper_item : host->authorization;
    struct winners *winners = context;
    const char *name = check_host_name(host->name);

    if (!asks_for_basic(check, host))
        return;
    if (!winners->path) {
        winners->path = directory->path;
        winners->line = item ? item->line : host->table->line;
    }
    if (winners->names->length + strlen(name) > NAMES_MAX)
        winners->more++;
    else
        buffer_printf(winners->names, "%s%s", winners->names->length > 0 ? ", " : "", name);
}

/* Their header is on the first request already, so that they never ask. */
void check_pull_secrets(struct check *check)
{
    cleanup_buffer struct buffer names = BUFFER_INIT(2 * NAMES_MAX);
    struct winners winners = { .names = &names };
    struct pullkey_error ignored;
    char more[32] = "";

    visit(check, add_winner, &winners);
    if (buffer_check(&names, &ignored) < 0)
        check->findings.has_failed = true;
    else if (winners.path) {
        if (winners.more > 0)
            (void)snprintf(more, sizeof(more), " and %zu more", winners.more);
        findings_add(&check->findings, OUTPUT_NOTE, "pull-secrets-unused", winners.path,
                     winners.line, "give the node no more than every pod on it may pull",
                     "the node's credential comes before the pull secrets of pods at registries "
                     "that ask for Basic: every pod may pull what it may, from %s%s",
                     names.data, more);
    }
}

static void note_credential(const struct check *check, const struct node_host_directory *directory,
                            const struct hosts_host *host, void *context)
{
    (void)check;
    (void)directory;
    (void)host;
    *(bool *)context = true;
}

bool check_has_credential(const struct check *check)
{
    bool found = false;

    visit(check, note_credential, &found);
    return found;
}
