# SPDX-License-Identifier: Apache-2.0
"""skopeo with our helper, against a real registry."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from registry import find_program
from scenario import Client, cases, logout_all, set_up
from tap import run


class Skopeo(Client):
    name = "skopeo"

    def configure(self):
        self.program = find_program("skopeo")
        self.pulled = os.path.join(self.home.path, "pulled")
        self.copy = [self.program, "--insecure-policy", "copy"]
        set_up(self.home, "skopeo")

    def push(self):
        source = f"oci:{self.image.directory}:{self.image.tag}"
        return self.home.run([*self.copy, source, f"docker://{self.reference}"])

    def pull(self):
        shutil.rmtree(self.pulled, ignore_errors=True)
        return self.home.run([*self.copy, f"docker://{self.reference}", f"dir:{self.pulled}"])

    def check_pulled(self):
        self.image.check_copied(self.pulled)

    def login(self, user, password):
        arguments = ["login", "--username", user, "--password-stdin", self.registry.address]
        return self.home.run([self.program, *arguments], password)

    def logout(self):
        return self.home.run([self.program, "logout", self.registry.address])

    def logout_all(self):
        return self.home.run([self.program, "logout", "--all"])


sys.exit(run(cases(Skopeo, [("logout --all clears the store", logout_all)])))
