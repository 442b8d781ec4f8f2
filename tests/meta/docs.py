# SPDX-License-Identifier: Apache-2.0
"""Manual pages, and what --help says, agree with each other."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

BINDIR, MANDIR = os.environ["PULLKEY_BINDIR"], os.environ["PULLKEY_MANDIR"]

HAS_HOSTS = "hosts" in os.environ["PULLKEY_FEATURES"].split()
PROGRAMS = {"docker-credential-pullkey": 1, "pullkey": 1, "pullkey-kubelet": 8}
if HAS_HOSTS:
    PROGRAMS["pullkey-hosts"] = 8
KUBELET = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
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


sys.exit(tap.run())
