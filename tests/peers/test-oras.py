# SPDX-License-Identifier: Apache-2.0
"""oras with our helper, against a real registry."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import peers
from scenario import Client, cases, set_up
from tap import equal, run


class Oras(Client):
    name = "oras"

    def configure(self):
        self.program = peers.program("oras")
        self.pulled = os.path.join(self.home.path, "pulled")
        set_up(self.home, "docker")

    def push(self):
        source = f"{self.image.directory}:{self.image.tag}"
        return self.home.run([self.program, "cp", "--from-oci-layout", source, self.reference])

    def pull(self):
        shutil.rmtree(self.pulled, ignore_errors=True)
        target = f"{self.pulled}:{self.image.tag}"
        return self.home.run([self.program, "cp", "--to-oci-layout", self.reference, target])

    def check_pulled(self):
        with open(os.path.join(self.pulled, "index.json"), encoding="utf-8") as file:
            index = json.load(file)
        equal(index["manifests"][0]["digest"], self.image.manifest, "manifest")

    def login(self, user, password):
        arguments = ["--username", user, "--password-stdin", self.registry.address]
        return self.home.run([self.program, "login", *arguments], password)

    def logout(self):
        return self.home.run([self.program, "logout", self.registry.address])


sys.exit(run(cases(Oras)))
