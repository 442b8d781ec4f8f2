# SPDX-License-Identifier: Apache-2.0
"""Logging in where there is a keyring, where there is none, and where it is locked."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import account
from home import Home
from keyring import Bus
from keyring_home import DESKTOP, NO_BUS, SSH, fails, keyring_home, pullkey, secret, store
from tap import case, check, equal, run
from terminal import Terminal

SERVER = "registry.example.com"
OTHER = "other.example.com"
IN_FILE = "Stored a credential for {} as {} in file (encrypted); it was not checked\n"
IN_KEYRING = "Stored a credential for {} as {} in keyring; it was not checked\n"


def servers(keyring):
    return sorted((entry.server, entry.username) for entry in keyring.entries())


def listed(home, env=None):
    done = pullkey(home, "list", "--json", env=env)
    equal(done.stderr, "")
    return [(entry["registry"], entry["source"]) for entry in json.loads(done.stdout)]


def logout(home, server, env=None):
    done = pullkey(home, "logout", server, env=env)
    equal((done.returncode, done.stderr), (0, ""))
    return done.stdout


@case("where there is a keyring it has the credential, and the login says so")
def with_keyring():
    for env in (None, DESKTOP, SSH):
        with keyring_home() as (home, keyring):
            equal(store(home, SERVER, "alice", "s3cret", env), IN_KEYRING.format(SERVER, "alice"))
            equal(servers(keyring), [(SERVER, "alice")])
            equal(secret(home, SERVER, env), "s3cret")
            equal(secret(home, SERVER, NO_BUS), None)
            equal(home.find_text("s3cret"), [])
            words = ["login", "-ualice", "--password-stdin", "--no-verify", "--json", SERVER]
            answer = json.loads(pullkey(home, *words, text="s3cret", env=env).stdout)
            equal((answer["source"], answer["encrypted"]), ("keyring", True))


@case("where there is none the encrypted file has it, and the log says why")
def without():
    with keyring_home(Bus) as (home, bus):
        gone = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus.place}/none"}
        for env, why in (
            (NO_BUS, "keyring: not used: there is no session bus"),
            ({}, "keyring: not stored here: no keyring is running"),
            (gone, "keyring: not stored here: the session bus cannot be reached"),
        ):
            env = {**env, "PULLKEY_LOG": os.path.join(home.path, "log")}
            equal(store(home, SERVER, "alice", "s3cret", env), IN_FILE.format(SERVER, "alice"))
            check(why in home.read("log"), f"{why!r} is not in the log:\n{home.read('log')}")
            os.unlink(env["PULLKEY_LOG"])
            equal(secret(home, SERVER, env), "s3cret")
            equal(logout(home, SERVER, env), f"Removed the credential for {SERVER}\n")


@case("a locked keyring that has nothing for the registry leaves it to the file, over ssh")
def locked_without_entry():
    with keyring_home() as (home, keyring):
        store(home, OTHER, "bob", "another")
        keyring.lock()
        equal(store(home, SERVER, "alice", "s3cret", SSH), IN_FILE.format(SERVER, "alice"))
        equal(secret(home, SERVER, SSH), "s3cret")
        equal(listed(home, SSH), [(OTHER, "keyring"), (SERVER, "file")])
        check(keyring.is_locked(), "it is not locked any more")


@case("a locked keyring that has an entry is an error that names pullkey unlock, over ssh")
def locked_with_entry():
    with keyring_home() as (home, keyring):
        store(home, SERVER, "alice", "first")
        keyring.lock()
        words = ["login", "-ualice", "--password-stdin", "--no-verify", SERVER]
        done = pullkey(home, *words, text="second", env=SSH)
        fails(done, "nothing was stored", "the keyring is locked", "`pullkey unlock`")
        equal(secret(home, SERVER, NO_BUS), None, "the file has it")
        keyring.unlock()
        equal(secret(home, SERVER), "first")
        equal(store(home, SERVER, "bob", "second", SSH), IN_KEYRING.format(SERVER, "bob"))
        equal(servers(keyring), [(SERVER, "bob")])


@case("nobody is asked for a password that a locked keyring would not keep")
def locked_and_asked():
    with keyring_home() as (home, keyring):
        store(home, SERVER, "alice", "first")
        keyring.lock()
        # The entry of the host would answer for the path before the file does.
        for server in (f"https://{SERVER}", f"{SERVER}/team"):
            with Terminal([home.pullkey, "login", "-ualice", "--no-verify", server], {**home.env, **SSH}) as terminal:
                equal(terminal.wait(), 1)
            check("pullkey unlock" in terminal.output and "Password" not in terminal.output, terminal.output)
        equal(home.find_text("auths"), [], "the file")


@case("where \"store\" names a locked keyring, its reason stands alone, and nothing else has the credential")
def locked_store():
    with keyring_home() as (home, keyring):
        config = {"version": 1, "default": ["keyring", "file"], "store": "keyring"}
        home.write(".config/pullkey/config.json", json.dumps(config))
        keyring.lock()
        words = ["login", "-ualice", "--password-stdin", "--no-verify", SERVER]
        done = pullkey(home, *words, text="s3cret", env=SSH)
        fails(done, '"store" names keyring: the keyring is locked', "`pullkey unlock`\n")
        check("cannot store" not in done.stderr, done.stderr)
        equal(secret(home, SERVER), None)


@case("what was saved over ssh never hides what is saved on the desktop later")
def nothing_is_hidden():
    with keyring_home() as (home, keyring):
        keyring.lock()
        equal(store(home, SERVER, "alice", "by ssh", SSH), IN_FILE.format(SERVER, "alice"))
        keyring.unlock()
        equal(secret(home, SERVER, DESKTOP), "by ssh", "before")
        equal(store(home, SERVER, "alice", "later", DESKTOP), IN_KEYRING.format(SERVER, "alice"))
        for env in (DESKTOP, SSH):
            equal(secret(home, SERVER, env), "later")
        equal(secret(home, SERVER, NO_BUS), None, "the file still has it")
        keyring.lock()
        done = home.run([home.helper, "get"], SERVER, SSH)
        check("pullkey unlock" in done.stdout, done.stdout)
        equal(listed(home), [(SERVER, "keyring")])


@case("where both have one, the keyring's is the answer, and logout removes both")
def both():
    with keyring_home() as (home, keyring):
        store(home, SERVER, "alice", "in the keyring")
        store(home, SERVER, "alice", "in the file", NO_BUS)
        store(home, OTHER, "bob", "another", NO_BUS)
        equal(secret(home, SERVER), "in the keyring")
        equal(secret(home, SERVER, NO_BUS), "in the file")
        equal(listed(home), [(OTHER, "file"), (SERVER, "keyring")])
        equal(logout(home, SERVER), f"Removed the credential for {SERVER}\n")
        equal(secret(home, SERVER), None)
        equal(secret(home, SERVER, NO_BUS), None)
        equal(servers(keyring), [])
        equal(listed(home), [(OTHER, "file")])


@case("logout says what a locked keyring keeps")
def logout_locked():
    with keyring_home() as (home, keyring):
        store(home, SERVER, "alice", "in the keyring")
        keyring.lock()
        done = pullkey(home, "logout", SERVER, env=SSH)
        fails(done, "the credential may still be there", "`pullkey unlock`")
        equal(logout(home, OTHER, SSH), f"There was no credential for {OTHER}\n")
        keyring.unlock()
        equal(secret(home, SERVER), "in the keyring")


@case("docker's own login takes the same way")
def by_the_helper():
    with keyring_home() as (home, keyring):
        text = json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": "s3cret"})
        home.succeed([home.helper, "store"], text)
        equal(servers(keyring), [(SERVER, "alice")])
        keyring.lock()
        done = home.run([home.helper, "store"], text, SSH)
        equal(done.returncode, 1)
        check("pullkey unlock" in done.stdout, done.stdout)
        home.succeed([home.helper, "store"], text.replace(SERVER, OTHER), SSH)
        equal(servers(keyring), [(SERVER, "alice")])
        equal(secret(home, OTHER, NO_BUS), "s3cret")


@case("variables for debugging GLib and libsecret do nothing")
def debugging():
    with keyring_home() as (home, keyring):
        env = {
            "G_DBUS_DEBUG": "all",
            "G_MESSAGES_DEBUG": "all",
            "G_DEBUG": "fatal-warnings",
            "SECRET_SERVICE_BUS_NAME": "org.example.other",
            "SECRET_BACKEND": "file",
        }
        equal(store(home, SERVER, "alice", "s3cret", env), IN_KEYRING.format(SERVER, "alice"))
        equal(servers(keyring), [(SERVER, "alice")])
        done = home.run([home.helper, "get"], SERVER, env)
        equal((json.loads(done.stdout)["Secret"], done.stderr), ("s3cret", ""))


@case("version names the module")
def version():
    with Home() as home:
        equal(json.loads(pullkey(home, "version", "--json").stdout)["parts"]["keyring"], "present")


account.become()
sys.exit(run())
