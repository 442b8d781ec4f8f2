/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/go-version: the input is a program. No more is read of it than there is, in a bounded
 * number of pieces, and a release that is found is a line that is read as the same once more.
 */
#include <stdlib.h>
#include <string.h>

#include "hosts/go-version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READS_MAX 20000

struct input {
    const uint8_t *data;
    size_t size, reads;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool read_input(void *context, uint64_t offset, void *ret, size_t size)
{
    struct input *input = context;

    require(size <= GO_VERSION_SIZE && ++input->reads <= READS_MAX);
    if (offset > input->size || size > input->size - offset)
        return false;
    if (size > 0)
        memcpy(ret, input->data + offset, size);
    return true;
}

static void check_version(const struct go_version *version)
{
    struct go_version again;

    require(version->minor >= 0 && version->patch >= 0 && version->candidate >= -1);
    require(version->candidate == 0 || version->patch == 0);
    require(memchr(version->text, '\0', sizeof(version->text)) != NULL);
    for (const char *at = version->text; *at != '\0'; at++)
        require((unsigned char)*at >= ' ' && *at != 0x7f);
    if (strcmp(version->text, "go1.17 or older") == 0 && version->minor == 17)
        return;
    require(go_version_parse(version->text, &again) == 0);
    require(again.minor == version->minor && again.patch == version->patch &&
            again.candidate == version->candidate && strcmp(again.text, version->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { .data = data, .size = size };
    struct go_version version;

    if (go_version_read(read_input, &input, &version) == 0)
        check_version(&version);
    return 0;
}
