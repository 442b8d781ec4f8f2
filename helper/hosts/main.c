/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullkey-hosts: reads the command line, runs the command, turns its error into one line and an
 * exit status.
 */
#include "hosts.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/process.h"
#include "base/text.h"
#include "ask.h"
#include "pullkey-build.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int refuse_command(const char *typed, struct pullkey_error *error)
{
    struct text_guess guess = { .least = SIZE_MAX };

    for (size_t i = 0; i < hosts_command_count; i++)
        text_guess_try(&guess, typed, strlen(typed), hosts_commands[i].name,
                       strlen(hosts_commands[i].name));
    return hosts_usage(error, "there is no command \"%s\"; %s%s%s", typed,
                       guess.best ? "did you mean \"" : "run \"pullkey hosts help",
                       guess.best ? guess.best : "", guess.best ? "\"?" : "\"");
}

static int print_help(const char *command, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(65536);

    if (!hosts_help(command, &text))
        return refuse_command(command, error);
    return output_buffer(&text, error);
}

static const struct hosts_command *find_command(const char *name)
{
    for (size_t i = 0; i < hosts_command_count; i++)
        if (strcmp(hosts_commands[i].name, name) == 0)
            return &hosts_commands[i];
    return NULL;
}

/* Every option of every command, so that one in the wrong place is told from one that is none. */
static int read_options(int argc, char **argv, const struct hosts_command *command,
                        struct hosts_call *call, struct pullkey_error *error)
{
    struct option options[HOSTS_OPTION_MAX + 1] = { 0 };

    for (int i = 0; i < HOSTS_OPTION_MAX; i++)
        options[i] = (struct option){ .name = hosts_options[i].name,
                                      .has_arg = hosts_options[i].value ? 1 : 0 };
    opterr = 0;
    for (;;) {
        int index = -1;
        int found = getopt_long(argc, argv, ":h", options, &index);

        if (found == -1)
            return 0;
        if (found == ':')
            return hosts_usage(error, "%s needs a value", argv[optind - 1]);
        if (found == 'h')
            index = HOSTS_HELP;
        else if (found != 0)
            return hosts_usage(error, "there is no option %.*s; run \"pullkey hosts help %s\"",
                               (int)strcspn(argv[optind - 1], "="), argv[optind - 1],
                               command->name);
        if (index != HOSTS_HELP && !(command->options & (1u << index)))
            return hosts_usage(error, "\"%s\" takes no --%s; run \"pullkey hosts help %s\"",
                               command->name, hosts_options[index].name, command->name);
        if (call->values[index])
            return hosts_usage(error, "--%s is given twice", hosts_options[index].name);
        if (optarg && optarg[0] == '\0')
            return hosts_usage(error, "the value of --%s is empty", hosts_options[index].name);
        call->values[index] = optarg ? optarg : "";
    }
}

static int run_command(int argc, char **argv, const struct hosts_command *command,
                       struct pullkey_error *error)
{
    struct hosts_call call = { 0 };
    int r = read_options(argc, argv, command, &call, error);

    if (r < 0)
        return r;
    if (call.values[HOSTS_HELP])
        return print_help(command->name, error);
    if (argc - optind > (command->argument ? 1 : 0))
        return hosts_usage(error, "too many arguments for \"%s\"; run \"pullkey hosts help %s\"",
                           command->name, command->name);
    if (command->argument && optind == argc)
        return hosts_usage(error, "\"%s\" needs %s; run \"pullkey hosts help %s\"", command->name,
                           command->argument, command->name);
    call.argument = command->argument ? argv[optind] : NULL;
    return command->run(&call, error);
}

/* "pullkey --json hosts X" hands its options on in front of the command. */
static int run(int argc, char **argv, struct pullkey_error *error)
{
    const struct hosts_command *command;
    int at = 1;

    while (at < argc && strcmp(argv[at], "--json") == 0)
        at++;
    if (at == argc)
        return hosts_usage(error, "there is no command; run \"pullkey hosts help\"");
    if (strcmp(argv[at], "--version") == 0) {
        output_line("pullkey-hosts (pullkey) %s", PULLKEY_VERSION);
        return 0;
    }
    if (strcmp(argv[at], "help") == 0 || strcmp(argv[at], "--help") == 0 ||
        strcmp(argv[at], "-h") == 0)
        return print_help(argv[at + 1], error);
    if (strcmp(argv[at], "--complete") == 0) {
        cleanup_buffer struct buffer text = BUFFER_INIT(65536);

        hosts_complete(argc - at - 1, argv + at + 1, &text);
        return output_buffer(&text, error);
    }
    /* Not for people. */
    if (argc == 2 && strcmp(argv[at], "ask") == 0)
        return ask_serve(STDIN_FILENO, STDOUT_FILENO, error);
    command = find_command(argv[at]);
    if (!command)
        return refuse_command(argv[at], error);
    /* getopt_long takes the first word for the program's name. */
    for (int i = at; i > 1; i--)
        argv[i] = argv[i - 1];
    return run_command(argc - 1, argv + 1, command, error);
}

int main(int argc, char **argv)
{
    struct pullkey_error error = { 0 };
    int r;

    output_start("pullkey-hosts");
    r = process_harden(&error);
    if (r == 0) {
        json_start();
        log_start("pullkey-hosts", secure_getenv("PULLKEY_LOG"));
        r = run(argc, argv, &error);
    }
    if (r < 0 && r != HOSTS_PROBLEM)
        output_error(error.message);
    if (!output_finish()) {
        output_error("cannot write to stdout");
        return EXIT_FAILED;
    }
    if (r == HOSTS_USAGE)
        return EXIT_USAGE;
    return r < 0 ? EXIT_FAILED : EXIT_FINE;
}
