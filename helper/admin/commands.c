/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands and options, and what is made from it: help and shell completion. */
#include "admin.h"

#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "pullkey-build.h"

#define BIT(option) (1u << (option))
#define COMMON (BIT(ADMIN_SYSTEM) | BIT(ADMIN_JSON) | BIT(ADMIN_HELP))

const struct admin_option_text admin_options[ADMIN_OPTION_MAX] = {
    [ADMIN_SYSTEM] = { "--system", 0, NULL, "use the system's configuration and stores" },
    [ADMIN_JSON] = { "--json", 0, NULL, "print the result as JSON" },
    [ADMIN_HELP] = { "--help", 'h', NULL, "print this help" },
    [ADMIN_USERNAME] = { "--username", 'u', "USER", "the user name; asked for if not given" },
    [ADMIN_PASSWORD_STDIN] = { "--password-stdin", 0, NULL, "read the password from stdin" },
    [ADMIN_IDENTITY_TOKEN] = { "--identity-token", 0, NULL,
                               "the secret is an identity token; no user name" },
    [ADMIN_NO_VERIFY] = { "--no-verify", 0, NULL, "store without asking the registry" },
    [ADMIN_CA_FILE] = { "--ca-file", 0, "FILE", "trust these authorities for the check (PEM)" },
    [ADMIN_REALM] = { "--realm", 0, "HOST", "the registry's token server, wherever it is" },
    [ADMIN_PLAIN_HTTP] = { "--plain-http", 0, NULL, "check without TLS, on this machine only" },
    [ADMIN_FROM] = { "--from", 0, "SOURCE", "docker, podman, secretservice, pass, a file, -" },
    [ADMIN_MOVE] = { "--move", 0, NULL, "remove there what is stored here" },
    [ADMIN_REPLACE] = { "--replace", 0, NULL, "replace what differs here" },
    [ADMIN_YES] = { "--yes", 'y', NULL, "do it without asking" },
    [ADMIN_FOR] = { "--for", 0, "REGISTRY", "give the credential of this one; may be repeated",
                    true },
    [ADMIN_CONFIG] = { "--config", 0, "PATH", "the kubelet's file, or directory of files" },
    [ADMIN_BIN_DIR] = { "--bin-dir", 0, "DIR", "where the kubelet has the programs" },
    [ADMIN_KUBELET_VERSION] = { "--kubelet-version", 0, "V",
                                "a release, as 1.34, not this machine's" },
    [ADMIN_KUBECONFIG] = { "--kubeconfig", 0, "FILE",
                           "ask the API server about audiences; or: auto" },
    [ADMIN_AUDIENCE] = { "--audience", 0, "NAME", "have tokens of service accounts for it sent" },
    [ADMIN_CACHE_TYPE] = { "--cache-type", 0, "TYPE", "ServiceAccount or Token" },
    [ADMIN_NAME] = { "--name", 0, "NAME", "of the program, if not pullkey-kubelet" },
    [ADMIN_MATCH] = { "--match", 0, "PATTERN", "in place of what rules say; may be repeated",
                      true },
    [ADMIN_HOST] = { "--host", 0, "REGISTRY", "for this registry, not a rule's" },
};

