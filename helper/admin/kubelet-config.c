/* SPDX-License-Identifier: Apache-2.0 */
/* `pullkey kubelet config`: a CredentialProviderConfig that a kubelet of some version reads. */
#include "kubelet.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "instances.h"

#define PATTERNS_MAX 1024
#define TEXT_MAX (4u * JSON_SIZE_MAX)

enum { KUBELET_FIRST = 20, KUBELET_BETA = 24, KUBELET_STABLE = 26 };

/* What is printed. */
struct plan {
    const struct admin_call *call;
    const char *name, *audience, *cache_type;
    struct kubelet_version version;
    char *patterns[PATTERNS_MAX]; /* in the order of the rules, each once */
    size_t pattern_count;
    struct buffer notes; /* lines about rules that the kubelet has no pattern for */
};

static void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->pattern_count; i++)
        secret_release(plan->patterns[i]);
    buffer_done(&plan->notes);
}

#define cleanup_plan __attribute__((cleanup(plan_done)))

/* -- Patterns --------------------------------------------------------------------------------- */

static int add_pattern(struct plan *plan, const char *text, struct pullkey_error *error)
{
    for (size_t i = 0; i < plan->pattern_count; i++)
        if (strcmp(plan->patterns[i], text) == 0)
            return 0;
    if (plan->pattern_count == PATTERNS_MAX)
        return error_set(error, PULLKEY_INVALID, "there are more than %d patterns", PATTERNS_MAX);
    plan->patterns[plan->pattern_count] = secret_copy(text, strlen(text));
    return plan->patterns[plan->pattern_count++] ? 0 : error_memory(error);
}

static int add_rule(struct plan *plan, const struct config_rule *rule, struct pullkey_error *error)
{
    for (const cJSON *item = config_first(rule->match); item;
         item = config_next(rule->match, item)) {
        cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_KEY_MAX + 64);
        struct pullkey_error why;
        int r = kubelet_pattern_write(item->valuestring, &text, &why);

        if (r == 0)
            r = add_pattern(plan, text.data, &why);
        if (r == -PULLKEY_UNSUPPORTED) {
            buffer_printf(&plan->notes, "\"%s\" (", item->valuestring);
            instances_where(rule->document, item, &plan->notes);
            buffer_printf(&plan->notes, "): %s\n", why.message);
        } else if (r < 0) {
            *error = why;
            return r;
        }
    }
    return 0;
}

/* The kubelet's program reads the system's configuration. */
static int add_rules(struct plan *plan, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct config_source source;
    int r = config_source_default(true, &source, error);

    if (r == 0)
        r = config_load(&source, &config, error);
    if (r == 0 && !plan->cache_type)
        plan->cache_type = config.kubelet.token_cache ? "Token" : "ServiceAccount";
    for (size_t i = 0; r == 0 && plan->call->item_count == 0 && i < config.rule_count; i++) {
        const struct config_rule *rule = &config.rules[i];

        if (!(rule->callers & CONFIG_KUBELET))
            continue;
        r = add_rule(plan, rule, error);
        if (r == 0 && !plan->audience && (rule->namespaces || rule->service_accounts))
            output_note("the rule at %s:%zu looks at the pod that asks, which takes --audience",
                        rule->document->name, json_line(rule->document, rule->item));
    }
    return r;
}

static int add_given(struct plan *plan, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->call->item_count; i++) {
        const char *text = plan->call->items[i];
        struct kubelet_pattern ignored;
        enum kubelet_flaw flaw = kubelet_pattern_read(text, &ignored);

        if (flaw != KUBELET_FINE && flaw != KUBELET_PREFIX && flaw != KUBELET_HUB_SHORT)
            return admin_usage(error, "--match: \"%s\" %s", text, kubelet_flaw_text(flaw));
        r = add_pattern(plan, text, error);
    }
    return r;
}

/* -- Text ------------------------------------------------------------------------------------- */

static const char *maturity(const struct plan *plan)
{
    if (kubelet_is_before(&plan->version, KUBELET_BETA))
        return "v1alpha1";
    return kubelet_is_before(&plan->version, KUBELET_STABLE) ? "v1beta1" : "v1";
}

static void quote(struct buffer *text, const char *before, const char *value, const char *after)
{
    buffer_append_text(text, before);
    json_write_string(text, value, strlen(value));
    buffer_append_text(text, after);
}

/* Each on a line of its own: in the text, or on stderr. */
static void write_notes(const struct plan *plan, struct buffer *text)
{
    const char *at = plan->notes.data ? plan->notes.data : "";

    while (*at != '\0') {
        size_t length = strcspn(at, "\n");

        if (text)
            buffer_printf(text, "      # %.*s\n", (int)length, at);
        else
            output_note("%.*s", (int)length, at);
        at += length + 1;
    }
}

