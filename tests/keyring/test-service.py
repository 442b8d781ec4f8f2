# SPDX-License-Identifier: Apache-2.0
"""The keyring backend with a Secret Service that does not do what it should, or has to ask."""

import contextlib
import json
import os
import socket
import subprocess
import sys

from scene import LOCKED, SERVER, Empty, Scene, on
from program import die_with_parent, wait_for
from tap import case, check, equal, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
import account
import clock
from fake_keyring import FakeKeyring

DESKTOP = {"DISPLAY": ":99"}
REQUESTS = {
    "get": SERVER,
    "store": json.dumps({"ServerURL": SERVER, "Username": "new", "Secret": "new"}),
    "erase": SERVER,
}
LATE = "the keyring did not answer in time"


class Fake(Scene):
    make_bus = FakeKeyring


class Clocked:
    """The helper with a clock of its own, for Clock."""

    def __init__(self, own):
        self.home, self.program = own, own.helper


@contextlib.contextmanager
def running(own, verb, env=None):
    """The helper in the background, with a clock that the test can put forward: both of them."""
    clocked = Clocked(own)
    time = clock.Clock(clocked)
    process = subprocess.Popen(
        [clocked.program, verb],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**own.env, **(env or {})},
        preexec_fn=die_with_parent,
    )
    try:
        process.stdin.write(REQUESTS[verb])
        process.stdin.close()
        process.stdin = None
        yield process, time
    finally:
        process.kill()
        process.communicate()


def expect_waiting(process):
    """Longer than it takes to look at its clock."""
    try:
        out, _ = process.communicate(timeout=2.5)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"it did not wait: {out}")


def end(process, *words):
    out, _ = process.communicate(timeout=20)
    equal((process.returncode, out.count("\n")), (1, 1), out)
    for word in words:
        check(word in out, f"{word!r} is not in {out!r}")


def asked(own, *members):
    return [member for member in own.bus.members if member in (members or ("Unlock", "Prompt"))]


# -- Prompts


@case("locked, on a desktop: each verb asks, once, and goes on when it is unlocked")
@on(Fake)
def accepted(own):
    for verb, users in (("get", ["alice"]), ("store", ["new"]), ("erase", [])):
        own.bus.default.items.clear()
        own.bus.add(SERVER, "alice", "1")
        own.bus.default.locked = True
        own.bus.members.clear()
        own.succeed([own.helper, verb], REQUESTS[verb], DESKTOP)
        equal((asked(own), own.bus.users()), (["Unlock", "Prompt"], users), verb)


@case("locked: where nobody can see a prompt, none is made")
@on(Fake)
def nobody(own):
    own.bus.add(SERVER, "alice", "1")
    own.bus.default.locked = True
    for env in (
        {},
        {"DISPLAY": ""},
        {**DESKTOP, "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"},
        {**DESKTOP, "SSH_TTY": "/dev/pts/0"},
        {"WAYLAND_DISPLAY": "wayland-0", "SSH_CLIENT": "192.0.2.1 1 22"},
    ):
        for verb, text in REQUESTS.items():
            own.fails(verb, text, LOCKED, env=env)
        equal(asked(own), [], str(env))
    own.succeed([own.helper, "get"], SERVER, {"WAYLAND_DISPLAY": "wayland-0"})
    equal((asked(own), own.bus.users()), (["Unlock", "Prompt"], ["alice"]))


@case("locked, on a desktop: neither a list nor a get without a match asks")
@on(Fake)
def list_asks_nobody(own):
    own.bus.add("other.example.com", "alice", "1")
    own.bus.default.locked = True
    own.env.update(DESKTOP)
    equal((own.listed(), own.answer(SERVER)), ({"other.example.com": "alice"}, None))
    equal(asked(own), [])


@case("a prompt that is dismissed is an error, and nothing has changed")
@on(Fake)
def dismissed(own):
    own.bus.add(SERVER, "alice", "1")
    own.bus.default.locked = True
    own.bus.prompt = "dismiss"
    for verb, text in REQUESTS.items():
        own.fails(verb, text, "its prompt was dismissed", env=DESKTOP)
    equal((len(asked(own)), own.bus.users()), (2 * len(REQUESTS), ["alice"]))


@case("a prompt stays open for two minutes, whatever else has a deadline")
@on(Fake)
def open_prompt(own):
    own.bus.add(SERVER, "alice", "1")
    own.bus.default.locked = True
    own.bus.prompt = None
    with running(own, "get", DESKTOP) as (process, time):
        wait_for(lambda: asked(own, "Prompt"), "the prompt")
        time.go_on(110)
        expect_waiting(process)
        own.bus.answer("accept")
        out, _ = process.communicate(timeout=20)
        equal((process.returncode, json.loads(out)["Secret"]), (0, "1"))


@case("a prompt that nobody answers ends after two minutes, and says so")
@on(Fake)
def unanswered(own):
    own.bus.add(SERVER, "alice", "1")
    own.bus.prompt = None
    for hangs in (set(), {"Prompt"}):
        own.bus.default.locked = True
        own.bus.hangs, own.bus.members = hangs, []
        with running(own, "get", DESKTOP) as (process, time):
            wait_for(lambda: asked(own, "Prompt"), "the prompt")
            time.go_on(121)
            end(process, "locked", "within 120 seconds")


# -- Collections


@case("the only collection is the default, also where no alias says so")
@on(Fake)
def without_alias(own):
    own.bus.aliases.clear()
    own.store(SERVER, "alice", "1")
    equal((own.answer(SERVER), len(own.bus.default.items)), (("alice", "1"), 1))