const struct admin_command admin_commands[] = {
    {
        .name = "login",
        .arguments = "[REGISTRY]",
        .at_most = 1,
        .options = COMMON | BIT(ADMIN_USERNAME) | BIT(ADMIN_PASSWORD_STDIN) |
                   BIT(ADMIN_IDENTITY_TOKEN) | BIT(ADMIN_NO_VERIFY) | BIT(ADMIN_CA_FILE) |
                   BIT(ADMIN_REALM) | BIT(ADMIN_PLAIN_HTTP),
        .run = admin_login,
        .summary = "check a credential with its registry and store it",
        .details =
            "Asks for what is missing, asks the registry whether the credential is good,\n"
            "stores it, and makes sure that clients now get it. Without REGISTRY: docker.io.\n"
            "Nothing is stored when the registry refuses. There is no option for the\n"
            "password itself, because others can read a command line.\n",
    },
    {
        .name = "logout",
        .arguments = "[REGISTRY]",
        .at_most = 1,
        .options = COMMON,
        .run = admin_logout,
        .summary = "remove the credential of a registry",
        .details =
            "Removes it from every store that would be asked for REGISTRY, with the tokens\n"
            "derived from it. It is no error if there was none. Without REGISTRY: docker.io.\n",
    },
    {
        .name = "unlock",
        .arguments = "",
        .options = COMMON | BIT(ADMIN_PASSWORD_STDIN),
        .run = admin_unlock,
        .summary = "unlock the keyring of the desktop",
        .details =
            "On the desktop the keyring itself asks for its password. Over ssh pullkey asks\n"
            "and hands it to GNOME Keyring; KWallet and KeePassXC take none from a program,\n"
            "and are to be unlocked on the desktop. It is no error if nothing is locked.\n",
    },
    {
        .name = "list",
        .arguments = "",
        .options = COMMON,
        .run = admin_list,
        .summary = "list what is stored, without secrets",
        .details = "Shows registry, user and the store that holds the credential.\n",
    },
    {
        .name = "import",
        .arguments = "",
        .options = COMMON | BIT(ADMIN_FROM) | BIT(ADMIN_MOVE) | BIT(ADMIN_REPLACE) | BIT(ADMIN_YES),
        .run = admin_import,
        .summary = "take over what docker, podman and others stored",
        .details =
            "Shows what would be stored where, and asks. Without --from it looks at files of\n"
            "docker and podman, and at what docker-credential-secretservice and\n"
            "docker-credential-pass have; - is stdin. What differs here is kept. Without a\n"
            "terminal nothing is changed unless --yes is given.\n",
    },
    {
        .name = "config check",
        .arguments = "",
        .options = COMMON,
        .run = admin_config_check,
        .summary = "find mistakes in the configuration",
        .details = "Reads every configuration file, loads every backend that they name and opens\n"
                   "it. Exit status 1 if there is an error or a warning; notes are advice.\n",
    },
    {
        .name = "config show",
        .arguments = "[REGISTRY]",
        .at_most = 1,
        .options = COMMON,
        .run = admin_config_show,
        .summary = "show the merged configuration, or a registry's part",
        .details =
            "Names the file and line that each part comes from. With REGISTRY: the rule that\n"
            "matches it and the backends that are asked, in their order. Values of keys that\n"
            "sound like a secret are shown as ***.\n",
    },
    {
        .name = "store rekey",
        .arguments = "",
        .options = COMMON,
        .run = admin_store_rekey,
        .summary = "encrypt the store anew, with a new key",
        .details = "Makes a new key, encrypts the store with it and removes the old key. Whenever\n"
                   "this is interrupted, the store stays readable; run it again to finish.\n",
    },
    {
        .name = "run",
        .arguments = "-- COMMAND [ARGUMENTS]",
        .options = BIT(ADMIN_SYSTEM) | BIT(ADMIN_HELP) | BIT(ADMIN_FOR),
        .takes_command = true,
        .run = admin_run,
        .summary = "run a command that can call no credential helper",
        .details =
            "Runs COMMAND with the credentials of the registries that its arguments name\n"
            "(registry.example.com/team/app), or of those of --for alone: in a file in\n"
            "memory that DOCKER_CONFIG and REGISTRY_AUTH_FILE lead to, and for one registry\n"
            "in CRICTL_AUTH. It is gone when COMMAND ends, whose exit status is passed on.\n",
    },
    {
        .name = "kubelet check",
        .arguments = "",
        .options = COMMON | BIT(ADMIN_CONFIG) | BIT(ADMIN_BIN_DIR) | BIT(ADMIN_KUBELET_VERSION) |
                   BIT(ADMIN_KUBECONFIG),
        .run = admin_kubelet_check,
        .summary = "say what is wrong with the kubelet's providers",
        .details =
            "Reads a CredentialProviderConfig as the kubelet does, which ends at any mistake\n"
            "and says nothing of what is in vain. Without options: that of the kubelet that\n"
            "runs here, or where it usually is. Exit status 1 if there is an error (it does\n"
            "not start) or a warning; notes are advice.\n",
    },
    {
        .name = "kubelet config",
        .arguments = "",
        .options = COMMON | BIT(ADMIN_KUBELET_VERSION) | BIT(ADMIN_AUDIENCE) |
                   BIT(ADMIN_CACHE_TYPE) | BIT(ADMIN_NAME) | BIT(ADMIN_MATCH),
        .run = admin_kubelet_config,
        .summary = "print a configuration for the kubelet",
        .details =
            "Prints a CredentialProviderConfig that a kubelet of the release reads, with the\n"
            "patterns of the system's rules that name the kubelet.\n",
    },
    {
        .name = "recipe test",
        .arguments = "RECIPE",
        .at_least = 1,
        .at_most = 1,
        .options = COMMON | BIT(ADMIN_HOST),
        .run = admin_recipe_test,
        .summary = "run a token exchange and show its steps",
        .details =
            "Does what a pull would do with the recipe of that name, or in that file, but\n"
            "for the cache: whose identity it is, what is asked where, and what is taken out\n"
            "of each answer. Secrets are shown as ***. The options are those of the\n"
            "configuration; without a rule for it, name a registry with --host.\n",
    },
    {
        .name = "version",
        .arguments = "",
        .options = COMMON,
        .run = admin_version,
        .summary = "print the version and the parts that are installed",
        .details = "Names the kind of linkage, and each part with its state.\n",
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .at_most = 2,
        .options = BIT(ADMIN_HELP),
        .run = admin_show_help,
        .summary = "print this help, or that of a command",
        .details = "COMMAND may be one word of two: \"pullkey help config\".\n",
    },
};
const size_t admin_command_count = sizeof(admin_commands) / sizeof(admin_commands[0]);

/* It is a program of its own. */
static bool has_hosts(void)
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

