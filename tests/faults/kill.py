# SPDX-License-Identifier: Apache-2.0
"""Power loss, as far as a program can feel it: SIGKILL at every system call of a change.

Whatever the moment, the next reader sees exactly the old or the new state, and the next writer
works and leaves nothing behind that an undisturbed one would not leave.
"""

import json
import sys

import sandbox
import tap
from sandbox import Fault, Sandbox

OTHER = "https://other.example.com:5000"
LATER = "https://later.example.com"

OLD = {OTHER: ("bob", sandbox.secret("other")), sandbox.SERVER: ("alice", sandbox.secret("old"))}


def replaced():
    return {**OLD, sandbox.SERVER: ("carol", sandbox.secret("new"))}


def added():
    return {**OLD, LATER: ("dave", sandbox.secret("later"))}


def erased():
    return {OTHER: OLD[OTHER]}


# name, state before, verb, input, state after
CHANGES = (
    (
        "the first store",
        {},
        "store",
        sandbox.entry(OTHER, *OLD[OTHER]),
        {OTHER: OLD[OTHER]},
    ),
    ("an added entry", OLD, "store", sandbox.entry(LATER, *added()[LATER]), added()),
    (
        "a replaced entry",
        OLD,
        "store",
        sandbox.entry(sandbox.SERVER, *replaced()[sandbox.SERVER]),
        replaced(),
    ),
    ("an erased entry", OLD, "erase", sandbox.SERVER, erased()),
)


def state(user):
    """What the store holds, asked through the program: list first, then every entry."""
    return {server: user.get(server) for server in user.list()}


def check_raw(user, states):
    """The plain store, read without the program, is one of the states."""
    try:
        with open(user.store_file, encoding="utf-8") as text:
            keys = set(json.load(text)["auths"])
    except FileNotFoundError:
        keys = set()
    tap.check(keys in [set(s) for s in states], f"the file holds {sorted(keys)}")


def kill_everywhere(kind, before, verb, input, after):
    with Sandbox(kind) as base:
        for server, (user, text) in before.items():
            base.store(server, user, text)
        clean = base.copy()
        tap.equal(clean.helper(verb, input).returncode, 0, "undisturbed")
        tap.equal(state(clean), after)
        clean.store("https://last.example.com", "erin", sandbox.secret("last"))
        names_after_clean_run = set(clean.files())
        clean.remove()
        seen = {}

        def step(number):
            user = base.copy()
            try:
                fault = Fault(user, "kill", number)
                done = user.helper(verb, input, via=fault.via)
                fired = fault.report()["fired"]
                if not fired:
                    tap.equal(done.returncode, 0, "not killed")
                else:
                    tap.equal(done.returncode, 137, "killed")
                    tap.equal(done.stdout, b"")
                if kind == "plain":
                    check_raw(user, (before, after))
                now = state(user)
                tap.check(now in (before, after), f"neither old nor new: {sorted(now)}")
                seen[number] = now == after
                user.store("https://last.example.com", "erin", sandbox.secret("last"))
                expected = {**now, "https://last.example.com": ("erin", sandbox.secret("last"))}
                tap.equal(sorted(state(user)), sorted(expected), "a store after the kill")
                left = set(user.files()) - names_after_clean_run
                tap.check(not left, f"left behind: {sorted(left)}")
                return bool(fired)
            finally:
                user.remove()

        fired = sandbox.until_quiet(step)
        order = [seen[number] for number in sorted(seen)]
        tap.equal(order, sorted(order), "once new, always new")
        tap.check(order[0] is False and order[-1] is True, "both states were seen")
        at = order.index(True) + 1
        tap.comment(f"{fired} kills; the new state from system call {at} on")


for kind_of_store in sandbox.KINDS:
    for name, *change in CHANGES:
        tap.case(f"{kind_of_store}: {name}, killed at every system call")(
            lambda kind=kind_of_store, change=tuple(change): kill_everywhere(kind, *change)
        )

sys.exit(tap.run())
