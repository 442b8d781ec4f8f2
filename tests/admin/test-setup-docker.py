# SPDX-License-Identifier: Apache-2.0
"""pullkey setup docker: docker asks pullkey afterwards, nothing that it had is lost, and it can be undone."""

import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from imports import DOCKER, HUB, MARKER, ROOT, auth, coded, contents, run
from registry import find_program
from tap import case, check, equal

RECORD = ".local/state/pullkey/setup-docker.json"
FILE = """{
\t"auths": {
\t\t"https://index.docker.io/v1/": {
\t\t\t"auth": "%s"
\t\t},
\t\t"r.example.com": {
\t\t\t"auth": "%s"
\t\t}
\t},
\t"HttpHeaders": { "Meta": "<&>" },
\t"credHelpers": {
\t\t"x.example.com": "other"
\t},
\t"number": 12345678901234567890
}
""" % (coded("hub", MARKER), coded("alice", MARKER + "r"))


def setup(home, *words, **more):
    return home.run([home.pullkey, "setup", "docker", *words], **more)


def write(home, text=FILE, mode=0o600):
    path = home.write(DOCKER, text)
    os.chmod(path, mode)
    return path


def succeed(home, *words):
    done = setup(home, *words)
    equal(done.returncode, 0, done.stderr)
    check(MARKER not in done.stdout + done.stderr and coded("hub", MARKER) not in done.stdout, done.stdout)
    return done


@case("what is shown is one line, with secrets masked, and nothing is changed")
def shown():
    with Home() as home:
        write(home)
        before = contents(home)
        done = succeed(home)
        equal(contents(home), before)
        lines = done.stdout.splitlines()
        equal([line for line in lines if line[0] == "+"][1:], ['+ "credsStore": "pullkey",'])
        check('"auth": "********"' in done.stdout, done.stdout)
        for name in (HUB, "r.example.com"):
            check(any(name in line and line.endswith("stored in file") for line in lines), done.stdout)
        check("x.example.com" not in done.stdout, "credHelpers stay")
        check("For x.example.com docker goes on asking docker-credential-other" in done.stderr, done.stderr)
        check("--write" in done.stderr, done.stderr)


@case("written: the rest of the file stays, to the byte; what it had is imported; undone, it is the first again")
def written():
    with Home() as home:
        path = write(home, mode=0o640)
        succeed(home, "--write")
        equal(home.read(DOCKER), FILE.replace("{\n", '{\n\t"credsStore": "pullkey",\n', 1))
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        equal(home.get("r.example.com")["Secret"], MARKER + "r")
        equal(home.get("docker.io")["Username"], "hub")
        equal(home.find_text(MARKER), [], "the store is encrypted, and the record has none")
        before = contents(home)
        for words in ((), ("--write",)):
            check("docker asks pullkey already" in succeed(home, *words).stdout, "twice")
        equal(contents(home), before)
        succeed(home, "--undo")
        equal(home.read(DOCKER), FILE)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        done = setup(home, "--undo")
        check(done.returncode == 1 and "nothing to undo" in done.stderr, done.stderr)


@case("files of every form: the same way there and back")
def forms():
    for text in ("{}", "{ }\n", '{"auths":{}}', '{\n  "auths": {}\n}', '{\r\n  "a": 1\r\n}\r\n',
                 '{"credsStore": "not\\u002dthere", "a": 1}', '{"a": 1, "CredsStore": "other"}', None, ""):
        for words in ((), ("--for", "r.example.com:5000", "--for", "docker.io")):
            with Home() as home:
                if text is not None:
                    write(home, text)
                succeed(home, "--write", *words)
                document = json.loads(home.read(DOCKER))
                found = {key.lower(): value for key, value in document.items()}
                if words:
                    equal(found["credhelpers"], {HUB: "pullkey", "r.example.com:5000": "pullkey"})
                else:
                    equal(found["credsstore"], "pullkey")
                succeed(home, "--undo")
                equal(contents(home).get(DOCKER, b"").decode(), text or "", repr(text))
                equal(os.path.exists(os.path.join(home.path, DOCKER)), text is not None)


