# SPDX-License-Identifier: Apache-2.0
"""The keyring backend with a Secret Service that does not do what it should, or has to ask."""

import atexit
import contextlib
import functools
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile

from scene import LOCKED, SERVER, Empty, Scene, on
from program import Program, die_with_parent, find_program, wait_for
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


CHANGES = (("store", "CreateItem"), ("erase", "Delete"))


def at_keyring_that_asks(own, member):
    """As KeePassXC does: unlocked, and each change is asked for."""
    own.bus.default.items.clear()
    own.bus.add(SERVER, "alice", "1")
    own.bus.asks = {member}
    own.bus.members.clear()


@case("a service that asks before each change: a prompt is shown and answered")
@on(Fake)
def asks(own):
    for verb, member in CHANGES:
        at_keyring_that_asks(own, member)
        own.succeed([own.helper, verb], REQUESTS[verb], DESKTOP)
        equal((asked(own), own.bus.users()), (["Prompt"], ["new"] if verb == "store" else []), verb)


@case("a service that asks before each change: dismissed, it is an error at once, also of pullkey")
@on(Fake)
def asks_in_vain(own):
    own.bus.prompt = "dismiss"
    for verb, member in CHANGES:
        at_keyring_that_asks(own, member)
        own.fails(verb, REQUESTS[verb], "asks before it changes", "was dismissed", env=DESKTOP, seconds=15)
        equal(own.bus.users(), ["alice"])
    at_keyring_that_asks(own, "CreateItem")
    login = ["login", "--no-verify", "--username", "new", "--password-stdin", SERVER]
    for words, member in ((login, "CreateItem"), (["logout", SERVER], "Delete")):
        own.bus.asks = {member}
        done = own.run([own.pullkey, *words], "new", DESKTOP, 15)
        equal((done.returncode, own.bus.users()), (1, ["alice"]), done.stderr)
        check("was dismissed" in done.stderr, done.stderr)


