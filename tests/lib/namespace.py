# SPDX-License-Identifier: Apache-2.0
"""A mount namespace for a whole test of root's: what it mounts there ends with it.

    enter()          before the first case, and before anything is started
    mount("-t", "tmpfs", "none", place)
"""

import os
import subprocess
import sys

ALONE = "PULLKEY_TEST_NAMESPACE"


def enter():
    """Runs the program anew in a namespace of its own; nothing is done for an ordinary user."""
    if os.geteuid() != 0 or os.environ.get(ALONE):
        return
    os.environ[ALONE] = "1"
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
    os.execvp(words[0], words)


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def unmount(path):
    """With all that is mounted below; whoever still uses it keeps it until then."""
    subprocess.run(["umount", "--recursive", "--lazy", path], check=True)
