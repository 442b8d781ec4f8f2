#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Proof that the conformance suite can fail: it passes a good helper and catches every fault.

mutant.py is that helper; each fault of it must fail the case that is named here, and only by
failing: a crash of the suite itself is no proof.
"""

import os
import re
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import tap  # noqa: E402
from tap import case, check, equal  # noqa: E402

MUTANT = os.path.join(HERE, "mutant.py")

# The fault, and the cases (by their first word) that must catch it.
FAULTS = {
    "errors-on-stderr": ("A1", "A2", "A3"),
    "extra-arguments-ignored": ("A2",),
    "raw-verb": ("A3",),
    "verbs-in-any-case": ("A4",),
    "bare-version": ("A5",),
    "no-version-flag": ("A5",),
    "list-reads-input": ("A7",),
    "write-errors-ignored": ("A9",),
    "streams-not-guarded": ("A8", "A9"),
    "talks-on-stderr": ("B1",),
    "no-trim": ("B2", "B3", "B4"),
    "other-miss-text": ("B6",),
    "miss-prefixed": ("B6",),
    "miss-on-stderr": ("B6",),
    "miss-exits-0": ("B6",),
    "miss-is-empty-object": ("B6",),
    "joined-lines": ("B7", "C3"),
    "nul-ends": ("B7", "V3"),
    "refuses-as-miss": ("B7", "C21", "D9"),
    "errors-in-two-lines": ("B7",),
    "lower-case-keys": ("B1", "B9"),
    "byte-order-mark": ("B9",),
    "text-after-answer": ("B9",),
    "no-line-end": ("B9",),
    "loose-json": ("B9",),
    "any-key-length": ("B10",),
    "reads-once": ("B11",),
    "idn-allowed": ("B13", "V3"),
    "path-prefix": ("B15", "K9"),
    "no-shortening": ("B15",),
    "token-keys-shared": ("B17",),
    "store-talks": ("C1",),
    "keys-case-sensitive": ("C5",),
    "duplicates-allowed": ("C6",),
    "strict-keys": ("C7",),
    "trailing-allowed": ("C8",),
    "no-username-check": ("C10",),
    "username-first": ("C11",),
    "empty-secret-kept": ("C12",),
    "secret-trimmed": ("C13",),
    "bad-utf8-replaced": ("C14",),
    "nul-cuts": ("C15",),
    "secret-cut": ("C16",),
    "small-secrets": ("C16",),
    "any-secret-length": ("C16",),
    "small-usernames": ("C16",),
    "any-username-length": ("C16",),
    "traceback": ("C17",),
    "first-user-stays": ("C19",),
    "colon-splits": ("C20",),
    "colon-refused": ("C20",),
    "erase-does-nothing": ("D1", "D6"),
    "erase-fails-on-miss": ("D2", "D3", "D7"),
    "erase-shortens": ("D7",),
    "erase-hides-failure": ("D8",),
    "locked-is-empty": ("D8",),
    "locked-lists-empty": ("D8", "F10"),
    "list-null": ("E1",),
    "list-labels": ("E2",),
    "list-canonical": ("E2",),
    "list-secrets": ("E4",),
    "lists-foreign": ("E5",),
    "drops-foreign": ("E5",),
    "bad-entry-fails-list": ("E6",),
    "no-hub-alias": ("K1",),
    "exact-only": ("K1", "K2"),
    "slash-matters": ("K2",),
    "case-sensitive-host": ("K2",),
    "echoes-stored-key": ("K3",),
    "aliases-stay": ("K4",),
    "http-is-https": ("K7",),
    "port-ignored": ("K8",),
    "suffix-match": ("K9",),
    "prefix-match": ("K9",),
    "parent-domain": ("K9",),
    "userinfo-allowed": ("V1", "V2"),
    "percent-allowed": ("V1", "V3"),
    "trailing-dot-allowed": ("V1", "V4"),
    "port-by-atoi": ("V1",),
    "no-lock": ("F3",),
    "writes-in-place": ("F4", "F5"),
    "lock-file-stays": ("F5",),
    "exits-2": ("F6",),
    "floods-stderr": ("F8",),
    "secret-in-error": ("F9",),
    "secret-on-stderr": ("F9",),
    "secret-in-log": ("F9",),
    "secret-in-file": ("F9",),
    "secret-in-argv": ("F9",),
    "secret-in-environ": ("F9",),
    "core-allowed": ("F9",),
    "list-prompts": ("F10",),
    "locked-hangs": ("F10",),
}


PLAIN = f"--config={os.path.join(HERE, 'plain.json')}"


def conformance(*arguments, mutant="", config=(PLAIN,), profile="pullkey"):
    return subprocess.run(
        [
            sys.executable,
            os.path.join(HERE, "conformance.py"),
            *arguments,
            f"--profile={profile}",
            *config,
            f"--env=MUTANT={mutant}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=False,
    )


def failed(output):
    """The first words of the cases that failed."""
    return set(re.findall(r"^not ok \d+ - (\S+)", output, re.MULTILINE))


@case("a helper without a fault passes")
def good():
    result = conformance(MUTANT, "--quick")
    tap.comment("\n".join(re.findall(r"^not ok.*\n(?:#.*\n)*", result.stdout, re.MULTILINE)))
    equal(result.returncode, 0, "exit status")
    plan = int(re.search(r"^1\.\.(\d+)$", result.stdout, re.MULTILINE)[1])
    equal(len(re.findall(r"^ok ", result.stdout, re.MULTILINE)), plan, "cases passed")
    check(plan > 90, f"only {plan} cases were run")


def catches(fault, wanted):
    def run_case():
        if fault == "core-allowed" and resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            tap.comment("core files are forbidden here: this fault cannot show itself")
            return
        words = [f"--case={word}" for word in wanted]
        result = conformance(MUTANT, "--timeout=4", *words, mutant=fault)
        missing = set(wanted) - failed(result.stdout)
        check(not missing, f"not caught by {sorted(missing)}:\n{result.stdout}")
        check("# Traceback" not in result.stdout, f"the suite itself failed:\n{result.stdout}")
        equal(result.returncode, 1, "exit status")

    return run_case


for _fault, _wanted in FAULTS.items():
    case(f"{_fault} is caught by {', '.join(_wanted)}")(catches(_fault, _wanted))


@case("every fault of the mutant is in the table, and no other")
def table_is_complete():
    with open(MUTANT, encoding="utf-8") as file:
        known = set(re.findall(r'fault\("([a-z0-9-]+)"\)', file.read()))
    equal(sorted(FAULTS), sorted(known), "faults")


@case("a plain store is caught where an encrypted one is expected, base64 or not")
def unencrypted():
    result = conformance(MUTANT, "--case=F9 no secret in any file", config=())
    equal(result.returncode, 1, "exit status")
    check("the secret in config/pullkey/auth.json" in result.stdout, result.stdout)


@case("what only a profile can bring about is left out without one, and said to be")
def left_out():
    result = conformance(MUTANT, "--case=B1", "--case=E5", config=(), profile="any")
    equal(result.returncode, 0, "exit status")
    check(result.stdout.startswith("TAP version 13\n1..1\n"), "no TAP from the first line on")
    check("# left out" in result.stdout, "E5 cannot apply here")


@case("a helper may choose what the protocol leaves to it")
def free_choice():
    faults = ("empty-secret-kept", "any-secret-length", "any-username-length", "colon-refused")
    for fault in faults:
        words = [f"--case={word}" for word in FAULTS[fault]]
        result = conformance(MUTANT, *words, mutant=fault, config=(), profile="any")
        equal(result.returncode, 0, f"{fault}:\n{result.stdout}")


@case("--information fails nothing and ends with a table of what differs")
def information():
    result = conformance(MUTANT, "--information", "--case=B6", mutant="other-miss-text")
    equal(result.returncode, 0, "exit status")
    check("ok 1 - B6" in result.stdout and "[differs]" in result.stdout, result.stdout)
    end = result.stdout.partition("# 1 cases differ")[2]
    check("B6" in end and "expected" in end and "Credentials not found" in end, result.stdout)


@case("wrong usage is exit 2, a case that does not exist is no success")
def usage():
    equal(conformance("/nonexistent/helper").returncode, 2, "no such program")
    equal(conformance(HERE).returncode, 2, "a directory")
    equal(conformance().returncode, 2, "no program")
    equal(conformance(MUTANT, "--case=Z9").returncode, 1, "no such case")


if __name__ == "__main__":
    sys.exit(tap.run())
