# SPDX-License-Identifier: Apache-2.0
"""pullkey import, of files and of docker-credential-pass: what is shown is what is done, and nothing
is lost or left behind. Of the keyring: test-import-keyring.py.
"""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from program import find_program, wait_for
from tap import Skip, case, check, comment, equal, run
from terminal import Terminal

MARKER = "marker-91ab3c"
STORE = ".config/pullkey/auth.cms"
DOCKER = ".docker/config.json"
PODMAN = ".config/containers/auth.json"
HUB = "https://index.docker.io/v1/"
PLAIN = '{"version": 1, "backends": {"file": {"type": "file", "encryption": "none"}}}'
ROOT = os.geteuid() == 0


def pullkey(home, *arguments, text="", prefix=(), env=None):
    return home.run([*prefix, home.pullkey, *arguments], text, env)


def take(home, *arguments, text="", env=None):
    """What would be done without --yes is in test "shown"."""
    return pullkey(home, "import", "--yes", *arguments, text=text, env=env)


def login(home, server, secret=MARKER):
    home.login(server, "alice", secret, "--no-verify").check_returncode()


def coded(user, secret):
    return b64encode(f"{user}:{secret}".encode()).decode()


def auth(user, secret):
    return {"auth": coded(user, secret)}


def auths(**entries):
    return json.dumps({"auths": {name.replace("_", "."): value for name, value in entries.items()}})


def docker_file(home, name="docker.json", **more):
    document = {
        "auths": {
            HUB: auth("hubuser", MARKER),
            "registry.example.com:5000": auth("alice", MARKER + ":x"),
            "quay.example.com/team": {"identitytoken": MARKER},
            "kept.elsewhere.example.com": {},
        },
        **more,
    }
    return home.write(name, json.dumps(document))


def summary(stored, same, removed=None):
    text = f"{stored} stored, {same} there already"
    return text if removed is None else f"{text}, {removed} removed where they were"


def last_line(done):
    return done.stdout.rstrip("\n").rpartition("\n")[2]


def actions(done):
    """Of --json: (source, registry) and what happens."""
    return {(e["source"], e["registry"]): e["action"] for e in json.loads(done.stdout)["entries"]}


def servers(home, name=DOCKER):
    return sorted(json.loads(home.read(name))["auths"])


def contents(home):
    """Every file of a home but locks and reports."""
    found = {}
    for directory, _, names in os.walk(home.path):
        for name in names:
            path = os.path.join(directory, name)
            if not name.endswith(".lock") and name != "report" and os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, home.path)] = file.read()
    return found


# -- Copying ----------------------------------------------------------------------------------


@case("docker's file, once and again")
def imports():
    with Home() as home:
        path = docker_file(home, credHelpers={"x.example.com": "other"})
        before = home.read("docker.json")
        done = take(home, "--from", path)
        equal((done.returncode, last_line(done)), (0, summary(3, 0)), done.stderr)
        check("it has no secret" in done.stdout, done.stdout)
        check(re.search(r"x\.example\.com .*docker-credential-other has it", done.stdout), done.stdout)
        check("--move" in done.stderr, "says how to remove the old text")
        equal(home.read("docker.json"), before, "the file is as it was")
        equal(home.get("docker.io")["Secret"], MARKER)
        equal(home.get("registry.example.com:5000")["Secret"], MARKER + ":x")
        equal(home.get("quay.example.com/team")["Username"], "<token>")
        store = os.stat(os.path.join(home.path, STORE))
        done = take(home, "--from", path)
        equal((done.returncode, last_line(done), done.stderr), (0, summary(0, 3), ""))
        again = os.stat(os.path.join(home.path, STORE))
        equal((again.st_ino, again.st_mtime_ns), (store.st_ino, store.st_mtime_ns), "not written")
        equal(home.find_text(MARKER), ["docker.json"])


@case("it is shown first; without a terminal and without --yes nothing is changed")
def shown():
    with Home() as home:
        login(home, "docker.io", "newer")
        path = docker_file(home)
        before = contents(home)
        for options in ((), ("--replace",), ("--move",), ("--json",)):
            done = pullkey(home, "import", "--from", path, *options)
            equal(done.returncode, 0, done.stderr)
            equal(contents(home), before, str(options))
            check(MARKER not in done.stdout + done.stderr, "no secret is shown")
            if "--json" in options:
                equal(json.loads(done.stdout)["done"], False)
                equal({e["stored"] for e in json.loads(done.stdout)["entries"]}, {False})
            else:
                check("--yes" in done.stderr, done.stderr)
                check(re.search(r"quay.example.com/team +<token> +stored in file", done.stdout), done.stdout)
                what = "is replaced" if options == ("--replace",) else "is kept"
                check(re.search(rf"v1/ +hubuser +differs: the one in file {what}", done.stdout), done.stdout)
        check("; removed here" in pullkey(home, "import", "--from", path, "--move").stdout, "with --move")