@case("what it does not understand is refused with its line, and nothing is written")
def refused():
    for text, said in (
        ("{", ":1: "),
        ('{\n// mine\n"a": 1}', ":2: "),
        ('{\n"a": 1,\n"a": 2}', ":3: "),
        ('{\n"credsStore": "a",\n"CREDSSTORE": "b"}', ":3: "),
        ('{"a": 1,}', ":1: "),
        ("[]", ":1: expected an object"),
        ('{\n\n"credsStore": 1}', ":3: credsStore: expected a string"),
        ('{"auths": []}', ":1: auths"),
        ("not JSON", ":1: "),
    ):
        for words in ((), ("--write",)):
            with Home() as home:
                write(home, text)
                before = contents(home)
                done = setup(home, *words)
                equal((done.returncode, contents(home)), (1, before), f"{text}: {done.stderr}")
                check(said in done.stderr and "config.json" in done.stderr, f"{text}: {done.stderr}")
    with Home() as home:
        write(home, '{"credHelpers": []}')
        equal(setup(home, "--write", "--for", "a.example").returncode, 1)
        for words in (("--system",), ("--write", "--undo"), ("--undo", "--for", "a.example")):
            equal(setup(home, *words).returncode, 2, str(words))


@case("what cannot be imported stops it")
def not_imported():
    with Home() as home:
        text = json.dumps({"auths": {"r.example.com": {"registrytoken": MARKER}}})
        write(home, text)
        check('"--write" will not change config.json' in succeed(home).stderr, "shown")
        done = setup(home, "--write")
        equal((done.returncode, home.read(DOCKER)), (1, text), done.stderr)
        check("registrytoken" in done.stdout and "config.json was not changed" in done.stderr, done.stderr)


@case("a helper whose logins cannot be read, and that docker finds, stops it too")
def unread():
    for name in ("ours", "pass"):
        with Home() as home:
            program = home.write(f"bin/docker-credential-{name}", "#!/bin/sh\necho broken\nexit 1\n")
            os.chmod(program, 0o755)
            home.env["PATH"] = os.path.dirname(program) + ":" + home.env["PATH"]
            text = json.dumps({"auths": {"r.example.com": auth("alice", MARKER)}, "credsStore": name})
            write(home, text)
            check(f"What docker-credential-{name} has is not imported" in succeed(home).stderr, name)
            done = setup(home, "--write")
            equal((done.returncode, home.read(DOCKER), home.list()), (1, text, {}), done.stderr)
            check(f"Nothing was changed: what docker-credential-{name} has" in done.stderr, done.stderr)
            done = succeed(home, "--write", "--for", "r.example.com")
            check(f"What docker-credential-{name} has is not imported" in done.stderr, done.stderr)
            os.unlink(program)
            # Now it gives docker nothing either.
            if name == "ours":
                succeed(home, "--write")
                equal(json.loads(home.read(DOCKER))["credsStore"], "pullkey")


@case("what another helper has is listed, and imported with --write; what it does not give stops it")
def foreign():
    for broken in (False, True):
        with Home() as home:
            secret = json.dumps({"ServerURL": "h.example.com", "Username": "bob", "Secret": MARKER})
            get = "echo broken; exit 1" if broken else f"echo '{secret}'"
            list_ = json.dumps({"h.example.com": "bob"})
            program = home.write(
                "bin/docker-credential-ours", f"#!/bin/sh\ncase $1 in list) echo '{list_}';; get) {get};; esac\n"
            )
            os.chmod(program, 0o755)
            home.env["PATH"] = os.path.dirname(program) + ":" + home.env["PATH"]
            text = '{"credsStore": "ours"}'
            write(home, text)
            done = succeed(home)
            lines = [line for line in done.stdout.splitlines() if "h.example.com" in line]
            check(lines and "ours" in lines[0], done.stdout)
            equal((home.read(DOCKER), home.list()), (text, {}), "shown")
            if broken:
                check("will not change config.json" in done.stderr, done.stderr)
                done = setup(home, "--write", "--json")
                found = json.loads(done.stdout)
                equal((done.returncode, found["done"], found["logins"][0]["action"]), (1, False, "refuse"))
                done = setup(home, "--write")
                equal((done.returncode, home.read(DOCKER), home.list()), (1, text, {}), done.stderr)
                check("config.json was not changed" in done.stderr, done.stderr)
                continue
            done = succeed(home, "--write")
            check("docker-credential-ours has it still" in done.stderr, done.stderr)
            equal(home.get("h.example.com")["Secret"], MARKER)
            equal(json.loads(home.read(DOCKER))["credsStore"], "pullkey")
            check("stay in the store" in succeed(home, "--undo").stderr, "the login")
            equal((home.read(DOCKER), home.list()), (text, {"h.example.com": "bob"}), "the login stays")


