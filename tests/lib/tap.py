# SPDX-License-Identifier: Apache-2.0
"""The harness of the black-box tests: named cases, one TAP line each.

A case is a function marked with @case("name"). It passes by returning, fails by raising, and is
skipped by raising Skip; with CI=true a skip is printed as a failure, because a skipped test proves
nothing. run() prints the plan and the results and returns the exit status.

A test that only observes (a foreign program that nobody here can mend) gives run() a list: nothing
fails then, and what would have failed is put into that list and marked [differs].

Programs that a test starts have default signals, whatever it was started from.
"""

import atexit
import os
import signal
import sys
import traceback

CASES = []


def heed_signals():
    """nohup and jobs of scripts ignore some signals, and programs inherit that: an ignored one, or
    a blocked one. A signal with a handler, also one that does nothing, is default again in them.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python's own
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


heed_signals()


class Skip(Exception):
    """The case cannot run here; the text says what is missing."""


class Difference(AssertionError):
    """A failure that explains itself, printed without a traceback."""

    def __init__(self, what, expected=None, got=None):
        super().__init__(what if expected is None else f"{what}: expected {expected}, got {got}")
        self.what, self.expected, self.got = what, expected, got


def case(name):
    def mark(function):
        CASES.append((name, function))
        return function

    return mark


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(actual, expected, what=""):
    if actual != expected:
        raise AssertionError(f"{what + ': ' if what else ''}got {actual!r}, expected {expected!r}")


EARLY = []  # comments made before the version line, which must be the first


def comment(text):
    for line in str(text).splitlines():
        if EARLY is None:
            print(f"# {line}", flush=True)
        else:
            EARLY.append(line)


def print_early():
    global EARLY
    early, EARLY = EARLY or [], None
    for line in early:
        print(f"# {line}", flush=True)


atexit.register(print_early)  # for scripts that run no case


def explain(error):
    if isinstance(error, Difference):
        return str(error)
    return "".join(traceback.format_exception(error))


def run(cases=None, arguments=(), differing=None):
    """Runs every case (or those whose name contains one of the command line's words).

    With a list in differing, a case that raises is no failure: (name, exception) is appended.
    """
    cases = CASES if cases is None else cases
    wanted = sys.argv[1:] if cases is CASES else []
    if wanted:
        cases = [c for c in cases if any(word in c[0] for word in wanted)]
    strict = os.environ.get("CI") == "true"
    print(f"TAP version 13\n1..{len(cases)}", flush=True)
    print_early()
    failed = 0
    for number, (name, function) in enumerate(cases, 1):
        try:
            function(*arguments)
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            if strict:
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                comment(f"skipped, which fails in CI: {reason}")
            else:
                print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception as error:  # every failure is one result, the others still run
            if differing is None:
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
            else:
                differing.append((name, error))
                print(f"ok {number} - {name} [differs]", flush=True)
            comment(explain(error))
    if not cases:
        comment("no case was selected")
    return 1 if failed or not cases else 0
