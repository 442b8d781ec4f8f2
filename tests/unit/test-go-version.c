/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <elf.h>

#include "hosts/go-version.h"

/* A program of nothing but what names its Go. */
struct program {
    unsigned char bytes[4096];
    size_t size;
    bool is_64, is_big;
};

#define HEAD 0
#define SECTIONS 128
#define PARTS 512
#define NAMES 700
#define INFORMATION 768

static bool read_program(void *context, uint64_t offset, void *ret, size_t size)
{
    const struct program *program = context;

    if (offset > program->size || size > program->size - offset)
        return false;
    memcpy(ret, program->bytes + offset, size);
    return true;
}

static void put(struct program *program, size_t at, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        program->bytes[at + (program->is_big ? size - 1 - i : i)] =
            (unsigned char)(number >> (8 * i));
}

#define PUT(program, at, type, member, number)                                                     \
    ((program)->is_64 ? put(program, (at) + offsetof(Elf64_##type, member),                        \
                            sizeof(((Elf64_##type *)0)->member), number)                           \
                      : put(program, (at) + offsetof(Elf32_##type, member),                        \
                            sizeof(((Elf32_##type *)0)->member), number))
#define SIZE_OF(program, type) ((program)->is_64 ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

static void put_information(struct program *program, size_t at, const char *version)
{
    memcpy(program->bytes + at, "\xff Go buildinf:\x08\x02", 16);
    program->bytes[at + 32] = (unsigned char)strlen(version);
    memcpy(program->bytes + at + 33, version, strlen(version));
}

static void make(struct program *ret, bool is_64, bool is_big, const char *version)
{
    *ret = (struct program){ .size = sizeof(ret->bytes), .is_64 = is_64, .is_big = is_big };
    memcpy(ret->bytes, ELFMAG, SELFMAG);
    ret->bytes[EI_CLASS] = is_64 ? ELFCLASS64 : ELFCLASS32;
    ret->bytes[EI_DATA] = is_big ? ELFDATA2MSB : ELFDATA2LSB;
    PUT(ret, HEAD, Ehdr, e_shoff, SECTIONS);
    PUT(ret, HEAD, Ehdr, e_shentsize, SIZE_OF(ret, Shdr));
    PUT(ret, HEAD, Ehdr, e_shnum, 3);
    PUT(ret, HEAD, Ehdr, e_shstrndx, 1);
    PUT(ret, SECTIONS + SIZE_OF(ret, Shdr), Shdr, sh_offset, NAMES);
    PUT(ret, SECTIONS + 2 * SIZE_OF(ret, Shdr), Shdr, sh_name, 4);
    PUT(ret, SECTIONS + 2 * SIZE_OF(ret, Shdr), Shdr, sh_offset, INFORMATION);
    PUT(ret, SECTIONS + 2 * SIZE_OF(ret, Shdr), Shdr, sh_size, 512);
    memcpy(ret->bytes + NAMES, "abc\0.go.buildinfo", 18);
    put_information(ret, INFORMATION, version);
}

/* The sections go; the second part that is loaded has the data. */
static void strip(struct program *program)
{
    PUT(program, HEAD, Ehdr, e_shoff, 0);
    PUT(program, HEAD, Ehdr, e_shnum, 0);
    PUT(program, HEAD, Ehdr, e_shstrndx, 0);
    PUT(program, HEAD, Ehdr, e_phoff, PARTS);
    PUT(program, HEAD, Ehdr, e_phentsize, SIZE_OF(program, Phdr));
    PUT(program, HEAD, Ehdr, e_phnum, 2);
    PUT(program, PARTS, Phdr, p_type, PT_LOAD);
    PUT(program, PARTS, Phdr, p_flags, PF_R | PF_X);
    PUT(program, PARTS + SIZE_OF(program, Phdr), Phdr, p_type, PT_LOAD);
    PUT(program, PARTS + SIZE_OF(program, Phdr), Phdr, p_flags, PF_R | PF_W);
    PUT(program, PARTS + SIZE_OF(program, Phdr), Phdr, p_offset, INFORMATION - 256);
    PUT(program, PARTS + SIZE_OF(program, Phdr), Phdr, p_filesz, 1024);
}

static void of_all_kinds_of_machines(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        struct program program;
        struct go_version version;

        make(&program, kind & 1, kind & 2, "go1.22.11");
        if (kind & 4)
            strip(&program);
        assert_int_equal(go_version_read(read_program, &program, &version), 0);
        assert_string_equal(version.text, "go1.22.11");
        assert_int_equal(version.minor, 22);
        assert_int_equal(version.patch, 11);
    }
}

static void before_1_18(void **state)
{
    struct program program;
    struct go_version version;

    (void)state;
    make(&program, true, false, "go1.22.11");
    program.bytes[INFORMATION + 15] = 0;
    assert_int_equal(go_version_read(read_program, &program, &version), 0);
    assert_int_equal(version.minor, 17);
    assert_string_equal(version.text, "go1.17 or older");
}

/* Whatever is cut off or changed, nothing is read from elsewhere. */
static void cut_and_changed(void **state)
{
    struct program program;
    struct go_version version;
    const size_t end = INFORMATION + 33 + strlen("go1.22.11");

    (void)state;
    for (size_t size = 0; size <= end; size++) {
        make(&program, true, false, "go1.22.11");
        program.size = size;
        assert_int_equal(go_version_read(read_program, &program, &version) == 0, size == end);
    }
    for (size_t i = 0; i < end; i++) {
        make(&program, true, false, "go1.22.11");
        program.bytes[i] = 0xff;
        (void)go_version_read(read_program, &program, &version);
    }
    make(&program, true, false, "go1.22.11");
    PUT(&program, SECTIONS + 2 * sizeof(Elf64_Shdr), Shdr, sh_offset, UINT64_MAX - 8);
    assert_true(go_version_read(read_program, &program, &version) < 0);
    make(&program, true, false, "go1.22.11");
    PUT(&program, HEAD, Ehdr, e_shoff, UINT64_MAX - 8);
    assert_true(go_version_read(read_program, &program, &version) < 0);
    make(&program, true, false, "go1.22.11");
    memcpy(program.bytes + INFORMATION + 32, "\x80\x80\x80\x80\x80", 5);
    assert_true(go_version_read(read_program, &program, &version) < 0);
    make(&program, true, false, "go1.22.11");
    program.bytes[INFORMATION + 36] = '\0';
    assert_true(go_version_read(read_program, &program, &version) < 0);
}

/* It lies at a multiple of sixteen bytes from the start of its section, and nowhere else. */
static void further_on(void **state)
{
    struct program program;
    struct go_version version;

    (void)state;
    make(&program, true, false, "go1.20.1");
    memset(program.bytes + INFORMATION, 0, 512);
    put_information(&program, INFORMATION + 160, "go1.23.10");
    assert_int_equal(go_version_read(read_program, &program, &version), 0);
    assert_string_equal(version.text, "go1.23.10");
    memset(program.bytes + INFORMATION, 0, 512);
    put_information(&program, INFORMATION + 168, "go1.23.10");
    assert_true(go_version_read(read_program, &program, &version) < 0);
    memset(program.bytes + INFORMATION, 0, 512);
    put_information(&program, INFORMATION + 512, "go1.23.10");
    assert_true(go_version_read(read_program, &program, &version) < 0);
}

static void files(void **state)
{
    char directory[512], path[1024];
    struct program program;
    struct go_version version;
    int fd;

    (void)state;
    unit_make_directory(directory);
    (void)snprintf(path, sizeof(path), "%s/program", directory);
    make(&program, true, false, "go1.24.4");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(go_version_read_file(fd, &version) < 0);
    assert_int_equal(write(fd, program.bytes, program.size), program.size);
    assert_int_equal(go_version_read_file(fd, &version), 0);
    assert_string_equal(version.text, "go1.24.4");
    assert_int_equal(close(fd), 0);
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(go_version_read_file(fd, &version) < 0);
    assert_int_equal(close(fd), 0);
    unit_remove_directory(directory);
}

static void texts(void **state)
{
    static const struct {
        const char *text;
        int minor, patch, candidate;
    } cases[] = {
        { "go1.22.11", 22, 11, 0 },
        { "go1.24", 24, 0, 0 },
        { "go1.24rc2", 24, 0, 2 },
        { "go1.24beta1", 24, 0, -1 },
        { "go1.22.5 X:nocoverageredesign", 22, 5, 0 },
        { "go1.22.5-1-other", 22, 5, 0 },
    };
    static const char *const wrong[] = {
        "",          "go",       "go1",        "go1.",        "go2.1",
        "go1.22.",   "go1.24rc", "go1.24rc0",  "go1.22.5x",   "devel go1.25-0123 Mon",
        "go1.22..5", "go1.-2",   "go1.222222", "go1.22rc1.2",
    };
    struct go_version version;
    char longer[2 * GO_VERSION_SIZE] = "go1.22.5 ";

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(go_version_parse(cases[i].text, &version), 0);
        assert_string_equal(version.text, cases[i].text);
        assert_int_equal(version.minor, cases[i].minor);
        assert_int_equal(version.patch, cases[i].patch);
        assert_int_equal(version.candidate, cases[i].candidate);
    }
    for (size_t i = 0; i < UNIT_COUNT(wrong); i++)
        assert_true(go_version_parse(wrong[i], &version) < 0);
    memset(longer + strlen(longer), 'x', GO_VERSION_SIZE);
    assert_true(go_version_parse(longer, &version) < 0);
    assert_int_equal(go_version_parse("go1.22.5 \x1b[2J", &version), 0);
    assert_string_equal(version.text, "go1.22.5 ?[2J");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_all_kinds_of_machines),
        cmocka_unit_test(before_1_18),
        cmocka_unit_test(cut_and_changed),
        cmocka_unit_test(further_on),
        cmocka_unit_test(files),
        cmocka_unit_test(texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