static void write_overview(struct buffer *text)
{
    buffer_append_text(
        text, "Usage: pullkey [OPTIONS] COMMAND [ARGUMENTS]\n\n"
              "Keeps credentials of container registries, for docker-credential-pullkey.\n\n"
              "Commands:\n");
    for (size_t i = 0; i < admin_command_count; i++)
        buffer_printf(text, "  %-15s %s\n", admin_commands[i].name, admin_commands[i].summary);
    buffer_append_text(text,
                       "\nOptions of every command: --system (the system's stores), --json, -h, "
                       "--help.\n");
    buffer_printf(
        text,
        "\n\"pullkey help COMMAND\" tells more%s.\n"
        "Exit status: 0 fine, 1 failed or a problem found, 2 usage. Manual: pullkey(1).\n",
        has_hosts() ? "; for containerd: \"pullkey hosts help\"" : "");
}

static void write_command(const struct admin_command *command, struct buffer *text)
{
    /* What follows a command is the command's. */
    buffer_printf(text, "Usage: pullkey %s%s%s%s%s\n\n%s\nOptions:\n", command->name,
                  command->takes_command ? " [OPTIONS]" : "",
                  command->arguments[0] != '\0' ? " " : "", command->arguments,
                  command->takes_command ? "" : " [OPTIONS]", command->details);
    for (int i = ADMIN_OPTION_MAX - 1; i >= 0; i--) {
        const struct admin_option_text *option = &admin_options[i];
        char letter[8] = "    ";
        int used;

        if (!(command->options & BIT(i)))
            continue;
        if (option->letter)
            memcpy(letter, (char[]){ '-', option->letter, ',', ' ', '\0' }, 5);
        used = (int)(strlen(option->name) + (option->value ? strlen(option->value) + 1 : 0));
        buffer_printf(text, "  %s%s%s%s%*s%s\n", letter, option->name, option->value ? " " : "",
                      option->value ? option->value : "", used < 20 ? 20 - used : 1, "",
                      option->help);
    }
}

bool admin_help(const char *words, struct buffer *text)
{
    bool found = false;

    if (words[0] == '\0') {
        write_overview(text);
        return true;
    }
    for (size_t i = 0; i < admin_command_count; i++) {
        if (!is_called(&admin_commands[i], words))
            continue;
        if (found)
            buffer_append_text(text, "\n");
        write_command(&admin_commands[i], text);
        found = true;
    }
    return found;
}

int admin_show_help(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer words = BUFFER_INIT(PULLKEY_KEY_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r;

    buffer_append_text(&words, call->argument_count > 0 ? call->arguments[0] : "");
    if (call->argument_count > 1)
        buffer_printf(&words, " %s", call->arguments[1]);
    r = buffer_check(&words, error);
    if (r < 0)
        return r;
    if (!admin_help(words.data, &text))
        return admin_usage(error, "there is no command \"%s\"; run \"pullkey help\"", words.data);
    return output_buffer(&text, error);
}

static void complete_options(unsigned int options, struct buffer *text)
{
    for (int i = 0; i < ADMIN_OPTION_MAX; i++)
        if (options & BIT(i))
            buffer_printf(text, "%s\t%s\n", admin_options[i].name, admin_options[i].help);
}

static void complete_word(const char *first, struct buffer *text)
{
    size_t length = strlen(first);
    const char *last = "";

    for (size_t i = 0; i < admin_command_count; i++) {
        const struct admin_command *command = &admin_commands[i];
        size_t word = strcspn(command->name, " ");

        if (length > 0) {
            /* The second words of "config" and "store". */
            if (is_called(command, first) && command->name[length] == ' ')
                buffer_printf(text, "%s\t%s\n", command->name + length + 1, command->summary);
        } else if (command->name[word] == '\0') {
            buffer_printf(text, "%s\t%s\n", command->name, command->summary);
        } else if (strncmp(last, command->name, word + 1) != 0) {
            buffer_printf(text, "%.*s\t%s, ...\n", (int)word, command->name, command->summary);
        }
        last = command->name;
    }
}

void admin_complete(int count, char **words, struct buffer *text)
{
    char name[64] = "";

    for (int i = 0; i < count; i++) {
        size_t used = strlen(name);

        if (words[i][0] == '-')
            continue;
        if (used + strlen(words[i]) + 2 > sizeof(name))
            return;
        if (used > 0)
            name[used++] = ' ';
        memcpy(name + used, words[i], strlen(words[i]) + 1);
    }
    for (size_t i = 0; i < admin_command_count; i++) {
        size_t length = strlen(admin_commands[i].name);

        if (name[0] != '\0' && strncmp(admin_commands[i].name, name, length) == 0 &&
            (name[length] == ' ' || name[length] == '\0')) {
            complete_options(admin_commands[i].options, text);
            return;
        }
    }
    if (strncmp(name, "help", 4) == 0)
        return;
    complete_word(name, text);
    if (name[0] != '\0')
        return;
    if (has_hosts())
        buffer_append_text(text, "hosts\tmake credHelper in containerd's hosts.toml work\n");
    complete_options(COMMON, text);
}