@case("with --for, what the helper before had of that registry is listed and imported, and nothing else")
def foreign_for():
    for before in ({"credsStore": "ours"}, {"credHelpers": {"h.example.com": "ours"}, "credsStore": "not-there"},
                   {"credHelpers": {"h.example.com": "pullkey", "x.example.com": "ours"}, "credsStore": "ours"}):
        for broken in (False, True):
            with Home() as home:
                secret = json.dumps({"ServerURL": "h.example.com", "Username": "bob", "Secret": MARKER})
                get = "echo broken; exit 1" if broken else f"echo '{secret}'"
                list_ = json.dumps({"h.example.com": "bob", "i.example.com": "eve"})
                program = home.write(
                    "bin/docker-credential-ours", f"#!/bin/sh\ncase $1 in list) echo '{list_}';; get) {get};; esac\n"
                )
                os.chmod(program, 0o755)
                home.env["PATH"] = os.path.dirname(program) + ":" + home.env["PATH"]
                text = json.dumps(before)
                write(home, text)
                done = succeed(home, "--for", "h.example.com")
                if before.get("credHelpers", {}).get("h.example.com") == "pullkey":
                    check("asks pullkey already" in done.stdout, done.stdout)
                    continue
                check("h.example.com" in done.stdout and "i.example.com" not in done.stdout, done.stdout)
                done = setup(home, "--write", "--for", "h.example.com")
                equal(done.returncode, int(broken), done.stderr)
                equal(home.list(), {} if broken else {"h.example.com": "bob"})
                equal(home.read(DOCKER) == text, broken)
                if not broken:
                    equal(json.loads(home.read(DOCKER))["credHelpers"]["h.example.com"], "pullkey")


@case("names of helpers are shown, and nothing else that stands there")
def masked():
    for text, shown in (
        ('{"credsStore": "%s"}', True),
        ('{"a": 1, "CredsStore" : "%s"}', True),
        ('{"credHelpers": {"a.example": "one", "b.example": "%s"}}', True),
        ('{"credHelpers": {"a.example": "one"}, "a": "%s"}', False),
        ('{"credHelpers": {}, "a": "%s"}', False),
        ('{"credHelpers": null, "b": {"a": "%s"}}', False),
        ('{"credHelpers": {"b": {"a": "%s"}}}', False),
        ('{"credHelpers": [{"a": "%s"}]}', False),
        ('{"credsStore": "", "a": "%s"}', False),
        ('{"credHelpers": {"a.example": "one"}, "b": {"a": "%s"}}', False),
    ):
        with Home() as home:
            write(home, text % "not-there")
            done = setup(home)
            equal((done.returncode, "not-there" in done.stdout), (0, shown), text + done.stdout + done.stderr)


