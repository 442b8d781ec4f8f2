#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Conformance suite for docker credential helpers.

Runs a helper program as docker, podman and their kin do and judges every byte it answers:
A the command line, B get, C store, D erase, E list, F processes, K names of registries,
V texts that must be refused. Nothing of the program is assumed but the protocol. Each case has a
fresh HOME and fresh XDG directories and none of the caller's variables but PATH, so that no store
of the caller is ever touched; what a helper needs besides is given with --env.

Some expectations are a choice, stricter than what docker's own helpers do: a request or an entry
with control characters inside, duplicate keys, text after the object, bytes outside ASCII in a
server name are refused, and all names of one registry find the same entry. --information shows
such differences without failing.
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import profiles  # noqa: E402
import tap  # noqa: E402
import cases_cli  # noqa: E402,F401  (each module adds its cases, in this order)
import cases_get  # noqa: E402,F401
import cases_store  # noqa: E402,F401
import cases_erase_list  # noqa: E402,F401
import cases_keys  # noqa: E402,F401
import cases_process  # noqa: E402,F401
from target import TIMEOUT, Session, Target, shorten  # noqa: E402


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="conformance.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 all cases passed, or --information; 1 a case failed; 2 usage.",
    )
    parser.add_argument("program", metavar="PROGRAM", nargs="?", help="the helper, a path")
    parser.add_argument(
        "--profile",
        choices=("any", "pullkey"),
        help="what the program needs around it (default: by its name)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="copied to $XDG_CONFIG_HOME/pullkey/config.json for every case",
    )
    parser.add_argument(
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="a variable for the program, from here if without a value; may be repeated",
    )
    parser.add_argument(
        "--information",
        action="store_true",
        help="nothing fails; differences are printed, and once more as a table at the end",
    )
    parser.add_argument(
        "--case",
        metavar="TEXT",
        action="append",
        default=[],
        help="only cases whose name begins with this text, as B or B6; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions, for slow helpers"
    )
    parser.add_argument(
        "--slow",
        metavar="SECONDS",
        type=float,
        default=5.0,
        help="what F7 calls too long for one run (default %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=float(TIMEOUT),
        help="after this a run is killed and its case fails (default %(default)s)",
    )
    options = parser.parse_args(argv)
    if options.list:
        return options
    if not options.program:
        parser.error("which program?")
    if not os.access(options.program, os.X_OK) or os.path.isdir(options.program):
        parser.error(f"{options.program} is not a program")
    try:
        options.chosen = profiles.choose(options.profile, options.program, options.config)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return options


def selected(words, cases=None):
    """The cases that the words select; B1 selects B1 and not B10."""
    cases = tap.CASES if cases is None else cases

    def wanted(name):
        return not words or any(
            name.startswith(word) and not (word[-1:].isdigit() and name[len(word) :][:1].isdigit())
            for word in words
        )

    return [(name, function) for name, function in cases if wanted(name)]


def prepared(session, cases):
    """Each case gets a target with an empty store; beside them those that do not apply."""

    def wrap(function):
        def run_case():
            with Target(session) as target:
                function(target)

        return run_case

    applicable, left_out = [], []
    for name, function in cases:
        if session.profile.applies(name):
            applicable.append((name, wrap(function)))
        else:
            left_out.append(name)
    return applicable, left_out


def table(differing):
    """The differing cases, as text for people: case, expected, got."""
    lines = [f"{len(differing)} cases differ"]
    for name, error in differing:
        lines.append(name)
        if getattr(error, "expected", None) is None:
            lines.append(f"    {shorten(str(error), 400)}")
            continue
        rows = (("asked", error.what), ("expected", error.expected), ("got", error.got))
        for title, text in rows:
            lines.append(f"    {title:<9} {shorten(str(text), 400)}")
    return "\n".join(lines)


def run(session, words=(), information=False, cases=None):
    """Runs the selected cases; the exit status, and in information mode what differed."""
    cases, left_out = prepared(session, selected(words, cases))
    differing = [] if information else None
    status = tap.run(cases, differing=differing)
    for name in left_out:
        tap.comment(f"left out, nothing can bring it about from outside: {name}")
    if information:
        tap.comment(table(differing))
    return status, differing


def main(argv):
    options = arguments(argv)
    if options.list:
        print("\n".join(name for name, _ in selected(options.case)))
        return 0
    environment = {}
    for pair in options.env:
        name, given, value = pair.partition("=")
        environment[name] = value if given else os.environ.get(name, "")
    session = Session(
        options.program,
        options.chosen,
        environment,
        quick=options.quick,
        slow=options.slow,
        timeout=options.timeout,
    )
    return run(session, options.case, options.information)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
