/* SPDX-License-Identifier: Apache-2.0 */
#include "go-version.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define SECTION ".go.buildinfo"
#define MAGIC "\xff Go buildinf:"
#define MAGIC_LENGTH 14
#define HEAD_LENGTH 32 /* of the magic, two bytes of it, and two pointers */
#define ALIGNMENT 16
#define SEARCH_MAX 65536 /* bytes from the start of the data on */
#define ENTRIES_MAX 4096 /* sections, or parts that are loaded */
#define IS_INLINE 2u     /* the release stands behind the head, since Go 1.18 */
#define OLDEST "go1.17 or older"

struct image {
    go_version_reader *read;
    void *context;
    bool is_64, is_big;
};

struct part {
    uint64_t offset, size;
};

/* -- Numbers ---------------------------------------------------------------------------------- */

static uint64_t number_of(const struct image *image, const unsigned char *bytes, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[image->is_big ? i : size - 1 - i];
    return number;
}

static bool read_at(const struct image *image, uint64_t base, uint64_t more, void *ret, size_t size)
{
    uint64_t offset;

    return !__builtin_add_overflow(base, more, &offset) &&
           image->read(image->context, offset, ret, size);
}

/* Members of a structure that elf.h has for both sizes of a word. */
#define MEMBER(image, bytes, type, member)                                                         \
    ((image)->is_64 ? number_of(image, (bytes) + offsetof(Elf64_##type, member),                   \
                                sizeof(((Elf64_##type *)0)->member))                               \
                    : number_of(image, (bytes) + offsetof(Elf32_##type, member),                   \
                                sizeof(((Elf32_##type *)0)->member)))
#define SIZE_OF(image, type) ((image)->is_64 ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

/* -- ELF -------------------------------------------------------------------------------------- */

static bool read_section(const struct image *image, const unsigned char *head, uint64_t index,
                         unsigned char ret[sizeof(Elf64_Shdr)])
{
    uint64_t size = MEMBER(image, head, Ehdr, e_shentsize);

    return size >= SIZE_OF(image, Shdr) && index < MEMBER(image, head, Ehdr, e_shnum) &&
           read_at(image, MEMBER(image, head, Ehdr, e_shoff), index * size, ret,
                   SIZE_OF(image, Shdr));
}

static bool find_section(const struct image *image, const unsigned char *head, struct part *ret)
{
    unsigned char names[sizeof(Elf64_Shdr)], section[sizeof(Elf64_Shdr)];
    char name[sizeof(SECTION)];

    if (!read_section(image, head, MEMBER(image, head, Ehdr, e_shstrndx), names))
        return false;
    for (uint64_t i = 0; i < ENTRIES_MAX && read_section(image, head, i, section); i++) {
        if (!read_at(image, MEMBER(image, names, Shdr, sh_offset),
                     MEMBER(image, section, Shdr, sh_name), name, sizeof(name)) ||
            memcmp(name, SECTION, sizeof(name)) != 0)
            continue;
        *ret = (struct part){ MEMBER(image, section, Shdr, sh_offset),
                              MEMBER(image, section, Shdr, sh_size) };
        return true;
    }
    return false;
}

/* Where a program without sections has its data: what is loaded to be written, and not to be run.
 */
static bool find_data(const struct image *image, const unsigned char *head, struct part *ret)
{
    uint64_t size = MEMBER(image, head, Ehdr, e_phentsize);
    uint64_t count = MEMBER(image, head, Ehdr, e_phnum);
    unsigned char part[sizeof(Elf64_Phdr)];

    for (uint64_t i = 0; size >= SIZE_OF(image, Phdr) && i < ENTRIES_MAX && i < count; i++) {
        if (!read_at(image, MEMBER(image, head, Ehdr, e_phoff), i * size, part,
                     SIZE_OF(image, Phdr)))
            return false;
        if (MEMBER(image, part, Phdr, p_type) != PT_LOAD ||
            (MEMBER(image, part, Phdr, p_flags) & (PF_X | PF_W)) != PF_W)
            continue;
        *ret = (struct part){ MEMBER(image, part, Phdr, p_offset),
                              MEMBER(image, part, Phdr, p_filesz) };
        return true;
    }
    return false;
}

/* -- Build information ------------------------------------------------------------------------ */

/* A length as encoding/binary writes it, and as many bytes. */
static bool read_string(const struct image *image, uint64_t offset, char ret[GO_VERSION_SIZE])
{
    uint64_t length = 0;
    unsigned char byte = 0x80;

    for (unsigned int i = 0; byte & 0x80; i++) {
        if (i == 2 || !read_at(image, offset++, 0, &byte, 1))
            return false;
        length |= (uint64_t)(byte & 0x7f) << (7 * i);
    }
    if (length >= GO_VERSION_SIZE || !read_at(image, offset, 0, ret, (size_t)length))
        return false;
    ret[length] = '\0';
    return strlen(ret) == length;
}

static int read_part(const struct image *image, const struct part *part, struct go_version *ret)
{
    unsigned char head[HEAD_LENGTH];
    char text[GO_VERSION_SIZE];
    uint64_t at = 0;

    for (;; at += ALIGNMENT) {
        if (at >= SEARCH_MAX || at >= part->size ||
            !read_at(image, part->offset, at, head, sizeof(head)))
            return -PULLKEY_NOT_FOUND;
        if (memcmp(head, MAGIC, MAGIC_LENGTH) == 0)
            break;
    }
    if (!(head[MAGIC_LENGTH + 1] & IS_INLINE)) {
        *ret = (struct go_version){ .text = OLDEST, .minor = 17 };
        return 0;
    }
    /* The head was read there, so that the sum is no overflow. */
    return read_string(image, part->offset + at + HEAD_LENGTH, text) ? go_version_parse(text, ret)
                                                                     : -PULLKEY_NOT_FOUND;
}

int go_version_read(go_version_reader *read, void *context, struct go_version *ret)
{
    struct image image = { .read = read, .context = context };
    unsigned char head[sizeof(Elf64_Ehdr)] = { 0 };
    struct part part;

    if (!read(context, 0, head, EI_NIDENT) || memcmp(head, ELFMAG, SELFMAG) != 0)
        return -PULLKEY_NOT_FOUND;
    image.is_64 = head[EI_CLASS] == ELFCLASS64;
    image.is_big = head[EI_DATA] == ELFDATA2MSB;
    if (!read(context, 0, head, SIZE_OF(&image, Ehdr)))
        return -PULLKEY_NOT_FOUND;
    if (find_section(&image, head, &part) || find_data(&image, head, &part))
        return read_part(&image, &part, ret);
    return -PULLKEY_NOT_FOUND;
}

static bool read_file(void *context, uint64_t offset, void *ret, size_t size)
{
    const int *fd = context;
    size_t length = 0;

    while (length < size && offset <= INT64_MAX - length) {
        ssize_t count = pread(*fd, (char *)ret + length, size - length, (off_t)(offset + length));

        if (count <= 0 && !(count < 0 && errno == EINTR))
            return false;
        length += count > 0 ? (size_t)count : 0;
    }
    return length == size;
}

int go_version_read_file(int fd, struct go_version *ret)
{
    return go_version_read(read_file, &fd, ret);
}

/* -- Text ------------------------------------------------------------------------------------- */

/* At most four digits. */
static bool take_number(const char **text, int *ret)
{
    const char *at = *text;

    for (*ret = 0; *at >= '0' && *at <= '9' && at - *text < 4; at++)
        *ret = 10 * *ret + (*at - '0');
    if (at == *text)
        return false;
    *text = at;
    return true;
}

int go_version_parse(const char *text, struct go_version *ret)
{
    struct go_version version = { 0 };
    const char *at = text + 4;
    int number = 0;
    bool is_fine = strncmp(text, "go1.", 4) == 0 && take_number(&at, &version.minor);

    if (is_fine && *at == '.') {
        at++;
        is_fine = take_number(&at, &version.patch);
    } else if (is_fine && strncmp(at, "rc", 2) == 0) {
        at += 2;
        is_fine = take_number(&at, &version.candidate) && version.candidate > 0;
    } else if (is_fine && strncmp(at, "beta", 4) == 0) {
        at += 4;
        is_fine = take_number(&at, &number);
        version.candidate = -1;
    }
    if (!is_fine || !strchr(" -", *at) || strlen(text) >= sizeof(version.text))
        return -PULLKEY_NOT_FOUND;
    memcpy(version.text, text, strlen(text) + 1);
    text_make_printable(version.text);
    *ret = version;
    return 0;
}
