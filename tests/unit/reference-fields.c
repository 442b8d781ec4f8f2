/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How three parsers read a server name; this program is two of them. Each line of standard input is the hexadecimal form of a text.
 * It prints for each "HOST PORT" as pullkey reads it (or "refused"), a tabulator, and the same as libcurl reads it as a URL.
 */
#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry.h"

#define TEXT_MAX 4096

static size_t decode(const char *line, char *ret)
{
    size_t length = 0;
    unsigned int byte;

    while (length < TEXT_MAX && sscanf(line + 2 * length, "%2x", &byte) == 1)
        ret[length++] = (char)byte;
    ret[length] = '\0';
    return length;
}

static void print_ours(const char *text, size_t length)
{
    struct registry_reference reference;
    struct pullkey_error error;

    if (registry_parse(text, length, &reference, &error) < 0)
        printf("refused");
    else
        printf("%s %u", reference.host[0] != '\0' ? reference.host : "-", reference.port);
}

static void print_curl(const char *text)
{
    char url[TEXT_MAX + 16];
    bool complete = strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0;
    char *host = NULL, *port = NULL;
    CURLU *handle = curl_url();

    (void)snprintf(url, sizeof(url), "%s%s", complete ? "" : "https://", text);
    if (!handle || curl_url_set(handle, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(handle, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        printf("refused");
    } else {
        (void)curl_url_get(handle, CURLUPART_PORT, &port, 0);
        printf("%s %s", host, port ? port : "0");
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(handle);
}

int main(void)
{
    static char line[2 * TEXT_MAX + 2];
    static char text[TEXT_MAX + 1];

    while (fgets(line, sizeof(line), stdin)) {
        size_t length = decode(line, text);

        print_ours(text, length);
        putchar('\t');
        print_curl(text);
        putchar('\n');
    }
    return EXIT_SUCCESS;
}
