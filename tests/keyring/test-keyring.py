# SPDX-License-Identifier: Apache-2.0
"""The keyring backend with GNOME's keyring, beside docker-credential-secretservice as Debian has it
and as it is now.
"""

import functools
import json
import os
import re
import socket
import sys
import time

import scene
from scene import LOCKED, SERVER, Empty, Monitor, Scene, on
from home import Home
from program import find_program, wait_for
from tap import case, check, equal, run

import crowd

UPSTREAM = {"0.6": scene.debian, "0.9": lambda: scene.current.program()}
LABEL = "Registry credentials for "
THEIRS_MAX = 65000  # Go's scanner takes lines up to 64 KiB
SECRETS = {
    "UTF-8": ("J\u00fcrgen \U0001f511", "p\u00e4ss \u20ac \"'\\ $(id)"),
    "64 KiB": ("large", "x" * 65536),
    "an identity token": ("<token>", "eyJ.refresh.token"),
}


def each_upstream(function):
    """A case for each version."""
    for version, find in UPSTREAM.items():
        name = function.__doc__.strip().format(f"docker-credential-secretservice {version}")
        case(name)(lambda find=find: with_program(function, find()))
    return function


def with_program(function, program):
    with Scene() as own:
        function(own, program)


# -- Beside the other helper


@each_upstream
def interoperation(own, program):
    """{} and pullkey read each other's entries"""
    for what, (user, secret) in SECRETS.items():
        short = secret[:THEIRS_MAX]
        own.store(SERVER, user, short, program)
        equal(own.answer(SERVER), (user, short), f"{what}, read by pullkey")
        equal(own.answer("registry.example.com"), (user, short), f"{what}, by another name")
        own.store("other.example.com", user, secret)
        equal(own.answer("other.example.com", program), (user, secret), f"{what}, read by it")
        equal(own.listed(), {SERVER: user, "other.example.com": user})
        equal(sorted(own.listed(program).values()), [user, user])
        own.succeed([program, "erase"], "other.example.com")
        own.succeed([own.helper, "erase"], SERVER)
        equal((own.answer(SERVER, program), own.answer("other.example.com")), (None, None))
    equal(own.bus.entries(), [])


@each_upstream
def one_entry(own, program):
    """a store leaves one entry where {} has left two"""
    for user in ("alice", "bob"):
        own.store(SERVER, user, user, program)
    equal(own.users(), ["alice", "bob"], "what it leaves")
    own.store(SERVER, "carol", "new")
    equal(own.users(), ["carol"])
    equal((own.answer(SERVER), own.answer(SERVER, program)), (("carol", "new"),) * 2)
    own.store("registry.example.com", "dave", "newer")
    equal((own.users(), own.users("registry.example.com")), ([], ["dave"]), "by another name")
    own.store("registry.example.com", "dave", "newest")
    equal((own.users("registry.example.com"), own.answer(SERVER)), (["dave"], ("dave", "newest")))


@each_upstream
def newest(own, program):
    """the newest of two entries of {} is taken"""
    own.store(SERVER, "alice", "1", program)
    own.store(SERVER, "bob", "2", program)
    for user in ("alice", "bob"):
        # The keyring counts in seconds.
        then = int(time.time())
        wait_for(lambda then=then: int(time.time()) > then, "another second")
        own.store(SERVER, user, "newer", program)
        equal(own.answer(SERVER), (user, "newer"))
    equal(len(own.users()), 2)


@each_upstream
def erase_all(own, program):
    """an erase removes all entries of {}, and fails where one is locked"""
    for user in ("alice", "bob"):
        own.store(SERVER, user, user, program)
    own.bus.lock()
    own.fails("erase", SERVER, LOCKED)
    equal(own.users(), ["alice", "bob"], "kept")
    own.bus.unlock()
    own.succeed([own.helper, "erase"], SERVER)
    equal(own.users(), [])
    equal(own.run([own.helper, "erase"], SERVER).returncode, 0, "nothing to erase")


