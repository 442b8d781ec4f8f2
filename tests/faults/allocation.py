# SPDX-License-Identifier: Apache-2.0
"""Every allocation fails once.

The answer is then either right (exit 0) or one clear line (exit 1): never a crash, never 'not
found', and never a lost store. Out of memory is an ordinary error.
"""

import json
import os
import sys

import sandbox
import tap
from sandbox import Allocations, Sandbox

OLD = {sandbox.SERVER: "alice", "https://other.example.com": "bob"}
NEW = "https://new.example.com"


def prepared(kind):
    user = Sandbox(kind, log=True)
    for server, name in OLD.items():
        user.store(server, name, sandbox.secret(name))
    return user


def check_outcome(done, right_output):
    if done.returncode == 0:
        tap.equal(done.stdout, right_output, "exit 0")
    else:
        sandbox.check_refused(done)


def fail_everywhere(base, arguments, input, check, reveals=False):
    """Runs with each allocation failing, on a fresh copy of the user, and checks the outcome."""

    def step(number):
        user = base.copy()
        try:
            plan = Allocations(user, number)
            done = user.run(arguments, input, env=plan.env, reveals=reveals)
            made, failed = plan.report()
            tap.check(made >= number or not failed, "the counts agree")
            check(user, done, number)
            user.check_log()
            return failed == 1
        finally:
            user.remove()

    fired = sandbox.until_quiet(step)
    tap.check(fired > 3, f"only {fired} allocations were seen")
    tap.comment(f"{fired} allocations")


def read_only(kind, verb, input, right):
    helper = sandbox.program("docker-credential-pullkey")
    with prepared(kind) as base:
        files = base.files()

        def check(user, done, _):
            check_outcome(done, right)
            now = {name: data for name, data in user.files().items() if name in files}
            tap.equal(now == files, True, "nothing changed")

        fail_everywhere(base, [helper, verb], input, check, reveals=verb == "get")


def changing(kind, verb, input, after, fresh=False):
    helper = sandbox.program("docker-credential-pullkey")
    before = {} if fresh else OLD
    with Sandbox(kind, log=True) if fresh else prepared(kind) as base:

        relative = os.path.relpath(base.store_file, base.directory)
        old = base.files().get(relative)

        def check(user, done, number):
            check_outcome(done, b"")
            if done.returncode and user.files().get(relative) == old:
                return  # byte for byte
            # The list reads, and where encrypted authenticates, the whole store. Asking for every
            # secret as well each time would take most of the time of this test.
            now = user.list()
            tap.check(now in (before, after), f"neither old nor new: {now}")
            if done.returncode == 0:
                tap.equal(now, after, "exit 0")
            if number % 16 == 0:
                for server, name in now.items():
                    tap.equal(user.get(server), (name, sandbox.secret(name)), server)

        fail_everywhere(base, [helper, verb], input, check)


def answer_of_get():
    words = {"ServerURL": sandbox.SERVER, "Username": "alice", "Secret": sandbox.secret("alice")}
    return json.dumps(words, separators=(",", ":")).encode() + b"\n"


def answer_of_list(kind):
    with prepared(kind) as user:
        return user.helper("list").stdout


for kind_of_store in sandbox.KINDS:

    @tap.case(f"{kind_of_store}: get")
    def get(kind=kind_of_store):
        read_only(kind, "get", sandbox.SERVER, answer_of_get())

    @tap.case(f"{kind_of_store}: list")
    def list_entries(kind=kind_of_store):
        read_only(kind, "list", b"", answer_of_list(kind))

    @tap.case(f"{kind_of_store}: store of a new entry")
    def store(kind=kind_of_store):
        text = sandbox.entry(NEW, "carol", sandbox.secret("carol"))
        changing(kind, "store", text, {**OLD, NEW: "carol"})

    @tap.case(f"{kind_of_store}: the first store")
    def first_store(kind=kind_of_store):
        text = sandbox.entry(NEW, "carol", sandbox.secret("carol"))
        changing(kind, "store", text, {NEW: "carol"}, fresh=True)

    @tap.case(f"{kind_of_store}: erase")
    def erase(kind=kind_of_store):
        changing(
            kind, "erase", sandbox.SERVER, {k: v for k, v in OLD.items() if k != sandbox.SERVER}
        )


@tap.case("pullkey config check")
def config_check():
    config = {
        "version": 1,
        "backends": {
            "file": {"type": "file", "encryption": "none"},
            "ci": {"type": "env", "username": "CI_USER", "password": "CI_PASSWORD"},
        },
        "rules": [{"match": ["*.example.com", "example.org"], "use": ["ci", "file"]}],
        "default": ["file"],
    }
    arguments = [sandbox.program("pullkey"), "config", "check"]
    with Sandbox(config=config) as base:
        right = base.run(arguments)
        tap.equal(right.returncode, 0, sandbox.show(right))

        def check(_, done, __):
            if done.returncode == 0:
                tap.equal(done.stdout, right.stdout)
            else:
                # What check finds is its output; what stops it is an error. One of the two.
                tap.check(not done.stdout or not done.stderr, sandbox.show(done))
                sandbox.check_refused(done, stream="stderr" if done.stderr else "stdout")

        fail_everywhere(base, arguments, b"", check)


def admin(arguments, input, after):
    """A command of pullkey that changes the store: the old state or the new one, and one line."""
    with prepared("plain") as base:

        def check(user, done, _):
            if done.returncode:
                sandbox.check_refused(done, stream="stderr")
            now = user.list()
            tap.check(now in (OLD, after), f"neither old nor new: {now}")
            if done.returncode == 0:
                tap.equal(now, after, "exit 0")
                for server, name in now.items():
                    tap.equal(user.get(server), (name, sandbox.secret(name)), server)

        fail_everywhere(base, [sandbox.program("pullkey"), *arguments], input, check)


@tap.case("pullkey login")
def login():
    arguments = ["login", NEW, "-u", "carol", "--password-stdin", "--no-verify"]
    admin(arguments, sandbox.secret("carol"), {**OLD, NEW: "carol"})


@tap.case("pullkey logout")
def logout():
    admin(["logout", sandbox.SERVER], b"", {k: v for k, v in OLD.items() if k != sandbox.SERVER})


@tap.case("pullkey store import")
def store_import():
    entry = {"username": "carol", "password": sandbox.secret("carol")}
    admin(["store", "import", "--from", "-"], json.dumps({"auths": {NEW: entry}}), {**OLD, NEW: "carol"})


sys.exit(tap.run())
