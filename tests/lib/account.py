# SPDX-License-Identifier: Apache-2.0
"""The ordinary user as whom a test goes on that root has started: root has no keyring.

    account.become(peers.program("secretservice"))     before the first case

The installed programs must be where everybody can reach them. Programs that are not (a cache below
root's home) are named, and copied: account.program() is the path of the copy.
"""

import atexit
import os
import pwd
import shutil
import sys
import tempfile

ACCOUNT = "pullkey-test"  # tests/run makes it

_copies = {}


def become(*programs):
    """Nothing is done for an ordinary user."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        sys.exit(f"there is no account {ACCOUNT}, as which this test runs: tests/run makes it")
    place = tempfile.mkdtemp(prefix="pk-account-")
    for path in programs:
        _copies[path] = shutil.copy(path, place)
    for path in (place, *_copies.values()):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    atexit.register(shutil.rmtree, place)
    os.environ.update(HOME=place, USER=ACCOUNT, LOGNAME=ACCOUNT)


def program(path):
    return _copies.get(path, path)
