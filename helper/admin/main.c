/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullkey: reads the command line, runs the command, turns its error into one line and an exit
 * status.
 */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/depth.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/output.h"
#include "main.h"
#include "pullkey-build.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define WORDS_MAX (ADMIN_ARGUMENTS_MAX + 2)
#define COMMAND_NAME_MAX 31

/* A command line, before it is known which command it names. */
struct line {
    struct admin_call call;
    uint64_t given;
    const char *words[WORDS_MAX];
    size_t word_count;
    bool too_many;
};

int admin_usage(struct pullkey_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(error, PULLKEY_INVALID, format, arguments);
    va_end(arguments);
    return ADMIN_USAGE;
}

/* Exec backends above this process; read at start. */
static uint32_t depth;

/* For `run`, whose command is the caller's own. */
static struct process_caller caller;

int admin_load(const struct admin_call *call, struct config *ret, struct pullkey_error *error)
{
    struct config_source source;
    int r = config_source_default(call->values[ADMIN_SYSTEM] != NULL, &source, error);

    return r < 0 ? r : config_load(&source, ret, error);
}

struct resolve admin_resolve(const struct config *config)
{
    output_wait_begin();
    return (struct resolve){
        .config = config,
        .asker = { .caller = CONFIG_DOCKER },
        .deadline_ms = clock_monotonic_ms() + RESOLVE_DEADLINE_MS,
        .depth = depth,
    };
}

int admin_reference(const char *text, struct registry_reference *ret, struct pullkey_error *error)
{
    int r;

    if (text[strspn(text, " \t\r\n")] == '\0')
        return admin_usage(error, "the name of the registry is empty");
    r = registry_parse(text, strlen(text), ret, error);
    return r < 0 ? error_wrap(error, "not the name of a registry") : 0;
}

/* Of the options of the command, where it stands before. */
static int refuse_option(const char *text, size_t length, const struct line *line,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer advice = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    size_t words;
    const struct admin_command *command = admin_find(line->words, line->word_count, &words);
    int r;

    admin_suggest_option(text, length, command ? command->options : UINT64_MAX, &advice);
    r = buffer_check(&advice, error);
    return r < 0
               ? r
               : admin_usage(error, "there is no option %.*s; %s", (int)length, text, advice.data);
}

static int check_choice(const struct admin_option_text *option, const char *value,
                        struct pullkey_error *error)
{
    const char *special = option->values ? strchr(option->values, '@') : "@files";
    bool is_list = special && strcmp(special, "@list") == 0;
    size_t length;

    if (special && !is_list)
        return 0;
    for (;; value += length + 1) {
        length = is_list ? strcspn(value, ",") : strlen(value);
        if (value[0] == '@' || !admin_is_choice(option->values, value, length))
            return admin_usage(error, "%s takes %.*s and nothing else", option->name,
                               (int)strcspn(option->values, "@") - is_list, option->values);
        if (value[length] == '\0')
            return 0;
    }
}

/*
 * Takes the option at argv[*at], and its value. A value is never repeated in a message: it may be a
 * password.
 */