static void write_yaml(const struct plan *plan, struct buffer *text)
{
    buffer_printf(text,
                  "apiVersion: " KUBELET_GROUP "%s\nkind: CredentialProviderConfig\nproviders:\n",
                  maturity(plan));
    quote(text, "  - name: ", plan->name, "\n");
    buffer_printf(text, "    apiVersion: " KUBELET_PLUGIN_GROUP "%s\n", maturity(plan));
    buffer_append_text(text, "    # Only for an answer that does not say it, and pullkey's do.\n"
                             "    defaultCacheDuration: \"0s\"\n    matchImages:\n");
    write_notes(plan, text);
    for (size_t i = 0; i < plan->pattern_count; i++)
        quote(text, "      - ", plan->patterns[i], "\n");
    if (!plan->audience)
        return;
    quote(text, "    tokenAttributes:\n      serviceAccountTokenAudience: ", plan->audience, "\n");
    if (!kubelet_is_before(&plan->version, KUBELET_TOKENS_BETA))
        buffer_printf(text, "      cacheType: %s\n", plan->cache_type);
    buffer_append_text(text, "      # Static pods have none, and are asked for without a token.\n"
                             "      requireServiceAccount: false\n");
}

static void write_json(const struct plan *plan, struct buffer *text)
{
    buffer_printf(
        text, "{\"apiVersion\":\"" KUBELET_GROUP "%s\",\"kind\":\"CredentialProviderConfig\",\n",
        maturity(plan));
    quote(text, " \"providers\":[{\"name\":", plan->name, ",\n");
    buffer_printf(text, "  \"apiVersion\":\"" KUBELET_PLUGIN_GROUP "%s\",\n", maturity(plan));
    buffer_append_text(text, "  \"defaultCacheDuration\":\"0s\",\n  \"matchImages\":[");
    for (size_t i = 0; i < plan->pattern_count; i++)
        quote(text, i > 0 ? ",\n   " : "", plan->patterns[i], "");
    buffer_append_text(text, "]");
    if (plan->audience) {
        quote(text, ",\n  \"tokenAttributes\":{\"serviceAccountTokenAudience\":", plan->audience,
              "");
        if (!kubelet_is_before(&plan->version, KUBELET_TOKENS_BETA))
            buffer_printf(text, ",\"cacheType\":\"%s\"", plan->cache_type);
        buffer_append_text(text, ",\"requireServiceAccount\":false}");
    }
    buffer_append_text(text, "}]}\n");
    write_notes(plan, NULL);
}

/* -- The command ------------------------------------------------------------------------------ */

static int check_options(const struct plan *plan, struct pullkey_error *error)
{
    const struct kubelet_version *version = &plan->version;

    if (kubelet_is_before(version, KUBELET_FIRST))
        return admin_usage(error, "a kubelet before 1.20 has no credential providers");
    if (strncmp(plan->name, KUBELET_PROGRAM, strlen(KUBELET_PROGRAM)) != 0 ||
        strpbrk(plan->name, "/ "))
        return admin_usage(error, "--name: give a name that begins with " KUBELET_PROGRAM
                                  ", and make a link of that name");
    if (plan->call->values[ADMIN_CACHE_TYPE] && !plan->audience)
        return admin_usage(error, "--cache-type goes with --audience");
    if (plan->audience && kubelet_is_before(version, KUBELET_TOKENS))
        return admin_usage(error, "--audience: a kubelet before 1.33 gives no tokens");
    if (plan->audience && kubelet_is_before(version, KUBELET_TOKENS_BETA)) {
        if (plan->call->values[ADMIN_CACHE_TYPE])
            return admin_usage(error, "--cache-type: a kubelet of 1.33 does not know it");
        output_note("in 1.33 the feature gate " KUBELET_GATE " must be on for this");
    }
    return 0;
}

/* Without a version the kubelet of this machine counts, else the present ones. */
static int find_version(struct plan *plan, struct pullkey_error *error)
{
    struct kubelet_node node;
    int r = kubelet_node_find(plan->call, &node, error);

    if (r == 0)
        plan->version = node.version;
    return r;
}

int kubelet_config_text(const struct admin_call *call, struct buffer *ret,
                        struct pullkey_error *error)
{
    cleanup_plan struct plan plan = {
        .call = call,
        .name = call->values[ADMIN_NAME] ? call->values[ADMIN_NAME] : KUBELET_PROGRAM,
        .audience = call->values[ADMIN_AUDIENCE],
        .cache_type = call->values[ADMIN_CACHE_TYPE],
        .notes = BUFFER_INIT(TEXT_MAX),
    };
    int r = find_version(&plan, error);

    if (r == 0)
        r = check_options(&plan, error);
    if (r == 0)
        r = add_given(&plan, error);
    if (r == 0)
        r = add_rules(&plan, error);
    if (r == 0)
        r = buffer_check(&plan.notes, error);
    if (r < 0)
        return r;
    if (plan.pattern_count == 0)
        return error_set(error, PULLKEY_INVALID,
                         "no rule of pullkey's configuration gives a pattern for the kubelet: add "
                         "one with \"pullkey --system config add TYPE --caller kubelet\"%s",
                         /* `setup` takes none. */
                         call->argument_count == 0 ? ", or use --match" : "");
    if (call->values[ADMIN_JSON])
        write_json(&plan, ret);
    else
        write_yaml(&plan, ret);
    return buffer_check(ret, error);
}

int admin_kubelet_config(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);
    int r = kubelet_config_text(call, &text, error);

    return r < 0 ? r : output_buffer(&text, error);
}