@case("what docker-credential-secretservice 0.9 writes is written: label, attributes and schema")
@on()
def same_as_upstream(own):
    own.store(SERVER, "alice", "1", scene.current.program())
    (theirs,) = own.bus.entries()
    own.succeed([own.helper, "erase"], SERVER)
    own.store(SERVER, "alice", "1")
    (ours,) = own.bus.entries()
    equal((ours.label, ours.attributes), (theirs.label, theirs.attributes))


@case("secret-tool sees the entry as documented, and its secret")
@on()
def oracle(own):
    own.store(SERVER, "alice", "the secret")
    tool = find_program("secret-tool", "libsecret-tools")
    done = own.run([tool, "search", "--all", "docker_cli", "1"])
    lines = (done.stdout + done.stderr).splitlines()
    expected = {
        f"label = {LABEL}{SERVER}",
        "secret = the secret",
        "schema = io.docker.Credentials",
        "attribute.label = Docker Credentials",
        f"attribute.server = {SERVER}",
        "attribute.username = alice",
        "attribute.docker_cli = 1",
    }
    check(expected <= set(lines), f"missing: {expected - set(lines)} in {lines}")
    equal(sum(line.startswith("attribute.") for line in lines), 4)
    own.succeed([tool, "clear", "server", SERVER])
    equal(own.answer(SERVER), None)


@case("entries of other programs are neither read nor removed")
@on()
def foreign(own):
    other = {"xdg:schema": "org.example.Other", "docker_cli": "1", "server": SERVER, "username": "x"}
    own.bus.add(other, "foreign")
    equal((own.answer(SERVER), own.listed()), (None, {}))
    own.store(SERVER, "alice", "1")
    equal(own.users(), ["alice", "x"])
    own.succeed([own.helper, "erase"], SERVER)
    equal(own.users(), ["x"])


@case("an entry without a label attribute, as before 0.5, is read")
@on()
def old_entry(own):
    own.bus.add({"xdg:schema": "io.docker.Credentials", "docker_cli": "1", "server": SERVER, "username": "x"}, "old")
    equal((own.answer(SERVER), own.listed()), (("x", "old"), {SERVER: "x"}))


@case("skopeo logout --all: all is gone with pullkey, and nothing with docker-credential-secretservice 0.9")
@on()
def logout_all(own):
    skopeo = find_program("skopeo")
    left = {}
    for name, program in (("upstream", scene.current.program()), ("pullkey", own.helper)):
        path = own.write(f"bin/docker-credential-{name}", f'#!/bin/sh\nexec {program} "$@"\n')
        os.chmod(path, 0o755)
        own.write(".config/containers/registries.conf", f'credential-helpers = ["{name}"]\n')
        for server in ("a.example.com", "b.example.com:5000"):
            own.store(server, program=program)
        env = {"PATH": f"{own.path}/bin:{own.env['PATH']}"}
        own.run([skopeo, "logout", "--all"], env=env)
        left[name] = len(own.bus.entries())
    equal(left, {"upstream": 2, "pullkey": 0})


# -- Locked, absent, headless


@case("locked: a match is an error that says what to do, no match is not found, the list is whole")
@on()
def locked(own):
    own.store(SERVER, "alice", "1")
    own.bus.lock()
    for name in (SERVER, "registry.example.com", "https://registry.example.com/team"):
        own.fails("get", name, LOCKED)
    equal(own.answer("other.example.com"), None)
    equal(own.listed(), {SERVER: "alice"})
    own.bus.unlock()
    equal(own.answer(SERVER), ("alice", "1"))


@case("locked: no store gets between the user and the entry that is there")
@on()
def locked_store(own):
    own.store(SERVER, "alice", "1")
    own.bus.lock()
    request = json.dumps({"ServerURL": SERVER, "Username": "bob", "Secret": "2"})
    own.fails("store", request, LOCKED)
    own.bus.unlock()
    equal((own.users(), own.answer(SERVER)), (["alice"], ("alice", "1")))


