# SPDX-License-Identifier: Apache-2.0
"""Of each set-up that is broken on purpose, in one way, pullkey doctor names the cause in its last line."""

import os
import subprocess
import sys
import traceback

import setups
import account
from tap import CASES, case, check, comment, equal, run

SETUPS = setups.load()
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "setup")
LEAST = 40


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


@case("there are enough of them")
def count():
    comment(f"{len(SETUPS)} set-ups")
    check(len(SETUPS) >= LEAST, f"{len(SETUPS)} are too few")
    equal(len({setup.name for setup in SETUPS}), len(SETUPS), "names")


@case("one can be made by hand, asked, and is gone with the standard input")
def by_hand():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    done = subprocess.run([SCRIPT, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    equal(done.stdout.splitlines(), [f"{one.caller}\t{one.name}" for one in SETUPS])
    for options, cause in ((["--working"], "works"), ([], "wrong-password")):
        with subprocess.Popen([SCRIPT, *options, "wrong password"], **pipes) as made:
            command, empty, verdict = (made.stdout.readline().rstrip("\n") for _ in range(3))
            answer = subprocess.run(command, shell=True, capture_output=True, text=True)
            equal((empty, verdict), ("", f"{cause}: {answer.stdout.splitlines()[-1]}"))
            made.stdin.close()
        equal(made.returncode, 0)
        answer = subprocess.run(command, shell=True, capture_output=True, text=True)
        check(verdict.split(": ", 1)[1] not in answer.stdout, "it is there still")


for one in SETUPS:
    root = os.geteuid() == 0
    judge = as_ordinary if one.ordinary and root else compare
    CASES.append((f"{one.caller}: {one.name}", lambda one=one, judge=judge: judge(one)))

if __name__ == "__main__":
    sys.exit(run())
