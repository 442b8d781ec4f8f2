# SPDX-License-Identifier: Apache-2.0
"""Runs a program with an unlocked keyring of its own, as the ordinary user.

usage: within.py PROGRAM [ARGUMENT]...

PULLKEY_TEST_BUS is the address of its session bus, for tests that give their programs an environment of their
own.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import account
import tap
from keyring import Keyring
from program import die_with_parent


def skip(reason):
    raise reason


def main(words):
    place = tempfile.mkdtemp(prefix="pk-keyring-")
    try:
        with Keyring(place) as keyring:
            env = {**os.environ, **keyring.env, "PULLKEY_TEST_BUS": keyring.address}
            return subprocess.run(words, env=env, check=False, preexec_fn=die_with_parent).returncode
    except tap.Skip as reason:
        return tap.run([("a keyring", functools.partial(skip, reason))])
    finally:
        shutil.rmtree(place)


account.become()
sys.exit(main(sys.argv[1:]))
