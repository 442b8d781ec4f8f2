# SPDX-License-Identifier: Apache-2.0
"""Manual pages agree with what --help says, with the schema, and with the hosts.toml that the program knows."""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

BINDIR, MANDIR = os.environ["PULLKEY_BINDIR"], os.environ["PULLKEY_MANDIR"]

HAS_HOSTS = "hosts" in os.environ["PULLKEY_FEATURES"].split()
PROGRAMS = {"docker-credential-pullkey": 1, "pullkey": 1, "pullkey-kubelet": 8}
if HAS_HOSTS:
    PROGRAMS["pullkey-hosts"] = 8
KUBELET = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
WIDTH, HEIGHT = 80, 24

# A word of a text that is an option: -x, --long. Not the rest of a hyphenated word or of a path.
OPTION = re.compile(r"(?<![\w/.-])--?[A-Za-z][A-Za-z0-9-]*")


def run(*words):
    return subprocess.run(
        [os.path.join(BINDIR, words[0]), *words[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "xterm-256color"},
    )


def manual(name, section=1):
    """The installed page as text, without its markup."""
    path = os.path.join(MANDIR, f"man{section}", f"{name}.{section}")
    tap.check(os.path.isfile(path), f"{path} is not installed")
    done = subprocess.run(
        ["man", "-l", path],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "78", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"},
    )
    tap.equal(done.returncode, 0, done.stderr)
    tap.check(not done.stderr.strip(), f"{name}: {done.stderr}")
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    # A word that was broken at its hyphen.
    return text.replace("\u2010\n", "-").replace("\u2010", "-").replace("\u2212", "-")


def sections(text):
    """NAME, SYNOPSIS and so on to their texts."""
    found, name = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][A-Z ]+", line):
            name = line
            found[name] = ""
        elif name:
            found[name] += line + "\n"
    return found


def help_commands():
    """The commands that `pullkey help` lists: a line each, "NAME  SUMMARY", or one for those with the
    same first word, "FIRST  SECOND|SECOND  SUMMARY". Names of groups stand in front. The last lines
    name help itself; hosts is another program's."""
    text, found = run("pullkey", "help").stdout, ["help"]
    for first, rest in re.findall(r"^[A-Z ].{11} ([a-z]+) {2,}(.*)$", text, re.M):
        seconds = re.match(r"([a-z|]+)  ", rest)
        found += [f"{first} {second}" for second in seconds[1].split("|")] if seconds else [first]
    return [name for name in found if name != "hosts"]


def usages():
    """`pullkey help COMMAND` of every command: its usage line's words to the text."""
    texts = [run("pullkey", *name.split(), "--help").stdout for name in help_commands()]
    lines = [re.match(r"Usage: pullkey (.+)\n", text)[1] for text in texts]
    return {line.replace(" [OPTIONS]", ""): text for line, text in zip(lines, texts, strict=True)}


def hosts_usages():
    """The same of `pullkey hosts COMMAND`: its name and argument to the text."""
    names = re.findall(r"^  ([a-z]+) ", run("pullkey", "hosts", "help").stdout, re.M)
    found = {}
    for name in names:
        text = run("pullkey", "hosts", "help", name).stdout
        argument = re.match(rf"Usage: pullkey hosts {name} \[OPTION\]\.\.\.( [A-Z]+)?\n", text)
        tap.check(argument, text)
        found[name + (argument[1] or "")] = text
    return found


def entries(text):
    """The headings of a list in a manual: lines that a deeper one follows at once."""
    return re.findall(r"^ {7}(\S.*)\n {8}", text, re.M)


def check_screen(text, what):
    lines = text.rstrip("\n").split("\n")
    tap.check(len(lines) <= HEIGHT, f"{what}: {len(lines)} lines")
    for line in lines:
        tap.check(len(line) <= WIDTH, f"{what}: {len(line)} columns: {line}")
        tap.check("\x1b" not in line and "\t" not in line, f"{what}: not plain: {line!r}")
        tap.equal(line, line.rstrip(), what)


@tap.case("help goes to stdout, fits 80 by 24, and ends well")
def help_output():
    for words in (
        ["pullkey", "--help"],
        ["pullkey", "-h"],
        ["pullkey", "help"],
        ["docker-credential-pullkey", "--help"],
        [KUBELET, "--help"],
        *[["pullkey", *command.split(), "--help"] for command in help_commands()],
        *[["pullkey", "hosts", "help"]] * HAS_HOSTS,
        *[["pullkey", "hosts", use.split()[0], "--help"] for use in hosts_usages() if HAS_HOSTS],
    ):
        done = run(*words)
        tap.equal((done.returncode, done.stderr), (0, ""), " ".join(words))
        tap.check("sage" in done.stdout, f"{words}: no usage")
        check_screen(done.stdout, " ".join(words))