@case("at a terminal somebody is asked; only a yes does it")
def asks():
    with Home() as home:
        path = docker_file(home)
        before = contents(home)
        command = [home.pullkey, "import", "--from", path]
        for answer, status in (("n\n", 1), ("\n", 1), ("yess\n", 1), ("\x03", -signal.SIGINT), ("\x04", 1)):
            with Terminal(command, home.env) as terminal:
                terminal.expect("Import 3 credentials into file? [y/N] ")
                terminal.type(answer)
                equal(terminal.wait(), status, repr(answer))
            equal(contents(home), before, repr(answer))
        with Terminal([*command, "--move"], home.env) as terminal:
            terminal.expect("Import 3 credentials into file, remove 3 where they were? [y/N] ")
            terminal.type("y\n")
            equal(terminal.wait(), 0, terminal.output)
        equal((len(home.list()), servers(home, "docker.json")), (3, ["kept.elsewhere.example.com"]))
        with Terminal(command, home.env) as terminal:
            equal((terminal.wait(), "[y/N]" in terminal.output), (0, False), "nothing to ask for")


@case("what is here and differs is kept, or with --replace replaced")
def differs():
    with Home() as home:
        path = docker_file(home)
        take(home, "--from", path)
        login(home, "docker.io", "newer")
        done = take(home, "--from", path)
        equal((done.returncode, last_line(done)), (0, summary(0, 2)), done.stderr)
        equal(home.get("docker.io")["Secret"], "newer")
        done = take(home, "--from", path, "--move")
        equal((done.returncode, servers(home, "docker.json")), (1, [HUB, "kept.elsewhere.example.com"]))
        check(f"{path}: the credential for {HUB} is still there" in done.stderr, done.stderr)
        done = take(home, "--from", path, "--replace", "--move")
        equal((done.returncode, last_line(done)), (0, summary(1, 0, 1)), done.stderr)
        equal(home.get("docker.io")["Secret"], MARKER)


@case("an entry with a path is stored, though the host's own would answer the same")
def shorter():
    with Home() as home:
        login(home, "quay.example.com")
        text = json.dumps({"auths": {"quay.example.com/team": auth("alice", MARKER)}})
        done = take(home, "--from", "-", "--json", text=text)
        equal(actions(done), {("stdin", "quay.example.com/team"): "store"}, done.stderr)
        text = auths(b_example_com=auth("bob", MARKER))
        equal(take(home, "--from", "-", text=text).stderr, "", "stdin takes no --move")
        check("quay.example.com/team" in home.list(), home.list())


