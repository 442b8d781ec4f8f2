/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands and options. */
#include "admin.h"

#include <string.h>

#define BIT(option) ADMIN_BIT(option)
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
    [ADMIN_FROM] = { "--from", 0, "SOURCE", "docker, podman, secretservice, pass, a file, -",
                     .values = "docker|podman|secretservice|pass|@files" },
    [ADMIN_MOVE] = { "--move", 0, NULL, "remove there what is stored here" },
    [ADMIN_REPLACE] = { "--replace", 0, NULL, "replace what differs here" },
    [ADMIN_YES] = { "--yes", 'y', NULL, "do it without asking" },
    [ADMIN_FOR] = { "--for", 0, "REGISTRY", "for this registry alone; may be repeated", true },
    [ADMIN_CONFIG] = { "--config", 0, "PATH", "the kubelet's file, or directory of files" },
    [ADMIN_BIN_DIR] = { "--bin-dir", 0, "DIR", "where the kubelet has the programs" },
    [ADMIN_KUBELET_VERSION] = { "--kubelet-version", 0, "V",
                                "a release, as 1.34, not this machine's" },
    [ADMIN_KUBECONFIG] = { "--kubeconfig", 0, "FILE", "of the API server to ask; or: auto" },
    [ADMIN_AUDIENCE] = { "--audience", 0, "NAME", "have tokens of service accounts for it sent" },
    [ADMIN_CACHE_TYPE] = { "--cache-type", 0, "TYPE", "ServiceAccount or Token",
                           .values = "ServiceAccount|Token" },
    [ADMIN_NAME] = { "--name", 0, "NAME", "in place of the usual name" },
    [ADMIN_MATCH] = { "--match", 0, "PATTERN", "of registries, not the usual; may be repeated",
                      true },
    [ADMIN_HOST] = { "--host", 0, "REGISTRY", "for this registry, not a rule's" },
    [ADMIN_CALLER] = { "--caller", 0, "WHO", "who asks: docker, hosts or kubelet",
                       .values = "docker|hosts|kubelet|@list" },
    [ADMIN_NAMESPACE] = { "--namespace", 0, "NAME", "of Kubernetes" },
    [ADMIN_SERVICE_ACCOUNT] = { "--service-account", 0, "NAME", "for which the kubelet asks" },
    [ADMIN_FORMAT] = { "--format", 0, "FORMAT", "docker-config, k8s-secret or env",
                       .values = "docker-config|k8s-secret|env" },
    [ADMIN_OUTPUT] = { "--output", 'o', "FILE", "write there, mode 0600; else to stdout" },
    [ADMIN_PROFILE] = { "--profile", 0, "NAME", "ecr: of the files of AWS" },
    [ADMIN_REGION] = { "--region", 0, "REGION", "ecr: where the role is assumed" },
    [ADMIN_ROLE_ARN] = { "--role-arn", 0, "ARN", "ecr: a role to assume" },
    [ADMIN_TENANT] = { "--tenant", 0, "ID", "acr: of Entra" },
    [ADMIN_CLIENT_ID] = { "--client-id", 0, "ID", "acr: of the identity" },
    [ADMIN_SECRET] = { "--secret", 0, "SECRET", "kubernetes: NAMESPACE/NAME, or NAME" },
    [ADMIN_HELPER] = { "--helper", 0, "NAME", "exec: docker-credential-NAME" },
    [ADMIN_WRITE] = { "--write", 0, NULL, "change files; without it changes are only shown" },
    [ADMIN_UNDO] = { "--undo", 0, NULL, "take back what --write has changed" },
    [ADMIN_AS] = { "--as", 0, "WHO", "who pulls: docker, hosts, kubelet or user:NAME",
                   .values = "docker|hosts|kubelet|user:|@any" },
    [ADMIN_ENV] = { "--env", 0, "LIST", "exec: variables that it gets in system programs" },
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
        .name = "export",
        .arguments = "REGISTRY...",
        .at_least = 1,
        .at_most = 16,
        .options = BIT(ADMIN_SYSTEM) | BIT(ADMIN_HELP) | BIT(ADMIN_FORMAT) | BIT(ADMIN_OUTPUT) |
                   BIT(ADMIN_NAME) | BIT(ADMIN_NAMESPACE),
        .run = admin_export,
        .summary = "write credentials for a tool that can call no helper",
        .details =
            "Writes a config.json of docker, a pull secret of Kubernetes (YAML), or\n"
            "assignments for a shell: REGISTRY, REGISTRY_USERNAME, REGISTRY_PASSWORD.\n"
            "What is written does not renew itself; when it expires is said on stderr.\n"
            "Where the tool can be started by pullkey, \"pullkey run\" leaves nothing behind.\n",
    },
    {
        .name = "store rekey",
        .arguments = "",
        .options = COMMON,
        .run = admin_store_rekey,
        .summary = "encrypt the store anew, with a new key",
        .details = "Makes a new key, encrypts the store with it and removes the old key. Whenever\n"
                   "this is interrupted, the store stays readable; run it again to finish.\n",
        .topic = "encrypt the store anew, with a new key",
    },
    {
        .name = "doctor",
        .arguments = "REGISTRY|IMAGE",
        .at_least = 1,
        .at_most = 1,
        .options =
            COMMON | BIT(ADMIN_CA_FILE) | BIT(ADMIN_REALM) | BIT(ADMIN_PLAIN_HTTP) | BIT(ADMIN_AS),
        .run = admin_doctor,
        .summary = "find out why a pull fails",
        .details =
            "Does what a pull would do, up to the image's manifest, and shows each step: the\n"
            "rule, what its backends answer, the connection, its certificates, the token and\n"
            "what it is good for. The last line says what is wrong and what to do, or that a\n"
            "pull will work. Exit status 1 if it will not. No secret is shown.\n"
            "On a node root sees containerd and the kubelet as well, side by side.\n",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "explain",
        .arguments = "REGISTRY|IMAGE",
        .at_least = 1,
        .at_most = 1,
        .options = COMMON | BIT(ADMIN_CALLER) | BIT(ADMIN_NAMESPACE) | BIT(ADMIN_SERVICE_ACCOUNT),
        .run = admin_explain,
        .summary = "show which rule serves a registry, and why",
        .details =
            "Shows without asking anybody: how the name is understood, each rule and why it\n"
            "does or does not match, who is asked in which order, where a login would be\n"
            "stored, and what the cache has. With --caller hosts or kubelet: for those, who\n"
            "read the system's configuration.\n",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "status",
        .arguments = "",
        .options = COMMON,
        .run = admin_status,
        .summary = "show what is set up on this machine",
        .details =
            "Shows the files of the configuration, who is asked for a registry that no rule\n"
            "matches, where a login is stored and how much is there, and whether docker,\n"
            "podman, containerd and the kubelet ask pullkey, and by which file.\n",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "cache list",
        .arguments = "",
        .options = COMMON,
        .run = admin_cache_list,
        .summary = "list the tokens that are kept for a while",
        .details = "Shows whose they are and for how long they are used; no token is shown. An\n"
                   "answer that there is no credential is kept as well, for seconds.\n",
        .group = ADMIN_FAILURES,
        .topic = "tokens that are kept for a while",
    },
    {
        .name = "cache clear",
        .arguments = "[REGISTRY]",
        .at_most = 1,
        .options = COMMON,
        .run = admin_cache_clear,
        .summary = "remove them, so that the next pull asks anew",
        .details = "Removes the tokens of REGISTRY, or all; also one that is being fetched now is\n"
                   "not kept then. What a login has stored stays.\n",
        .group = ADMIN_FAILURES,
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
        .topic = "run a token exchange and show its steps",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "backends",
        .arguments = "",
        .options = COMMON,
        .run = admin_backends,
        .summary = "list the backends, and what each finds here",
        .details =
            "Shows which are built in, installed or absent, what they can do, and what is\n"
            "there for them on this machine: entries, helpers, variables and files that give\n"
            "an identity. Nothing is asked over the network, and nothing is unlocked.\n",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "version",
        .arguments = "",
        .options = COMMON,
        .run = admin_version,
        .summary = "print the version and the parts that are installed",
        .details = "Names the kind of linkage, and each part with its state.\n",
        .group = ADMIN_FAILURES,
    },
    {
        .name = "setup",
        .arguments = "docker|podman|containerd|kubelet",
        .at_least = 1,
        .at_most = 1,
        .options = COMMON | BIT(ADMIN_FOR) | BIT(ADMIN_WRITE) | BIT(ADMIN_UNDO),
        .run = admin_setup,
        .summary = "make docker, podman or a node ask pullkey",
        .details =
            "Shows how the tool's own files change, and imports what docker would not find\n"
            "any more. Nothing is changed without --write. --undo leaves alone what somebody\n"
            "else has changed since.\n",
        .group = ADMIN_SETUP,
    },
    {
        .name = "config check",
        .arguments = "",
        .options = COMMON,
        .run = admin_config_check,
        .summary = "find mistakes in the configuration",
        .details = "Reads every configuration file, loads every backend that they name and opens\n"
                   "it. Exit status 1 if there is an error or a warning; notes are advice.\n",
        .topic = "configuration: who has which credential",
        .group = ADMIN_SETUP,
    },
    {
        .name = "config show",
        .arguments = "",
        .options = COMMON,
        .run = admin_config_show,
        .summary = "show the merged configuration",
        .details = "Names the file and line that each part comes from. Values of keys that sound\n"
                   "like a secret are shown as ***. What serves one registry is shown by\n"
                   "\"pullkey explain REGISTRY\".\n",
        .group = ADMIN_SETUP,
    },
    {
        .name = "config add",
        .arguments = "ecr|gcp|acr|kubernetes|exec",
        .at_least = 1,
        .at_most = 1,
        .options = COMMON | BIT(ADMIN_YES) | BIT(ADMIN_NAME) | BIT(ADMIN_MATCH) |
                   BIT(ADMIN_KUBECONFIG) | BIT(ADMIN_CALLER) | BIT(ADMIN_PROFILE) |
                   BIT(ADMIN_REGION) | BIT(ADMIN_ROLE_ARN) | BIT(ADMIN_TENANT) |
                   BIT(ADMIN_CLIENT_ID) | BIT(ADMIN_SECRET) | BIT(ADMIN_HELPER) | BIT(ADMIN_ENV),
        .run = admin_config_add,
        .summary = "add a source of credentials",
        .details =
            "Shows the backend and the rule that are added, checks the configuration with\n"
            "them, and asks. The rule comes first in the file: config.json of yours, or with\n"
            "--system a new one of config.d.\n",
        .group = ADMIN_SETUP,
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
        .topic = "the kubelet's credential providers",
        .group = ADMIN_SETUP,
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
        .group = ADMIN_SETUP,
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .at_most = 2,
        .options = BIT(ADMIN_HELP),
        .run = admin_show_help,
        .summary = "print this help, or that of a command",
        .details = "COMMAND may be one word of two: \"pullkey help config\".\n",
        .group = ADMIN_SETUP,
    },
};
const size_t admin_command_count = sizeof(admin_commands) / sizeof(admin_commands[0]);

