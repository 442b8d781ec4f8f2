/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands and options, and the help that is made from it. */
#include "hosts.h"

#include <string.h>

#define BIT(option) (1u << (option))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct hosts_option_text hosts_options[HOSTS_OPTION_MAX] = {
    [HOSTS_SOURCE] = { "source", "DIR", "hosts directories without secrets" },
    [HOSTS_TARGET] = { "target", "DIR", "where containerd's config_path points" },
    [HOSTS_LINK] = { "link", "PATH", "a link to switch to the target once it is complete" },
    [HOSTS_ON_OPEN] = { "on-open", "MODE", "off, auto or on: refresh when a file is opened" },
    [HOSTS_OVERMOUNT] = { "overmount", NULL, "the target is mounted over /etc/containerd/certs.d" },
    [HOSTS_ROOT] = { "root", "DIR", "work on the file system below DIR" },
    [HOSTS_WRITE] = { "write", NULL, "change files; without it changes are only shown" },
    [HOSTS_ASK] = { "ask", NULL, "ask the helpers as the daemon would, now" },
    [HOSTS_JSON] = { "json", NULL, "print the result as JSON" },
    [HOSTS_HELP] = { "help", NULL, "print this help" },
};

const struct hosts_command hosts_commands[] = {
    {
        .name = "check",
        .options = BIT(HOSTS_ROOT) | BIT(HOSTS_TARGET) | BIT(HOSTS_JSON),
        .run = hosts_check,
        .summary = "say what is wrong with the way this node pulls",
        .details =
            "Reads containerd's configuration with its hosts directories, registries.yaml of\n"
            "k3s and RKE2, and pullkey's own configuration, and changes nothing. Each problem\n"
            "is named with its place, a name for programs, and what to do about it. The exit\n"
            "status is 1 if there is an error or a warning; notes alone are no problem.\n",
    },
    {
        .name = "render",
        .options = BIT(HOSTS_SOURCE) | BIT(HOSTS_TARGET) | BIT(HOSTS_JSON),
        .run = hosts_render,
        .summary = "write the hosts directories that containerd reads, once",
        .details =
            "Copies each hosts.toml of the source that names a credHelper to the target, with\n"
            "the header that containerd sends; everything else in the target is a link to\n"
            "the source. A file that containerd could not read is never written.\n",
    },
    {
        .name = "watch",
        .options = BIT(HOSTS_SOURCE) | BIT(HOSTS_TARGET) | BIT(HOSTS_LINK) | BIT(HOSTS_ON_OPEN) |
                   BIT(HOSTS_OVERMOUNT),
        .run = hosts_watch,
        .summary = "keep them true: the daemon",
        .details =
            "Renders as \"render\" does, and again whenever the source, the configuration or a\n"
            "store changes and before a credential expires. A header goes when its credential\n"
            "has expired and cannot be renewed; at the end of the daemon everything stays.\n"
            "SIGHUP: ask all helpers again.\n"
            "With --on-open=on an open of a rendered file waits for a fresh header, at most\n"
            "helper_timeout; that takes root with CAP_SYS_ADMIN, and a tmpfs for the target.\n"
            "With auto it goes on without where that cannot be had.\n"
            "With --overmount the source is what is bound at /run/pullkey/source.\n",
    },
    {
        .name = "status",
        .options = BIT(HOSTS_TARGET) | BIT(HOSTS_JSON),
        .run = hosts_status,
        .summary = "what the daemon knows of each host",
        .details =
            "Lists each host with a helper, whether it has a header, and when that expires.\n"
            "Exit status 1 if one has none that should, or if the daemon does not run.\n",
    },
    {
        .name = "show",
        .argument = "HOST",
        .options = BIT(HOSTS_TARGET),
        .run = hosts_show,
        .summary = "print what containerd reads for a registry, masked",
        .details = "HOST is a registry as an image names it, with its port. Values of headers are\n"
                   "not shown.\n",
    },
    {
        .name = "doctor",
        .argument = "IMAGE",
        .options = BIT(HOSTS_ROOT) | BIT(HOSTS_TARGET) | BIT(HOSTS_ASK) | BIT(HOSTS_JSON),
        .run = hosts_doctor,
        .summary = "say what happens when containerd pulls an image",
        .details =
            "Goes the way of a pull, step by step: which config_path, directory and\n"
            "hosts.toml containerd reads for IMAGE, or for a registry; which hosts it asks,\n"
            "in which order and with which credential; what the daemon says of each; proxies\n"
            "and variables of both. The last line says what is wrong and what to do; exit\n"
            "status 1 then. Only with --ask is anybody asked: the helpers, with the\n"
            "environment of the daemon, and the hosts for IMAGE, as containerd would.\n",
    },
    {
        .name = "migrate",
        .options = BIT(HOSTS_ROOT) | BIT(HOSTS_WRITE) | BIT(HOSTS_JSON),
        .run = hosts_migrate,
        .summary = "take plaintext credentials out of the node's files",
        .details =
            "Finds credentials in hosts.toml, in containerd's config.toml and in the\n"
            "registries.yaml of k3s and RKE2, and shows how they move to pullkey's store:\n"
            "what each file becomes, with every secret masked. With --write it stores them,\n"
            "reads them back, and then changes the files, each at once. The daemon must run,\n"
            "for containerd then gets the credentials from it. With --root the store is the\n"
            "one of the file system below DIR, with its key.\n",
    },
};

