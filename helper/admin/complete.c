/* SPDX-License-Identifier: Apache-2.0 */
/* What the table of commands says to the shells, as the user types. */
#include "admin.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* Somebody has pressed a key and waits. */
#define PATIENCE_MS 1500
#define FILES "@files\n"
#define CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/_-[]"

static void complete_choices(const char *choices, struct buffer *text)
{
    while (*choices != '\0') {
        size_t length = strcspn(choices, "|]");

        if (choices[0] != '@' || strcmp(choices, "@files") == 0)
            buffer_printf(text, "%.*s\n", (int)length, choices);
        choices += length;
        choices += strspn(choices, "|]");
    }
}

/* What is stored: listing reads no secret, and asks nobody. */
static void complete_registries(const struct admin_call *call, struct buffer *text)
{
    cleanup_config struct config config = { 0 };
    cleanup_resolve_list struct resolve_list list = { 0 };
    struct pullkey_error ignored;
    struct resolve resolve;

    if (admin_load(call, &config, &ignored) < 0)
        return;
    resolve = admin_resolve(&config);
    resolve.deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    if (resolve_list(&resolve, &list, &ignored) < 0)
        return;
    for (size_t i = 0; i < list.count; i++) {
        const struct resolve_entry *entry = &list.entries[i];

        /* A shell puts it into the command line as it is, and somebody else may have named it. */
        if (entry->server[strspn(entry->server, CHARACTERS)] != '\0')
            continue;
        text_make_printable(entry->username);
        buffer_printf(text, "%s\t%s\n", entry->server, entry->username);
    }
}

/* `what` is choices, or what a usage line calls a value. */
static void complete_value(const struct admin_call *call, const char *what, struct buffer *text)
{
    what += *what == '[';
    if (islower((unsigned char)what[0]) || isdigit((unsigned char)what[0]))
        complete_choices(what, text);
    else if (strstr(what, "REGISTRY"))
        complete_registries(call, text);
    else if (strstr(what, "FILE") || strstr(what, "DIR") || strstr(what, "PATH") ||
             strcmp(what, "RECIPE") == 0)
        buffer_append_text(text, FILES);
}

static void complete_options(uint64_t options, struct buffer *text)
{
    for (int i = 0; i < ADMIN_OPTION_MAX; i++)
        if (options & ADMIN_BIT(i))
            buffer_printf(text, "%s\t%s\n", admin_options[i].name, admin_options[i].help);
}

/* First words, or the second words of `first`. */
static void complete_words(const char *first, struct buffer *text)
{
    size_t length = strlen(first), word;

    for (size_t i = 0; i < admin_command_count; i += word) {
        const char *name = admin_commands[i].name;
        const char *summary = admin_commands[i].topic;

        word = 1;
        if (length > 0) {
            if (strncmp(name, first, length) == 0 && name[length] == ' ')
                buffer_printf(text, "%s\t%s\n", name + length + 1, admin_commands[i].summary);
            continue;
        }
        buffer_printf(text, "%.*s\t%s\n", (int)strcspn(name, " "), name,
                      summary ? summary : admin_commands[i].summary);
        while (i + word < admin_command_count && name[strcspn(name, " ")] != '\0' &&
               strncmp(admin_commands[i + word].name, name, strcspn(name, " ") + 1) == 0)
            word++;
    }
}

/* The words that are no options and no values of options. -1, or the option that wants a value. */
static int read_words(struct admin_call *call, int count, char **words)
{
    for (int i = 0; i < count; i++) {
        int option;

        if (words[i][0] != '-' || words[i][1] == '\0') {
            if (call->argument_count < ADMIN_ARGUMENTS_MAX)
                call->arguments[call->argument_count++] = words[i];
            continue;
        }
        option = admin_find_option(words[i], strlen(words[i]));
        if (option < 0)
            continue;
        call->values[option] = "";
        if (admin_options[option].value && ++i == count)
            return option;
    }
    return -1;
}

static void complete_command(const struct admin_call *call, const struct admin_command *command,
                             size_t arguments, struct buffer *text)
{
    if (arguments < command->at_most)
        complete_value(call, command->arguments, text);
    complete_options(command->options, text);
}

void admin_complete(int count, char **words, struct buffer *text)
{
    struct admin_call call = { 0 };
    int option = read_words(&call, count, words);
    const char *const *typed = call.arguments;
    size_t left = call.argument_count, used;
    const struct admin_command *command;

    if (option >= 0 && admin_options[option].values)
        complete_choices(admin_options[option].values, text);
    else if (option >= 0)
        complete_value(&call, admin_options[option].value, text);
    if (option >= 0)
        return;
    command = admin_find(typed, left, &used);
    if (command && command->run == admin_show_help) {
        typed++;
        left--;
        command = NULL;
    }
    if (command)
        complete_command(&call, command, left - used, text);
    else if (left <= 1)
        complete_words(left == 1 ? typed[0] : "", text);
    if (left == 0 && admin_has_hosts())
        buffer_append_text(text, "hosts\t" ADMIN_HOSTS_SUMMARY "\n");
    if (call.argument_count == 0)
        complete_options(ADMIN_BIT(ADMIN_SYSTEM) | ADMIN_BIT(ADMIN_JSON) | ADMIN_BIT(ADMIN_HELP),
                         text);
}