@case("a service that asks before each change: where nobody can see a prompt, none is shown")
@on(Fake)
def asks_nobody(own):
    for env in ({}, {**DESKTOP, "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}):
        for verb, member in CHANGES:
            at_keyring_that_asks(own, member)
            own.fails(verb, REQUESTS[verb], "nobody can be asked here", env=env, seconds=15)
            equal((asked(own), own.bus.users()), ([], ["alice"]), verb)


@case("a service that asks before each change has two minutes, and need not answer to its dismissal")
@on(Fake)
def asks_for_long(own):
    own.bus.prompt = None
    for verb, member in CHANGES:
        at_keyring_that_asks(own, member)
        own.bus.hangs = {"Dismiss"}
        with running(own, verb, DESKTOP) as (process, time):
            wait_for(lambda: asked(own, "Prompt"), "the prompt")
            time.go_on(110)
            expect_waiting(process)
            time.go_on(11)
            end(process, "within 120 seconds")
        wait_for(lambda: asked(own, "Dismiss"), "that it is dismissed")
        equal(own.bus.users(), ["alice"])


@case("a service that ends while its prompt is open is an error at once")
@on(Empty)
def dies_while_asking(own):
    for verb in REQUESTS:
        with FakeKeyring(own.directory(f"dies-{verb}")) as fake:
            fake.add(SERVER, "alice", "1")
            fake.default.locked = True
            fake.dies_of = {"Prompt"}
            env = {**DESKTOP, "DBUS_SESSION_BUS_ADDRESS": fake.address}
            own.fails(verb, REQUESTS[verb], "keyring: ", env=env, seconds=15)
            check("Prompt" in fake.members, fake.members)


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


@case("a store replaces what another collection has, of the same user too")
@on(Fake)
def other_collection(own):
    second = own.bus.make_collection("second", "Second")
    for user in ("new", "other"):
        own.bus.default.items.clear()
        second.items.clear()
        own.bus.add(SERVER, user, "old")
        own.bus.add("registry.example.com", user, "old")
        own.configure(backends={"keyring": {"type": "keyring", "collection": "second"}})
        own.succeed([own.helper, "store"], REQUESTS["store"])
        equal((own.bus.users(), own.answer(SERVER)), (["new"], ("new", "new")))
        equal(len(second.items), 1)


@case("an alias that a service keeps, while it says that it is gone, is an error of store")
@on(Fake)
def kept_alias(own):
    own.bus.add("registry.example.com", "new", "old")
    own.bus.keeps = True
    own.fails("store", REQUESTS["store"], "still has a credential")


@case("the newest of several counts, for get and list, in whatever order they come")
@on(Fake)
def newest(own):
    for times in ((1, 3, 2), (3, 2, 1), (1, 2, 3)):
        own.bus.default.items.clear()
        for time in times:
            own.bus.add(SERVER, f"user{time}", str(time), modified=time)
        equal((own.answer(SERVER), own.listed()), (("user3", "3"), {SERVER: "user3"}), str(times))
        equal(own.answer("registry.example.com"), ("user3", "3"))


@case("of several of one second the last one counts, also of two aliases")
@on(Fake)
def same_second(own):
    for number in range(12):
        own.bus.add(SERVER, f"user{number}", "1")
    equal((own.answer(SERVER), own.listed()), (("user11", "1"), {SERVER: "user11"}))
    own.bus.add(SERVER + "/v2/", "other", "1")
    equal(own.answer("registry.example.com"), ("other", "1"))


@case("locked, with what would be found before it: a login is not left to the next store")
@on(Fake)
def shadow(own):
    own.bus.add("registry.example.com", "alice", "1")
    own.bus.default.locked = True
    own.env["SSH_TTY"] = "/dev/pts/0"
    request = {"ServerURL": "registry.example.com/team", "Username": "new", "Secret": "new"}
    own.fails("store", json.dumps(request), LOCKED)
    equal(own.listed(), {"registry.example.com": "alice"})
    own.store("other.example.com")
    equal(own.listed(), {"registry.example.com": "alice", "other.example.com": "user"})


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
                time.go_on(7)
                expect_waiting(process)
            time.go_on(11)
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
            time.go_on(11)
            end(process, "the session bus did not answer in time")


@case("a service that dies during a call is an error at once")
@on(Empty)
def dies(own):
    calls = (
        ("get", "SearchItems"),
        ("get", "GetAll"),
        ("get", "GetSecret"),
        ("store", "CreateItem"),
        ("erase", "Delete"),
    )
    for verb, member in calls:
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
    item.attributes["username"] = ""
    own.fails("get", SERVER, "no user name")
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


@case("an address of a bus that is no socket is not used, nor one among several")
@on(Fake)
def addresses(own):
    own.configure(default=["keyring"])
    mark = os.path.join(own.path, "mark")
    own.write("launch", f"#!/bin/sh\ntouch {mark}\n")
    os.chmod(os.path.join(own.path, "launch"), 0o700)
    os.rename(os.path.join(own.path, "launch"), os.path.join(own.directory("bin"), "dbus-launch"))
    own.env.update(DESKTOP, PATH=f"{own.path}/bin:{own.env['PATH']}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        for other in (
            "autolaunch:",
            f"tcp:host=127.0.0.1,port={listener.getsockname()[1]}",
            f"unixexec:path={own.path}/bin/dbus-launch",
        ):
            for address in (other, f"unix:path={own.path}/nobody;{other}", f"{own.bus.address};{other}"):
                own.fails("get", SERVER, "no address of a socket", env={"DBUS_SESSION_BUS_ADDRESS": address})
        try:
            listener.accept()
        except BlockingIOError:
            pass
        else:
            raise AssertionError("somebody has connected")
    check(not os.path.exists(mark), "a program was run")
    nobody = f"unix:path={own.path}/nobody;{own.bus.address}"
    own.bus.add(SERVER, "alice", "1")
    own.env["DBUS_SESSION_BUS_ADDRESS"] = nobody
    equal(own.answer(SERVER), ("alice", "1"))


OPEN_BUS = """<busconfig>
  <type>session</type>
  <listen>unix:path={place}/bus</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


def start_foreign_bus():
    """Of nobody, who lets everybody in; it ends with the test. Only root can start one."""
    place = tempfile.mkdtemp(prefix="pk-foreign-")
    os.chmod(place, 0o777)
    config = os.path.join(place, "bus.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(OPEN_BUS.format(place=place))
    program = Program("dbus-daemon of nobody", os.path.join(place, "log"))
    words = [find_program("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=TERM"]
    words += [find_program("dbus-daemon"), "--nofork", "--nopidfile", f"--config-file={config}"]
    program.start(words, {"PATH": "/usr/bin:/bin"})
    program.wait(lambda: os.path.exists(f"{place}/bus"), "to listen")
    owner = pwd.getpwnam(account.ACCOUNT)
    os.chown(place, owner.pw_uid, owner.pw_gid)
    atexit.register(shutil.rmtree, place)
    return place


def foreign_bus(place):
    """It would get the password; and GLib, which refuses it where it has to look itself, would start another."""
    with Empty() as own:
        own.configure(default=["keyring"])
        own.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={place}/bus"
        own.fails("store", REQUESTS["store"], "the session bus is not yours")
        del own.env["DBUS_SESSION_BUS_ADDRESS"]
        own.env.update(DESKTOP, XDG_RUNTIME_DIR=place)
        own.fails("store", REQUESTS["store"], "no session bus")


if os.geteuid() == 0:
    case("a bus that is somebody else's is not used")(functools.partial(foreign_bus, start_foreign_bus()))
account.become()
sys.exit(run())