@case("--json: files with their diffs, what would be hidden or was imported, and what is to be known")
def as_json():
    with Home() as home:
        write(home)
        for words, done in (((), False), (("--write",), True)):
            text = succeed(home, "--json", *words).stdout
            found = json.loads(text)
            equal([*found], ["tool", "done", "files", "logins", "notes"])
            equal((found["tool"], found["done"]), ("docker", done))
            file = found["files"][0]
            equal((os.path.basename(file["file"]), file["changes"]), ("config.json", True))
            check('\n+ "credsStore": "pullkey",\n' in file["diff"].replace("\t", " "), file["diff"])
            equal({(item["registry"], item["stored"]) for item in found["logins"]},
                  {("https://index.docker.io/v1/", done), ("r.example.com", done)})
            check("docker-credential-other" in found["notes"][0], text)
        found = json.loads(succeed(home, "--json").stdout)
        equal((found["done"], found["files"][0]["changes"], found["files"][0]["diff"], found["logins"]), (True, False, "", []))
        done = setup(home, "--undo", "--json")
        check(done.returncode == 2 and "--json" in done.stderr, done.stderr)


@case("with --for only that registry is imported")
def one():
    with Home() as home:
        write(home)
        succeed(home, "--write", "--for", "r.example.com")
        equal(home.list(), {"r.example.com": "alice"})


@case("what a helper of others serves is not what auths has")
def served():
    for words in (("--for", "r.example.com"), ()):
        with Home() as home:
            write(home, FILE.replace("x.example.com", "r.example.com"))
            done = succeed(home, "--write", *words)
            equal(home.list(), {} if words else {HUB: "hub"})
            check("docker-credential-other" in (done.stdout if words else done.stderr), done.stdout)


@case("of two that differ the store's stays, and it is said how to have the other")
def differs():
    with Home() as home:
        home.login("r.example.com", "alice", "secret", "--no-verify").check_returncode()
        write(home)
        done = succeed(home, "--write")
        check("(else: pullkey import --from docker --replace)" in done.stdout, done.stdout)


@case("a link stays one, and files of others are left alone")
def hostile():
    with Home() as home:
        target = home.write("dotfiles/config.json", FILE)
        os.chmod(target, 0o600)
        home.directory(".docker")
        os.symlink(target, os.path.join(home.path, DOCKER))
        succeed(home, "--write")
        check(os.path.islink(os.path.join(home.path, DOCKER)), "a link")
        check('"pullkey"' in home.read("dotfiles/config.json"), "what it leads to")
        succeed(home, "--undo")
        equal(home.read("dotfiles/config.json"), FILE)
        os.unlink(os.path.join(home.path, DOCKER))
        path = write(home, mode=0o666)
        done = setup(home, "--write")
        check(done.returncode == 1 and "others may write" in done.stderr, done.stderr)
        os.chmod(path, 0o600)
        if ROOT:
            os.chown(path, 12345, -1)
            done = setup(home, "--write")
            check(done.returncode == 1 and "user 12345" in done.stderr, done.stderr)
        else:
            os.chmod(os.path.dirname(path), 0o500)
            equal(setup(home, "--write").returncode, 1)
            os.chmod(os.path.dirname(path), 0o700)
        equal(home.read(DOCKER), FILE)


@case("what somebody changed since is not undone; what docker itself wrote since stays")
def changed():
    with Home() as home:
        write(home)
        succeed(home, "--write")
        write(home, home.read(DOCKER).replace('"pullkey"', '"another"'))
        before = home.read(DOCKER)
        done = succeed(home, "--undo")
        equal(home.read(DOCKER), before)
        check("is not there any more" in done.stdout, done.stdout)
        equal(setup(home, "--undo").returncode, 1, "it is forgotten")
        write(home)
        succeed(home, "--write")
        # As docker does: everything in an order of its own.
        document = {"auths": {"new.example.com": {}}, "credsStore": "pullkey", "x": 1}
        write(home, json.dumps(document, indent="\t"))
        succeed(home, "--undo")
        del document["credsStore"]
        equal(json.loads(home.read(DOCKER)), document)
        # Of a file that was made here, what others put in stays.
        os.unlink(os.path.join(home.path, DOCKER))
        succeed(home, "--write")
        write(home, '{"auths": {"new.example.com": {}}, "credsStore": "pullkey"}')
        succeed(home, "--undo")
        equal(json.loads(home.read(DOCKER)), {"auths": {"new.example.com": {}}})
        succeed(home, "--write")
        os.unlink(os.path.join(home.path, DOCKER))
        succeed(home, "--undo")


