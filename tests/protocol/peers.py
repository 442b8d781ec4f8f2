#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The conformance suite against the helpers that Debian packages, as information.

Prints where docker-credential-pass and docker-credential-secretservice differ, and writes it to the
file that PEERS_TABLES names, which tests/run shows at its end. Differences fail nothing, with two
exceptions that keep the suite itself honest: what every client depends on must not differ (else the
suite is wrong about the protocol), and what these helpers are known to do otherwise must be seen to
differ (else the suite does not look).
"""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import tap  # noqa: E402
from keyring import Keyring  # noqa: E402
from tap import Skip, case, check  # noqa: E402

import conformance  # noqa: E402
import profiles  # noqa: E402
from target import Session  # noqa: E402

TABLES = []
SUITE = list(tap.CASES)  # before the cases of this file

# What no client can do without, by the first words of the cases.
ESSENTIAL = {"B1", "B2", "B3", "B4", "B5", "B8", "B9", "C1", "C2", "C3 pretty", "C4", "D1"}
# pass 0.6.4 answers a miss with an empty credential, and that is also what D1 sees.
KNOWN = {"pass": {"B6", "B7", "D1", "D2", "K1"}, "secretservice": {"B7", "C6", "C8", "K1"}}


def find(program, *needs):
    for name in (program, *needs):
        if not shutil.which(name):
            raise Skip(f"{name} is not installed")
    return shutil.which(program)


def publish(table):
    tap.comment(table)
    TABLES.append(table)
    if "PEERS_TABLES" in os.environ:
        with open(os.environ["PEERS_TABLES"], "w", encoding="utf-8") as file:
            file.write("\n\n".join(TABLES) + "\n")


def observe(name, program, profile):
    """Runs the suite in information mode; its lines become comments of this test."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        session = Session(program, profile, quick=True)
        status, differing = conformance.run(session, information=True, cases=SUITE)
    tap.comment(output.getvalue().rpartition("cases differ")[0])
    publish(f"{os.path.basename(program)}: {conformance.table(differing)}")
    check(status == 0, "information mode failed")
    differ = {case_name for case_name, _ in differing}

    def among(words):
        return {word for word in words if any(d.startswith(word + " ") for d in differ)}

    missed = KNOWN[name] - among(KNOWN[name])
    check(not missed, f"known differences that the suite did not see: {sorted(missed)}")
    wrong = among(ESSENTIAL - KNOWN[name])
    check(not wrong, f"differs in what every client depends on: {sorted(wrong)}")


def make_key(home):
    """A GnuPG home with one key without a passphrase."""
    subprocess.run(
        [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase=",
            "--quick-generate-key",
            "Protocol test <protocol@example.test>",
            "default",
            "default",
            "never",
        ],
        env={**os.environ, "GNUPGHOME": home},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    return "protocol@example.test"


@case("docker-credential-pass, information")
def peer_pass():
    program = find("docker-credential-pass", "pass", "gpg", "gpgconf")
    with tempfile.TemporaryDirectory(prefix="gnupg-") as home:
        try:
            observe("pass", program, profiles.Pass(home, make_key(home)))
        finally:
            environment = {**os.environ, "GNUPGHOME": home}
            subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=environment, check=False)


@case("docker-credential-secretservice, information")
def peer_secretservice():
    program = find("docker-credential-secretservice")
    with tempfile.TemporaryDirectory(prefix="keyring-") as place, Keyring(place) as keyring:
        observe("secretservice", program, profiles.SecretService(keyring))


if __name__ == "__main__":
    sys.exit(tap.run(tap.CASES[len(SUITE) :]))
