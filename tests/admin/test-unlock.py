# SPDX-License-Identifier: Apache-2.0
"""pullkey unlock, with GNOME's keyring: at a terminal, in a script, and where there is nothing to unlock."""

import contextlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import account
from home import Home
from keyring import PASSWORD, SCHEMA, Bus
from keyring_home import DESKTOP, NO_BUS, SSH, fails, keyring_home, pullkey, secret, store
from tap import case, check, equal, run
from terminal import Terminal

SERVER = "registry.example.com"
QUESTION = "Password of the keyring: "
UNLOCK = ["unlock", "--password-stdin"]


def as_root():
    """What root is told, as long as this is root; tests go on as another."""
    if os.geteuid() != 0:
        return None
    with Home() as home:
        env = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/no-bus", **DESKTOP}
        return pullkey(home, "unlock", env=env)


ROOT_IS_TOLD = as_root()


def locked(home, keyring):
    store(home, SERVER, "alice", "s3cret")
    keyring.lock()
    check(keyring.is_locked(), "the keyring is not locked")


@case("at a terminal it asks, does not show what is typed, and unlocks")
def at_a_terminal():
    for env in ({}, SSH):
        with keyring_home() as (home, keyring):
            locked(home, keyring)
            env = {**home.env, **env, "PULLKEY_LOG": os.path.join(home.path, "log")}
            with Terminal([home.pullkey, "unlock"], env) as terminal:
                terminal.expect(QUESTION)
                check(not terminal.echoes(), "the password would be shown")
                terminal.type(PASSWORD + "\n")
                equal(terminal.wait(), 0, terminal.output)
            check("Unlocked keyring\r\n" in terminal.output, terminal.output)
            check(PASSWORD not in terminal.output, terminal.output)
            check(not keyring.is_locked(), "it is still locked")
            equal(secret(home, SERVER), "s3cret")
            equal(home.find_text(PASSWORD), [])


@case("at a terminal a wrong password is an error, and it stays locked")
def wrong_at_a_terminal():
    with keyring_home() as (home, keyring):
        locked(home, keyring)
        with Terminal([home.pullkey, "unlock"], home.env) as terminal:
            terminal.expect(QUESTION)
            terminal.type("marker-of-another\n")
            equal(terminal.wait(), 1, terminal.output)
        check('this is not the password of the keyring "login"' in terminal.output, terminal.output)
        check("marker-of-another" not in terminal.output, terminal.output)
        check(keyring.is_locked(), "it is not locked any more")


@case("the password from stdin, less one line end, also where a desktop could ask")
def from_stdin():
    for end in ("", "\n", "\r\n"):
        for env in (None, SSH, DESKTOP):
            with keyring_home() as (home, keyring):
                locked(home, keyring)
                done = pullkey(home, *UNLOCK, text=PASSWORD + end, env=env)
                equal((done.returncode, done.stdout, done.stderr), (0, "Unlocked keyring\n", ""))
                equal(secret(home, SERVER), "s3cret")


class Tap(socketserver.ThreadingUnixStreamServer):
    """A way to the bus that keeps what programs send."""

    daemon_threads = True

    def __init__(self, path, bus):
        super().__init__(path, Passing)
        self.bus, self.sent = bus, b""