@case("list, and a get without a match, ask for nothing but attributes, also on a desktop")
@on()
def no_prompt(own):
    own.store("other.example.com", "alice", "1")
    own.bus.lock()
    own.env["DISPLAY"] = ":99"
    with Monitor(own) as monitor:
        equal(own.listed(), {"other.example.com": "alice"})
        equal(own.answer(SERVER), None)
    members = {member for _, member in monitor.calls}
    check("SearchItems" in members, monitor.calls)
    equal(members - {"SearchItems", "Get", "GetAll", "ReadAlias", "OpenSession"}, set())


@case("login: an unlocked keyring is used; a locked one, and one that is not there, leave it to the file")
@on()
def login_unlocked(own):
    check("in keyring; " in own.login(), "the message")
    equal((own.users(), own.find_text("secret")), (["user"], []))
    own.succeed([own.helper, "erase"], SERVER)
    own.bus.lock()
    check("in file (encrypted); " in own.login(), "locked")
    equal((own.bus.entries(), own.answer(SERVER)), ([], ("user", "secret")))


@case("login: no service on the bus leaves it to the file")
@on(Empty)
def login_without_service(own):
    check("in file (encrypted); " in own.login(), "the message")
    equal(own.answer(SERVER), ("user", "secret"))


@case("login: a service that the bus starts, with no collection yet, leaves it to the file")
@on(Empty, activates=True)
def login_fresh_session(own):
    check("in file (encrypted); " in own.login(), "the message")
    check(own.bus.has_owner(), "nothing was started")
    equal(own.answer(SERVER), ("user", "secret"))
    (process,) = own.bus.call("/", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "(s)",
                              "org.freedesktop.secrets", to="org.freedesktop.DBus")  # fmt: skip
    os.kill(process, 15)


@case("login: no session bus leaves it to the file, and nothing is started")
def login_without_bus():
    with Home() as own:
        launched = own.write("bin/dbus-launch", '#!/bin/sh\ntouch "$HOME/launched"\n')
        os.chmod(launched, 0o755)
        own.env.update(PATH=f"{own.path}/bin:{own.env['PATH']}", DISPLAY=":99")
        done = own.login(SERVER, "user", "secret", "--no-verify")
        check("in file (encrypted); " in done.stdout, done.stdout + done.stderr)
        own.write(".config/pullkey/config.json", '{"version":1,"default":["keyring"]}')
        done = own.run([own.helper, "get"], SERVER)
        equal(done.returncode, 1)
        check("there is no session bus" in done.stdout, done.stdout)
        check(not os.path.exists(f"{own.path}/launched"), "a bus was started")


@case("root in a user namespace, as rootless podman runs helpers, is the user")
@on()
def namespace(own):
    as_root = [find_program("unshare"), "--map-root-user", own.helper]
    request = json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": "1"})
    own.succeed([*as_root, "store"], request)
    equal((own.users(), own.answer(SERVER)), (["alice"], ("alice", "1")))
    equal(json.loads(own.succeed([*as_root, "get"], SERVER))["Secret"], "1")


def ask_as_root():
    """Root's answers, with a bus that nobody connects to: with a keyring by default, and without."""
    with Home() as own, socket.create_server(f"{own.path}/bus", family=socket.AF_UNIX) as bus:
        own.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={own.path}/bus"
        yield own.run([own.helper, "get"], SERVER, seconds=15).stdout
        own.write(".config/pullkey/config.json", '{"version":1,"default":["keyring"]}')
        yield own.run([own.helper, "get"], SERVER, seconds=15).stdout
        bus.setblocking(False)
        try:
            yield bus.accept()
        except BlockingIOError:
            yield "nobody connected"


def root(answers):
    equal(answers[0], "credentials not found in native keychain\n")
    check("root has no keyring" in answers[1], answers)
    equal(answers[2], "nobody connected")


# Before it is given up.
if os.geteuid() == 0:
    case("root has no keyring, and is told so at once")(functools.partial(root, list(ask_as_root())))


