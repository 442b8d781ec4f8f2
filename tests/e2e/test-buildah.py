# SPDX-License-Identifier: Apache-2.0
"""buildah with our helper, against a real registry."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from scenario import cases, logout_all
from storage import StorageClient
from tap import run


class Buildah(StorageClient):
    name = "buildah"


sys.exit(run(cases(Buildah, [("logout --all clears the store", logout_all)])))