const size_t hosts_command_count = COUNT(hosts_commands);

static void complete_commands(struct buffer *text)
{
    for (size_t i = 0; i < hosts_command_count; i++)
        buffer_printf(text, "%s\t%s\n", hosts_commands[i].name, hosts_commands[i].summary);
}

/* True if the last word is an option that wants a value: all but one take a file. */
static bool complete_value(const char *last, struct buffer *text)
{
    for (int i = 0; i < HOSTS_OPTION_MAX; i++) {
        if (!hosts_options[i].value || strncmp(last, "--", 2) != 0 ||
            strcmp(last + 2, hosts_options[i].name) != 0)
            continue;
        buffer_append_text(text, i == HOSTS_ON_OPEN ? "off\nauto\non\n" : "@files\n");
        return true;
    }
    return false;
}

/* The value of an option is taken for a word, which does not matter behind a command. */
void hosts_complete(int count, char **words, struct buffer *text)
{
    const struct hosts_command *command = NULL;

    if (count > 0 && complete_value(words[count - 1], text))
        return;
    while (count > 0 && words[0][0] == '-') {
        words++;
        count--;
    }
    for (size_t i = 0; count > 0 && i < hosts_command_count; i++)
        if (strcmp(hosts_commands[i].name, words[0]) == 0)
            command = &hosts_commands[i];
    for (int i = 0; command && i < HOSTS_OPTION_MAX; i++)
        if (i == HOSTS_HELP || (command->options & BIT(i)))
            buffer_printf(text, "--%s\t%s\n", hosts_options[i].name, hosts_options[i].help);
    if (count == 0 || (count == 1 && strcmp(words[0], "help") == 0))
        complete_commands(text);
    if (count == 0)
        buffer_append_text(text, "help\tprint the help of a command\n");
}

static void append_options(const struct hosts_command *command, struct buffer *text)
{
    for (int i = 0; i < HOSTS_OPTION_MAX; i++) {
        const struct hosts_option_text *option = &hosts_options[i];
        cleanup_buffer struct buffer left = BUFFER_INIT(64);

        if (i != HOSTS_HELP && !(command->options & BIT(i)))
            continue;
        buffer_printf(&left, "--%s%s%s", option->name, option->value ? " " : "",
                      option->value ? option->value : "");
        buffer_printf(text, "  %-20s %s\n", left.data, option->help);
    }
}

static void append_command(const struct hosts_command *command, struct buffer *text)
{
    buffer_printf(text, "Usage: pullkey hosts %s [OPTION]...%s%s\n\n%s\n", command->name,
                  command->argument ? " " : "", command->argument ? command->argument : "",
                  command->details);
    append_options(command, text);
}

bool hosts_help(const char *command, struct buffer *text)
{
    for (size_t i = 0; command && i < hosts_command_count; i++) {
        if (strcmp(hosts_commands[i].name, command) == 0) {
            append_command(&hosts_commands[i], text);
            return true;
        }
    }
    if (command)
        return false;
    buffer_append_text(text, "Usage: pullkey hosts COMMAND [OPTION]...\n\n"
                             "Makes credHelper in containerd's hosts.toml work.\n\n");
    for (size_t i = 0; i < hosts_command_count; i++)
        buffer_printf(text, "  %-10s %s\n", hosts_commands[i].name, hosts_commands[i].summary);
    buffer_append_text(text, "\n\"pullkey hosts COMMAND --help\" explains one of them. "
                             "Manual: pullkey-hosts(8).\n");
    return true;
}
