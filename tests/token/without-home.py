# SPDX-License-Identifier: Apache-2.0
"""A test of this directory once more, as containers of CI jobs and kubelets start programs: uid 0, and no variable that
says where the home is. What does, is the account's entry; it is the home of each scene (see scene.py).

    without-home.py TEST [WORDS]
"""

import os
import runpy
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import namespace

# Where the tools of containers keep what is root's.
OF_ROOT = ("/run/containers", "/var/lib/containers")

namespace.enter(map_root=True)
for place in OF_ROOT:
    if os.path.isdir(place):
        namespace.mount("-t", "tmpfs", "none", place)
with tempfile.TemporaryDirectory(prefix="pullkey-accounts-") as directory:
    accounts = os.path.join(directory, "passwd")
    shutil.copy("/etc/passwd", accounts)
    namespace.mount("--bind", accounts, "/etc/passwd")
    os.environ["PULLKEY_TEST_ACCOUNTS"] = "/etc/passwd"
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        namespace.unmount("/etc/passwd")
