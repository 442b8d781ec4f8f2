/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release of Go that a program was built with, read from its file. Sources: elf(5), and Go's
 * package debug/buildinfo. The file may hold anything: each read is bounded, and so is their
 * number.
 */
#ifndef PULLKEY_HOSTS_GO_VERSION_H
#define PULLKEY_HOSTS_GO_VERSION_H

#include <pullkey/backend.h>

#define GO_VERSION_SIZE 128

struct go_version {
    char text[GO_VERSION_SIZE]; /* "go1.22.5": printable, on one line */
    int minor, patch;           /* of Go 1 */
    int candidate;              /* 2 of "go1.24rc2"; -1: a beta, 0: a release */
};

/* Gives `size` bytes from `offset` on. False: there are fewer. */
typedef bool go_version_reader(void *context, uint64_t offset, void *ret, size_t size);

/*
 * -PULLKEY_NOT_FOUND: it is no ELF file, or holds no release of Go. Before Go 1.18 it stands
 * elsewhere, and counts as that of 1.17.
 */
int go_version_read(go_version_reader *read, void *context, struct go_version *ret);

/* The same, of an open file. */
int go_version_read_file(int fd, struct go_version *ret);

/* "go1.22.11", "go1.24rc2", with anything after a blank or a hyphen. */
int go_version_parse(const char *text, struct go_version *ret);

#endif
