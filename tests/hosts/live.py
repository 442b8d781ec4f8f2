# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on a node that runs: its root is "/".

    with Template(files) as tree, daemon(tree):
        migrate(tree, "--write")        a finished process

/etc, /run and /var/lib are those of the tree, in a mount namespace for each program. Only root can
make one that has its own rights left.
"""

import os
import socket
import subprocess
import tempfile
from contextlib import contextmanager

from node import CERTS, PROGRAM
from program import die_with_parent, wait_for
from tap import Skip, case, check
from template import FORMS, TARGET

DATAGRAMS = (socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
MADE = "/run/pullkey/hosts"
MOUNTS = """
for place in /etc /run /var/lib; do
    mkdir -p "$1$place" && mount --bind "$1$place" $place || exit 77
done
"""
EXECUTE = """
shift
exec "$@"
"""
# The directory that is edited below /run/pullkey, and what the daemon makes over it.
OVERMOUNT = f"""
mkdir -p /run/pullkey/source {CERTS} && mkdir -p -m 0700 {MADE} &&
mount --bind {CERTS} /run/pullkey/source || exit 77
"""
OVER = f"mount --bind {MADE} {CERTS} || exit 77\n"


def case_of_root(name):
    """Where mounts can be made. Everybody else has one test fewer."""
    return case(name) if os.geteuid() == 0 else lambda function: function


def words(tree, before, after, *command, program=PROGRAM):
    script = before + MOUNTS + after + EXECUTE
    return ["unshare", "-m", "sh", "-c", script, "sh", tree.root, program, *command]


def migrate(tree, *options, before="", after=""):
    """Commands of a shell may go before and after the mounts."""
    done = subprocess.run(
        words(tree, before, after, "migrate", *options),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        env=tree.environment(),
    )
    if done.returncode == 77 or b"unshare:" in done.stderr:
        raise Skip("no mounts here")
    for form in FORMS:
        check(form not in done.stdout + done.stderr, "a secret is in the output")
    return done


@contextmanager
def daemon(tree, link=TARGET, *options, after=""):
    """A daemon that is ready; `link` is its own."""
    with tempfile.TemporaryDirectory() as place, socket.socket(*DATAGRAMS) as told:
        told.bind(os.path.join(place, "notify"))
        with subprocess.Popen(
            words(tree, "", after, "watch", "--link", link, *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**tree.environment(), "NOTIFY_SOCKET": told.getsockname()},
            preexec_fn=die_with_parent,
        ) as process:
            try:
                wait_for(lambda: is_ready(told, process), "the daemon to be ready")
                yield
            finally:
                process.terminate()
                process.communicate(timeout=60)


@contextmanager
def in_memory(tree):
    """/run is a file system of its own, as it is on a node."""
    if not os.access("/dev/shm", os.W_OK):
        raise Skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        tree.put("/run", ("link", place))
        yield


def is_ready(told, process):
    if process.poll() is not None:
        said = process.stderr.read()
        if process.returncode == 77 or b"unshare:" in said:
            raise Skip("no mounts here")
        raise AssertionError(said)
    try:
        return b"READY=1" in told.recv(4096).splitlines()
    except BlockingIOError:
        return False


def published(tree, name):
    """The hosts.toml that containerd reads, or "" where there is none."""
    try:
        return tree.read(f"{MADE}/{name}/hosts.toml")
    except FileNotFoundError:
        return ""