@tap.case("`pullkey help` lists commands, and each has a help of its own")
def commands():
    names = help_commands()
    tap.comment(", ".join(names))
    for name in ("login", "logout", "list", "config check", "config show", "store rekey",
                 "import", "version"):
        tap.check(name in names or name.split()[0] in names, f"{name} is not listed")
    texts = {name: run("pullkey", *name.split(), "--help").stdout for name in names}
    for name, text in texts.items():
        tap.check(name in text, f"the help of {name} does not name it")
        tap.equal(run("pullkey", "help", *name.split()).stdout, text, f"help {name}")


@tap.case("errors of use go to stderr with exit 2")
def usage_errors():
    for words in (["nosuchcommand"], ["login", "--no-such-option"], ["list", "too", "many"], []):
        done = run("pullkey", *words)
        tap.equal((done.returncode, done.stdout), (2, ""), str(words))
        tap.check(done.stderr.strip(), f"{words}: silent")


@tap.case("every program has a manual page with the usual parts")
def pages():
    for name, section in PROGRAMS.items():
        parts = sections(manual(name, section))
        for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
            tap.check(part in parts, f"{name}: no {part}")
        tap.check(name in parts["NAME"], name)
        tap.check(name.replace("pullkey-hosts", "pullkey hosts") in parts["SYNOPSIS"], name)


@tap.case("pullkey(1) has an entry for the usage of each command, and no other")
def entries_of_commands():
    found = entries(sections(manual("pullkey"))["COMMANDS"])
    tap.equal(sorted(found), sorted(usages()), "entries of COMMANDS")


@tap.case("pullkey(1) has each option of the helps once in OPTIONS, and knows no other")
def options():
    text = manual("pullkey")
    helps = run("pullkey", "help").stdout + "".join(usages().values())
    in_help = set(OPTION.findall(helps))
    tap.check(len(in_help) > 3, f"options of the help: {in_help}")
    found = OPTION.findall("\n".join(entries(sections(text)["OPTIONS"])))
    tap.equal(sorted(found), sorted(in_help), "entries of OPTIONS")
    tap.equal(sorted(set(OPTION.findall(text)) - in_help), [], "only in the manual")


if HAS_HOSTS:

    @tap.case("pullkey-hosts(8) has an entry for each command and each option, and no other")
    def hosts():
        text, usages_of = manual("pullkey-hosts", 8), hosts_usages()
        tap.check(len(usages_of) > 3, f"commands: {list(usages_of)}")
        parts = sections(text)
        found = entries(parts["COMMANDS"])
        tap.equal(sorted(found), sorted([*usages_of, "help [COMMAND]"]), "entries of COMMANDS")
        in_help = set(OPTION.findall("".join(usages_of.values()))) | {"-h"}
        found = OPTION.findall("\n".join(entries(parts["OPTIONS"])))
        tap.equal(sorted(found), sorted(in_help), "entries of OPTIONS")
        ours = set(OPTION.findall(run("pullkey", "help").stdout + "".join(usages().values())))
        # Lines that call other programs have their options.
        text = re.sub(r"^\s*(mkdir|systemctl) .*$", "", text, flags=re.M)
        tap.equal(sorted(set(OPTION.findall(text)) - in_help - ours), [], "only in the manual")


@tap.case("docker-credential-pullkey(1) and its help have the same verbs")
def verbs():
    text = sections(manual("docker-credential-pullkey"))
    usage = run("docker-credential-pullkey", "--help").stdout
    found = re.search(r"<([a-z|]+)>", usage)
    tap.check(found, usage)
    for verb in found[1].split("|"):
        tap.check(verb in text["SYNOPSIS"], f"{verb} is not in the synopsis")
        tap.check(re.search(rf"^\s+{verb}\b", "\n".join(text.values()), re.M), f"{verb}: not told")


@tap.case("the version is the same everywhere")
def version():
    one = run("pullkey", "version").stdout
    other = run("docker-credential-pullkey", "version").stdout
    number = re.compile(r"\b\d+\.\d+\.\d+\b")
    tap.equal(number.findall(one), number.findall(other))
    tap.equal(number.findall(one), [os.environ["PULLKEY_VERSION"]])


def source(name):
    with open(os.path.join(ROOT, "docs", "man", f"{name}.scd"), encoding="utf-8") as file:
        return file.read()


