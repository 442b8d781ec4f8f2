# SPDX-License-Identifier: Apache-2.0
"""pullkey import --move, and of docker-credential-pass: nothing is lost or left behind."""

import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from imports import (
    DOCKER,
    HUB,
    MARKER,
    PLAIN,
    PODMAN,
    ROOT,
    actions,
    auth,
    auths,
    coded,
    contents,
    last_line,
    login,
    pullkey,
    servers,
    summary,
    take,
    run,
)
from program import find_program, wait_for
from tap import Skip, case, check, comment, equal
from terminal import Terminal


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
    equal([n for n in os.listdir(os.path.dirname(path)) if n.endswith("-new")], [])


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
        os.mkdir(path + ".pullkey-new")
        try:
            before = home.read("there/auth.json")
            done = take(home, "--from", path, "--move")
            equal((done.returncode, home.read("there/auth.json")), (1, before))
            check("auth.json.pullkey-new" in done.stderr, done.stderr)
        finally:
            os.rmdir(path + ".pullkey-new")
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
        home.write(DOCKER + ".pullkey-new", auths(b_example_com=auth("alice", MARKER)))
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
    run()
