# SPDX-License-Identifier: Apache-2.0
"""pullkey login: where the credential comes from, where it goes, and what it refuses."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import case, check, equal, run
from terminal import STOPPED, Terminal

MARKER = "marker-7d20e1"
SERVER = "registry.example.com"
UNCHECKED = ["--no-verify", SERVER]


def login(home, *arguments, text="", env=None):
    return home.run([home.pullkey, "login", *arguments], text, env)


def fails(done, status, *words):
    """One line on stderr that says these words, nothing on stdout, and no secret anywhere."""
    equal(done.returncode, status, done.stderr)
    equal(done.stdout, "")
    equal(done.stderr.count("\n"), 1, done.stderr)
    check(done.stderr.startswith("pullkey: "), done.stderr)
    check(MARKER not in done.stderr, done.stderr)
    for word in words:
        check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")


@case("the password from stdin, to its end, less one line end")
def from_stdin():
    for text in (MARKER, MARKER + "\n", MARKER + "\r\n"):
        with Home() as home:
            done = login(home, "-u", "alice", "--password-stdin", *UNCHECKED, text=text)
            equal(done.returncode, 0, done.stderr)
            equal(done.stderr, "")
            equal(
                done.stdout,
                f"Stored a credential for {SERVER} as alice in file (encrypted); "
                "it was not checked\n",
            )
            answer = home.get(SERVER)
            equal((answer["Username"], answer["Secret"]), ("alice", MARKER))
            equal(home.find_text(MARKER), [])


@case("the result as JSON")
def as_json():
    with Home() as home:
        done = login(home, "-ualice", "--password-stdin", "--json", *UNCHECKED, text=MARKER)
        equal(
            json.loads(done.stdout),
            {
                "registry": SERVER,
                "username": "alice",
                "stored": True,
                "source": "file",
                "encrypted": True,
                "verified": False,
            },
        )


@case("without a registry: Docker Hub")
def hub():
    with Home() as home:
        done = login(home, "-ualice", "--password-stdin", "--no-verify", text=MARKER)
        equal(done.returncode, 0, done.stderr)
        equal(home.get("https://index.docker.io/v1/")["Secret"], MARKER)


@case("an identity token has the user name <token>")
def identity_token():
    for options in (["--identity-token"], ["--username=<token>"]):
        with Home() as home:
            done = login(home, *options, "--password-stdin", *UNCHECKED, text=MARKER)
            equal(done.returncode, 0, done.stderr)
            equal(home.get(SERVER)["Username"], "<token>")
    with Home() as home:
        done = login(home, "--identity-token", "-ualice", "--password-stdin", *UNCHECKED, text="x")
        fails(done, 2, "--username")


@case("a secret of 64 KiB is stored, a longer one refused")
def limits():
    with Home() as home:
        arguments = ["-ualice", "--password-stdin", *UNCHECKED]
        equal(login(home, *arguments, text="x" * 65536 + "\n").returncode, 0)
        equal(home.get(SERVER)["Secret"], "x" * 65536)
        fails(login(home, *arguments, text="y" * 65537), 1, "65536")
        fails(login(home, *arguments, text="y" * 200000), 1, "stdin")
        equal(home.get(SERVER)["Secret"], "x" * 65536, "what was there stays")


@case("what cannot be a credential is refused, and nothing is stored")
def refused():
    with Home() as home:
        for user, text, word in (
            ("alice", "", "empty"),
            ("alice", "\n", "empty"),
            ("alice", f"{MARKER}\nsecond\n", "line"),
            ("alice", f"{MARKER}\0tail", "NUL"),
            ("al:ice", MARKER, "colon"),
            ("al\tice", MARKER, "control"),
            ("a" * 4097, MARKER, "4096"),
        ):
            done = login(home, "-u", user, "--password-stdin", *UNCHECKED, text=text)
            fails(done, 1, word)
        for server in ("a b", "u:p@host", "host.", "ho%73t", "-", "h\u00f6st"):
            done = login(
                home, "-ualice", "--password-stdin", "--no-verify", "--", server, text=MARKER
            )
            fails(done, 1, "name of a registry")
        equal(home.list(), {})


@case("a password in the command line is refused and not repeated")
def in_argv():
    with Home() as home:
        for arguments in (
            [f"-p{MARKER}"],
            ["-p", MARKER],
            [f"--password={MARKER}"],
            ["--password", MARKER],
        ):
            fails(login(home, "-ualice", *arguments, *UNCHECKED), 2, "--password-stdin")
        fails(login(home, f"--passwort={MARKER}"), 2, "--passwort")
        fails(login(home, f"--json={MARKER}"), 2, "--json")
        fails(login(home, SERVER, MARKER, MARKER), 2, "too many")
        equal(home.list(), {})


@case("options that do not go together")
def options():
    with Home() as home:
        fails(login(home, "--password-stdin", *UNCHECKED, text=MARKER), 2, "--username")
        fails(login(home, "--ca-file", "/x", "--no-verify"), 2, "--ca-file")
        fails(login(home, "-u"), 2, "--username needs a value")
        fails(login(home, "--username", "--password-stdin"), 2, "--username needs a value")
        fails(login(home, "--username="), 2, "empty")
        fails(login(home, "--json", "--json"), 2, "twice")
        fails(login(home, "--from", "x"), 2, "takes no --from")


@case("another source that answers first: exit 1, and it is named")
def other_source():
    with Home() as home:
        home.write(
            ".config/pullkey/config.json",
            """{ "version": 1,
                 "backends": { "ci": { "type": "env", "username": "CI_USER",
                                       "password": "CI_PASSWORD" } },
                 "rules": [ { "match": "registry.example.com", "use": ["ci", "file"] } ] }""",
        )
        arguments = ["-ualice", "--password-stdin", *UNCHECKED]
        env = {"CI_USER": "robot", "CI_PASSWORD": MARKER}
        done = login(home, *arguments, text="other", env=env)
        fails(done, 1, "stored in file", "credential of ci", "rule 1 of", "config.json")
        equal(login(home, *arguments, text="other").returncode, 0, "without it in the environment")


@case("a read-only store that \"store\" names is said before a password is asked for")
def unwritable():
    with Home() as home:
        home.write(
            ".config/pullkey/config.json",
            """{ "version": 1, "backends": { "docker": { "type": "file",
                 "sources": ["~/.docker/config.json"] } }, "default": ["docker", "file"],
                 "store": "docker" }""",
        )
        fails(login(home, *UNCHECKED), 1, "nothing can be stored", '"store" names docker', "only read")


@case("where no login is needed: the rule is named, or the login ignored")
def no_login():
    with Home() as home:
        text = """{ "version": 1, "rules": [ { "match": "registry.example.com", %s
            "use": [ { "type": "env", "username": "CI_USER", "password": "CI_PASSWORD" } ] } ] }"""
        arguments = ["-ualice", "--password-stdin", *UNCHECKED]
        home.write(".config/pullkey/config.json", text % "")
        fails(login(home, *arguments, text=MARKER), 1, "no login is needed", "rule 1")
        # Before anybody is asked for a password: without a terminal that would be the error.
        fails(login(home, *UNCHECKED), 1, "no login is needed")
        home.write(".config/pullkey/config.json", text % '"on_store": "ignore",')
        done = login(home, *arguments, text=MARKER)
        equal(done.returncode, 0, done.stderr)
        check("Nothing was stored" in done.stdout, done.stdout)


@case("without a terminal: an error that says what to do")
def no_terminal():
    with Home() as home:
        done = home.run(["setsid", "-w", home.pullkey, "login", *UNCHECKED])
        fails(done, 1, "no terminal", "--username and --password-stdin")


def on_terminal(home, *arguments):
    return Terminal([home.pullkey, "login", *arguments, *UNCHECKED], home.env)


@case("asks for user and password; the password is not shown")
def prompts():
    with Home() as home, on_terminal(home) as terminal:
        terminal.expect(f"User name for {SERVER}: ")
        check(terminal.echoes(), "the user name is not shown")
        terminal.type("alice\n")
        terminal.expect("Password of alice: ")
        check(not terminal.echoes(), "the password would be shown")
        terminal.type(MARKER + "\n")
        equal(terminal.wait(), 0, terminal.output)
        equal(terminal.settings(), terminal.before, "the terminal is as it was")
        check("alice" in terminal.output, "the user name was echoed")
        check(MARKER not in terminal.output, terminal.output)
        equal(home.get(SERVER)["Secret"], MARKER)


@case("a killing signal at the prompt: the terminal is as it was, nothing is stored")
def killed():
    for number, key in (
        (signal.SIGINT, "\x03"),
        (signal.SIGQUIT, "\x1c"),
        (signal.SIGTERM, None),
        (signal.SIGHUP, None),
        (signal.SIGUSR1, None),
        (signal.SIGUSR2, None),
    ):
        with Home() as home, on_terminal(home, "-ualice") as terminal:
            terminal.expect("Password of alice: ")
            check(not terminal.echoes(), "the password would be shown")
            terminal.type("half")
            terminal.type(key) if key else terminal.kill(number)
            equal(terminal.wait(), -number, terminal.output)
            equal(terminal.settings(), terminal.before, f"after {number}")
            check("half" not in terminal.output, terminal.output)
            equal(home.list(), {})


@case("stopped at the prompt: the terminal is as it was, and it asks again")
def stopped():
    with Home() as home, on_terminal(home, "-ualice") as terminal:
        terminal.expect("Password of alice: ")
        terminal.type("half\x1a")
        equal(terminal.wait(), STOPPED, terminal.output)
        equal(terminal.settings(), terminal.before, "while stopped")
        terminal.kill(signal.SIGCONT)
        terminal.expect("Password of alice: ")
        check(not terminal.echoes(), "the password would be shown")
        terminal.type(MARKER + "\n")
        equal(terminal.wait(), 0, terminal.output)
        equal(terminal.settings(), terminal.before)
        equal(home.get(SERVER)["Secret"], MARKER)
        check(MARKER not in terminal.output and "half" not in terminal.output, terminal.output)


@case("an empty line, the end of input, and a line that a terminal would cut")
def bad_lines():
    for typed, word in (("\n", "nothing was entered"), ("\x04", "nothing was entered")):
        with Home() as home, on_terminal(home, "-ualice") as terminal:
            terminal.expect("Password of alice: ")
            terminal.type(typed)
            equal(terminal.wait(), 1, terminal.output)
            check(word in terminal.output, terminal.output)
            equal(terminal.settings(), terminal.before)
    with Home() as home, on_terminal(home, "-ualice") as terminal:
        terminal.expect("Password of alice: ")
        for _ in range(5):
            terminal.type("x" * 1000)
        terminal.type("\n")
        equal(terminal.wait(), 1, terminal.output)
        check("too long for a terminal" in terminal.output, terminal.output)
        equal(home.list(), {})


@case("--password-stdin on a terminal is refused: it would show the password")
def stdin_terminal():
    with Home() as home, on_terminal(home, "-ualice", "--password-stdin") as terminal:
        equal(terminal.wait(), 2, terminal.output)
        check("leave out --password-stdin" in terminal.output, terminal.output)


@case("a case that fails ends its program, also a stopped one that is deaf to signals")
def failing_case():
    for words in ("read line", "kill -STOP $$"):
        script = f"trap '' HUP INT TERM; echo ready; {words}"
        with Home() as home:
            terminal = Terminal(["/bin/sh", "-c", script], home.env)
            try:
                with terminal:
                    terminal.expect("ready")
                    if words.startswith("kill"):
                        equal(terminal.wait(), STOPPED)
                    raise KeyError(words)
            except KeyError:
                pass
            try:
                os.killpg(terminal.pid, 0)
            except ProcessLookupError:
                continue
            raise AssertionError(f"{words}: it is still there")


if __name__ == "__main__":
    sys.exit(run())
