# SPDX-License-Identifier: Apache-2.0
"""pullkey setup docker and config add are killed at each system call, each fails, and each allocation.

Whatever happens, the file is the old one or the new one, and afterwards the change can be made, or
undone to the byte.
"""

import base64
import json
import os
import sys

import sandbox
import tap
from sandbox import Allocations, Fault, Sandbox

FILE = "home/.docker/config.json"
AUTH = base64.b64encode(f"alice:{sandbox.secret('docker')}".encode()).decode()
OLD = json.dumps({"auths": {"r.example.com": {"auth": AUTH}}}, indent="\t")
NEW = OLD.replace("{\n", '{\n\t"credsStore": "pullkey",\n', 1)
CONFIG = '{ "version": 1, "backends": { "file": { "type": "file", "encryption": "none" } } }\n'
TEXTS = {"setup": (OLD, NEW), "undo": (NEW, OLD)}
FAILURES = (
    ("write,pwrite64", "ENOSPC"),
    ("fsync,fdatasync", "EIO"),
    ("rename,renameat,renameat2", "EIO"),
    ("open,openat", "EMFILE"),
    ("mkdir,mkdirat", "ENOSPC"),
    ("flock", "ENOLCK"),
    ("fstat,newfstatat,stat,statx", "EIO"),
    ("fchmod", "EPERM"),
)


def words(what):
    pullkey = sandbox.program("pullkey")
    return {
        "setup": [pullkey, "setup", "docker", "--write"],
        "undo": [pullkey, "setup", "docker", "--undo"],
        "add": [pullkey, "config", "add", "ecr", "--yes"],
    }[what]


def prepared():
    user = Sandbox(cache=False)
    user.configure(CONFIG)
    os.mkdir(user.path("home", ".docker"), 0o700)
    with open(user.path(FILE), "w", encoding="utf-8", opener=sandbox.private) as out:
        out.write(OLD)
    return user


def twin_of(base, what):
    """The record has absolute paths, so that a copy has one of its own made."""
    twin = base.copy()
    if what == "undo":
        tap.equal(twin.run(words("setup")).returncode, 0)
    return twin


def text_of(user, what):
    with open(user.config_file if what == "add" else user.path(FILE), encoding="utf-8") as file:
        return file.read()


def check_end(user, what, done):
    """Old or new, and new if it says so; then it can be done, and undone."""
    now = text_of(user, what)
    if what == "add":
        tap.check(now == CONFIG or '"recipe": "ecr"' in now, now)
        if done.returncode == 0:
            tap.check(now != CONFIG, "exit 0")
        if now == CONFIG:
            tap.equal(user.run(words(what)).returncode, 0)
        tap.equal(json.loads(text_of(user, what))["rules"][0]["use"], ["ecr"])
        return
    old, new = TEXTS[what]
    tap.check(now in (old, new), now)
    if done.returncode == 0:
        tap.equal(now, new, "exit 0")
    if now == OLD:
        tap.equal(user.run(words("setup")).returncode, 0)
    tap.equal(text_of(user, what), NEW)
    tap.equal(user.get("r.example.com"), ("alice", sandbox.secret("docker")))
    done = user.run(words("undo"))
    tap.equal((done.returncode, text_of(user, what)), (0, OLD), sandbox.show(done))
    left = [name for name in os.listdir(user.path("home", ".docker")) if name != "config.json"]
    tap.equal(left, [], "what is left beside it")


for command in ("setup", "undo", "add"):

    @tap.case(f"{command}: killed at each system call")
    def killed(what=command):
        def step(number):
            twin = twin_of(base, what)
            try:
                fault = Fault(twin, "kill", number)
                done = twin.run(words(what), via=fault.via)
                fired = fault.report()["fired"]
                tap.equal(done.returncode, 137 if fired else 0, sandbox.show(done))
                check_end(twin, what, done)
                return bool(fired)
            finally:
                twin.remove()

        with prepared() as base:
            tap.comment(f"{sandbox.until_quiet(step)} system calls")

    @tap.case(f"{command}: a system call fails")
    def failing(what=command):
        def step(number):
            twin = twin_of(base, what)
            try:
                fault = Fault(twin, "fail", names, number, error)
                done = twin.run(words(what), via=fault.via)
                fired = fault.report()["fired"]
                check_end(twin, what, done)
                return bool(fired)
            finally:
                twin.remove()

        with prepared() as base:
            for names, error in FAILURES:
                tap.comment(f"{names}: {sandbox.until_quiet(step)}")

    @tap.case(f"{command}: an allocation fails")
    def allocations(what=command):
        def step(number):
            twin = twin_of(base, what)
            try:
                memory = Allocations(twin, number)
                done = twin.run(words(what), env=memory.env)
                fired = memory.report()[1]
                tap.check(done.returncode in (0, 1), sandbox.show(done))
                check_end(twin, what, done)
                return bool(fired)
            finally:
                twin.remove()

        with prepared() as base:
            tap.comment(f"{sandbox.until_quiet(step)} allocations")


sys.exit(tap.run())