static int take_option(char **argv, int *at, struct line *line, struct pullkey_error *error)
{
    const char *text = argv[*at];
    bool is_long = text[1] == '-';
    size_t length = is_long ? strcspn(text, "=") : 2;
    int option = admin_find_option(text, length);
    const char *rest = text + length;
    const char *value = "";
    int r;

    if ((is_long && length == 10 && memcmp(text, "--password", 10) == 0) ||
        (!is_long && text[1] == 'p'))
        return admin_usage(error, "a password in a command line can be read by others; "
                                  "use --password-stdin");
    if (option < 0)
        return refuse_option(text, length, line, error);
    if (admin_options[option].value) {
        value = rest[0] == '=' ? rest + 1 : rest;
        if (rest[0] == '\0') {
            value = argv[*at + 1];
            if (!value || strncmp(value, "--", 2) == 0)
                return admin_usage(error, "%s needs a value", admin_options[option].name);
            ++*at;
        }
        if (value[0] == '\0')
            return admin_usage(error, "the value of %s is empty", admin_options[option].name);
        r = check_choice(&admin_options[option], value, error);
        if (r < 0)
            return r;
    } else if (rest[0] != '\0') {
        return admin_usage(error, "%s takes no value", admin_options[option].name);
    }
    if (admin_options[option].is_list) {
        if (line->call.item_count == ADMIN_ITEMS_MAX)
            return admin_usage(error, "%s is given more than %d times", admin_options[option].name,
                               ADMIN_ITEMS_MAX);
        line->call.items[line->call.item_count++] = value;
    } else if (line->given & ADMIN_BIT(option)) {
        return admin_usage(error, "%s is given twice", admin_options[option].name);
    }
    line->given |= ADMIN_BIT(option);
    line->call.values[option] = value;
    return 0;
}

/* At a "--": true if what follows is a command to be run. */
static bool take_command(char **rest, struct line *line)
{
    size_t words;
    const struct admin_command *command = admin_find(line->words, line->word_count, &words);

    if (!command || !command->takes_command)
        return false;
    line->call.command = rest;
    return true;
}

