/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner behind json.h: one pass over the text that checks the grammar. */
#ifndef PULLKEY_BASE_JSON_SCAN_H
#define PULLKEY_BASE_JSON_SCAN_H

#include <pullkey/backend.h>

struct json_scan {
    const char *name;
    const char *text;
    size_t length;
    unsigned int flags;
    char *blank;  /* NULL, or a copy of the text in which comments and extra commas become blanks */
    size_t stop;  /* number of the value (from 0, in document order) to stop at; SIZE_MAX: none */
    size_t at;    /* where scanning ended */
    size_t count; /* values seen so far */
    size_t key;   /* where the last key that it has seen begins */
};

/* 0 if the text is one well-formed value, or if it stopped at the value that was asked for. */
int json_scan(struct json_scan *scan, struct pullkey_error *error);

/* The line (from 1) of a position. */
size_t json_scan_line(const char *text, size_t at);

#endif
