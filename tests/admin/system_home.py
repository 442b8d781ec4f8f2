# SPDX-License-Identifier: Apache-2.0
"""A mount namespace whose /etc, /var/lib and /run are the test's own, for `pullkey --system`.

As root at once, otherwise through a user namespace, in which the caller is root.
"""

import json
import os
import shutil
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from registry import find_program
from tap import Skip, equal

ACCOUNT = "/var/lib/account"  # the home of root there
INSIDE = """mount --bind "$0" /etc && mount --bind "$1" /var/lib && mount --bind "$2" /run &&
shift 2 && exec "$@"
"""


class System(Home):
    """A home, and the system's places beside it."""

    def __init__(self):
        super().__init__()
        self.etc, self.lib = self.directory("etc"), self.directory("lib")
        self.volatile = self.directory("volatile")
        for name in (self.etc, self.lib, self.volatile):
            os.chmod(name, 0o755)
        shutil.copy("/etc/ld.so.cache", self.etc)
        self.write("etc/passwd", f"root:x:0:0:root:{ACCOUNT}:/bin/sh\n")
        namespace = ["-m"] if os.geteuid() == 0 else ["-Urm"]
        self.enter = [find_program("unshare", "util-linux"), *namespace, "/bin/sh", "-c", INSIDE]
        self.enter += [self.etc, self.lib, self.volatile]

    def __enter__(self):
        tried = self.run([*self.enter, "true"])
        if tried.returncode != 0:
            self.__exit__()
        if "unshare:" in tried.stderr:
            raise Skip("no mount namespace of its own here: " + tried.stderr.strip())
        equal(tried.returncode, 0, tried.stderr)
        return self

    def system(self, *arguments, text="", env=()):
        """Variables in `env` are as env(1) takes them: NAME=VALUE, -u, NAME."""
        command = ["/usr/bin/env", *env, self.pullkey, "--system", *arguments]
        return self.run([*self.enter, *command], text)

    def configure(self, config):
        os.makedirs(os.path.join(self.etc, "pullkey"), 0o755, exist_ok=True)
        self.write("etc/pullkey/config.json", json.dumps(config))

    def entries(self, *below):
        return sorted(os.listdir(os.path.join(self.path, *below)))

    def mode(self, *below):
        return stat.S_IMODE(os.stat(os.path.join(self.path, *below)).st_mode)