@case("what a source of docker's file answers is stored all the same")
def from_source():
    with Home() as home:
        path = docker_file(home)
        config = {"version": 1, "default": [{"type": "file", "sources": [path]}, "file"]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        equal(home.get("docker.io")["Secret"], MARKER, "the source answers before")
        equal(last_line(take(home, "--from", path)), summary(3, 0))
        equal(last_line(take(home, "--from", path)), summary(0, 3))
        os.unlink(path)
        equal(home.get("docker.io")["Secret"], MARKER, "and the store afterwards")


@case("a registry that needs no login does not keep the others out")
def needs_none():
    with Home() as home:
        home.write(
            ".config/pullkey/config.json",
            """{ "version": 1, "rules": [ { "match": "docker.io", "use":
            [ { "type": "env", "username": "A_B", "password": "C_D" } ] },
            { "match": "*.example.com:5000", "use": [], "on_store": "ignore" } ] }""",
        )
        done = take(home, "--from", docker_file(home), "--move")
        equal((done.returncode, last_line(done)), (1, summary(1, 0, 1)), done.stderr)
        check("no login is needed" in done.stdout, done.stdout)
        check("its rule ignores logins" in done.stdout, done.stdout)
        equal(len(servers(home, "docker.json")), 3)


@case("pullkey's own plain store becomes an encrypted one")
def converts():
    with Home() as home:
        path = home.write(".config/pullkey/config.json", PLAIN)
        login(home, "registry.example.com")
        equal(home.find_text("auths"), [".config/pullkey/auth.json"])
        os.unlink(path)
        refused = home.run([home.helper, "get"], "registry.example.com")
        equal(refused.returncode, 1)
        command = refused.stdout.split("run ", 1)[1].strip()
        home.succeed(["sh", "-c", command])
        equal(home.get("registry.example.com")["Secret"], MARKER)
        equal(home.find_text(coded("alice", "")[:6]), [], "nothing plain is left")


@case("two names of one registry are one entry, that of docker's own key, at every run")
def aliases():
    with Home() as home:
        document = {"docker.io": auth("other", "2"), HUB: auth("docker's", "1"), "a.example.com": auth("a", MARKER)}
        path = home.write("file.json", json.dumps({"auths": document}))
        for what in ("store", "same"):
            done = take(home, "--from", path, "--json")
            expected = {(path, "docker.io"): "other", (path, "a.example.com"): what, (path, HUB): what}
            equal((done.returncode, actions(done)), (0, expected), done.stderr)
            equal(home.get("registry-1.docker.io")["Username"], "docker's")
        # That is the key of podman, which reads the file, too.
        done = take(home, "--from", path, "--move")
        equal((done.returncode, servers(home, "file.json")), (1, ["docker.io"]))
        check("log out with the tool that made it" in done.stderr, done.stderr)
        document = {HUB: auth("docker's", "1"), "docker.io": auth("docker's", "1")}
        home.write("file.json", json.dumps({"auths": document}))
        equal((take(home, "--from", path, "--move").returncode, servers(home, "file.json")), (0, []))


@case("of several keys of one registry that of clients is taken; move: those it hides go, and it is shown before")
def hidden_keys():
    old, older = "https://a.example.com/v1/", "https://a.example.com/v2/"
    for order in ([old, "a.example.com", older], [older, old, "a.example.com"]):
        with Home() as home:
            document = {name: auth("alice", "stale" if name == older else MARKER) for name in order}
            document["https://b.example.com/v2/"] = auth("bob", "2")
            document["https://b.example.com/v1/"] = auth("bob", "1")
            path = home.write("file.json", json.dumps({"auths": document}))
            shown = pullkey(home, "import", "--from", path, "--move").stdout
            for key, text in (
                ("a.example.com", "stored in file; removed here"),
                (old, "the same as that of a.example.com; removed here"),
                (older, "left out: that of a.example.com is taken; removed, not kept"),
                ("https://b.example.com/v1/", "left out: that of https://b.example.com/v2/ is taken"),
            ):
                check(re.search(rf" {key} +\w+ +{text}\n", shown), f"{key}: {shown}")
            command = [home.pullkey, "import", "--from", path, "--move"]
            with Terminal(command, home.env) as terminal:
                terminal.expect("Import 2 credentials into file, remove 4 where they were, 1 of them not kept? ")
                terminal.type("y\n")
                equal(terminal.wait(), 1, "clients may use either of the two")
            equal(servers(home, "file.json"), ["https://b.example.com/v1/"])
            equal((home.get("a.example.com")["Secret"], home.get("b.example.com")["Secret"]), (MARKER, "2"))


@case("move: what podman's first file hides in its second is not kept, and each file is named")
def hidden_file():
    with Home() as home:
        first = home.write("run/containers/auth.json", auths(a_example_com=auth("alice", MARKER)))
        second = home.write(PODMAN, auths(a_example_com=auth("alice", "stale"), b_example_com=auth("bob", "2")))
        shown = pullkey(home, "import", "--move").stdout
        check(re.search(rf"{first} +a\.example\.com +alice +stored in file; removed here", shown), shown)
        text = f"left out: that of a.example.com in {first} is taken; removed, not kept"
        check(re.search(rf"{second} +a\.example\.com +alice +{text}", shown), shown)
        done = take(home, "--move")
        equal((done.returncode, last_line(done)), (0, summary(2, 0, 3)), done.stderr)
        equal((servers(home, PODMAN), home.get("a.example.com")["Secret"]), ([], MARKER))
        # The last that podman has is not removed for one that it never had.
        home.write(PODMAN, auths(a_example_com=auth("alice", "last")))
        done = take(home, "--move")
        equal((done.returncode, servers(home, PODMAN)), (1, ["a.example.com"]))
        check("not kept" not in done.stdout and "log out" in done.stderr, done.stdout)


@case("move: docker's file is said to need a line until it names pullkey")
def names_pullkey():
    with Home() as home:
        for more, expected in (({}, True), ({"credsStore": "secretservice"}, True), ({"credsStore": "pullkey"}, False)):
            home.write(DOCKER, json.dumps({"auths": {"a.example.com": auth("alice", MARKER)}, **more}))
            equal(take(home).stderr.count("credsStore"), 0, "a copy is no move")
            done = take(home, "--move")
            equal(done.returncode, 0, done.stderr)
            line = f'{home.path}/{DOCKER} needs the line "credsStore": "pullkey",\n'
            equal(line in done.stderr, expected, done.stderr)
        home.write(PODMAN, auths(b_example_com=auth("bob", MARKER)))
        home.write(DOCKER, "{}")
        equal(take(home, "--move").stderr, "", "docker had nothing")


@case("of several sources the first one's entry is taken")
def sources():
    with Home() as home:
        home.write(DOCKER, auths(a_example_com=auth("docker", "1"), b_example_com=auth("same", "2")))
        home.write("run/containers/auth.json", auths(a_example_com=auth("podman", "3")))
        home.write(PODMAN, auths(a_example_com=auth("docker", "1"), b_example_com=auth("same", "2")))
        for options in ((), ("--replace",)):
            done = take(home, *options)
            equal(done.returncode, 0, done.stderr)
            equal(home.get("a.example.com")["Username"], "docker")
        done = take(home, "--move")
        equal(done.returncode, 1, "podman's other one stays")
        equal((servers(home), servers(home, PODMAN)), ([], []), done.stderr)
        equal(servers(home, "run/containers/auth.json"), ["a.example.com"])
        path = home.write("named.json", auths(c_example_com=auth("named", "1")))
        done = take(home, "--from", "podman", "--json", env={"REGISTRY_AUTH_FILE": path})
        equal(actions(done), {("podman", "c.example.com"): "store"})
        home.write("elsewhere/config.json", auths(d_example_com=auth("named", "1")))
        done = take(home, "--from", "docker", "--json", env={"DOCKER_CONFIG": home.path + "/elsewhere"})
        equal(actions(done), {("docker", "d.example.com"): "store"})


@case("without any source there is nothing to import; one that is named must be there")
def no_sources():
    with Home() as home:
        done = pullkey(home, "import")
        equal((done.returncode, done.stdout, done.stderr), (0, "There is nothing to import\n", ""))
        equal(json.loads(take(home, "--json").stdout), {"done": True, "entries": []})
        for text in ("", "{}", '{"HttpHeaders": {}}'):
            home.write(DOCKER, text)
            equal(take(home, "--from", "docker").stdout, "There is nothing to import\n")
            equal(take(home, "--from", home.path + "/" + DOCKER).returncode, 1)
        os.unlink(os.path.join(home.path, DOCKER))
        for source in ("docker", "podman", "./docker", "nonsense", "/nowhere/at/all"):
            done = take(home, "--from", source)
            equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), source)
            check("there is no file" in done.stderr, done.stderr)
        done = take(home, "--from", "pass")
        equal((done.returncode, done.stdout), (1, ""), "there is no password store")
        check("no password store" in done.stderr, done.stderr)
        done = take(home, "--from", "secretservice")
        equal((done.returncode, done.stdout), (1, ""), "there is no bus")
        check("keyring" in done.stderr, done.stderr)


