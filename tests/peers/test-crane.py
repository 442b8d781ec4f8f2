# SPDX-License-Identifier: Apache-2.0
"""crane with our helper, against a real registry. It asks for host/repository first, then host."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import peers
from scenario import Client, cases, expect_refused, set_up, store, succeed
from tap import equal, run


class Crane(Client):
    name = "crane"
    verifies_login = False  # it stores what it is given

    def configure(self):
        self.program = peers.program("crane")
        self.pulled = os.path.join(self.home.path, "pulled")
        set_up(self.home, "docker")

    def push(self):
        return self.home.run([self.program, "push", self.image.directory, self.reference])

    def pull(self):
        return self.home.run([self.program, "pull", "--format=oci", self.reference, self.pulled])

    def check_pulled(self):
        with open(os.path.join(self.pulled, "index.json"), encoding="utf-8") as file:
            index = json.load(file)
        equal(index["manifests"][-1]["digest"], self.image.manifest, "manifest")

    def login(self, user, password):
        arguments = ["--username", user, "--password-stdin", self.registry.address]
        return self.home.run([self.program, "auth", "login", *arguments], password)

    def logout(self):
        return self.home.run([self.program, "auth", "logout", self.registry.address])


def team_credential(client):
    """crane asks for the whole repository first: a team's credential wins over the registry's."""
    server = client.registry.address
    store(client, server, password="of the registry, and wrong")
    expect_refused(client, client.push(), "the push with the registry's credential")
    store(client, f"{server}/team")
    succeed(client.push(), "the push with the team's credential")
    store(client, f"{server}/teams", password="of another team, and wrong")
    succeed(client.pull(), "the pull with the team's credential")
    client.check_pulled()


TEAM = ("a credential for a path is found before the host's", team_credential)

sys.exit(run(cases(Crane, [TEAM])))
