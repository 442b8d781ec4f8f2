/* SPDX-License-Identifier: Apache-2.0 */
/* What the registries with a credential ask for. They are asked without one, and only by the node
 * itself: a template has its hosts elsewhere. */
#include "check.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
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

static void ask(const struct pullkey_probe *probe, const struct hosts_host *host, int64_t deadline,
                struct check_answer *answer)
{
    const struct toml_item *ca = hosts_member(host->table, "ca");
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    struct pullkey_probe_result result = { 0 };
    struct registry_request request;
    struct pullkey_error why;

    buffer_append_text(&options, "{");
    if (ca && ca->kind == TOML_STRING && ca->string[0] == '/') {
        buffer_append_text(&options, "\"ca_file\":");
        json_write_string(&options, ca->string, ca->string_length);
    }
    buffer_append_text(&options, "}");
    if (buffer_check(&options, &why) < 0)
        return;
    registry_request(host->reference, deadline, &request);
    answer->is_known =
        probe->check(&module_host, &request.request, NULL, options.data, &result, &why) == 0;
    answer->result = result;
}

static void ask_host(struct check *check, const struct pullkey_probe *probe,
                     const struct hosts_host *host, int64_t end)
{
    int64_t deadline = clock_monotonic_ms() + WAIT_ONE_MS;
    struct check_answer *answer = &check->answers[check->answer_count];

    if (!(hosts_host_is_managed(host) || host->authorization) || !host->reference ||
        check->answer_count == CHECK_ANSWERS_MAX || clock_monotonic_ms() >= end ||
        check_find_answer(check, host->reference))
        return;
    check->answer_count++;
    answer->reference = host->reference;
    output_progress("Asking %s ...", host->reference->host);
    ask(probe, host, deadline < end ? deadline : end, answer);
}

int check_network(struct check *check, struct pullkey_error *error)
{
    int64_t end = clock_monotonic_ms() + WAIT_ALL_MS;
    const struct pullkey_probe *probe;
    struct pullkey_error ignored;

    if (check->node.root[0] != '\0' || module_find_probe("probe", &probe, &ignored) < 0)
        return 0;
    check->answers = secret_alloc(CHECK_ANSWERS_MAX * sizeof(*check->answers));
    if (!check->answers)
        return error_memory(error);
    for (size_t i = 0; i < check->root_count; i++)
        for (size_t j = 0; !check->roots[i].is_target && j < check->roots[i].hosts.count; j++) {
            const struct hosts_file *file = &check->roots[i].hosts.directories[j].file;

            for (size_t k = 0; k < file->host_count; k++)
                ask_host(check, probe, &file->hosts[k], end);
        }
    return 0;
}