def headings(text):
    """The names that the entries of a list explain: lines of nothing but *name*, ... before a tab."""
    found = re.findall(r"^(\*[^\n]*\*)\n(?=\t)", text, re.M)
    return [name.replace("\\", "") for line in found for name in re.findall(r"\*([^*]+)\*", line)]


def option_tables():
    """The types of backends to their own options, by the schema: tests/unit/config-schema.py holds it against
    the tables of the programs."""
    with open(os.path.join(ROOT, "packaging", "config.schema.json"), encoding="utf-8") as file:
        definitions = json.load(file)["$defs"]
    common = set(definitions["instance"]["properties"])
    found = {
        name.removeprefix("backend-"): set(value["properties"]) - common
        for name, value in definitions.items()
        if name.startswith("backend-")
    }
    return definitions, common, found


@tap.case("pullkey-backends(7) has each backend, each of its options once, an example, and no other")
def backends():
    definitions, common, tables = option_tables()
    text = source("pullkey-backends.7")
    keys = re.search(r"^# KEYS OF ALL\n(.*?)^# ", text, re.M | re.S)[1]
    tap.equal(sorted(headings(keys)), sorted(common), "keys of all")
    listed = json.loads(run("pullkey", "backends", "--json").stdout)
    own = {one["type"] for one in listed if one["state"] != "absent"}
    tap.check(own <= set(tables), f"{own} are not all in the schema")
    body = re.search(r"^# BACKENDS\n(.*?)^# ", text, re.M | re.S)[1]
    parts = dict(re.findall(r"^## ([a-z]+)\n(.*?)(?=^## |\Z)", body, re.M | re.S))
    tap.equal(sorted(parts), sorted(tables), "backends")
    for name, part in parts.items():
        tap.equal(sorted(headings(part)), sorted(tables[name]), f"options of {name}")
        tap.check(f'"type": "{name}"' in part, f"{name}: no example")
    # Members of the objects that options of token are.
    token = definitions["backend-token"]["properties"]
    for option in ("aws", "google", "azure", "oauth"):
        for member in token[option].get("properties", {}):
            tap.check(f"*{member}*" in parts["token"], f"token: {option}: {member}")
    for member in definitions["token-identity"]["properties"]:
        tap.check(f'*"{member}"*' in parts["token"], f"token: identity: {member}")


@tap.case("pullkey.conf(5) has each key of the configuration and of a rule, and no other")
def keys():
    with open(os.path.join(ROOT, "packaging", "config.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    text = source("pullkey.conf.5")
    for part, known in (("KEYS", schema), ("RULES", schema["$defs"]["rule"])):
        found = headings(re.search(rf"^# {part}\n(.*?)^# ", text, re.M | re.S)[1])
        tap.equal(sorted(found), sorted(known["properties"]), part)


if HAS_HOSTS:

    def unknown(text):
        """The lines of hosts.toml in which `pullkey hosts check` finds a key that does nothing."""
        with tempfile.TemporaryDirectory() as root:
            for path, what in (
                ("etc/containerd/certs.d/r.example/hosts.toml", text),
                ("etc/containerd/config.toml", "version = 2\n"),
            ):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(what)
            done = run("pullkey", "hosts", "check", "--json", "--root", root)
            found = json.loads(done.stdout)["findings"]
        names = ("unknown-key", "helper-misplaced")
        return [one["line"] for one in found if one["id"] in names]

    @tap.case("pullkey-hosts.toml(5) has the keys that the program knows, and no other")
    def hosts_keys():
        text = source("pullkey-hosts.toml.5")
        values = {
            "capabilities": '["pull"]', "ca": '"/ca"', "client": '"/c"', "skip_verify": "false", "header": "{}",
            "override_path": "false", "dial_timeout": '"5s"', "credHelper": '"pullkey"', "assumeLifetime": '"1h"',
            "allowInsecure": "true",
        }
        tables = {"CONTAINERD": '[host."https://r.example"]', "PULLKEY": '[host."https://r.example".auth]'}
        for part, table in tables.items():
            found = headings(re.search(rf"^# KEYS OF {part}\n(.*?)^# ", text, re.M | re.S)[1])
            tap.check(len(found) >= 3, f"{part}: {found}")
            for key in values:
                lines = unknown(f"{table}\n{key} = {values[key]}\n")
                # A helper may be named in either.
                known = key in found or key == "credHelper"
                tap.equal(lines, [] if known else [2], f"{table} {key}")
            tap.equal(sorted(set(found) - set(values)), [], f"{part}: keys that this test does not know")


sys.exit(tap.run())
