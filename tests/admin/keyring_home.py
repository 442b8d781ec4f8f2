# SPDX-License-Identifier: Apache-2.0
"""A home on whose session bus there is a keyring, and what the tests of pullkey do there.

    with keyring_home() as (home, keyring):
    with keyring_home(Bus) as (home, bus):      a bus, and nobody on it
"""

import contextlib
import os
import shutil
import tempfile

from home import Home
from keyring import Keyring
from tap import check, equal

DESKTOP = {"DISPLAY": ":4711"}
SSH = {**DESKTOP, "SSH_TTY": "/dev/pts/4711"}  # with its X11 forwarded
NO_BUS = {"DBUS_SESSION_BUS_ADDRESS": ""}


@contextlib.contextmanager
def keyring_home(kind=Keyring):
    place = tempfile.mkdtemp(prefix="pk-bus-")
    try:
        with Home() as home, kind(place) as keyring:
            home.env["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
            yield home, keyring
    finally:
        shutil.rmtree(place)


def pullkey(home, *words, text="", env=None):
    return home.run([home.pullkey, *words], text, env)


def store(home, server, user, password, env=None):
    """`pullkey login`, unchecked; what it says."""
    words = ["login", "--no-verify", "--username", user, "--password-stdin", server]
    done = pullkey(home, *words, text=password, env=env)
    equal((done.returncode, done.stderr), (0, ""))
    return done.stdout


def fails(done, *words):
    """One line on stderr with these words, exit status 1, nothing on stdout."""
    equal((done.returncode, done.stdout), (1, ""), done.stderr)
    equal(done.stderr.count("\n"), 1, done.stderr)
    for word in words:
        check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")


def secret(home, server, env=None):
    """What the helper has for it, or None."""
    kept, home.env = home.env, {**home.env, **(env or {})}
    try:
        answer = home.get(server)
    finally:
        home.env = kept
    return answer and answer["Secret"]
