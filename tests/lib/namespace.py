# SPDX-License-Identifier: Apache-2.0
"""A mount namespace for a whole test of root's: what it mounts there ends with it.

    enter()          before the first case, and before anything is started
    enter(map_root=True)    an ordinary user is root in it, for files of his own
    mount("-t", "tmpfs", "none", place)
"""

import os
import subprocess
import sys

ALONE = "PULLKEY_TEST_NAMESPACE"


def enter(map_root=False):
    """Runs the program anew in a namespace of its own; nothing is done for an ordinary user, unless
    he is to be root in it.
    """
    is_root = os.geteuid() == 0
    if os.environ.get(ALONE) or not (is_root or map_root):
        return
    os.environ[ALONE] = "1"
    words = ["unshare", *["--map-root-user"] * (not is_root), "--mount", "--propagation", "private"]
    words += [sys.executable, *sys.argv]
    os.execvp(words[0], words)


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def unmount(path):
    """With all that is mounted below; whoever still uses it keeps it until then."""
    subprocess.run(["umount", "--recursive", "--lazy", path], check=True)