/* True if the name is that word, or begins with it. */
static bool begins_with(const char *name, const char *word, size_t length)
{
    return strlen(word) == length && strncmp(name, word, length) == 0;
}

const struct admin_command *admin_find(const char *const *words, size_t count, size_t *ret_words)
{
    for (size_t i = 0; i < admin_command_count; i++) {
        const char *name = admin_commands[i].name;
        size_t length = strcspn(name, " ");
        bool two = name[length] == ' ';

        if (count < (two ? 2 : 1) || !begins_with(name, words[0], length) ||
            (two && strcmp(words[1], name + length + 1) != 0))
            continue;
        *ret_words = two ? 2 : 1;
        return &admin_commands[i];
    }
    return NULL;
}

bool admin_is_word(const char *word)
{
    for (size_t i = 0; i < admin_command_count; i++)
        if (begins_with(admin_commands[i].name, word, strcspn(admin_commands[i].name, " ")))
            return true;
    return false;
}

int admin_find_option(const char *text, size_t length)
{
    for (int i = 0; i < ADMIN_OPTION_MAX; i++)
        if ((strlen(admin_options[i].name) == length &&
             memcmp(admin_options[i].name, text, length) == 0) ||
            (length == 2 && text[1] != '\0' && text[1] == admin_options[i].letter))
            return i;
    return -1;
}

bool admin_is_choice(const char *choices, const char *value, size_t length)
{
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, value, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}
