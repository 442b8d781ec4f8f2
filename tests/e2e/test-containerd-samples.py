# SPDX-License-Identifier: Apache-2.0
"""The files of packaging/containerd, as a real containerd reads them.
Nothing is replaced in them but names of registries and the path of what is rendered.
"""

import os
import re
import sys
from contextlib import ExitStack
from functools import partial

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from containerd import VERSIONS, Containerd
from helper import Helper
from hosts import k3s_hosts
from node import named, node
from registry import Registry
from scenario import PASSWORD, REPOSITORY, USER
from service import Gate
from tap import CASES, check, equal, run

SAMPLES = os.path.join(HERE, "..", "..", "packaging", "containerd")
RENDERED = "/run/pullkey/certs.d"
NOWHERE = "https://127.0.0.1:1"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
ANY = re.compile("failed to")
TABLE = re.compile(r'^\[plugins\."[^\n]*"\.registry\]\n  config_path = "[^"\n]*"\n', re.M)


def sample(*parts, words):
    """A file's text with words replaced, each of which must be there."""
    with open(os.path.join(SAMPLES, *parts), encoding="utf-8") as file:
        return replaced(file.read(), words)


def replaced(text, words):
    for old, new in words.items():
        check(old in text, f"there is no {old} in\n{text}")
        text = text.replace(old, new)
    return text


class Edited(Containerd):
    """The lines of config-1.toml are in config.toml itself, as it says."""

    name = "config-1.toml"

    def configuration(self):
        text, count = TABLE.subn("", super().configuration())
        equal(count, 1, "tables of the registry in the test's own configuration")
        lines = sample(self.name, words={RENDERED: self.config_path})
        number = re.search(r"^version = \d\n", lines, re.M)[0]
        check(number in text, f"config.toml is not of {number}")
        return text + lines.replace(number, "")


class EditedNewer(Edited):
    name = "config-2.toml"


class Importing(Containerd):
    """config-2.toml is a file that config.toml imports."""

    name = "config-2.toml"

    def configuration(self):
        text, count = TABLE.subn(self.own_table(), super().configuration())
        equal(count, 1, "tables of the registry in the test's own configuration")
        self.home.write("conf.d/pullkey.toml", self.imported())
        return replaced(text, {"imports = []": f'imports = ["{self.home.path}/conf.d/*.toml"]'})

    def own_table(self):
        return ""

    def imported(self):
        return sample(self.name, words={RENDERED: self.config_path})


class K3s(Importing):
    """k3s' config.toml names its own directory; config-k3s.toml is imported after it."""

    name = "config-k3s.toml"

    def own_table(self):
        source = os.path.join(self.home.path, "certs.d")
        return f'[plugins."io.containerd.cri.v1.images".registry]\n  config_path = "{source}"\n'


def put(it, directory, name, words):
    """A sample of certs.d, for another registry."""
    text = sample("certs.d", directory, "hosts.toml", words=words)
    it.home.write(f"certs.d/{name}/hosts.toml", text)


def configured(version, kind):
    """config.toml, and the sample of a registry of one's own."""
    with node(version, kind=kind) as it:
        put(it, "registry.example.com", it.address, {"registry.example.com": it.address})
        it.hosts.wait_asked(it.url, 1)
        it.expect_refused()
        it.expect_pulled_after_login()
        it.expect_refused_after_logout()


def k3s(version):
    """The files are generated, and the configuration names the helper."""
    with Registry({USER: PASSWORD}) as registry:
        url = f"https://{registry.address}"
        settings = {"hosts": {url: "pullkey"}}
        with node(version, registry, containerd=settings, kind=K3s) as it:
            text = k3s_hosts(f"{url}/v2", f"{url}/v2")
            it.home.write("certs.d/own.example/hosts.toml", text)
            reference = it.reference("own.example")
            it.hosts.wait_asked(f"{url}/v2", 1)
            it.expect_refused(reference)
            it.login()
            it.wait_published("own.example", "Authorization")
            it.expect_pulled(reference)
            it.logout()
            it.wait_no_header(f"{url}/v2")
            it.expect_refused(reference)


def mirrors(version):
    """Docker Hub through a project, and _default."""
    with node(version) as it:
        it.registry.push(it.image, f"hub/{REPOSITORY}", USER)
        words = {"harbor.example.com": it.address, "https://registry-1.docker.io": NOWHERE}
        put(it, "docker.io", "docker.io", words)
        put(it, "_default", "_default", {"mirror.example.com:5000": it.address})
        hub, other = it.reference("docker.io"), it.reference("any.example")
        mirror = f"{it.url}/v2/hub"
        it.login(f"{it.address}/hub", USER, PASSWORD, "--no-verify")
        it.wait_header(mirror)
        it.expect_pulled(hub)
        # That one is for the project alone.
        it.wait_no_header()
        it.expect_refused(other, text=ANY)
        it.logout(f"{it.address}/hub")
        it.wait_no_header(mirror)
        it.expect_refused(hub, text=ANY)
        it.login()
        for url, reference in ((mirror, hub), (it.url, other)):
            it.wait_header(url)
            it.expect_pulled(reference)
        it.logout()
        for url, reference in ((mirror, hub), (it.url, other)):
            it.wait_no_header(url)
            it.expect_refused(reference, text=ANY)


def ecr(version):
    """A helper of that name, for the sample's registry."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, ("AWS", "token")))
        helper = stack.enter_context(Helper("ecr-login"))
        it = stack.enter_context(node(version, registry))
        url, reference = f"https://{gate.address}", it.reference(gate.address)
        put(it, ECR, gate.address, {ECR: gate.address})
        it.hosts.wait_asked(url, 1)
        it.expect_refused(reference)
        helper.credentials[gate.address] = ("AWS", "token")
        it.hosts.reload()
        it.wait_header(url)
        it.expect_pulled(reference)
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(url)
        it.expect_refused(reference)


CONFIGURATIONS = [
    ("system", "config-1.toml, in config.toml", Edited),
    ("2.0", "config-2.toml, in config.toml", EditedNewer),
    ("2.3", "config-2.toml, in config.toml", EditedNewer),
    ("2.3", "config-2.toml, in a file that is imported", Importing),
]
CASES += [(named(v, name), partial(configured, v, kind)) for v, name, kind in CONFIGURATIONS]
CASES += [(named("2.3", "config-k3s.toml, in a file that is imported"), partial(k3s, "2.3"))]
NAMES = [("certs.d of mirrors", mirrors), ("certs.d of ECR", ecr)]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]

sys.exit(run())