@case("undone of what was written anew since: JSON as before, without the member")
def anew():
    name = "r.example.com"
    for first, words, now, then in (
        ("{}", (), '{"credsStore": "pullkey", "x": "x"}', {"x": "x"}),
        ("{}", (), '{"x": "pullkey", "credsStore": "pullkey"}', {"x": "pullkey"}),
        ('{"credsStore": "other"}', (), '{"x": "pullkey", "credsStore": "pullkey"}',
         {"x": "pullkey", "credsStore": "other"}),
        ('{"credHelpers":{}}', ("--for", name), '{"credHelpers":{"%s": "pullkey", "x": "x"}}' % name,
         {"credHelpers": {"x": "x"}}),
        (None, ("--for", name), '{"credHelpers":{"%s": "pullkey"}, "x": 1}' % name, {"credHelpers": {}, "x": 1}),
    ):
        with Home() as home:
            home.env["DBUS_SESSION_BUS_ADDRESS"] = ""
            if first:
                write(home, first)
            succeed(home, "--write", *words)
            write(home, now)
            succeed(home, "--undo")
            equal(json.loads(home.read(DOCKER)), then)
            check("nothing to undo" in setup(home, "--undo").stderr, "once")
            # By hand.
            succeed(home, "--write", *words)
            write(home, '{"y": 1}')
            succeed(home, "--undo")
            equal(home.read(DOCKER), '{"y": 1}')
            check("nothing to undo" in setup(home, "--undo").stderr, "once")
    with Home() as home:
        write(home, "{}")
        succeed(home, "--write")
        write(home, '{"credsStore": "pullkey", ]')
        done = setup(home, "--undo")
        equal((done.returncode, home.read(DOCKER)), (1, '{"credsStore": "pullkey", ]'), done.stderr)


@case("an undo, or a change, that failed is not taken for done")
def failed():
    with Home() as home:
        write(home, "{}")
        succeed(home, "--write")
        blocker = home.directory(DOCKER + ".pullkey-new")
        equal(setup(home, "--undo").returncode, 1)
        os.rmdir(blocker)
        write(home, home.read(DOCKER) + "\n")
        succeed(home, "--undo")
        equal(home.read(DOCKER), "{}\n")
        os.mkdir(blocker)
        equal(setup(home, "--write").returncode, 1)
        os.rmdir(blocker)
        write(home, '{"x": 1}')
        succeed(home, "--undo")
        equal(home.read(DOCKER), '{"x": 1}')
        check("nothing to undo" in setup(home, "--undo").stderr, "once")


@case("a link that leads nowhere stays")
def dangling():
    with Home() as home:
        home.directory(".docker")
        link = os.path.join(home.path, DOCKER)
        os.symlink("nowhere", link)
        for words in ((), ("--write",)):
            done = setup(home, *words)
            check(done.returncode == 1 and "is a link to" in done.stderr, done.stderr)
        check(os.path.islink(link), "a link")


@case("several at once: one edit, one record, and one undo")
def at_once():
    with Home() as home:
        write(home)
        command = [home.pullkey, "setup", "docker", "--write"]
        running = [home.start(command, subprocess.DEVNULL) for _ in range(6)]
        equal([process.wait() for process in running], [0] * 6)
        equal(len(json.loads(home.read(RECORD))), 1)
        succeed(home, "--undo")
        equal(home.read(DOCKER), FILE)


@case("docker itself finds what was imported, and stores here")
def real():
    with Home() as home:
        write(home)
        succeed(home, "--write")
        docker = find_program("docker", "docker.io")
        done = home.run([docker, "logout", "r.example.com"])
        equal(done.returncode, 0, done.stderr)
        equal(home.get("r.example.com"), None)
        equal(home.get("docker.io")["Username"], "hub")


run()
