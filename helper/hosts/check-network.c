/* SPDX-License-Identifier: Apache-2.0 */
/* What the registries with a credential ask for. They are asked without one, and only by the node
 * itself: a template has its hosts elsewhere. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/module.h"

#define WAIT_ALL_MS 15000
#define WAIT_ONE_MS 5000
#define OPTIONS_MAX 65536

static bool is_same(const struct registry_reference *a, const struct registry_reference *b)
{
    return a->http == b->http && a->port == b->port && strcmp(a->host, b->host) == 0;
}

const struct check_answer *check_find_answer(const struct check *check,
                                             const struct registry_reference *reference)
{
    for (size_t i = 0; reference && i < check->answer_count; i++)
        if (is_same(check->answers[i].reference, reference))
            return &check->answers[i];
    return NULL;
}

/* -- One host --------------------------------------------------------------------------------- */

/* `ca` is NULL for the system's authorities. */
static void ask_with(const struct pullkey_probe *probe, const char *ca, int64_t deadline,
                     struct check_answer *answer)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    struct pullkey_probe_result result = { 0 };
    struct registry_request request;
    struct pullkey_error why = { 0 };

    buffer_append_text(&options, "{");
    if (ca) {
        buffer_append_text(&options, "\"ca_file\":");
        json_write_string(&options, ca, strlen(ca));
    }
    buffer_append_text(&options, "}");
    if (buffer_check(&options, &why) < 0)
        return;
    registry_request(answer->reference, deadline, &request);
    answer->is_known =
        probe->check(&module_host, &request.request, NULL, options.data, &result, &why) == 0;
    answer->result = result;
    (void)snprintf(answer->why, sizeof(answer->why), "%.*s", CHECK_WHY_MAX,
                   answer->is_known ? "" : why.message);
}

/* As containerd finds it: from the directory of hosts.toml on. */
static void ask_with_file(const struct pullkey_probe *probe, const char *hosts_file,
                          const struct toml_item *item, int64_t deadline,
                          struct check_answer *answer)
{
    int directory = item->string[0] == '/' ? 0 : (int)(strrchr(hosts_file, '/') + 1 - hosts_file);
    char path[FILE_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%.*s%s", directory, hosts_file, item->string);

    if (length > 0 && length < (int)sizeof(path))
        ask_with(probe, path, deadline, answer);
}

/* A probe takes one file, and containerd takes all of a list together. */
static void ask(const struct pullkey_probe *probe, const char *hosts_file,
                const struct hosts_host *host, int64_t deadline, struct check_answer *answer)
{
    const struct toml_item *ca = hosts_member(host->table, "ca");
    bool has_file = false;

    if (ca && ca->kind == TOML_STRING && ca->string[0] != '\0') {
        ask_with_file(probe, hosts_file, ca, deadline, answer);
        return;
    }
    for (const struct toml_item *item = ca && ca->kind == TOML_ARRAY ? ca->first : NULL;
         item && !answer->is_known; item = item->next)
        if (item->kind == TOML_STRING && item->string[0] != '\0') {
            has_file = true;
            ask_with_file(probe, hosts_file, item, deadline, answer);
        }
    if (!has_file)
        ask_with(probe, NULL, deadline, answer);
}

/* -- All hosts -------------------------------------------------------------------------------- */

struct round {
    const struct pullkey_probe *probe;
    int64_t end; /* monotonic */
    size_t asked;
    size_t left; /* hosts that were not asked any more */
};

static void ask_host(struct check *check, struct round *round, const char *hosts_file,
                     const struct hosts_host *host)
{
    int64_t now = clock_monotonic_ms();
    struct check_answer *answer = &check->answers[check->answer_count];

    if (!(hosts_host_is_managed(host) || host->authorization) || !host->reference ||
        check_find_answer(check, host->reference))
        return;
    check->answer_count++;
    answer->reference = host->reference;
    if (round->asked == CHECK_ANSWERS_MAX || now >= round->end) {
        round->left++;
        return;
    }
    round->asked++;
    answer->is_asked = true;
    output_progress("Asking %s ...", host->reference->host);
    ask(round->probe, hosts_file, host,
        now + WAIT_ONE_MS < round->end ? now + WAIT_ONE_MS : round->end, answer);
}

static void ask_root(struct check *check, struct round *round, const struct check_root *root)
{
    for (size_t i = 0; !root->is_target && i < root->hosts.count; i++) {
        const struct node_host_directory *directory = &root->hosts.directories[i];

        for (size_t j = 0; j < directory->file.host_count; j++)
            ask_host(check, round, directory->inner, &directory->file.hosts[j]);
    }
}

static size_t count_hosts(const struct check *check)
{
    size_t count = 0;

    for (size_t i = 0; i < check->root_count; i++)
        for (size_t j = 0; j < check->roots[i].hosts.count; j++)
            count += check->roots[i].hosts.directories[j].file.host_count;
    return count;
}

int check_network(struct check *check, struct pullkey_error *error)
{
    struct round round = { .end = clock_monotonic_ms() + WAIT_ALL_MS };
    struct pullkey_error ignored;

    if (check->node.root[0] != '\0' || module_find_probe("probe", &round.probe, &ignored) < 0)
        return 0;
    /* One more than there are: where the next one would stand. */
    check->answers = secret_alloc((count_hosts(check) + 1) * sizeof(*check->answers));
    if (!check->answers)
        return error_memory(error);
    for (size_t i = 0; i < check->root_count; i++)
        ask_root(check, &round, &check->roots[i]);
    if (round.left > 0)
        findings_add(&check->findings, OUTPUT_NOTE, "registries-not-asked", NULL, 0,
                     "see what \"curl -i https://HOST/v2/\" answers for the others",
                     "%zu of %zu registries were not asked what they want: it asks at most %d, for "
                     "at most %d seconds",
                     round.left, check->answer_count, CHECK_ANSWERS_MAX, WAIT_ALL_MS / 1000);
    return 0;
}
