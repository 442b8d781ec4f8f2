/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files, and over the files of directories: `replay-NAME CORPUS...`. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (4 * 1024 * 1024)

/* The input lies in a block of its very size, so that a sanitizer sees reads behind it. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *data, *exact;
    size_t size;
    int status = -1;

    if (!file) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    data = malloc(INPUT_MAX);
    size = data ? fread(data, 1, INPUT_MAX, file) : 0;
    exact = malloc(size);
    if (data && !ferror(file) && (exact || size == 0)) {
        if (size > 0)
            memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        status = 0;
    }
    free(exact);
    free(data);
    (void)fclose(file);
    return status;
}

static int replay_directory(DIR *directory, const char *path, size_t *count)
{
    struct dirent *entry;

    while ((entry = readdir(directory))) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        /* The name stands in the output before a crash. */
        (void)printf("%s\n", name);
        (void)fflush(stdout);
        if (replay(name) < 0)
            return -1;
        ++*count;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    int status = 0;

    for (int i = 1; i < argc && status == 0; i++) {
        DIR *directory = opendir(argv[i]);

        if (directory) {
            status = replay_directory(directory, argv[i], &count);
            (void)closedir(directory);
        } else {
            status = replay(argv[i]);
            count++;
        }
    }
    (void)printf("%zu inputs\n", count);
    return status == 0 && count > 0 ? 0 : 1;
}
