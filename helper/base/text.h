/* SPDX-License-Identifier: Apache-2.0 */
/* Text: UTF-8, base64 and a few tests on strings. ASCII only where case matters; no locale is ever
 * asked. */
#ifndef PULLKEY_BASE_TEXT_H
#define PULLKEY_BASE_TEXT_H

#include "buffer.h"

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. The length of the first
 * character; 0 if it is none, or `length` is too short for it. */
size_t text_utf8_length(const char *bytes, size_t length);
bool text_is_utf8(const char *bytes, size_t length);

/*
 * Makes text fit for one line of a terminal or a log, and for JSON: control characters (C0, C1,
 * DEL), line and paragraph separators and what is not UTF-8 become '?', byte by byte.
 */
void text_make_printable(char *text);

/* Lower-case letters, digits, '-' and '_', 1 to `limit` bytes, beginning with a letter or digit. */
bool text_is_name(const char *text, size_t limit);

/* Printable ASCII alone, from `least` on: '!', or ' ' where a blank is fine. */
bool text_is_ascii(const char *bytes, size_t length, char least);

/* RFC 4648 section 4, with padding. */
void text_base64_encode(struct buffer *buffer, const char *bytes, size_t length);

/* Section 5 of it, without padding, as JWTs have it. */
void text_base64url_encode(struct buffer *buffer, const char *bytes, size_t length);

/* Accepts missing padding, refuses everything else that is not canonical alphabet:
 * -PULLKEY_INVALID. */
int text_base64_decode(const char *text, size_t length, struct buffer *buffer,
                       struct pullkey_error *error);

/* ASCII: equality without case, and lowering. */
bool text_equal_any_case(const char *a, const char *b);
char text_lower(char c);

/* How many characters must be left out, added, replaced, or exchanged with their neighbour, to make
 * one word of the other (optimal string alignment); SIZE_MAX for words longer than this. */
#define TEXT_DISTANCE_MAX 32
size_t text_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/* The candidate that is most like what was typed; begins with `least` as SIZE_MAX. */
struct text_guess {
    const char *best; /* NULL: none */
    size_t length, least;
};

/* One mistake in three characters is a mistake; more is another word. What begins a word, or leaves
 * out its end, is no mistake at all. */
void text_guess_try(struct text_guess *guess, const char *typed, size_t typed_length,
                    const char *candidate, size_t length);

#endif
