/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says what pullkey makes of hosts.toml files, for test-render-property.py. Each line of input is a
 * JSON object:
 *
 *     registry       the name of the directory
 *     directory      where the file stands
 *     text           the file
 *     value          the header that managed hosts get
 *     config         the text of a configuration
 *     expiry         of the header, a number
 *     is_before_2_2  so is the containerd that it is for
 *
 * Each answer is a line: {"hosts": [{"name", "is_server", "managed", "problem", "helper"}], "text"}
 * with the rendered file, or {"refused": MESSAGE} with "hosts" where the file itself was read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "hosts/render-text.h"

#define ANSWER_MAX (16 * RENDER_SIZE_MAX)

struct question {
    const char *registry, *directory, *text, *config;
    struct render_header header;
    bool is_before_2_2;
};

static bool answer_header(void *context, const struct hosts_host *host, struct render_header *ret)
{
    const struct question *question = context;

    (void)host;
    *ret = question->header;
    return true;
}

static void write_member(struct buffer *answer, const char *key, const char *value)
{
    buffer_printf(answer, "\"%s\":", key);
    if (value)
        json_write_string(answer, value, strlen(value));
    else
        buffer_append_text(answer, "null");
}

static void write_hosts(const struct hosts_file *file, struct buffer *answer)
{
    buffer_append_text(answer, "\"hosts\":[");
    for (size_t i = 0; i < file->host_count; i++) {
        const struct hosts_host *host = &file->hosts[i];

        buffer_append_text(answer, i > 0 ? ",{" : "{");
        write_member(answer, "name", host->name);
        buffer_printf(answer, ",\"is_server\":%s,\"managed\":%s,",
                      host->is_server ? "true" : "false",
                      hosts_host_is_managed(host) ? "true" : "false");
        write_member(answer, "problem", host->problem);
        buffer_append_text(answer, ",");
        write_member(answer, "helper", host->helper);
        buffer_append_text(answer, "}");
    }
    buffer_append_text(answer, "],");
}

static int render(struct question *question, struct buffer *answer, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    cleanup_hosts_file struct hosts_file file = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    int r = config_load(&(struct config_source){ .text = question->config }, &config, error);

    if (r == 0)
        r = settings_load(&config, &settings, error);
    if (r < 0) {
        (void)fprintf(stderr, "the configuration is wrong: %s\n", error->message);
        exit(1);
    }
    r = hosts_file_parse("hosts.toml", question->registry, question->text, strlen(question->text),
                         &settings, &file, error);
    if (r < 0)
        return r;
    write_hosts(&file, answer);
    r = render_text(
        &file,
        &(struct render_place){ question->registry, question->directory, question->is_before_2_2 },
        answer_header, question, &text, error);
    if (r == 0)
        write_member(answer, "text", text.data ? text.data : "");
    return r;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);

    if (!cJSON_IsString(member)) {
        (void)fprintf(stderr, "a question has no \"%s\"\n", key);
        exit(1);
    }
    return member->valuestring;
}

static int answer_line(const char *line, size_t length)
{
    cleanup_json struct json json = { 0 };
    cleanup_secret struct pullkey_secret value = { 0 };
    cleanup_buffer struct buffer answer = BUFFER_INIT(ANSWER_MAX);
    struct pullkey_error error = { 0 };
    struct question question;
    const char *header;

    if (json_parse(&json, "input", line, length, 0, &error) < 0) {
        (void)fprintf(stderr, "a line is not JSON: %s\n", error.message);
        return -1;
    }
    header = text_of(json.root, "value");
    if (secret_set(&value, header, strlen(header), &error) < 0)
        return -1;
    question = (struct question){
        .registry = text_of(json.root, "registry"),
        .directory = text_of(json.root, "directory"),
        .text = text_of(json.root, "text"),
        .config = text_of(json.root, "config"),
        .header = { &value, (int64_t)json_member(json.root, "expiry")->valuedouble },
        .is_before_2_2 = cJSON_IsTrue(json_member(json.root, "is_before_2_2")),
    };
    buffer_append_text(&answer, "{");
    if (render(&question, &answer, &error) < 0)
        write_member(&answer, "refused", error.message);
    buffer_append_text(&answer, "}\n");
    if (buffer_check(&answer, &error) < 0)
        return -1;
    return fwrite(answer.data, 1, answer.length, stdout) == answer.length ? 0 : -1;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int status = 0;

    json_start();
    while (status == 0 && (length = getline(&line, &size, stdin)) > 0)
        status = answer_line(line, (size_t)length);
    free(line);
    return status < 0 ? 1 : 0;
}
