# SPDX-License-Identifier: Apache-2.0
"""pullkey import from and into a keyring, GNOME's, with entries that docker-credential-secretservice
made. As an ordinary user: root has no keyring.
"""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import account
from home import Home
from keyring import ROOT, Bus, Keyring
from program import find_program, wait_for
from tap import case, check, equal, run

MARKER = "marker-77be02"
HUB = "https://index.docker.io/v1/"
DOCKER = ".docker/config.json"
FILE_ONLY = '{"version": 1, "default": ["file"]}'
NOT_THERE = "credentials not found in native keychain"


def coded(user):
    return b64encode(f"{user}:{MARKER}".encode()).decode()


class Desk(Home):
    """A home with a keyring; the store is the file unless `config` says otherwise."""

    def __init__(self, config=FILE_ONLY, bus=Keyring):
        super().__init__()
        self.bus = bus(self.directory("k"))
        if config:
            self.write(".config/pullkey/config.json", config)

    def __enter__(self):
        self.program = find_program("docker-credential-secretservice", "golang-docker-credential-helpers")
        try:
            self.bus.__enter__()
        except BaseException:
            super().__exit__()
            raise
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self.bus.address
        return self

    def __exit__(self, *problem):
        self.bus.__exit__(*problem)
        super().__exit__(*problem)

    def put(self, server, user, secret=MARKER):
        self.succeed([self.program, "store"], json.dumps({"ServerURL": server, "Username": user, "Secret": secret}))

    def users(self):
        return sorted((entry.server, entry.username) for entry in self.bus.entries())

    def count(self):
        """While entries come and go."""
        wanted = {"docker_cli": "1"}
        found = self.bus.call(ROOT, "org.freedesktop.Secret.Service", "SearchItems", "(a{ss})", wanted)
        return sum(len(paths) for paths in found)

    def take(self, *options):
        return self.run([self.pullkey, "import", "--yes", *options])

    def write_docker(self, **entries):
        auths = {name.replace("_", "."): {"auth": coded(user)} for name, user in entries.items()}
        return self.write(DOCKER, json.dumps({"auths": auths}))


def actions(done):
    return {(e["registry"], e["username"]): e["action"] for e in json.loads(done.stdout)["entries"]}


@case("entries of the keyring are copied into the file; the keyring is as it was")
def copies():
    with Desk() as desk:
        desk.put(HUB, "hubuser")
        desk.put("quay.example.com/team", "<token>")
        before = desk.users()
        shown = desk.run([desk.pullkey, "import"])
        equal((shown.returncode, desk.list()), (0, {}), shown.stderr)
        check(MARKER not in shown.stdout + shown.stderr, "no secret is shown")
        done = desk.take("--json")
        equal(actions(done), {(HUB, "hubuser"): "store", ("quay.example.com/team", "<token>"): "store"}, done.stderr)
        equal((done.returncode, desk.users()), (0, before))
        equal(desk.get("docker.io"), {"ServerURL": "docker.io", "Username": "hubuser", "Secret": MARKER})
        equal(set(actions(desk.take("--from", "secretservice", "--json")).values()), {"same"})


@case("move: the keyring has none of them afterwards, an older one of the same key included")
def moves():
    with Desk() as desk:
        names = [f"r{number}.example.com" for number in range(6)]  # listed in no order
        for user in ("older", "newest"):
            for server in names:
                desk.put(server, user, MARKER + user)
            second = int(time.time())
            wait_for(lambda: int(time.time()) > second, "the next second: the keyring's times have no smaller part")
        desk.put("b.example.com", "bob")
        done = desk.take("--move", "--json")
        what = (("newest", "store"), ("older", "older"))
        expected = {(server, user): action for server in names for user, action in what}
        equal(done.returncode, 0, done.stderr)
        equal(actions(done), {**expected, ("b.example.com", "bob"): "store"})
        equal({e["removed"] for e in json.loads(done.stdout)["entries"]}, {True})
        texts = {e["username"]: e["text"] for e in json.loads(done.stdout)["entries"]}
        equal(texts["older"], "left out: there is a newer one; removed, not kept")
        equal(texts["newest"], "stored in file; removed here")
        equal(desk.users(), [])
        for server in names:
            equal(desk.run([desk.program, "get"], server).stdout.strip(), NOT_THERE)
            equal(desk.get(server)["Secret"], MARKER + "newest")


@case("move: two names of one registry that differ stay, as one would go with the other")
def aliases():
    with Desk() as desk:
        desk.put(HUB, "first", "1")
        desk.put("docker.io", "second", "2")
        done = desk.take("--move")
        equal((done.returncode, len(desk.users())), (1, 2), done.stderr)
        equal(done.stderr.count("is still there"), 2, done.stderr)
        check("stored in file; stays: docker.io would go with it" in done.stdout, done.stdout)
        equal(desk.get("docker.io")["Username"], "first", "docker's own key")
        desk.run([desk.program, "erase"], "docker.io")
        desk.put("docker.io", "first", "1")
        done = desk.take("--move", "--replace")
        equal((done.returncode, desk.users()), (0, []), done.stderr)
        equal(desk.get("docker.io")["Username"], "first")


@case("move: other spellings of docker's own key go with it, and are shown as not kept")
def spellings():
    with Desk() as desk:
        for server, secret in (("https://a.example.com", "1"), ("a.example.com", MARKER), ("a.example.com/v1/", "3")):
            desk.put(server, "alice", secret)
        shown = desk.run([desk.pullkey, "import", "--move"]).stdout
        equal((shown.count("; removed, not kept"), shown.count("; removed here")), (2, 1), shown)
        done = desk.take("--move")
        equal((done.returncode, desk.users()), (0, []), done.stderr)
        equal(desk.get("a.example.com")["Secret"], MARKER)