/* Options may stand anywhere; what follows "--" is no option. */
static int read_line(int argc, char **argv, struct line *line, struct pullkey_error *error)
{
    bool only_words = false;

    for (int i = 1; i < argc; i++) {
        int r = 0;

        if (!only_words && strcmp(argv[i], "--") == 0) {
            if (take_command(argv + i + 1, line))
                return 0;
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            r = take_option(argv, &i, line, error);
        } else if (line->word_count == WORDS_MAX) {
            line->too_many = true;
        } else {
            line->words[line->word_count++] = argv[i];
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* The program of a command that is one of its own, as `hosts` is. */
static bool find_program(const char *name, char path[FILE_PATH_MAX])
{
    return text_is_name(name, COMMAND_NAME_MAX) && !admin_is_word(name) &&
           snprintf(path, FILE_PATH_MAX, "%s/pullkey-%s", PULLKEY_LIBEXECDIR, name) <
               FILE_PATH_MAX &&
           access(path, F_OK) == 0;
}

static int execute(char *path, char **argv, struct pullkey_error *error)
{
    argv[0] = path;
    process_harden_finally();
    process_restore_signals();
    (void)execv(path, argv);
    return error_errno(error, errno, "cannot run %s", path);
}

/* "pullkey NAME ..." is that program with our arguments but NAME; "pullkey help NAME ..." is its
 * help, and "pullkey --complete NAME ..." what may follow. Returns only if there is no such
 * program. */
static int run_program(int argc, char **argv, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int at = 1;

    if (argc > 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--complete") == 0) &&
        find_program(argv[2], path)) {
        argv[2] = argv[1];
        return execute(path, argv + 1, error);
    }
    while (at < argc && (strcmp(argv[at], "--system") == 0 || strcmp(argv[at], "--json") == 0))
        at++;
    if (at == argc || !find_program(argv[at], path))
        return 0;
    memmove(argv + 1, argv, (size_t)at * sizeof(*argv));
    return execute(path, argv + 1, error);
}

static int check_line(const struct line *line, const struct admin_command *command, size_t words,
                      struct pullkey_error *error)
{
    uint64_t foreign = line->given & ~command->options;
    size_t count = line->word_count - words;

    for (int i = 0; i < ADMIN_OPTION_MAX; i++)
        if (foreign & ADMIN_BIT(i))
            return admin_usage(error, "\"%s\" takes no %s; run \"pullkey help %s\"", command->name,
                               admin_options[i].name, command->name);
    if (command->takes_command && (!line->call.command || !line->call.command[0]))
        return admin_usage(error,
                           "\"%s\" needs \"--\" and a command behind it; run \"pullkey help %s\"",
                           command->name, command->name);
    if (count < command->at_least)
        return admin_usage(error, "\"%s\" needs %s; run \"pullkey help %s\"", command->name,
                           command->arguments, command->name);
    if (line->too_many || count > command->at_most)
        return admin_usage(error, "too many arguments for \"%s\"; run \"pullkey help %s\"",
                           command->name, command->name);
    return 0;
}

static int print_help(const struct line *line, size_t words, struct pullkey_error *error)
{
    struct admin_call call = { .argument_count = words };

    for (size_t i = 0; i < words; i++)
        call.arguments[i] = line->words[i];
    return admin_show_help(&call, error);
}

static int refuse_words(const struct line *line, struct pullkey_error *error)
{
    cleanup_buffer struct buffer advice = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    bool is_first = admin_is_word(line->words[0]);
    int r;

    admin_suggest(line->words, line->word_count, &advice);
    r = buffer_check(&advice, error);
    if (r < 0)
        return r;
    if (is_first && line->word_count == 1)
        return admin_usage(error, "\"%s\" needs a second word; run \"pullkey help %s\"",
                           line->words[0], line->words[0]);
    return admin_usage(error, "there is no command \"%s%s%s\"; %s", line->words[0],
                       is_first ? " " : "", is_first ? line->words[1] : "", advice.data);
}

static int run_line(struct line *line, struct pullkey_error *error)
{
    const struct admin_command *command;
    size_t words = 0;
    int r;

    command = admin_find(line->words, line->word_count, &words);
    if (!command || !command->takes_command)
        process_harden_finally();
    if (line->given & ADMIN_BIT(ADMIN_HELP)) {
        if (!command && line->word_count > 0)
            words = 1;
        return print_help(line, words, error);
    }
    if (line->word_count == 0)
        return admin_usage(error, "there is no command; run \"pullkey help\"");
    if (!command && line->word_count > 1 && strcmp(line->words[0], "store") == 0 &&
        strcmp(line->words[1], "import") == 0)
        return admin_usage(error, "\"store import\" is \"pullkey import\" now");
    if (!command)
        return refuse_words(line, error);
    r = check_line(line, command, words, error);
    if (r < 0)
        return r;
    while (words < line->word_count)
        line->call.arguments[line->call.argument_count++] = line->words[words++];
    line->call.caller = &caller;
    return command->run(&line->call, error);
}

static int run(int argc, char **argv, struct pullkey_error *error)
{
    struct line line = { 0 };
    int r = run_program(argc, argv, error);

    if (r < 0)
        return r;
    if (argc >= 2 && strcmp(argv[1], "--complete") == 0) {
        cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);

        process_harden_finally();
        admin_complete(argc - 2, argv + 2, &text);
        return output_buffer(&text, error);
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        process_harden_finally();
        return admin_version(&line.call, error);
    }
    r = read_line(argc, argv, &line, error);
    return r < 0 ? r : run_line(&line, error);
}

int admin_main(int argc, char *argv[])
{
    struct pullkey_error error = { 0 };
    int r;

    r = process_harden_reversibly(&caller, &error);
    if (r == 0)
        r = depth_read(&depth, &error);
    if (r == 0) {
        json_start();
        log_start("pullkey", secure_getenv("PULLKEY_LOG"));
        r = run(argc, argv, &error);
    }
    if (r < 0 && r != ADMIN_PROBLEM && error.message[0] != '\0')
        output_error(error.message);
    secret_release(caller.environment);
    if (!output_finish()) {
        output_error("cannot write to stdout");
        return EXIT_FAILED;
    }
    if (r == ADMIN_USAGE)
        return EXIT_USAGE;
    if (r <= ADMIN_STATUS)
        return ADMIN_STATUS - r;
    return r < 0 ? EXIT_FAILED : EXIT_FINE;
}