class Passing(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.socket(socket.AF_UNIX) as bus:
            bus.connect(self.server.bus)
            back = threading.Thread(target=self.copy, args=(bus, self.request))
            back.start()
            self.copy(self.request, bus, keep=True)
            bus.shutdown(socket.SHUT_RDWR)
            back.join()

    def copy(self, source, target, keep=False):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self.server.sent += data
                target.sendall(data)


@case("the password goes over the bus encrypted")
def encrypted():
    with keyring_home() as (home, keyring):
        locked(home, keyring)
        path = os.path.join(keyring.place, "tap")
        with Tap(path, os.path.join(keyring.place, "bus")) as bus:
            threading.Thread(target=bus.serve_forever, daemon=True).start()
            done = pullkey(home, *UNLOCK, text=PASSWORD, env={"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"})
            bus.shutdown()
        equal((done.returncode, done.stdout), (0, "Unlocked keyring\n"), done.stderr)
        check(b"UnlockWithMasterPassword" in bus.sent, "the call did not come this way")
        check(PASSWORD.encode() not in bus.sent, "the password was sent as it is")
        check(not keyring.is_locked(), "it is still locked")


@case("the result as JSON")
def as_json():
    with keyring_home() as (home, keyring):
        for was_locked in (False, True):
            done = pullkey(home, *UNLOCK, "--json", text=PASSWORD)
            equal(json.loads(done.stdout), [{"source": "keyring", "was_locked": was_locked}])
            keyring.lock()


@case("what cannot be the password is refused, and it stays locked")
def wrong_from_stdin():
    with keyring_home() as (home, keyring):
        locked(home, keyring)
        for text, word in (
            ("marker-1", "is not the password"),
            (PASSWORD + "\nmarker-1\n", "more than one line"),
            ("", "empty"),
            ("m" * 65537, "65536"),
            (PASSWORD[:-1], "is not the password"),
        ):
            done = pullkey(home, *UNLOCK, text=text)
            fails(done, word)
            check("marker-1" not in done.stderr, done.stderr)
            check(keyring.is_locked(), word)


@case("nothing locked is no error, and nobody is asked")
def nothing_locked():
    with keyring_home() as (home, _):
        for words, text in ((["unlock"], ""), (UNLOCK, "any\n")):
            for env in (None, SSH, DESKTOP):
                done = pullkey(home, *words, text=text, env=env)
                equal((done.returncode, done.stdout, done.stderr), (0, "keyring is not locked\n", ""))


@case("without a terminal it says how")
def no_terminal():
    with keyring_home() as (home, keyring):
        locked(home, keyring)
        done = subprocess.run(
            [home.pullkey, "unlock"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=home.env,
            start_new_session=True,
            timeout=60,
        )
        fails(done, "there is no terminal to ask on: use --password-stdin\n")


@case("on the desktop the keyring's own prompt is waited for, and who dismisses it is told")
def own_prompt():
    # No program for prompts is on this bus, which for GNOME's keyring is one that was dismissed.
    with keyring_home() as (home, keyring):
        locked(home, keyring)
        log = os.path.join(home.path, "log")
        done = pullkey(home, "unlock", env={**DESKTOP, "PULLKEY_LOG": log})
        fails(done, "the keyring is locked, and its prompt was dismissed")
        check(keyring.is_locked(), "it is not locked any more")


@case("where no keyring is, each reason is another")
def no_keyring():
    with keyring_home(Bus) as (home, bus):
        fails(pullkey(home, *UNLOCK, text="x"), "no keyring is running", "org.freedesktop.secrets")
        fails(pullkey(home, "unlock", env=NO_BUS), "there is no session bus")
        gone = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus.place}/none"}
        fails(pullkey(home, "unlock", env=gone), "the session bus cannot be reached")
        fails(pullkey(home, "unlock", "--system"), "system programs have none")


def root():
    fails(ROOT_IS_TOLD, "root has no keyring")


if ROOT_IS_TOLD is not None:
    case("root is told that it has none")(root)


@case("a collection that the configuration names is unlocked, too")
def another_collection():
    with keyring_home() as (home, keyring):
        work = keyring.make_collection("Work")
        home.write(
            ".config/pullkey/config.json",
            '{"version": 1, "backends": {"work": {"type": "keyring", "collection": "Work"}}}',
        )
        keyring.lock(work)
        done = pullkey(home, *UNLOCK, text=PASSWORD)
        equal(done.stdout, "Unlocked work\nkeyring is not locked\n", done.stderr)
        check(not keyring.is_locked(work), "it is still locked")
        keyring.lock()
        done = pullkey(home, *UNLOCK, text=PASSWORD)
        equal(done.stdout, "work is not locked\nUnlocked keyring\n", done.stderr)


@case("a collection that holds an entry is unlocked, and no other one")
def the_collection_of_an_entry():
    with keyring_home() as (home, keyring):
        with_entry, without = keyring.make_collection("One"), keyring.make_collection("Other")
        attributes = {
            "xdg:schema": SCHEMA,
            "label": "Docker Credentials",
            "server": SERVER,
            "username": "alice",
            "docker_cli": "1",
        }
        keyring.add(attributes, "s3cret", collection=with_entry)
        keyring.lock(with_entry)
        keyring.lock(without)
        done = home.run([home.helper, "get"], SERVER)
        check("pullkey unlock" in done.stdout, done.stdout)
        done = pullkey(home, *UNLOCK, text=PASSWORD)
        equal(done.stdout, "Unlocked keyring\n", done.stderr)
        equal([keyring.is_locked(path) for path in (with_entry, without)], [False, True])
        equal(secret(home, SERVER), "s3cret")


@case("its help, and what it does not take")
def words():
    with Home() as home:
        done = pullkey(home, "help", "unlock")
        check("KWallet" in done.stdout and "--password-stdin" in done.stdout, done.stdout)
        done = pullkey(home, "unlock", "--username", "x")
        equal(done.returncode, 2, done.stderr)
        done = pullkey(home, "unlock", SERVER)
        equal(done.returncode, 2, done.stderr)


account.become()
sys.exit(run())