@case("where the keyring is the store its entries are there, and stay")
def own_store():
    collection = '{"version": 1, "backends": {"k": {"type": "keyring"}}, "default": ["k"]}'
    exec_helper = '{"version": 1, "default": [{"type": "exec", "helper": "secretservice"}]}'
    for config in (None, collection, exec_helper):
        with Desk(config) as desk:
            desk.put("a.example.com", "older")
            desk.put("a.example.com", "alice")
            before = desk.users()
            done = desk.take("--move", "--replace", "--json")
            equal((done.returncode, set(actions(done).values()), done.stderr), (0, {"here"}, ""))
            equal(desk.users(), before)
            equal(desk.get("a.example.com")["Secret"], MARKER)


@case("docker's file is moved into the keyring, where docker-credential-secretservice finds it")
def into():
    with Desk(None) as desk:
        desk.put("b.example.com", "here", "other")
        desk.write_docker(a_example_com="alice", b_example_com="bob")
        shown = desk.run([desk.pullkey, "import", "--from", "docker"])
        check("stored in keyring" in shown.stdout and "the one in keyring is kept" in shown.stdout, shown.stdout)
        done = desk.take("--from", "docker", "--move")
        equal(done.returncode, 1, "one differs")
        equal(desk.users(), [("a.example.com", "alice"), ("b.example.com", "here")])
        equal(list(json.loads(desk.read(DOCKER))["auths"]), ["b.example.com"])
        done = desk.take("--from", "docker", "--move", "--replace")
        equal((done.returncode, desk.users()), (0, [("a.example.com", "alice"), ("b.example.com", "bob")]))
        equal(json.loads(desk.succeed([desk.program, "get"], "b.example.com"))["Secret"], MARKER)
        equal(desk.find_text(coded("bob")), [], "nothing is left")


@case("a locked keyring: nobody is asked where nobody is, nothing is lost, and the next store is taken, as by a login")
def locked():
    with Desk() as desk:
        desk.put("a.example.com", "alice")
        desk.put("b.example.com", "bob")
        before = desk.users()
        desk.bus.lock()
        done = desk.take("--move")
        equal((done.returncode, done.stderr.count("is still there")), (1, 2), done.stderr)
        equal(done.stderr.count("pullkey unlock"), 1, done.stderr)
        equal((desk.users(), desk.list()), (before, {}))
        desk.bus.unlock()
        equal((desk.take("--move").returncode, desk.users(), len(desk.list())), (0, [], 2))
    with Desk(None) as desk:
        desk.write_docker(a_example_com="alice")
        desk.bus.lock()
        done = desk.take("--from", "docker", "--move")
        equal(done.returncode, 0, done.stdout)
        check("file is the store, not keyring: the keyring is locked" in done.stderr, done.stderr)
        equal((list(json.loads(desk.read(DOCKER))["auths"]), desk.list()), ([], {"a.example.com": "alice"}))
        equal(desk.get("a.example.com")["Secret"], MARKER)
        desk.bus.unlock()
        equal(desk.users(), [])
    with Desk('{"version": 1, "default": ["keyring", "file"], "store": "keyring"}') as desk:
        desk.write_docker(a_example_com="alice")
        before = desk.read(DOCKER)
        desk.bus.lock()
        done = desk.take("--from", "docker", "--move")
        equal((done.returncode, desk.read(DOCKER), desk.list()), (1, before, {}), done.stdout)
        equal((done.stderr.count("\n"), done.stderr.count("locked")), (1, 1), done.stderr)
        desk.bus.unlock()
        equal((desk.take("--from", "docker", "--move").returncode, desk.users()), (0, [("a.example.com", "alice")]))


@case("without a keyring on the bus it is passed over, unless it was named")
def absent():
    with Desk(None, Bus) as desk:
        desk.write_docker(a_example_com="alice")
        done = desk.take("--from", "secretservice")
        equal((done.returncode, done.stdout), (1, ""))
        done = desk.take("--move", "--json")
        equal((done.returncode, done.stderr), (0, ""))
        entry = json.loads(done.stdout)["entries"][0]
        equal((entry["store"], entry["stored"], entry["removed"]), ("file", True, True))


@case("move: killed in the middle, each credential is in one place at least, and the next run ends it")
def killed():
    names = [f"r{number:02}.example.com" for number in range(12)]
    middles = 0
    for wanted in (12, 11, 8, 4, 1):
        with Desk() as desk:
            for name in names:
                desk.put(name, "alice", MARKER + name)
            command = [desk.pullkey, "import", "--yes", "--move"]
            process = subprocess.Popen(command, env=desk.env, stdout=subprocess.DEVNULL)
            while desk.count() > wanted or (wanted == 12 and not desk.list()):
                check(process.poll() in (None, 0), "it failed")
            process.send_signal(signal.SIGKILL)
            process.wait()
            left = {server for server, _ in desk.users()}
            middles += 0 < len(left) < 12 or (len(left) == 12 and 0 < len(desk.list()))
            for name in names:
                check(name in left or desk.get(name)["Secret"] == MARKER + name, f"{name} is lost")
            equal(desk.take("--move").returncode, 0)
            equal(desk.users(), [])
            for name in names:
                equal(desk.get(name)["Secret"], MARKER + name)
    check(middles > 2, f"only {middles} kills in the middle")


if __name__ == "__main__":
    account.become()
    sys.exit(run())