@case("helpers that docker's file names are listed with what to do")
def helpers():
    with Home() as home:
        helpers = {"ecr.example.com": "ecr-login", "ours.example.com": "pullkey", "s.example.com": "secretservice"}
        entries = {"d.example.com": {}, "ecr.example.com": {}}
        home.write(DOCKER, json.dumps({"auths": entries, "credsStore": "pass", "credHelpers": helpers}))
        done = take(home, "--from", "docker", "--json")
        found = {e["registry"]: e["text"] for e in json.loads(done.stdout)["entries"]}
        equal(sorted(found), ["d.example.com", "ecr.example.com", "s.example.com"], done.stdout)
        check("pullkey import --from pass" in found["d.example.com"], found)
        check("pullkey import --from secretservice" in found["s.example.com"], found)
        check("docker-credential-ecr-login" in found["ecr.example.com"] and "login" in found["ecr.example.com"], found)
        equal([r for _, r in actions(take(home, "--json"))], ["ecr.example.com"], "the others are read here")
        home.write(DOCKER, json.dumps({"credsStore": "desktop"}))
        done = take(home, "--from", "docker", "--json")
        equal((done.returncode, actions(done)), (0, {("docker", "*"): "helper"}), done.stderr)
        equal(take(home, "--move").returncode, 0, "nothing that is here stays")


# -- Wrong input ------------------------------------------------------------------------------


@case("what every entry would meet ends it at once")
def stops():
    with Home() as home:
        login(home, "a.example.com")
        entries = {f"r{n}.example.com": auth("x", "y") for n in range(50)}
        home.write(STORE, "rubbish")
        done = take(home, "--from", "-", text=json.dumps({"auths": entries}))
        equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)


@case("a password in a key is not repeated")
def key_with_password():
    with Home() as home:
        path = home.write("file.json", json.dumps({"auths": {f"https://me:{MARKER}@ghcr.io": auth("x", "y")}}))
        for options in ((), ("--json",), ("--move",)):
            done = take(home, "--from", path, *options)
            equal(done.returncode, 1)
            check("@ghcr.io" in done.stdout and MARKER not in done.stdout + done.stderr, done.stderr)


@case("an entry that is refused does not keep the others out")
def one_bad():
    with Home() as home:
        document = {
            "a b": auth("x", "1"),
            "empty.example.com": auth("", ""),
            "half.example.com": auth("user", ""),
            "good.example.com": auth("alice", MARKER),
            "short.example.com": {"registrytoken": MARKER},
            "bad.example.com": {"auth": "%%%"},
            "control.example.com": auth("al\x1b[31mice\n", MARKER),
        }
        path = home.write("file.json", json.dumps({"auths": document}))
        done = take(home, "--from", path, "--json", "--move")
        expected = {(path, name): "refuse" for name in document}
        equal((done.returncode, actions(done)), (1, {**expected, (path, "good.example.com"): "store"}))
        equal(done.stderr.count("is still there"), 6, done.stderr)
        check("blank" in done.stderr and MARKER not in done.stderr, done.stderr)
        equal(home.get("good.example.com")["Secret"], MARKER)
        equal(servers(home, "file.json"), sorted(set(document) - {"good.example.com"}))


@case("bad input is refused, and nothing is stored")
def bad_import():
    with Home() as home:
        for text, word in (
            ("", "stdin"),
            ("[]", "object"),
            ("{}", "no \"auths\""),
            ('{"auths": []}', "object"),
            ('{"auths": {}, "auths": {}}', "twice"),
            ('{"auths": {"a.example.com": {"auth": "YTpi"}}} x', "stdin"),
        ):
            done = take(home, "--from", "-", text=text)
            equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), text)
            check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")
        for text, word in (
            ('{"auths": {"a.example.com": {"auth": "%%%"}}}', "base64"),
            (auths(a_example_com={"auth": b64encode(b"x").decode()}), "user"),
            ('{"auths": {"a b": {"auth": "YTpi"}}}', "blank"),
        ):
            done = take(home, "--from", "-", text=text)
            equal((done.returncode, last_line(done)), (1, summary(0, 0)), text)
            check(word in done.stdout, f"{word!r} is not in {done.stdout!r}")
        equal(home.list(), {})


