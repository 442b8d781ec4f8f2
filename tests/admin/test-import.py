# SPDX-License-Identifier: Apache-2.0
"""pullkey import, of files: what is shown is what is done. Of --move and pass: test-import-move.py, of the
keyring: test-import-keyring.py.
"""

import json
import os
import re
import signal
import sys
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from imports import (
    DOCKER,
    HUB,
    MARKER,
    PLAIN,
    PODMAN,
    STORE,
    actions,
    auth,
    auths,
    coded,
    contents,
    docker_file,
    last_line,
    login,
    pullkey,
    servers,
    summary,
    take,
    run,
)
from tap import case, check, equal
from terminal import Terminal


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


@case("move: docker is said to need its set-up until its file names pullkey")
def names_pullkey():
    with Home() as home:
        for more, expected in (({}, True), ({"credsStore": "secretservice"}, True), ({"credsStore": "pullkey"}, False)):
            home.write(DOCKER, json.dumps({"auths": {"a.example.com": auth("alice", MARKER)}, **more}))
            equal(take(home).stderr.count("setup docker"), 0, "a copy is no move")
            done = take(home, "--move")
            equal(done.returncode, 0, done.stderr)
            line = 'docker does not ask pullkey yet: run "pullkey setup docker --write"\n'
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


if __name__ == "__main__":
    run()
