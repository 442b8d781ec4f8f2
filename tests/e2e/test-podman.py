# SPDX-License-Identifier: Apache-2.0
"""podman with our helper, against a real registry."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from scenario import cases, logout_all
from storage import StorageClient
from tap import run


class Podman(StorageClient):
    name = "podman"

    def close(self):
        if os.geteuid() != 0:  # end the process that holds an ordinary user's namespace
            self.home.run([*self.base, "system", "migrate"])


sys.exit(run(cases(Podman, [("logout --all clears the store", logout_all)])))
