# SPDX-License-Identifier: Apache-2.0
"""pullkey's other commands: help, list, logout, config, version, and the command line itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import Skip, case, check, equal, run
from terminal import Terminal

MARKER = "marker-c04d77"
CONFIG = ".config/pullkey/config.json"
COMMANDS = [
    "login",
    "logout",
    "unlock",
    "list",
    "import",
    "run",
    "export",
    "store rekey",
    "doctor",
    "explain",
    "status",
    "cache list",
    "cache clear",
    "recipe test",
    "backends",
    "version",
    "setup",
    "config check",
    "config show",
    "config add",
    "kubelet check",
    "kubelet config",
    "help",
]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def pullkey(home, *arguments, text="", env=None):
    return home.run([home.pullkey, *arguments], text, env)


def login(home, server, user="alice"):
    home.login(server, user, MARKER, "--no-verify").check_returncode()


def usage_error(home, *arguments):
    done = pullkey(home, *arguments)
    equal((done.returncode, done.stdout), (2, ""), f"{arguments}: {done.stderr}")
    equal(done.stderr.count("\n"), 1, done.stderr)
    check(done.stderr.startswith(("pullkey: ", "pullkey-hosts: ")), done.stderr)
    return done.stderr


@case("help fits a terminal of 80 columns and 24 lines, and names every command and option")
def helps():
    with Home() as home:
        overview = pullkey(home, "help").stdout
        for words in [""] + COMMANDS:
            text = home.succeed([home.pullkey, "help", *words.split()])
            equal(text, home.succeed([home.pullkey, *words.split(), "--help"]), words)
            equal(text, home.succeed([home.pullkey, "-h", *words.split()]), words)
            check(len(lines := text.splitlines()) <= 24, f"{words}: {len(lines)} lines")
            check(max(map(len, lines)) <= 80, f"{words}: {max(map(len, lines))} columns")
            check(lines[0].startswith(f"Usage: pullkey {words}".rstrip()), lines[0])
        # Each has a line, or its second word a place in the line of its first.
        named = []
        for first, rest in re.findall(r"^[A-Z ].{11} ([a-z]+) {2,}(.*)$", overview, re.M):
            seconds = re.match(r"([a-z|]+)  ", rest)
            named += [f"{first} {second}" for second in seconds[1].split("|")] if seconds else [first]
        check("\n\"pullkey help COMMAND\"" in overview, overview)
        equal(sorted(named + ["help"]), sorted(COMMANDS + ["hosts"] * has_hosts()))
        groups = {words.split()[0] for words in COMMANDS if " " in words}
        for group in groups:
            text = pullkey(home, "help", group).stdout
            equal(text, pullkey(home, group, "--help").stdout)
            lines = text.splitlines()
            check(len(lines) <= 24 and max(map(len, lines)) <= 80, text)
            seconds = [words.split()[1] for words in COMMANDS if words.startswith(group + " ")]
            if len(seconds) > 1:
                equal(sorted(line.split()[0] for line in lines if line.startswith("  ")), sorted(seconds))
            else:
                equal(text, pullkey(home, "help", group, *seconds).stdout)


@case("a wrong command line: one line, exit 2")
def usage():
    with Home() as home:
        for arguments, word in (
            ([], "no command"),
            (["frobnicate"], "frobnicate"),
            (["help", "frobnicate"], "frobnicate"),
            (["--help", "frobnicate"], "frobnicate"),
            (["config"], "second word"),
            (["config", "frobnicate"], "\"config frobnicate\""),
            (["list", "x"], "too many"),
            (["logout", "a", "b"], "too many"),
            (["logout", ""], "empty"),
            (["list", "-u", "x"], "--username"),
            (["list", "-x"], "-x"),
            (["version", "--jso"], "--jso"),
            (["store", "rekey", "--from", "x"], "--from"),
            (["../hosts"], "../hosts"),
            (["--version", "x"], "--version"),
            (["logn"], 'did you mean "login"?'),
            (["lgoin", "r.example.com"], 'did you mean "login"?'),
            (["help", "lsit"], 'did you mean "list"?'),
            (["confg"], 'did you mean "config"?'),
            (["confg", "chek"], 'did you mean "config check"?'),
            (["config", "shwo"], 'did you mean "config show"?'),
            (["kubelet", "chekc"], 'did you mean "kubelet check"?'),
            (["help", "kubelet", "cofnig"], 'did you mean "kubelet config"?'),
            *([(["hosts", "doctr"], 'did you mean "doctor"?'), (["hosts", "help", "stauts"], 'did you mean "status"?'),
               (["hosts", "frobnicate"], 'run "pullkey hosts help"')] if has_hosts() else []),
            (["list", "--jsno"], 'did you mean "--json"?'),
            (["login", "--user", "x"], 'did you mean "--username"?'),
            (["doctor", "--frob", "x"], 'run "pullkey help"'),
            (["--frob", "x"], 'did you mean "--from"?'),
            (["ab"], 'run "pullkey help"'),
            (["config", "frobnicate"], 'run "pullkey help"'),
            (["kubelet", "config", "--cache-type", MARKER], "--cache-type takes ServiceAccount|Token"),
        ):
            check(MARKER not in usage_error(home, *arguments), arguments)
            check(word in usage_error(home, *arguments), arguments)


@case("options stand before or behind the command")
def order():
    with Home() as home:
        equal(pullkey(home, "--json", "list").stdout, "[]\n")
        equal(pullkey(home, "list", "--json").stdout, "[]\n")
        equal(pullkey(home, "logout", "--", "-x").returncode, 1)


@case("version")
def version():
    with Home() as home:
        text = pullkey(home, "--version").stdout
        equal(text, pullkey(home, "version").stdout)
        check(re.match(r"pullkey \d+\.\d+\.\d+ \((modules in /.*/pullkey|modules built in)\)\n", text), text)
        found = json.loads(pullkey(home, "version", "--json").stdout)
        equal(found["parts"]["file"], "present")
        backends = json.loads(pullkey(home, "backends", "--json").stdout)
        equal({row["type"] for row in backends} - set(found["parts"]), set())
        for part, state in found["parts"].items():
            check(re.search(rf"^  {part} +{state}", text, re.M), f"{part} {state}: {text}")
            file = "net" if part in ("kubernetes", "probe", "token") else part  # these are one file
            module = os.path.join(os.environ["PULLKEY_MODULES"], file + ".so")
            if found["linkage"] == "modules" and part not in ("file", "env", "exec"):
                equal(state, "present" if os.path.exists(module) else "absent", part)


@case("backends: which are there, why others are not, and what each finds on this machine")
def backends():
    with Home() as home:

        def found():
            rows = json.loads(pullkey(home, "backends", "--json").stdout)
            return {row.pop("type"): row for row in rows}

        text = pullkey(home, "backends").stdout
        check(re.match(r"TYPE +STATE +CAN +HERE\nfile +built in  get, store, list +0 entries\n", text), text)
        rows = found()
        check({"file", "env", "exec", "keyring", "kubernetes", "token"} == set(rows), rows)
        parts = json.loads(pullkey(home, "version", "--json").stdout)
        for part in ("keyring", "kubernetes"):
            state = {"present": "module" if parts["linkage"] == "modules" else "built in"}
            equal(rows[part]["state"], state.get(parts["parts"][part], "absent"), part)
            if rows[part]["state"] == "absent":
                check(part in rows[part]["here"], "why it is absent")
        equal((rows["env"]["here"], rows["exec"]["state"]), ("nothing", "built in"))
        helpers = [
            name.removeprefix("docker-credential-")
            for place in (home.bindir, "/usr/local/bin", "/usr/bin")
            for name in os.listdir(place)
            if name.startswith("docker-credential-") and name != "docker-credential-pullkey"
        ]
        # Other tests have helpers there for a while.
        lasting = [name for name in helpers if not name.startswith("test-")]
        here = rows["exec"]["here"].replace("nothing", "").split(", ")
        equal(sorted(name for name in here if name and not name.startswith("test-")), sorted(lasting))
        login(home, "registry.example.com")
        home.env["DOCKER_AUTH_CONFIG"] = "{}"
        home.env["AWS_PROFILE"] = home.env["KUBECONFIG"] = MARKER
        home.write(".aws/config", "")
        home.write(".kube/config", "")
        home.write(CONFIG, '{"version": 1, "default": ["file", {"type": "nothere"}]}')
        rows = found()
        equal((rows["file"]["here"], rows["env"]["here"]), ("1 entry", "DOCKER_AUTH_CONFIG"))
        check(rows["nothere"]["state"] == "absent" and "nothere" in rows["nothere"]["here"], rows)
        check(MARKER not in str(rows), "the value of a variable")
        if "absent" not in (rows["kubernetes"]["state"], rows["token"]["state"]):
            equal(rows["kubernetes"]["here"].split(", ")[:2], ["KUBECONFIG", "~/.kube/config"])
            equal(rows["token"]["can"], "get, expires")
            here = rows["token"]["here"]
            check("AWS_PROFILE" in here and "~/.aws/config" in here and re.search(r"; \d+ recipes$", here), here)
            equal(here.count("KUBECONFIG"), 1, "which is declared twice")
        home.write(".config/pullkey/auth.cms", "rubbish")
        check(home.path in found()["file"]["here"], "a store that cannot be read")


@case("list: registry, user and source, no secret")
def lists():
    with Home() as home:
        equal((pullkey(home, "list").returncode, pullkey(home, "list").stdout), (0, ""))
        equal(pullkey(home, "list", "--json").stdout, "[]\n")
        login(home, "registry.example.com")
        login(home, "a.example.com:5000", "b\u00f6b")
        equal(
            pullkey(home, "list").stdout,
            "REGISTRY              USER   SOURCE\n"
            "a.example.com:5000    b\u00f6b    file\n"
            "registry.example.com  alice  file\n",
        )
        equal(
            json.loads(pullkey(home, "list", "--json").stdout),
            [
                {"registry": "a.example.com:5000", "username": "b\u00f6b", "source": "file"},
                {"registry": "registry.example.com", "username": "alice", "source": "file"},
            ],
        )


@case("list: an empty list says so on a terminal")
def empty():
    with Home() as home, Terminal([home.pullkey, "list"], home.env) as terminal:
        equal(terminal.wait(), 0)
        check("Nothing is stored" in terminal.output, terminal.output)


@case("list: names from a file cannot drive the terminal")
def harmless():
    with Home() as home:
        path = home.write(
            "docker.json",
            json.dumps(
                {
                    "auths": {
                        "r.example.com": {"username": "a\u001b[2J\u009b\nx", "password": MARKER}
                    }
                }
            ),
        )
        config = {"version": 1, "default": [{"type": "file", "sources": [path]}]}
        home.write(CONFIG, json.dumps(config))
        text = pullkey(home, "list").stdout
        equal(text.splitlines()[1:], ["r.example.com  a?[2J???x  file"])


@case("logout: of one registry, of one that is not there, of a store that fails")
def logout():
    with Home() as home:
        login(home, "registry.example.com")
        login(home, "other.example.com")
        done = pullkey(home, "logout", "https://registry.example.com/v2/")
        equal(done.returncode, 0, done.stderr)
        equal(done.stdout, "Removed the credential for https://registry.example.com/v2/\n")
        equal(home.list(), {"other.example.com": "alice"})
        done = pullkey(home, "logout", "registry.example.com")
        equal((done.returncode, done.stderr), (0, ""))
        check("There was no credential" in done.stdout, done.stdout)
        equal(
            json.loads(pullkey(home, "logout", "other.example.com", "--json").stdout),
            {"registry": "other.example.com", "removed": True},
        )
        login(home, "docker.io")
        equal(pullkey(home, "logout").stdout, "Removed the credential for docker.io\n")
        home.write(".config/pullkey/auth.cms", "rubbish")
        done = pullkey(home, "logout", "other.example.com")
        equal((done.returncode, done.stdout), (1, ""))
        equal(home.read(".config/pullkey/auth.cms"), "rubbish")


@case("logout: what clients still get afterwards is named, and a failure")
def logged_out_in_part():
    with Home() as home:
        home.write(
            ".config/pullkey/config.json",
            """{ "version": 1, "backends": { "docker": { "type": "file",
                 "sources": ["~/.docker/config.json"] } }, "default": ["file", "docker"] }""",
        )
        entry = json.dumps({"auths": {"registry.example.com": {"auth": "YTpi"}}})
        home.write(".docker/config.json", entry)
        login(home, "registry.example.com")
        for said in ("the stored credential is removed", "nothing was removed"):
            done = pullkey(home, "logout", "registry.example.com")
            equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
            check(f"{said}, but clients still get" in done.stderr, done.stderr)
            check("from docker: remove it there" in done.stderr, done.stderr)
        equal(home.read(".docker/config.json"), entry)
        # What serves a longer path is another entry, and stays.
        login(home, "other.example.com")
        login(home, "other.example.com/team")
        done = pullkey(home, "logout", "other.example.com/team")
        equal((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)
        check("from file still" in done.stderr, done.stderr)


@case("a backend that takes its time: at a terminal a line says so, elsewhere none")
def slow():
    with Home() as home:
        gate = os.path.join(home.path, "gate")
        os.mkfifo(gate)
        # Answers once somebody has opened the gate.
        program = home.write("docker-credential-slow", f"#!/bin/sh\nread go <{gate}\necho '{{}}'\n")
        os.chmod(program, 0o755)
        home.write(
            ".config/pullkey/config.json",
            '{"version": 1, "default": [{"type": "exec", "path": "%s"}]}' % program,
        )
        with Terminal([home.pullkey, "list"], home.env) as terminal:
            terminal.expect("Still waiting for an answer")
            with open(gate, "w", encoding="ascii") as file:
                file.write("go\n")
            equal(terminal.wait(), 0)
        if not shutil.which("strace"):
            raise Skip("there is no strace")
        # Elsewhere nothing is set up that could say it.
        home.write("docker-credential-slow", "#!/bin/sh\necho '{}'\n")
        trace = os.path.join(home.path, "trace")
        done = home.run(["strace", "-o", trace, "-e", "trace=alarm", home.pullkey, "list"])
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
        check("alarm(1)" not in home.read("trace"), home.read("trace"))


RULES = """{
  "version": 1,
  "backends": {
    "ci": { "type": "env", "username": "CI_USER", "password": "CI_PASSWORD", "x-note": 1 }
  },
  "rules": [
    { "match": "*.example.com", "use": ["ci", "file"] },
    { "match": ["good.example.org", "a.example.com"], "use": "file" },
    { "match": "b.example.com", "when": { "caller": "kubelet" }, "use": "file" },
    { "match": "registry.example.net/team", "use": "file" }
  ],
  "default": ["file"]
}
"""


@case("config check: rules that are never reached, and paths that docker never sends")
def check_rules():
    with Home() as home:
        path = home.write(CONFIG, RULES)
        done = pullkey(home, "config", "check")
        equal((done.returncode, done.stderr), (1, ""))
        equal(
            done.stdout,
            f'warning: {path}:8: "a.example.com" is never reached: the rule at {path}:7 '
            "comes first\n"
            f'note: {path}:10: "registry.example.net/team" has a path: docker, podman, nerdctl '
            "and containerd never send one, crane, cosign and kaniko do\n",
        )
        found = json.loads(pullkey(home, "config", "check", "--json").stdout)
        equal(found["files"], [path])
        equal([f["level"] for f in found["findings"]], ["warning", "note"])


@case("config check: nothing to say, and notes alone, are fine")
def check_fine():
    with Home() as home:
        done = pullkey(home, "config", "check")
        equal(done.returncode, 0, done.stdout)
        check("No problem found in 0 files" in done.stdout, done.stdout)
        home.write(CONFIG, '{"version": 1, "rules": [{"match": "a.b.cd/e", "use": "file"}]}')
        done = pullkey(home, "config", "check")
        equal(done.returncode, 0, done.stdout)
        check("note: " in done.stdout, done.stdout)


@case("config check: after \"**\" nothing is reached, and a pattern covers what it matches")
def check_shadow():
    with Home() as home:
        for first, second, hidden in (
            ("**", "*.example.com", True),
            ("*.example.com", "*.example.com", True),
            ("*.example.com", "x.example.com", True),
            ("*.example.com", "x.example.com/team", True),
            ("x.example.com/team", "x.example.com", False),
            ("x.example.com", "x.example.com:5000", False),
            ("x.example.com", "*.example.com", False),
        ):
            rules = [{"match": first, "use": "file"}, {"match": second, "use": "file"}]
            home.write(CONFIG, json.dumps({"version": 1, "rules": rules}))
            done = pullkey(home, "config", "check")
            equal("never reached" in done.stdout, hidden, f"{first} before {second}")
            equal(done.returncode, 1 if hidden else 0, f"{first} before {second}")


@case("config check: what cannot work is named with its place")
def check_errors():
    with Home() as home:
        for text, words in (
            ('{"version": 1,\n"frob": 1}', [":2: frob"]),
            ('{"version": 1, "backends": {\n"x": {"type": "nothere"}}}', [":2: x: ", "nothere"]),
            ('{"version": 1, "backends": {"x":\n{"type": "env", "frob": 1}}}', [":2: ", "frob"]),
            ('{"version": 1, "default": [\n{"type": "file", "path": 7}]}', [":2: ", "string"]),
            ('{"version": 1, "backends": {"x": {"type": "file", "key": "k"}}}', ["absolute"]),
        ):
            path = home.write(CONFIG, text)
            done = pullkey(home, "config", "check")
            equal(done.returncode, 1, done.stdout)
            check(done.stdout.startswith(f"error: {path}:"), done.stdout)
            equal(done.stdout.count("\n"), 1, done.stdout)
            for word in words:
                check(word in done.stdout, f"{word!r} is not in {done.stdout!r}")
        os.chmod(path, 0o666)
        check("chmod go-w" in pullkey(home, "config", "check").stdout, "a mode is named")


@case("config check: a store that does not open")
def check_store():
    with Home() as home:
        login(home, "registry.example.com")
        key = os.path.join(home.path, ".local/state/pullkey/store.key")
        os.chmod(key, 0o644)
        done = pullkey(home, "config", "check")
        equal(done.returncode, 1, done.stdout)
        check(key in done.stdout and "chmod 0400" in done.stdout, done.stdout)


@case("config show: every part with its place, secrets masked")
def show():
    with Home() as home:
        path = home.write(
            CONFIG,
            RULES.replace('"x-note": 1', f'"x-password": "{MARKER}", "x-Token": "{MARKER}", "optional": true'),
        )
        text = home.succeed([home.pullkey, "config", "show"])
        for word in (path, "ci (env, ", ":4)", "CI_PASSWORD", "*.example.com", "***", "}, optional\n"):
            check(word in text, f"{word!r} is not in {text!r}")
        shown = home.succeed([home.pullkey, "config", "show", "--json"])
        check(MARKER not in text + shown, "a secret is shown")
        found = json.loads(shown)
        equal(found["files"], [path])
        equal(found["backends"][0]["options"]["password"], "CI_PASSWORD")
        first = found["rules"][0]["use"][0]
        check(first["optional"] is True and "optional" not in first["options"], first)
        equal(found["rules"][2]["when"], {"caller": "kubelet"})
        equal([use["name"] for use in found["rules"][0]["use"]], ["ci", "file"])
        equal(found["default"]["from"], f"{path}:12")


@case("config show: where a token is, and what it is, is no secret")
def show_places():
    with Home() as home:
        oauth = {
            "token_url": f"https://sts.example.com/token?api_key={MARKER}",
            "grant": "refresh-token",
            "refresh_token_file": "/run/refresh",
            "subject_token_type": "jwt",
            "token": MARKER,
            "token_of_mine": MARKER,
            "token_files": MARKER,
        }
        rule = {"match": "**", "use": [{"type": "token", "recipe": "oauth", "oauth": oauth}]}
        home.write(CONFIG, json.dumps({"version": 1, "rules": [rule]}))
        shown = json.loads(home.succeed([home.pullkey, "config", "show", "--json"]))
        masked = {name: "***" for name, value in oauth.items() if value == MARKER}
        equal(shown["rules"][0]["use"][0]["options"]["oauth"], {**oauth, **masked, "token_url": "https://sts.example.com/token"})


@case("--system leaves the user's configuration out")
def system():
    with Home() as home:
        home.write(CONFIG, RULES)
        shown = pullkey(home, "config", "show", "--system", "--json")
        if shown.returncode != 0:
            raise Skip(f"the system's own configuration is broken: {shown.stderr}")
        found = json.loads(shown.stdout)
        equal(found["system"], True)
        check(not any(home.path in name for name in found["files"]), found["files"])


@case("an unknown command is a program beside the modules, if there is one")
def program():
    with Home() as home:
        libexec = os.path.join(os.environ["PULLKEY_PREFIX"], "libexec/pullkey")
        path = os.path.join(libexec, "pullkey-testing")
        try:
            os.makedirs(libexec, exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write('#!/bin/sh\necho "$@"; exit 7\n')
        except PermissionError:
            raise Skip(f"{libexec} is not ours to write to")
        try:
            os.chmod(path, 0o755)
            done = pullkey(home, "--json", "testing", "a", "-x", "--help")
            equal((done.returncode, done.stdout), (7, "--json a -x --help\n"), done.stderr)
            check("../pullkey" in usage_error(home, "../pullkey/pullkey-testing"), "a path")
        finally:
            os.unlink(path)
        usage_error(home, "testing")


@case("no colour without a terminal, with NO_COLOR, or on a dumb terminal")
def colour():
    with Home() as home:
        home.write(CONFIG, RULES)
        login(home, "registry.example.net")
        for words in ("config check", "help", "list"):
            check("\033" not in pullkey(home, *words.split()).stdout, "into a pipe")
        for env, coloured in (
            ({"TERM": "xterm"}, True),
            ({"TERM": "xterm", "NO_COLOR": "1"}, False),
            ({"TERM": "dumb"}, False),
            ({}, False),
        ):
            with Terminal([home.pullkey, "config", "check"], {**home.env, **env}) as terminal:
                equal(terminal.wait(), 1)
                equal("\033[33mwarning:" in terminal.output, coloured, env)
            for words, head in (("help", "\033[1mUsage:\033[0m"), ("list", "\033[1mREGISTRY")):
                with Terminal([home.pullkey, words], {**home.env, **env}) as terminal:
                    equal(terminal.wait(), 0)
                    equal(head in terminal.output, coloured, env)


@case("a result that cannot be written is a failure")
def full():
    with Home() as home, open("/dev/full", "w", encoding="ascii") as sink:
        done = subprocess.run(
            [home.pullkey, "help"], env=home.env, stdout=sink, stderr=subprocess.PIPE, text=True
        )
        equal(done.returncode, 1)
        check("stdout" in done.stderr, done.stderr)


@case("no secret in any output or log")
def quiet():
    with Home() as home:
        log = os.path.join(home.path, "log")
        home.env["PULLKEY_LOG"] = log
        texts = [home.login("r.example.com", "alice", MARKER, "--no-verify")]
        for words in COMMANDS + ["explain r.example.com", "logout r.example.com"]:
            for option in ([], ["--json"]):
                texts.append(pullkey(home, *words.split(), *option))
        output = "".join(done.stdout + done.stderr for done in texts)
        check(MARKER not in output + home.read("log"), "the secret is there")


@case("completion: what the help names, values of options, registries, files")
def completion():
    with Home() as home:

        def complete(*words):
            done = pullkey(home, "--complete", *words)
            equal((done.returncode, done.stderr), (0, ""), words)
            return [line.split("\t")[0] for line in done.stdout.splitlines()]

        firsts = list(dict.fromkeys(command.split()[0] for command in COMMANDS))
        hosts = ["hosts"] * has_hosts()
        equal(complete(), firsts + hosts + ["--system", "--json", "--help"])
        equal(complete("help"), firsts + hosts)
        equal(complete("help", "config"), complete("config"))
        for command in COMMANDS:
            help_text = pullkey(home, "help", *command.split()).stdout
            shown = re.findall(r"^  (?:-., |    )(--[a-z-]+)", help_text, re.M)
            if command != "help":
                found = [word for word in complete(*command.split()) if word.startswith("-")]
                equal(sorted(found), sorted(shown), command)
        login(home, "r.example.com:5000")
        login(home, "a.example.com")
        stored = ["a.example.com", "r.example.com:5000"]
        equal(complete("logout")[:3], [*stored, "--system"])
        equal(complete("logout", "a.example.com"), ["--system", "--json", "--help"])
        equal(complete("run", "--for"), stored)
        equal(complete("setup")[:5], ["docker", "podman", "containerd", "kubelet", "--system"])
        equal(complete("--system", "config", "add")[:6], ["ecr", "gcp", "acr", "kubernetes", "exec", "--system"])
        equal(complete("setup", "docker")[0], "--system")
        equal(complete("import", "--from"), ["docker", "podman", "secretservice", "pass", "@files"])
        equal(complete("--cache-type"), ["ServiceAccount", "Token"])
        equal(complete("login", "--ca-file"), ["@files"])
        equal(complete("recipe", "test")[0], "@files")
        equal(complete("login", "-u"), [], "nobody knows it")
        equal(complete("login", "-u", "logout")[:2], stored)
        forged = "bob\x1b]0;pwn\x07\nfake.example\tx"
        names = {"b.example": forged, "h.example/`id`;id": "x", "h.example x": "x", "$(id).example": "x", "[::1]:5000": "y"}
        auths = {name: {"auth": b64encode(f"{user}:{MARKER}".encode()).decode()} for name, user in names.items()}
        path = home.write("auth.json", json.dumps({"auths": auths}))
        home.write(CONFIG, json.dumps({"version": 1, "default": [{"type": "file", "sources": [path]}]}))
        lines = pullkey(home, "--complete", "export").stdout.splitlines()
        equal([line for line in lines if not line.startswith("--")], ["[::1]:5000\ty", "b.example\tbob?]0;pwn??fake.example?x"])
        home.write(CONFIG, "{")
        equal(complete("logout"), ["--system", "--json", "--help"], "a broken configuration")


# What is typed, and what becomes of the word.
TYPED = (
    ("pullkey unl", ["unlock"]),
    ("pullkey lo", ["login", "logout"]),
    ("pullkey config ", ["add", "check", "show"]),
    ("pullkey --system store re", ["rekey"]),
    ("pullkey login --no", ["--no-verify"]),
    ("pullkey run --f", ["--for"]),
    ("pullkey import --from sec", ["secretservice"]),
    ("pullkey login --ca-file .conf", [".config"]),
    ("pullkey logout r", ["r.example.com:5000"]),
    ("pullkey logout r.example.com:50", ["r.example.com:5000"]),
    ("pullkey run -- docker-credential-pullk", ["docker-credential-pullkey"]),
    ("pullkey --for x run -- cat .conf", [".config"]),
)


def script_of(name):
    return os.path.join(ROOT, "packaging/completions", name)


def need(shell):
    if not shutil.which(shell):
        raise Skip(f"there is no {shell}")
    return shutil.which(shell)


@case("completion in bash")
def bash():
    with Home() as home:
        login(home, "r.example.com:5000")
        for typed, expected in TYPED:
            # As bash cuts it: at blanks and at colons.
            words = [word for word in re.split(r" |(:)", typed) if word is not None]
            quoted = " ".join(f"'{word}'" for word in words)
            text = home.succeed(
                ["bash", "-c", f". {script_of('pullkey.bash')}; COMP_WORDS=({quoted});"
                 f" COMP_CWORD={len(words) - 1} COMP_LINE='{typed}' COMP_POINT={len(typed)};"
                 " _pullkey; printf '%s\\n' \"${COMPREPLY[@]}\""]
            )
            expected = [word.split(":")[-1] if ":" in typed else word for word in expected]
            equal(sorted(text.split()), expected, typed)


@case("completion in fish")
def fish():
    with Home() as home:
        login(home, "r.example.com:5000")
        for typed, expected in TYPED:
            command = f"source {script_of('pullkey.fish')}; complete -C '{typed}'"
            text = home.succeed([need("fish"), "--no-config", "-c", command])
            found = [line.split("\t")[0].rstrip("/") for line in text.splitlines()]
            equal(found, expected, typed)


@case("completion in zsh, as it stands on the terminal")
def zsh():
    with Home() as home:
        login(home, "r.example.com:5000")
        home.write(
            ".zshrc",
            f"""fpath=({os.path.dirname(script_of("_pullkey"))} $fpath); cd {home.path}
            autoload -Uz compinit; compinit -u -D
            show() {{ print -r -- "<${{BUFFER%[ /]}}>"; BUFFER= }}
            zle -N show; bindkey '^X' show; PS1=ready; print started""",
        )
        with Terminal([need("zsh"), "-d", "-i"], {**home.env, "ZDOTDIR": home.path, "TERM": "xterm"}) as terminal:
            terminal.expect("started")
            for typed, expected in TYPED:
                if len(expected) == 1:
                    terminal.type(f"{typed}\t\x18")
                    begin = typed[: len(typed) - len(typed.split(" ")[-1])]
                    terminal.expect(f"<{begin}{expected[0]}>")


def has_hosts():
    return os.path.exists(os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts"))


@case("hosts: help and completion are those of its program, and pullkey names it where it is")
def hosts():
    with Home() as home:
        if not has_hosts():
            check("hosts" in usage_error(home, "help", "hosts"), "help of what is not there")
            return
        overview = home.succeed([home.pullkey, "hosts", "help"])
        equal(home.succeed([home.pullkey, "help", "hosts"]), overview)
        commands = re.findall(r"^  ([a-z]+) ", overview, re.M)
        complete = [home.pullkey, "--complete", "hosts"]
        words = [line.split("\t")[0] for line in home.succeed(complete).splitlines()]
        equal(words, [*commands, "help"])
        for command in commands:
            text = home.succeed([home.pullkey, "hosts", command, "--help"])
            equal(home.succeed([home.pullkey, "help", "hosts", command]), text)
            found = [line.split("\t")[0] for line in home.succeed([*complete, command]).splitlines()]
            equal(found, re.findall(r"^  (--[a-z-]+)", text, re.M), command)
        equal(home.succeed([*complete, "watch", "--source"]), "@files\n")
        equal(home.succeed([*complete, "watch", "--on-open"]), "off\nauto\non\n")
        found = home.succeed([*complete, "watch", "--source", "x"])
        equal(found, home.succeed([*complete, "watch"]))
        equal(home.succeed([*complete, "frobnicate"]), "")


if __name__ == "__main__":
    sys.exit(run())
