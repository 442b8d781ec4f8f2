/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library for LD_PRELOAD that lets one allocation of a program fail. A test tool.
 *
 *   ALLOC_FAIL_AT      the N-th allocation (from 1) made after main starts returns NULL with
 *                      ENOMEM; 0 or unset: none fails, they are only counted
 *   ALLOC_FAIL_REPORT  a file of 16 zero bytes that is mapped and shared: two numbers of 64 bits
 *                      in the machine's order, how many allocations were made and how many failed.
 *                      It is mapped, not written, so that it is right however the program ends and
 *                      whatever descriptors it closes. Where the file is larger, each byte after
 *                      that stands for one allocation, and becomes 1 if a library made it that is
 *                      neither the C library nor cJSON: what is not a program of ours or a module.
 *
 * Allocations are malloc, calloc, realloc, aligned_alloc, posix_memalign, and what the C library
 * builds on them (strdup, asprintf, getline, reallocarray). Those made before main, by the dynamic
 * linker and by constructors, are not counted, nor are those of GLib and libsecret themselves.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dlfcn.h>
#include <link.h>

#define CALLER __builtin_return_address(0)
#define EXPORT __attribute__((visibility("default")))

/* The C library's own entry points, which need no dlsym and so no allocation. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

typedef int main_function(int argc, char **argv, char **envp);
typedef int start_function(main_function *program, int argc, char **argv, void (*init)(void),
                           void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

struct record {
    _Atomic uint64_t made;
    _Atomic uint64_t failed;
};

static struct record own_record;
static struct record *record = &own_record;
static unsigned char *foreign;
static uint64_t foreign_room;
static uint64_t fail_at;
static atomic_bool counting;
static main_function *real_main;

/* The name of the file that the caller is in, or "". dladdr() would look for a symbol as well, for
 * long. */
static const char *file_of(void *caller)
{
    struct dl_find_object found;
    const char *slash;

    if (_dl_find_object(caller, &found) < 0 || !found.dlfo_link_map->l_name)
        return "";
    slash = strrchr(found.dlfo_link_map->l_name, '/');
    return slash ? slash + 1 : found.dlfo_link_map->l_name;
}

static bool begins_with_one(const char *name, const char *const *beginnings)
{
    for (; *beginnings; beginnings++)
        if (strncmp(name, *beginnings, strlen(*beginnings)) == 0)
            return true;
    return false;
}

static bool is_foreign(const char *file)
{
    static const char *const ours[] = { "libc.so", "libcjson", NULL };

    return strncmp(file, "lib", 3) == 0 && !begins_with_one(file, ours);
}

/* GLib ends a process that has no memory, or hangs in it: that is no answer of ours. */
static bool is_of_glib(const char *file)
{
    static const char *const glib[] = { "libglib-2.0",    "libgobject-2.0", "libgio-2.0",
                                        "libgmodule-2.0", "libsecret-1",    NULL };

    return begins_with_one(file, glib);
}

static bool must_fail(void *caller)
{
    const char *file;
    uint64_t number;

    if (!atomic_load(&counting))
        return false;
    file = file_of(caller);
    if (is_of_glib(file))
        return false;
    number = atomic_fetch_add(&record->made, 1) + 1;
    if (number <= foreign_room)
        foreign[number - 1] = is_foreign(file);
    if (number != fail_at)
        return false;
    atomic_fetch_add(&record->failed, 1);
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_realloc(old, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail(CALLER) ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    void *memory = must_fail(CALLER) ? NULL : __libc_memalign(alignment, size);

    if (!memory)
        return ENOMEM;
    *ret_memory = memory;
    return 0;
}

static void map_report(const char *path)
{
    struct stat status;
    void *memory;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < (off_t)sizeof(struct record))
        _exit(125);
    memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        _exit(125);
    record = memory;
    foreign = (unsigned char *)memory + sizeof(struct record);
    foreign_room = (uint64_t)status.st_size - sizeof(struct record);
}

static int counted_main(int argc, char **argv, char **envp)
{
    atomic_store(&counting, true);
    return real_main(argc, argv, envp);
}

/* The start code of every program calls this; wrapping its argument is how main is found. */
EXPORT int __libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
                             void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_function *start;
    const char *at = secure_getenv("ALLOC_FAIL_AT");
    const char *path = secure_getenv("ALLOC_FAIL_REPORT");

    /* As POSIX shows it: the cast of the result itself would not be ISO C. */
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    if (!start)
        _exit(125);
    fail_at = at ? strtoull(at, NULL, 10) : 0;
    if (path)
        map_report(path);
    real_main = program;
    return start(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
