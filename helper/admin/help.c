/* SPDX-License-Identifier: Apache-2.0 */
/* What the table of commands says to people: help, and what they may have meant. */
#include "admin.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "base/text.h"
#include "pullkey-build.h"

static const char *const groups[] = {
    [ADMIN_CREDENTIALS] = "Credentials",
    [ADMIN_FAILURES] = "If it fails",
    [ADMIN_SETUP] = "Setting up",
};

bool admin_has_hosts(void)
{
    return access(PULLKEY_LIBEXECDIR "/pullkey-hosts", X_OK) == 0;
}

/* True if `words` is the name or its first word. */
static bool is_called(const struct admin_command *command, const char *words)
{
    size_t length = strlen(words);

    return strncmp(command->name, words, length) == 0 &&
           (command->name[length] == '\0' || command->name[length] == ' ');
}

/* The line of the commands that share a first word; returns how many. */
static size_t write_line(const struct admin_command *command, struct buffer *text)
{
    size_t length = strcspn(command->name, " "), count = 1;

    buffer_printf(text, "%-10.*s", (int)length, command->name);
    if (command->name[length] == '\0') {
        buffer_printf(text, "%s\n", command->summary);
        return 1;
    }
    buffer_append_text(text, command->name + length + 1);
    while (command + count < admin_commands + admin_command_count &&
           strncmp(command[count].name, command->name, length + 1) == 0)
        buffer_printf(text, "|%s", command[count++].name + length + 1);
    buffer_printf(text, "  %s\n", command->topic);
    return count;
}

static void write_overview(struct buffer *text)
{
    const char *bold = output_bold(), *plain = output_plain();
    int group = -1;

    buffer_printf(text, "%sUsage:%s pullkey [OPTIONS] COMMAND [ARGUMENTS]\n\n", bold, plain);
    for (size_t i = 0; i < admin_command_count;) {
        const struct admin_command *command = &admin_commands[i];

        /* The last lines name it. */
        if (command->run == admin_show_help) {
            i++;
            continue;
        }
        buffer_printf(text, "%s%-13s%s", bold,
                      group == (int)command->group ? "" : groups[command->group], plain);
        group = (int)command->group;
        i += write_line(command, text);
    }
    if (admin_has_hosts())
        buffer_printf(text, "%-13s%-10s" ADMIN_HOSTS_SUMMARY "\n", "", "hosts");
    buffer_append_text(text,
                       "\n\"pullkey help COMMAND\" tells more. Nearly every command takes --system "
                       "(the\nsystem's stores), --json and --help, -h. Manual: pullkey(1).\n");
}

static void write_command(const struct admin_command *command, struct buffer *text)
{
    const char *bold = output_bold(), *plain = output_plain();

    /* What follows a command is the command's. */
    buffer_printf(text, "%sUsage:%s pullkey %s%s%s%s%s\n\n%s\n%sOptions:%s\n", bold, plain,
                  command->name, command->takes_command ? " [OPTIONS]" : "",
                  command->arguments[0] != '\0' ? " " : "", command->arguments,
                  command->takes_command ? "" : " [OPTIONS]", command->details, bold, plain);
    for (int i = ADMIN_OPTION_MAX - 1; i >= 0; i--) {
        const struct admin_option_text *option = &admin_options[i];
        char letter[8] = "    ";
        int used;

        if (!(command->options & ADMIN_BIT(i)))
            continue;
        if (option->letter)
            memcpy(letter, (char[]){ '-', option->letter, ',', ' ', '\0' }, 5);
        used = (int)(strlen(option->name) + (option->value ? strlen(option->value) + 1 : 0));
        buffer_printf(text, "  %s%s%s%s%*s%s\n", letter, option->name, option->value ? " " : "",
                      option->value ? option->value : "", used < 20 ? 20 - used : 1, "",
                      option->help);
    }
}

/* Those that begin with a word. */
static void write_group(const struct admin_command *command, size_t count, struct buffer *text)
{
    const size_t length = strcspn(command->name, " ");

    buffer_printf(text, "%sUsage:%s pullkey %.*s COMMAND [ARGUMENTS] [OPTIONS]\n\n", output_bold(),
                  output_plain(), (int)length, command->name);
    for (size_t i = 0; i < count; i++)
        buffer_printf(text, "  %-10s%s\n", command[i].name + length + 1, command[i].summary);
    buffer_printf(text, "\n\"pullkey help %.*s COMMAND\" tells more.\n", (int)length,
                  command->name);
}

/* The whole help, or that of the command named `words`, or of those that begin with that word. A
 * group stands together. False: there is none. */
static bool write_help(const char *words, struct buffer *text)
{
    const struct admin_command *first = NULL;
    size_t count = 0;

    if (words[0] == '\0') {
        write_overview(text);
        return true;
    }
    for (size_t i = 0; i < admin_command_count; i++) {
        if (!is_called(&admin_commands[i], words))
            continue;
        first = first ? first : &admin_commands[i];
        count++;
    }
    if (count > 1)
        write_group(first, count, text);
    else if (count == 1)
        write_command(first, text);
    return count > 0;
}

int admin_show_help(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer words = BUFFER_INIT(PULLKEY_KEY_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer advice = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    int r;

    buffer_append_text(&words, call->argument_count > 0 ? call->arguments[0] : "");
    if (call->argument_count > 1)
        buffer_printf(&words, " %s", call->arguments[1]);
    r = buffer_check(&words, error);
    if (r < 0)
        return r;
    if (write_help(words.data, &text))
        return output_buffer(&text, error);
    admin_suggest(call->arguments, call->argument_count, &advice);
    r = buffer_check(&advice, error);
    return r < 0 ? r
                 : admin_usage(error, "there is no command \"%s\"; %s", words.data, advice.data);
}

static void write_guess(const struct text_guess *guess, struct buffer *ret)
{
    if (guess->best)
        buffer_printf(ret, "did you mean \"%.*s\"?", (int)guess->length, guess->best);
    else
        buffer_append_text(ret, "run \"pullkey help\"");
}

void admin_suggest(const char *const *words, size_t count, struct buffer *ret)
{
    struct text_guess guess = { .least = SIZE_MAX };
    char both[2 * TEXT_DISTANCE_MAX];
    int length = snprintf(both, sizeof(both), "%s%s%s", words[0], count > 1 ? " " : "",
                          count > 1 ? words[1] : "");

    for (size_t i = 0; length > 0 && i < admin_command_count; i++)
        if ((size_t)length < sizeof(both))
            text_guess_try(&guess, both, (size_t)length, admin_commands[i].name,
                           strlen(admin_commands[i].name));
    /* A first word that is right is no news. */
    if (guess.best || admin_is_word(words[0])) {
        write_guess(&guess, ret);
        return;
    }
    for (size_t i = 0; i < admin_command_count; i++)
        text_guess_try(&guess, words[0], strlen(words[0]), admin_commands[i].name,
                       strcspn(admin_commands[i].name, " "));
    if (admin_has_hosts())
        text_guess_try(&guess, words[0], strlen(words[0]), "hosts", 5);
    write_guess(&guess, ret);
}

void admin_suggest_option(const char *text, size_t length, uint64_t options, struct buffer *ret)
{
    struct text_guess guess = { .least = SIZE_MAX };

    for (int i = 0; i < ADMIN_OPTION_MAX; i++)
        if (options & ADMIN_BIT(i))
            text_guess_try(&guess, text, length, admin_options[i].name,
                           strlen(admin_options[i].name));
    write_guess(&guess, ret);
}
