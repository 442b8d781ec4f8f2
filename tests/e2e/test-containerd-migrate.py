# SPDX-License-Identifier: Apache-2.0
"""What operators have on their nodes, migrated by `pullkey hosts migrate` and then pulled through real
containerds: passwords and mirrors in config.toml, a plain header in hosts.toml.

The node's files are below a directory (--root); containerd reads what the daemon publishes of the
certs.d that migrate left there.
"""

import os
import sys
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import basic, table
from node import named, node
from registry import Registry
from scenario import MARKER, PASSWORD, REPOSITORY, USER
from service import Gate
from tap import CASES, check, equal, run

OLD_PLACE = """\
version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."registry.example"]
    endpoint = ["{mirror}", "https://registry.example"]
[plugins."io.containerd.grpc.v1.cri".registry.configs."{address}".auth]
  username = "alice"
  password = "{secret}"
[plugins."io.containerd.grpc.v1.cri".registry.configs."{address}".tls]
  ca_file = "{ca}"
"""
SECRET = f"{MARKER}-plain"


class Root:
    """The files of a node, below a directory in the home."""

    def __init__(self, it):
        self.it = it
        self.path = it.home.directory("root")
        it.source = self.file("etc/containerd/certs.d")
        os.makedirs(it.source)

    def file(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.file(name)), exist_ok=True)
        with open(self.file(name), "w", encoding="utf-8") as file:
            file.write(text)

    def migrate(self):
        words = [self.it.home.pullkey, "hosts", "migrate", "--root", self.path]
        shown = self.it.home.run(words)
        done = self.it.home.run([*words, "--write"])
        equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
        for text in (shown.stdout, shown.stderr, done.stdout, done.stderr):
            check(SECRET not in text and basic("alice", SECRET)[6:] not in text, "a secret is shown")
        again = self.it.home.run([*words, "--write"])
        equal(again.returncode, 0, f"the second time: {again.stdout}{again.stderr}")
        equal(self.it.home.find_text(SECRET), [], "files that hold the password")
        equal(self.it.home.find_text(basic("alice", SECRET)[6:]), [], "files that hold the header")

    def serve(self):
        """The daemon, with the store that migrate has filled."""
        store = {"type": "file", "path": self.file("etc/pullkey/auth.cms")}
        store["key"] = self.file("var/lib/pullkey/store.key")
        self.it.hosts.source = self.it.source
        self.it.hosts.configure({}, backends={"file": store})
        self.it.hosts.start()


def setting(version, function):
    with Registry({USER: PASSWORD}) as registry, Gate(registry, ("alice", SECRET)) as gate:
        with node(version, registry, start=False) as it:
            function(it, gate, Root(it))


def pulls(it, gate, reference):
    it.wait_header(f"https://{gate.address}")
    it.expect_pulled(reference)
    got = {r.credential for r in gate.requests if r.path != "/v2/"}
    equal(got, {("Basic", "alice", SECRET)}, "what the registry got")
    gate.accepted = [("alice", "another")]
    it.expect_refused(reference)


def old_place(it, gate, root):
    """user-made mirrors and passwords of config.toml: directories below certs.d, and the store."""
    fields = {"mirror": f"https://{gate.address}", "address": gate.address, "secret": SECRET}
    root.write("etc/containerd/config.toml", OLD_PLACE.format(ca=it.registry.ca, **fields))
    root.migrate()
    with open(root.file("etc/containerd/config.toml"), encoding="utf-8") as file:
        text = file.read()
    check("config_path" in text and "mirrors" not in text, text)
    root.serve()
    pulls(it, gate, f"registry.example/{REPOSITORY}:{it.image.tag}")


def header(it, gate, root):
    """A header in hosts.toml, in lower case as guides have it."""
    url = f"https://{gate.address}"
    text = table(url, authorization=basic("alice", SECRET), ca=it.registry.ca)
    text = text.replace("Authorization", "authorization")
    root.write(f"etc/containerd/certs.d/{gate.address}/hosts.toml", f'server = "{url}"\n{text}')
    root.migrate()
    root.serve()
    pulls(it, gate, it.reference(gate.address))


NAMES = [("mirrors and passwords in config.toml", old_place), ("a header in hosts.toml", header)]
CASES += [
    (named(version, name), partial(setting, version, function))
    for version in VERSIONS
    for name, function in NAMES
]

sys.exit(run())