@case("wrong use is refused")
def wrong_use():
    with Home() as home:
        for words, text in (
            (["import", "--from", "-", "--move"], "stdin"),
            (["import", "--from"], "needs a value"),
            (["import", "docker"], "too many arguments"),
            (["import", "--yes=1"], "takes no value"),
            (["store", "import", "--from", "-"], '"pullkey import"'),
            (["list", "--move"], "takes no --move"),
        ):
            done = pullkey(home, *words)
            equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), words)
            check(text in done.stderr, done.stderr)
        with Terminal([home.pullkey, "import", "--from", "-"], home.env) as terminal:
            equal(terminal.wait(), 2)
            check("terminal" in terminal.output, terminal.output)


@case("one file that cannot be read does not keep the other sources out")
def one_bad_source():
    with Home() as home:
        home.write(DOCKER, '{"auths": {"a.example.com": {"auth": "' + MARKER)
        home.write(PODMAN, auths(b_example_com=auth("b", MARKER)))
        before = home.read(DOCKER)
        done = take(home, "--move")
        equal((done.returncode, last_line(done)), (1, summary(1, 0, 1)), done.stderr)
        check("docker is left out: " in done.stderr and MARKER not in done.stderr, done.stderr)
        equal(home.read(DOCKER), before, "what does not parse is not written")


@case("an error never shows what the file holds")
def no_leak():
    with Home() as home:
        for entry in ({"auth": MARKER}, {"auth": [MARKER]}, {"password": MARKER + "\0"}, MARKER):
            text = json.dumps({"auths": {"a.example.com": entry}})
            done = take(home, "--from", "-", text=text)
            check(MARKER not in done.stdout + done.stderr, done.stderr)


# -- Moving -----------------------------------------------------------------------------------


@case("move: only what was stored goes; all else of the file is as docker would write it")
def edits():
    with Home() as home:
        others = {
            "auths": {"kept.example.com": {"email": "a@b"}, "own.example.com": {"registrytoken": "r"}},
            "HttpHeaders": {"X-Meta": "<é>&\u2028\t"},
            "number": 1,
            "plugins": {},
            "list": [],
        }
        document = json.loads(json.dumps(others))
        tokens = {**auth("alice", MARKER + "1"), "identitytoken": MARKER, "registrytoken": MARKER, "email": "x"}
        document["auths"] = {"a.example.com": tokens, **document["auths"], HUB: auth("b", MARKER)}
        text, right = (
            json.dumps(each, indent="\t", ensure_ascii=False).replace(": 1,", ": 12345678901234567890.50,")
            for each in (document, others)
        )
        for end, mode in (("", 0o600), ("\n", 0o640)):
            path = home.write("dotfiles/config.json", text + end)
            os.chmod(path, mode)
            home.directory(".docker")
            if not os.path.islink(os.path.join(home.path, DOCKER)):
                os.symlink("../dotfiles/config.json", os.path.join(home.path, DOCKER))
            done = take(home, "--from", "docker", "--move")
            equal(done.returncode, 1, "a registrytoken stays")
            check("own.example.com is still there" in done.stderr, done.stderr)
            equal(home.read(DOCKER), right + end)
            equal(stat.S_IMODE(os.stat(path).st_mode), mode)
            equal(os.readlink(os.path.join(home.path, DOCKER)), "../dotfiles/config.json", "the link")
            equal(os.listdir(os.path.dirname(path)), ["config.json"], "and nothing beside it")
        equal(home.get("a.example.com"), {"ServerURL": "a.example.com", "Username": "<token>", "Secret": MARKER})
        equal(home.find_text(MARKER), [])


@case("move: from what is the store itself nothing is removed")
def own_store():
    with Home() as home:
        home.write(".config/pullkey/config.json", PLAIN)
        login(home, "registry.example.com")
        store = os.path.join(home.path, ".config/pullkey/auth.json")
        before = home.read(store)
        os.symlink(store, os.path.join(home.path, "link.json"))
        for path in (store, os.path.join(home.path, "link.json"), ".config/../.config/pullkey/auth.json"):
            done = take(home, "--from", path, "--move", "--replace")
            equal((done.returncode, last_line(done), done.stderr), (0, summary(0, 1, 0), ""))
            equal(home.read(store), before)


def expect_kept(home, name, word):
    """What cannot be emptied is named, with what is still there."""
    before = home.read(name)
    path = os.path.join(home.path, name)
    done = take(home, "--from", path, "--move")
    equal(done.returncode, 1)
    check(f"{path}: the credential for a.example.com is still there: " in done.stderr, done.stderr)
    check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")
    equal(home.read(name), before)
    equal(home.get("a.example.com")["Secret"], MARKER, "it is stored")
    equal([n for n in os.listdir(os.path.dirname(path)) if n.endswith("-import")], [])