@case("a password saved in the file over ssh does not shadow one saved on the desktop later")
@on()
def no_shadow(own):
    own.bus.lock()
    check("in file" in own.login(user="ssh", secret="old", env={"SSH_CONNECTION": "1"}), "over ssh")
    own.bus.unlock()
    check("in keyring" in own.login(user="desktop", secret="new"), "on the desktop")
    for lock in (own.bus.unlock, own.bus.lock):
        lock()
        done = own.run([own.helper, "get"], SERVER)
        check("old" not in done.stdout, done.stdout)
    own.bus.unlock()
    equal(own.answer(SERVER), ("desktop", "new"))


# -- Where, how and how many


@case("the option \"collection\": by its name or its label; none of that name is an error")
@on()
def collection(own):
    path = own.bus.make_collection("Containers and images")
    for name in ("Containers and images", os.path.basename(path)):
        own.configure(backends={"keyring": {"type": "keyring", "collection": name}})
        own.store(SERVER, "alice", name)
        (entry,) = own.bus.entries()
        equal((os.path.dirname(entry.path), own.answer(SERVER)), (path, ("alice", name)))
        own.succeed([own.helper, "erase"], SERVER)
    own.configure(backends={"keyring": {"type": "keyring", "collection": "nowhere"}})
    request = json.dumps({"ServerURL": SERVER, "Username": "bob", "Secret": "2"})
    own.fails("store", request, 'no collection "nowhere"')
    equal(own.bus.entries(), [])


@case("ten stores of one server at the same time leave one entry, which is whole")
@on()
def at_once(own):
    users = [f"user{number}" for number in range(10)]
    texts = [json.dumps({"ServerURL": SERVER, "Username": user, "Secret": f"of {user}"}) for user in users]
    equal(crowd.run(own.helper, "store", own.env, texts), [(0, "", "")] * len(texts))
    (left,) = own.users()
    equal(own.answer(SERVER), (left, f"of {left}"))


def trace(own, calls, secret="secret"):
    """strace's lines of a get. It shows numbers alone: the program's memory is closed to it."""
    path = os.path.join(own.path, "trace")
    words = [find_program("strace"), "-f", "-e", calls, "-o", path, own.helper, "get"]
    equal(json.loads(own.succeed(words, SERVER))["Secret"], secret)
    return own.read("trace").splitlines()


def loaded(own):
    """What the dynamic linker has loaded for a get."""
    done = own.run([own.helper, "get"], SERVER, {"LD_DEBUG": "files"})
    equal(json.loads(done.stdout)["Secret"], "secret")
    paths = re.findall(r"file=(\S+) \[0\];  generating link map", done.stderr)
    return {os.path.basename(path) for path in paths}


@case("the module is loaded where a request reaches it, and nowhere else")
@on()
def lazy(own):
    own.store(SERVER)
    wanted = {"keyring.so", "libsecret-1.so.0", "libgio-2.0.so.0"}
    check(wanted <= loaded(own), "loaded with the keyring")
    check(trace(own, "socket"), "nobody was asked")
    rule = {"match": "registry.example.com", "use": ["file"]}
    own.configure(rules=[rule], backends={"file": {"type": "file", "encryption": "none"}})
    own.store(SERVER)
    names = loaded(own)
    check("libcjson.so.1" in names and not wanted & names, f"loaded with a file: {names}")
    equal([line for line in trace(own, "socket") if "socket(" in line], [])


@case("a secret that is read lies in memory that is locked: libsecret's, and the copy that is printed")
@on()
def locked_memory(own):
    secret = "s" * 4801
    own.store(SERVER, secret=secret)
    lines = [line for line in trace(own, "mlock", secret) if " mlock(" in line and line.endswith("= 0")]
    own_ones = [line for line in lines if ", 4801)" in line]
    check(own_ones and len(lines) > len(own_ones), lines)


scene.begin()
sys.exit(run())
