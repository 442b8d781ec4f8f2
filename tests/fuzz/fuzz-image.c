/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin/run-image: each line of the input is an argument of a command. What is found must be a registry that core/registry takes,
 * and be found again in its own text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/run-image.h"
#include "base/error.h"
#include "core/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_BYTES 4096
#define ARGUMENTS_MAX 64

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_image(const struct run_image *image)
{
    char text[sizeof(image->authority) + sizeof(image->repository)];
    char *arguments[] = { text, NULL };
    struct run_images images = { .arguments = arguments };
    struct registry_reference reference;
    struct pullkey_error error;
    struct run_image again;
    size_t length = strlen(image->authority);

    require(registry_parse(image->authority, length, &reference, &error) == 0);
    require(!reference.opaque && !reference.http && reference.path[0] == '\0');
    memcpy(text, image->authority, length);
    text[length] = '/';
    memcpy(text + length + 1, image->repository, strlen(image->repository) + 1);
    require(registry_parse(text, strlen(text), &reference, &error) == 0);
    require(run_images_next(&images, &again));
    require(strcmp(again.authority, image->authority) == 0 &&
            strcmp(again.repository, image->repository) == 0);
    require(!run_images_next(&images, &again));
}

/* Alone in the line, with its tag or digest, by which it is found again. */
static void check_whole(const char *line)
{
    struct run_image image, again;
    char text[sizeof(image) + 2];

    if (!run_image_read(line, &image))
        return;
    check_image(&image);
    require(strlen(image.tag) <= RUN_TAG_MAX && strlen(image.repository) <= RUN_REPOSITORY_MAX);
    (void)snprintf(text, sizeof(text), "%s/%s%s%s", image.authority, image.repository,
                   image.tag[0] == '\0'        ? ""
                   : strchr(image.tag, ':') ? "@"
                                            : ":",
                   image.tag);
    require(run_image_read(text, &again) && strcmp(again.tag, image.tag) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[SIZE_MAX_BYTES + 1];
    char *arguments[ARGUMENTS_MAX + 1] = { NULL };
    struct run_images images = { .arguments = arguments };
    struct run_image image;
    size_t count = 0;

    if (size > SIZE_MAX_BYTES)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    for (char *line = text, *end; line && count < ARGUMENTS_MAX; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        check_whole(line);
        arguments[count++] = line;
    }
    while (run_images_next(&images, &image))
        check_image(&image);
    return 0;
}