@case("move: a source that cannot be emptied is an error that names what is still there")
def cannot_empty():
    with Home() as home:
        path = home.write("there/auth.json", auths(a_example_com=auth("alice", MARKER)))
        os.chmod(os.path.dirname(path), 0o777)
        expect_kept(home, "there/auth.json", "others may write to the directory")
        os.chmod(os.path.dirname(path), 0o700)
        os.link(path, path + ".2")
        expect_kept(home, "there/auth.json", "2 names")
        os.unlink(path + ".2")
        os.chmod(path, 0o622)
        expect_kept(home, "there/auth.json", "others may write to it")
        os.chmod(path, 0o600)
        os.mkdir(path + ".pullkey-import")
        try:
            before = home.read("there/auth.json")
            done = take(home, "--from", path, "--move")
            equal((done.returncode, home.read("there/auth.json")), (1, before))
            check("auth.json.pullkey-import" in done.stderr, done.stderr)
        finally:
            os.rmdir(path + ".pullkey-import")
        if ROOT:
            os.chown(path, 12345, -1)
            expect_kept(home, "there/auth.json", "user 12345")
        else:
            os.chmod(os.path.dirname(path), 0o500)
            expect_kept(home, "there/auth.json", "ermission denied")


if ROOT:  # nobody else can make one

    @case("move: root's file in a user's directory does not become the user's")
    def roots_file():
        with Home() as home:
            user = ["setpriv", "--reuid=64124", "--regid=64124", "--clear-groups"]
            path = home.write("there/auth.json", auths(a_example_com=auth("alice", MARKER)))
            os.chmod(path, 0o644)
            for directory, _, _ in os.walk(home.path):
                os.chown(directory, 64124, 64124)
            before = home.read(path)
            done = pullkey(home, "import", "--yes", "--move", "--from", path, prefix=user)
            equal((done.returncode, home.read(path), os.stat(path).st_uid), (1, before, 0), done.stderr)
            check("belongs to user 0" in done.stderr, done.stderr)


@case("move: what somebody has changed since it was shown stays")
def changed_meanwhile():
    with Home() as home:
        path = home.write("file.json", auths(a_example_com=auth("alice", MARKER), b_example_com=auth("bob", "2")))
        with Terminal([home.pullkey, "import", "--from", path, "--move"], home.env) as terminal:
            terminal.expect("[y/N] ")
            home.write("file.json", auths(a_example_com=auth("alice", "newer"), b_example_com=auth("bob", "2")))
            terminal.type("y\n")
            equal(terminal.wait(), 1)
            check("a.example.com is still there: it has changed meanwhile" in terminal.output, terminal.output)
        equal(servers(home, "file.json"), ["a.example.com"])
        os.unlink(path)
        equal(home.get("a.example.com")["Secret"], MARKER)


@case("move: nothing is done that could not be shown, and nothing removed without the lock")
def not_shown():
    with Home() as home:
        home.write(DOCKER, auths(a_example_com=auth("alice", MARKER)))
        before = contents(home)
        done = home.run(["sh", "-c", f"{home.pullkey} import --yes --move >/dev/full"])
        equal((done.returncode, contents(home)), (1, before))
        check("nothing was changed" in done.stderr, done.stderr)
        home.directory(".local/state/pullkey/import.lock")
        done = take(home, "--move")
        equal((done.returncode, home.read(DOCKER), done.stderr.count("\n")), (1, before[DOCKER].decode(), 1))
        check("nothing was removed where it was" in done.stderr, done.stderr)


