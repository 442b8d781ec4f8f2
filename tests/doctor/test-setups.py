# SPDX-License-Identifier: Apache-2.0
"""Of each set-up that is broken on purpose, in one way, pullkey doctor names the cause in its last line."""

import os
import sys
import traceback
from importlib import import_module

for name in ("../lib", "../fakes", "../hosts", "../admin"):  # the last is looked at first
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), name))
import account
from setups import SETUPS
from tap import CASES, check, comment, equal, run

for name in ("setups_docker", "setups_kubelet"):  # which fill the list
    import_module(name)
if os.environ["PULLKEY_TEST_HOSTS"] == "yes":
    import_module("setups_node")
if "kubernetes" in os.environ["PULLKEY_PARTS"].split():
    import_module("setups_kubernetes")

LEAST = 25


def compare(setup):
    with setup.scene() as there:
        before = there.ask()
        check(before.works, f"it was to work before: {before}")
        check(there.pull() in (None, True), "the client was to pull before")
        setup.harm(there)
        after = there.ask()
        equal((after.cause, after.works), (setup.cause, setup.warning), after.last)
        for word in setup.words:
            check(word in after.last, f"{word!r} is not in {after.last!r}")
        check(there.pull() in (None, setup.warning), "the client was not to pull any more")


def as_ordinary(setup):
    """In a process of its own, which stays that user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            account.become()
            compare(setup)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    equal(os.waitpid(child, 0)[1], 0, "its process")


def count():
    comment(f"{len(SETUPS)} set-ups")
    check(len(SETUPS) >= LEAST, f"{len(SETUPS)} are too few")
    equal(len({setup.name for setup in SETUPS}), len(SETUPS), "names")


CASES.append(("there are enough of them", count))
for one in SETUPS:
    root = os.geteuid() == 0
    judge = as_ordinary if one.ordinary and root else compare
    CASES.append((f"{one.caller}: {one.name}", lambda one=one, judge=judge: judge(one)))

if __name__ == "__main__":
    sys.exit(run())