@case("several collections and no default one: a store asks for the option, by which it is found")
@on(Fake)
def several_collections(own):
    own.bus.aliases.clear()
    second = own.bus.make_collection("second", "Two words")
    own.bus.make_collection("session", "Session")
    own.fails("store", REQUESTS["store"], "2 collections", "collection")
    equal(own.bus.items(), [])
    for name in ("second", "Two words"):
        own.configure(backends={"keyring": {"type": "keyring", "collection": name}})
        own.succeed([own.helper, "store"], REQUESTS["store"])
        equal(len(second.items), 1)
    own.bus.make_collection("third", "Two words")
    own.fails("store", REQUESTS["store"], "2 collections")


@case("the newest of several counts, in whatever order they come")
@on(Fake)
def newest(own):
    for times in ((1, 3, 2), (3, 2, 1), (1, 2, 3)):
        own.bus.default.items.clear()
        for time in times:
            own.bus.add(SERVER, f"user{time}", str(time), modified=time)
        equal(own.answer(SERVER), ("user3", "3"), str(times))


# -- What is wrong with it


@case("a service that never answers ends at the deadline")
@on(Fake)
def never_answers(own):
    own.bus.add(SERVER, "alice", "1")
    for verb, member in (
        ("get", "OpenSession"),
        ("get", "SearchItems"),
        ("get", "GetSecret"),
        ("store", "ReadAlias"),
        ("store", "CreateItem"),
        ("erase", "Delete"),
    ):
        own.bus.hangs = {member, "GetSecrets"} if member == "GetSecret" else {member}
        own.bus.members.clear()
        with running(own, verb) as (process, time):
            wait_for(lambda: asked(own, *own.bus.hangs), f"{member} of {verb}")
            if member == "SearchItems":
                time.go_on(15)
                expect_waiting(process)
            time.go_on(25)
            end(process, LATE)
    equal(own.bus.users(), ["alice"])


@case("a bus that never answers ends at the deadline")
@on(Empty)
def silent_bus(own):
    path = os.path.join(own.path, "silent")
    own.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"
    own.configure(default=["keyring"])
    with socket.socket(socket.AF_UNIX) as listener, running(own, "get") as (process, time):
        listener.bind(path)
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            time.go_on(25)
            end(process, "the session bus did not answer in time")


@case("a service that dies during a call is an error at once")
@on(Empty)
def dies(own):
    for verb, member in (("get", "SearchItems"), ("get", "GetSecret"), ("store", "CreateItem"), ("erase", "Delete")):
        with FakeKeyring(own.directory(f"{verb}-{member}")) as fake:
            fake.add(SERVER, "alice", "1")
            fake.dies_of = {member, "GetSecrets"} if member == "GetSecret" else {member}
            env = {"DBUS_SESSION_BUS_ADDRESS": fake.address}
            own.fails(verb, REQUESTS[verb], "keyring: ", env=env, seconds=15)
            check(member in fake.members or "GetSecrets" in fake.members, fake.members)


@case("a reply of another type, and a method that is not there, are errors, and never \"not found\"")
@on(Fake)
def malformed(own):
    own.bus.add(SERVER, "alice", "1")
    wrong = {
        "SearchItems": ("s", "no paths"),
        "GetSecret": ("s", "no secret"),
        "GetSecrets": ("s", "no secrets"),
        "OpenSession": ("s", "no session"),
    }
    for names in (["SearchItems"], ["GetSecret", "GetSecrets"], ["OpenSession"]):
        own.bus.replies = {name: wrong[name] for name in names}
        own.fails("get", SERVER)
        own.bus.replies = {}
        own.bus.fails = dict.fromkeys(names, "org.freedesktop.DBus.Error.UnknownMethod")
        own.fails("get", SERVER)
        own.bus.fails = {}
    own.bus.replies = {"SearchItems": ("s", "no paths")}
    done = own.run([own.helper, "list"])
    equal((done.returncode, done.stdout.count("\n")), (1, 1), done.stdout)
    own.bus.replies = {"CreateItem": ("s", "nothing"), "Delete": ("s", "nothing")}
    own.fails("store", REQUESTS["store"])
    own.fails("erase", SERVER)


@case("an entry without a password, without a user, or that holds no text, is an error")
@on(Fake)
def no_credential(own):
    item = own.bus.add(SERVER, "alice", "1")
    for secret in (b"", b"a\0b", b"\xff", b"x" * 65537):
        item.secret = secret
        own.fails("get", SERVER)
    item.secret = b"1"
    equal(own.answer(SERVER), ("alice", "1"))
    del item.attributes["username"]
    own.fails("get", SERVER, "no user name")


@case("what is found and is another server's is nobody's credential")
@on(Fake)
def lies(own):
    other = own.bus.add("evil.example.com", "alice", "1")
    own.bus.replies["SearchItems"] = ("aoao", [other.path], [])
    equal(own.answer(SERVER), None)
    own.succeed([own.helper, "erase"], SERVER)
    equal(own.bus.users(), ["alice"])


@case("an erase that removes nothing is an error, whatever the service says")
@on(Fake)
def kept(own):
    own.bus.add(SERVER, "alice", "1")
    own.bus.keeps = True
    own.fails("erase", SERVER, "still has a credential")
    own.fails("store", REQUESTS["store"], "still has a credential")


@case("no service on the bus, and none in the configuration: an error where it is named")
@on(Empty)
def nobody_there(own):
    equal(own.answer(SERVER), None)
    own.configure(default=["keyring"])
    own.fails("get", SERVER, "no keyring is running")


account.become()
sys.exit(run())