@case("move: what the store does not answer with stays, whatever the store said")
def lying_store():
    with Home() as home:
        path = home.write("docker-credential-liar", "#!/bin/sh\ncat >/dev/null\n" + """case $1 in
            get) echo 'credentials not found in native keychain'; exit 1;; list) echo '{}';; esac\n""")
        os.chmod(path, 0o755)
        config = {"version": 1, "default": [{"type": "exec", "path": path}]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        home.write(DOCKER, auths(a_example_com=auth("alice", MARKER)))
        before = home.read(DOCKER)
        done = take(home, "--move")
        equal((done.returncode, home.read(DOCKER)), (1, before), done.stdout)
        check("a.example.com is still there: exec does not answer with it" in done.stderr, done.stderr)


@case("move: what a run left that was killed while it wrote is removed by the next one")
def leftover():
    with Home() as home:
        home.write(DOCKER, auths(a_example_com={}))
        home.write(DOCKER + ".pullkey-import", auths(b_example_com=auth("alice", MARKER)))
        home.write(DOCKER + ".tmp", "somebody's")
        take(home)
        equal(len(os.listdir(os.path.join(home.path, ".docker"))), 3, "a copy changes nothing there")
        equal(take(home, "--move").returncode, 0)
        equal(sorted(os.listdir(os.path.join(home.path, ".docker"))), ["config.json", "config.json.tmp"])
        equal(home.read(DOCKER + ".tmp"), "somebody's")


def fault(home, mode, *arguments):
    """An import under the fault tool: exit status and report."""
    tool = os.environ.get("SYSCALL_FAULT", "")
    if not os.path.exists(tool):
        raise Skip("SYSCALL_FAULT names no syscall-fault")
    report = os.path.join(home.path, "report")
    done = pullkey(home, "import", *arguments, prefix=[tool, "--report", report, *mode])
    with open(report, encoding="ascii") as lines:
        return done, dict(line.split() for line in lines)


def prepare_move():
    home = Home()
    home.write(".config/pullkey/config.json", PLAIN)
    names = ("a", "b", "c")
    home.write(DOCKER, auths(**{f"{n}_example_com": auth(n, MARKER + n) for n in names}))
    home.write(PODMAN, auths(d_example_com=auth("d", MARKER + "d")))
    return home


def where(home):
    """How often each credential is in the sources and in the store."""
    found = dict.fromkeys("abcd", 0)
    for name in (DOCKER, PODMAN, ".config/pullkey/auth.json"):
        for server, entry in json.loads(home.read(name) or '{"auths": {}}')["auths"].items():
            if entry == auth(server[0], MARKER + server[0]):
                found[server[0]] += 1
    return found


def finish_move(home, what):
    """Nothing is lost, and the next run leaves each credential in one place: the store."""
    check(0 not in where(home).values(), f"{what}: {where(home)}")
    done = take(home, "--move")
    equal(done.returncode, 0, f"{what}: {done.stderr}")
    equal((servers(home), servers(home, PODMAN)), ([], []), what)
    equal(set(where(home).values()), {1}, what)
    for name in "abcd":
        equal(sorted(home.find_text(coded(name, MARKER + name))), [".config/pullkey/auth.json"], what)


@case("move: killed at any system call, each credential is in one place at least, and the next run ends it")
def killed():
    with prepare_move() as home:
        _, words = fault(home, ["count"], "--yes", "--move")
        calls = int(words["calls"])
        finish_move(home, "undisturbed")
    both = half = 0
    for number in range(1, calls + 1):
        with prepare_move() as home:
            done, words = fault(home, ["kill", str(number)], "--yes", "--move")
            if words["fired"] == "1":
                equal(done.returncode, 137, done.stderr)
            values = where(home).values()
            both += 2 in values
            half += len(set(values)) > 1
            finish_move(home, f"killed at call {number}")
    comment(f"{calls} system calls; {both} kills left a credential in both places")
    check(both > 20 and half > 10, f"only {both} and {half} kills in the middle of {calls}")


@case("move: a full disk and other failures, at each place: an error, and nothing is lost")
def failing():
    fired = failed = 0
    for name in ("write", "fsync", "rename,renameat,renameat2", "openat,open", "fchmod", "unlinkat,unlink", "flock"):
        for number in range(1, 300):
            with prepare_move() as home:
                done, words = fault(home, ["fail", name, str(number), "ENOSPC"], "--yes", "--move")
                if words["fired"] == "0":
                    break
                fired += 1
                failed += done.returncode != 0
                if done.returncode == 0 and name != "openat,open":
                    equal((servers(home), servers(home, PODMAN)), ([], []), f"{name} {number}: no error")
                finish_move(home, f"{name} {number} failed: {done.stderr}")
    comment(f"{fired} failures of calls, {failed} of them of the command")
    check(failed > 20, f"only {failed} failures of the command")


@case("move: many at once, and clients beside them")
def parallel():
    with Home() as home:
        config = {"version": 1, "default": ["file", {"type": "file", "sources": ["~/.docker/config.json"]}]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        names = [f"r{number}.example.com" for number in range(60)]
        home.write(DOCKER, json.dumps({"auths": {name: auth("alice", MARKER) for name in names}}))
        # Who asks the store before and the file after finds it when he asks once more.
        get = f"echo {names[-1]} | {home.helper} get >>answers"
        loop = f"while [ ! -e stop ]; do {get} || {get} || echo lost >>lost; done"
        client = home.start(["sh", "-c", loop], subprocess.DEVNULL)
        wait_for(lambda: home.read("answers"), "the client")
        before = len(home.read("answers"))
        command = [home.pullkey, "import", "--yes", "--move", "--from", "docker"]
        runs = [home.start(command, subprocess.PIPE) for _ in range(8)]
        for process in runs:
            text = process.communicate(timeout=120)[0].decode()
            equal(process.returncode, 0, text)
        home.write("stop", "")
        client.communicate(timeout=60)
        equal((servers(home), len(home.list()), home.read("lost")), ([], 60, ""))
        check(len(home.read("answers")) > before, "nobody asked meanwhile")


# -- Files that docker, podman and skopeo wrote -----------------------------------------------


@case("what podman, skopeo and docker have written is moved, and they get it from here")
def real_files():
    from registry import Registry

    tools = {name: find_program(name, package) for name, package in
             (("podman", None), ("skopeo", None), ("docker", "docker.io"))}
    with Registry({"alice": MARKER}) as registry, Home(registry.ca) as home:
        certificates = registry.certificates_directory(home.directory("certs"))
        # The client of docker works alone where there is no daemon.
        home.env["DOCKER_HOST"] = f"unix://{home.path}/nobody"
        # Of its own accord docker asks pass, where it is installed and nothing else is said.
        home.write(DOCKER, '{"HttpHeaders": {"X-Kept": "1"}, "credHelpers": {"x.example.com": "x"}}')
        for name, place in (("podman", PODMAN), ("skopeo", "skopeo/auth.json"), ("docker", DOCKER)):
            path = os.path.join(home.path, place)
            own = [] if name == "docker" else ["--authfile", path, "--cert-dir", certificates]
            home.directory(os.path.dirname(path))
            words = ["login", "--username", "alice", "--password-stdin", *own, registry.address]
            home.succeed([tools[name], *words], MARKER)
            before = home.read(path)
            check(coded("alice", MARKER) in before, before)
            done = take(home, "--from", "docker" if name == "docker" else path, "--move")
            equal((done.returncode, last_line(done)[-26:]), (0, " 1 removed where they were"), done.stderr)
            document = {**json.loads(before), "auths": {}}
            equal(home.read(path), json.dumps(document, indent="\t"), "as they write it")
            equal(home.get(registry.address)["Secret"], MARKER)
            done = home.run([tools[name], *(word.replace("--password-stdin", "--password=x") for word in words)])
            check(done.returncode != 0, "what is refused is not stored")
            home.succeed([tools[name], *words], MARKER)
            equal(json.loads(home.read(path)), json.loads(before), f"{name} goes on with its file")
            equal(take(home, "--from", path, "--move").returncode, 0)


# -- docker-credential-pass -------------------------------------------------------------------


class Pass(Home):
    """A home with a password store, and docker-credential-pass, as Debian has it."""

    program = "docker-credential-pass"

    def __enter__(self):
        try:
            for name, package in (("pass", "pass"), ("gpg", "gnupg"), ("gpgconf", "gnupg")):
                find_program(name, package)
            find_program(self.program, "golang-docker-credential-helpers")
            key = ["default", "default", "never"]
            self.succeed(["gpg", "--batch", "--passphrase=", "--quick-generate-key", "pass@example.test", *key])
            self.succeed(["pass", "init", "pass@example.test"])
        except BaseException:
            self.__exit__()
            raise
        return super().__enter__()

    def __exit__(self, *problem):
        self.run(["gpgconf", "--kill", "all"])
        super().__exit__(*problem)

    def put(self, server, user, secret=MARKER):
        entry = json.dumps({"ServerURL": server, "Username": user, "Secret": secret})
        self.succeed([self.program, "store"], entry)

    def have(self):
        return json.loads(self.succeed([self.program, "list"]))

    def files(self):
        return self.find_text("") if not os.path.isdir(self.path + "/.password-store") else sorted(
            name for _, _, names in os.walk(self.path + "/.password-store") for name in names if name.endswith(".gpg"))


@case("pass: entries are copied, and moved with nothing left")
def from_pass():
    with Pass() as home:
        home.put(HUB, "hubuser")
        home.put("quay.example.com/team", "robot", MARKER + "\nsecond line")
        before = home.have()
        done = take(home, "--from", "pass", "--json")
        equal((done.returncode, set(actions(done).values())), (0, {"store"}), done.stderr + done.stdout)
        equal(home.have(), before)
        equal(home.get("docker.io")["Username"], "hubuser")
        equal(home.get("quay.example.com/team")["Secret"], MARKER + "\nsecond line")
        home.put("new.example.com", "new")
        done = take(home, "--move")
        equal((done.returncode, last_line(done)), (0, summary(1, 2, 3)), done.stderr)
        equal((home.have(), home.files()), ({}, []))
        equal(len(home.list()), 3)


@case("pass: an entry whose user name has a slash cannot be read, and stays")
def slash_in_pass():
    find_program("tree")
    with Pass() as home:
        home.put("a.example.com", "team/alice")
        home.put("b.example.com", "bob")
        before = home.files()
        done = take(home, "--from", "pass", "--move")
        equal((done.returncode, last_line(done)), (1, summary(1, 0, 1)), done.stdout + done.stderr)
        check("slash" in done.stdout and "a.example.com is still there" in done.stderr, done.stderr)
        equal((home.get("a.example.com"), sorted(set(before) - set(home.files()))), (None, ["bob.gpg"]))


@case("pass: what it lists still was not removed, whatever it said")
def lying_pass():
    with Pass() as home:
        home.put("a.example.com", "alice")
        path = home.write("bin/pass", f'#!/bin/sh\n[ "$1" = rm ] || exec {find_program("pass")} "$@"\n')
        os.chmod(path, 0o755)
        home.env["PATH"] = os.path.dirname(path) + ":" + home.env["PATH"]
        done = take(home, "--move")
        equal((done.returncode, home.have(), last_line(done)), (1, {"a.example.com": "alice"}, summary(1, 0, 0)))
        check("a.example.com is still there: pass lists it still" in done.stderr, done.stderr)


@case("pass: where it is the store nothing is removed, also if that cannot be seen")
def pass_is_the_store():
    with Pass() as home:
        home.put("a.example.com", "alice")
        config = {"version": 1, "backends": {"p": {"type": "exec", "helper": "pass"}}, "default": ["p"]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        done = take(home, "--from", "pass", "--move")
        equal((done.returncode, last_line(done), done.stderr), (0, summary(0, 1, 0), ""))
        equal(home.have(), {"a.example.com": "alice"})
        path = home.write("docker-credential-other", f'#!/bin/sh\nexec {find_program(home.program)} "$@"\n')
        os.chmod(path, 0o755)
        config["backends"]["p"] = {"type": "exec", "path": path}
        home.write(".config/pullkey/config.json", json.dumps(config))
        done = take(home, "--from", "pass", "--move")
        equal((done.returncode, home.have()), (1, {"a.example.com": "alice"}), done.stderr)
        check("p is in pass" in done.stderr, done.stderr)
        equal(home.get("a.example.com")["Secret"], MARKER)


if __name__ == "__main__":
    # Thousands of flushed files: a disk would make this slow, and SIGKILL does not ask for one.
    if os.access("/dev/shm", os.W_OK | os.X_OK):
        tempfile.tempdir = "/dev/shm"
    sys.exit(run())
