# SPDX-License-Identifier: Apache-2.0
"""A user's home with a keyring, and the other helpers for it."""

import functools
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import account
import peers
from home import NOT_FOUND, Home
from keyring import Bus, Keyring
from program import Program, find_program
from tap import Skip, check, equal

DEBIAN = "docker-credential-secretservice"
SERVER = "https://registry.example.com"
LOCKED = "unlock it with `pullkey unlock`"
LINE_MAX = 300


def begin():
    """Before the first case: what needs root's rights is found, then they are given up."""
    try:
        path = peers.program("secretservice")
    except (Skip, AssertionError) as reason:
        current.reason = reason
        account.become()
    else:
        account.become(path)
        current.path = account.program(path)


class current:
    """Upstream's present helper, or why there is none."""

    path = reason = None

    @classmethod
    def program(cls):
        if cls.reason:
            raise cls.reason
        return cls.path


def debian():
    return find_program(DEBIAN, "golang-docker-credential-helpers")


class Scene(Home):
    """`bus` is on its bus: the keyring, or what a test puts there."""

    make_bus = Keyring

    def __init__(self, **options):
        super().__init__()
        self.bus = self.make_bus(self.directory("b"), **options)
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self.bus.address

    def __enter__(self):
        try:
            self.bus.__enter__()
        except BaseException:
            super().__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.bus.__exit__()
        finally:
            super().__exit__()

    def configure(self, **config):
        self.write(".config/pullkey/config.json", json.dumps({"version": 1, **config}))

    def store(self, server, user="user", secret="secret", program=None, env=None):
        request = {"ServerURL": server, "Username": user, "Secret": secret}
        text = json.dumps(request, ensure_ascii=False)
        done = self.run([program or self.helper, "store"], text, env)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), f"store {server}")

    def answer(self, server, program=None):
        """User and secret, or None where the helper says that there is none."""
        done = self.run([program or self.helper, "get"], server)
        if done.returncode == 1 and done.stdout == NOT_FOUND:
            return None
        equal(done.returncode, 0, done.stdout)
        answer = json.loads(done.stdout)
        return answer["Username"], answer["Secret"]

    def listed(self, program=None):
        return json.loads(self.succeed([program or self.helper, "list"]))

    def fails(self, verb, text, *words, env=None, seconds=60):
        """One line that is not "not found", with these words."""
        done = self.run([self.helper, verb], text, env, seconds)
        equal((done.returncode, done.stderr), (1, ""), done.stdout)
        check(done.stdout != NOT_FOUND and done.stdout.count("\n") == 1, done.stdout)
        check(len(done.stdout) < LINE_MAX, done.stdout)
        for word in words:
            check(word in done.stdout, f"{word!r} is not in {done.stdout!r}")
        return done.stdout

    def login(self, server=SERVER, user="user", secret="secret", env=None):
        """`pullkey login`: what it says on success."""
        words = [self.pullkey, "login", "--no-verify", "--username", user, "--password-stdin", server]
        return self.succeed(words, secret, env)

    def users(self, server=SERVER):
        """Of the server's entries, whoever made them."""
        return sorted(entry.username for entry in self.bus.entries(docker_cli="1", server=server))


class Monitor:
    """The calls that are made on the bus of a scene, as dbus-monitor sees them.

    with Monitor(scene) as monitor:
        ...
    monitor.calls       (interface, member) of each, but for those to the bus itself
    """

    def __init__(self, scene):
        self._scene = scene
        self._program = Program("dbus-monitor", os.path.join(scene.path, "monitor.log"))

    def __enter__(self):
        words = [find_program("dbus-monitor", "dbus-bin"), "--address", self._scene.bus.address, "--profile"]
        self._program.start(words, self._scene.env)
        self._mark("Begin")
        return self

    def __exit__(self, *_):
        try:
            self._mark("End")
        finally:
            text = self._program.log()
            self._program.stop()
            os.unlink(self._program.log_path)
        lines = [line.split("\t") for line in text.splitlines()]
        calls = [tuple(line[6:8]) for line in lines if line[0] == "mc"]
        begin = max(i for i, call in enumerate(calls) if call[1] == "Begin")
        calls = calls[begin + 1 : calls.index(("org.example.Mark", "End"))]
        self.calls = [call for call in calls if call[0] != "org.freedesktop.DBus"]

    def _mark(self, name):
        """Until it sees a call of our own, all before have been seen."""

        def is_seen():
            self._scene.bus.call_nobody("org.example.Mark", name)
            return f"\t{name}" in self._program.log()

        self._program.wait(is_seen, "to see what happens")


def on(make=Scene, **options):
    """Marks a case that has a scene of its own."""

    def mark(function):
        @functools.wraps(function)
        def wrapped():
            with make(**options) as scene:
                function(scene)

        return wrapped

    return mark


class Empty(Scene):
    """Nobody is on its bus."""

    make_bus = Bus
