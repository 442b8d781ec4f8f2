# SPDX-License-Identifier: Apache-2.0
"""The exec backend with helpers that are missing, unsafe or misbehave: an error, not "not found"."""

import json
import os
import sys
import tempfile

import sandbox
from sandbox import Sandbox, tap

SERVER = "registry.example.com"
GOOD = json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": "fine"})


def put(directory, name, text, mode=0o755):
    path = os.path.join(directory, "docker-credential-" + name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


def use(user, **instance):
    backend = {"type": "exec", **instance}
    user.configure({"version": 1, "backends": {"child": backend}, "default": ["child"]})


def refused(user, *words):
    for verb in ("get", "erase"):
        sandbox.check_refused(user.helper(verb, SERVER), *words)
    entry = sandbox.entry(SERVER, "alice", "fine")
    sandbox.check_refused(user.helper("store", entry), *words)


def misbehaves(text, *words):
    with Sandbox(config={"version": 1}) as user:
        use(user, path=put(user.path("home"), "child", text))
        sandbox.check_refused(user.helper("get", SERVER), "docker-credential-child", *words)


@tap.case("a helper that works is asked, so that the other cases prove something")
def works():
    with Sandbox(config={"version": 1}) as user:
        use(user, path=put(user.path("home"), "child", f"#!/bin/sh\necho '{GOOD}'\n"))
        tap.equal(user.get(SERVER), ("alice", "fine"))


@tap.case("a helper that is not there is an error, by name and by path")
def missing():
    with Sandbox(config={"version": 1}) as user:
        use(user, helper="nowhere-to-be-found")
        refused(user, "there is no docker-credential-nowhere-to-be-found in")
        for path in ("/nonexistent/docker-credential-x", user.path("home", "docker-credential-x")):
            use(user, path=path)
            refused(user, path)


@tap.case("a helper whose interpreter is not there is an error")
def no_interpreter():
    misbehaves("#!/nonexistent/sh\n", "interpreter")


@tap.case("a name never becomes a path")
def names():
    with Sandbox(config={"version": 1}) as user:
        for name in ("../x", "a/b", "/bin/sh", ".", "..", "A", "a b", "a\n", "-a"):
            use(user, helper=name)
            refused(user, "docker-credential- of a program's name")


@tap.case("a helper that others can replace is not run")
def unsafe():
    with Sandbox(config={"version": 1}) as user, tempfile.TemporaryDirectory() as place:
        path = put(place, "child", f"#!/bin/sh\necho '{GOOD}'\n")
        use(user, path=path)
        tap.equal(user.get(SERVER), ("alice", "fine"))
        for mode in (0o775, 0o757):
            os.chmod(path, mode)
            refused(user, path, "chmod go-w")
        os.chmod(path, 0o755)
        os.chmod(place, 0o777)
        refused(user, place, "chmod go-w")
        os.chmod(place, 0o700)
        os.chmod(path, 0o644)
        refused(user, path)


@tap.case("a helper that crashes, floods or never answers")
def misbehaviour():
    misbehaves("#!/bin/sh\nkill -SEGV $$\n", "signal 11", "by hand")
    misbehaves("#!/bin/sh\nexec yes flood\n", "more than 1048576 bytes")
    misbehaves("#!/bin/sh\nexec sleep 600\n", "did not answer in time", "by hand")


@tap.case("pullkey is not its own helper, and a loop through another program ends with the reason")
def loops():
    pullkey = sandbox.program("docker-credential-pullkey")
    with Sandbox(config={"version": 1}) as user:
        link = user.path("home", "docker-credential-link")
        os.symlink(pullkey, link)
        for instance in ({"helper": "pullkey"}, {"path": pullkey}, {"path": link}):
            use(user, **instance)
            refused(user, "its own helper")
        use(user, path=put(user.path("home"), "loop", f'#!/bin/sh\nexec {pullkey} "$1"\n'))
        refused(user, "call each other in a loop", "leads back to pullkey")


sys.exit(tap.run())
