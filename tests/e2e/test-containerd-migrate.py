# SPDX-License-Identifier: Apache-2.0
"""What operators have on their nodes, migrated by `pullkey hosts migrate` and then pulled through real
containerds: passwords and mirrors in config.toml, headers in hosts.toml.

The node's files are below a directory (--root); containerd reads the config.toml that migrate left
there, and what the daemon publishes of the certs.d.
"""

import json
import os
import re
import shutil
import sys
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS, Containerd
from hosts import basic, table
from node import named, node
from registry import Registry
from scenario import MARKER, PASSWORD, REPOSITORY, USER
from service import Demanding, Gate
from tap import CASES, check, equal, run
from tokens import Harbor

OLD_PLACE = """\
[{plugin}.registry]
  [{plugin}.registry.mirrors."registry.example"]
    endpoint = ["{mirror}", "https://registry.example"]
[{plugin}.registry.configs."{address}".auth]
  username = "alice"
  password = "{secret}"
[{plugin}.registry.configs."{address}".tls]
  ca_file = "{ca}"
"""
SECRET = f"{MARKER}-plain"
NOWHERE = "https://127.0.0.1:1"
FAILED = re.compile("failed to")
RENDERED = "/run/pullkey/certs.d"
TABLE = re.compile(r'^\[(plugins\."[^\n]*")\.registry\]\n  config_path = "[^"\n]*"\n', re.M)


class Migrated(Containerd):
    """Its settings of registries are those of a node's config.toml, before and after."""

    lines = None

    def configuration(self):
        text = super().configuration()
        return text if self.lines is None else TABLE.sub("", text) + self.lines

    def run_with(self, lines):
        self.stop()
        self.lines = lines
        self.start()


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

    def plaintext(self):
        """The findings of check that are about secrets in files."""
        words = [self.it.home.pullkey, "hosts", "check", "--json", "--root", self.path]
        report = json.loads(self.it.home.run(words).stdout)
        return [f["id"] for f in report["findings"] if f["id"].startswith("plaintext-")]

    def migrate(self, user="alice", secret=SECRET):
        coded = basic(user, secret)[6:]
        check(self.plaintext(), "check does not find the secret")
        words = [self.it.home.pullkey, "hosts", "migrate", "--root", self.path]
        shown = self.it.home.run(words)
        done = self.it.home.run([*words, "--write"])
        equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
        for text in (shown.stdout, shown.stderr, done.stdout, done.stderr):
            check(secret not in text and coded not in text, "a secret is shown")
        again = self.it.home.run([*words, "--write"])
        equal(again.returncode, 0, f"the second time: {again.stdout}{again.stderr}")
        equal(self.it.home.find_text(secret), [], "files that hold the password")
        equal(self.it.home.find_text(coded), [], "files that hold the header")
        equal(self.plaintext(), [], "what check finds afterwards")

    def serve(self):
        """The daemon, with the store that migrate has filled."""
        store = {"type": "file", "path": self.file("etc/pullkey/auth.cms")}
        store["key"] = self.file("var/lib/pullkey/store.key")
        self.it.hosts.source = self.it.source
        self.it.hosts.configure({}, backends={"file": store})
        self.it.hosts.start()

    def take_away(self, url):
        os.unlink(self.file("etc/pullkey/auth.cms"))
        self.it.hosts.reload()
        self.it.wait_no_header(url)


def setting(version, function):
    with Registry({USER: PASSWORD}) as registry, Gate(registry, ("alice", SECRET)) as gate:
        with node(version, registry, start=False, kind=Migrated) as it:
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
    own = it.containerd.configuration()
    number, plugin = re.search(r"^version = \d\n", own, re.M)[0], TABLE.search(own)[1]
    fields = {"mirror": f"https://{gate.address}", "address": gate.address, "secret": SECRET}
    old = OLD_PLACE.format(plugin=plugin, ca=it.registry.ca, **fields)
    root.write("etc/containerd/config.toml", number + old)
    root.migrate()
    with open(root.file("etc/containerd/config.toml"), encoding="utf-8") as file:
        text = file.read()
    check(f'config_path = "{RENDERED}"' in text and "mirrors" not in text, text)
    it.containerd.run_with(text.replace(number, "").replace(RENDERED, it.containerd.config_path))
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


def harbor(version):
    """A robot's header for a proxy project, whose path is the whole address."""
    with Harbor(PASSWORD) as registry, node(version, registry, start=False) as it:
        root, robot, project = Root(it), registry.robot, registry.project
        secret, mirror = registry.users[robot], f"https://{it.address}/v2/{project}"
        registry.push(it.image, f"{project}/{REPOSITORY}", robot)
        text = table(mirror, authorization=basic(robot, secret), override_path=True)
        root.write("etc/containerd/certs.d/quay.example/hosts.toml", f'server = "{NOWHERE}"\n{text}')
        root.migrate(robot, secret)
        root.serve()
        it.wait_header(mirror)
        reference = it.reference("quay.example")
        if it.containerd.sends_headers_for_tokens:
            it.expect_pulled(reference)
            equal({r.user for r in registry.tokens.requests}, {robot}, "the users of the tokens")
        root.take_away(mirror)
        it.expect_refused(reference, text=FAILED)


def certificates(version):
    """A header beside an authority and a client certificate, named as they stand beside the file."""
    with (
        Registry({USER: PASSWORD}) as registry,
        Demanding(registry) as gate,
        node(version, registry, trust=False, start=False) as it,
    ):
        root, url = Root(it), f"https://{gate.address}"
        given = {"ca": "ca.crt", "client": [["client.cert", "client.key"]]}
        text = table(url, authorization=basic(USER, PASSWORD), **given)
        name = f"etc/containerd/certs.d/{gate.address}/hosts.toml"
        root.write(name, f'server = "{url}"\n{text}')
        place = os.path.dirname(root.file(name))
        shutil.copy(registry.ca, os.path.join(place, "ca.crt"))
        registry.make_client(place)
        root.migrate(USER, PASSWORD)
        root.serve()
        it.wait_header(url)
        it.expect_pulled(it.reference(gate.address))
        root.take_away(url)
        it.expect_refused(it.reference(gate.address))


NAMES = [("mirrors and passwords in config.toml", old_place), ("a header in hosts.toml", header)]
CASES += [
    (named(version, name), partial(setting, version, function))
    for version in VERSIONS
    for name, function in NAMES
]
MORE = [("a robot's header for Harbor", harbor), ("a header beside certificates", certificates)]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in MORE]

sys.exit(run())
