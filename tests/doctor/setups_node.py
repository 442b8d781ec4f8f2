# SPDX-License-Identifier: Apache-2.0
"""Broken set-ups of a node whose containerd pulls: its files, and for root the daemon's environment."""

import importlib.util
import json
import os
import shutil
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from containerd import VERSIONS, Containerd
from doctor import no_secret
from home import Home
from hosts import table
from image import Image
from live import MADE, published
from node import BASIC, CERTS, CONFIG, SYSCONFDIR, Node
from registry import Registry, wait_for
from service import Gate
from setups import Verdict, setup
from tap import check, equal
from traps import A as FILE
from traps import HELPER, PLAIN, R, TARGET, config, header, reads


def module(name, path):
    """That suite has a doctor.py too."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), path))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


node_doctor = module("node_doctor", "../hosts/doctor.py")
IMAGE = "a.example/team/app"
USER, REPOSITORY = "puller", "team/app"  # of a registry that is there


class Place:
    def __init__(self, node, image=IMAGE):
        self.node, self.image = node, image

    def ask(self):
        """Both forms are compared, and searched for secrets, by judge()."""
        status, report = node_doctor.judge(self.node.run, self.image)
        return Verdict(status == 0, report["cause"], report["verdict"])

    def pull(self):
        """There are no such registries."""

    def put(self, inner, text):
        self.node.put(inner, text)


def files(more, release="2.1.9", image=IMAGE):
    @contextmanager
    def scene():
        with Node({**R, **more}, release) as node:
            yield Place(node, image)

    return scene


def broken(name, scene, changes, cause, *words):
    """By files that others are put in the place of."""

    @setup(name, "hosts", scene, cause, *words)
    def harm(there):
        for inner, text in changes.items():
            there.put(inner, text)


GOOD = files({FILE: PLAIN})
IN_DEFAULT = files({f"{CERTS}/_default/hosts.toml": PLAIN})

broken("a colon list in config_path", GOOD, reads(f"{TARGET}:{CERTS}"), "config-path-list",
       "takes it for one directory", CONFIG)
broken("no config_path", GOOD, {CONFIG: "version = 2\n"}, "config-path-unset", "reads no hosts.toml")
broken("a config_path that is not there", GOOD, reads("/srv/certs"), "config-path-missing", "/srv/certs")
broken("a config_path that is not the target", GOOD, {FILE: HELPER}, "config-path-not-target",
       f"set config_path to {TARGET}")
broken("a table of containerd 1", GOOD, {CONFIG: config(CERTS, 3)}, "table-not-read", CONFIG)
broken("a config.toml that is none", GOOD, {CONFIG: "version = \n"}, "config-refused", CONFIG + ":1")
broken("a shadowed _default", IN_DEFAULT, {f"{CERTS}/a.example": None}, "default-shadowed", "_default is not looked at")
broken("a name that is no pattern", files({CERTS: None}), {f"{CERTS}/*.example/hosts.toml": PLAIN}, "directory-unread",
       "a name is no pattern")
broken("a hosts.toml that is none", GOOD, {FILE: f'server = "{IMAGE}"\n[host\n'}, "hosts-file-refused", FILE + ":2",
       "containerd ignores the file")
broken("a capability of containerd 2.2", GOOD, {FILE: PLAIN + 'capabilities = ["pull", "referrers"]\n'},
       "referrers-before-2.2", 'remove "referrers"')
broken("a header that a shell was to expand", GOOD, {FILE: header('"Basic ${TOKEN}"')}, "header-not-expanded", FILE)
broken("a password in hosts.toml", GOOD, {FILE: header(f'"Basic {BASIC}"')}, "plaintext-header", FILE + ":2", "migrate")


ENV = {"type": "env", "username": "R_USER", "password": "R_TOKEN"}
VARIABLES = {"R_USER": USER, "R_TOKEN": node_doctor.MARKER}
PULLKEY = os.path.join(os.environ["PULLKEY_BINDIR"], "pullkey")

PULL = {"capabilities": ["pull", "resolve"]}


class Machine(Place):
    """This machine, whose daemon has the credential, as has the shell; and a real registry and containerd."""

    def __init__(self, node, registry, image, ca, text):
        super().__init__(node, f"{registry.address}/{REPOSITORY}:{image.tag}")
        self.registry, self.name, self.ca, self.text = registry, registry.address, ca, text  # of hosts.toml
        self.config_path = node.path(MADE)  # what the daemon publishes

    def ask(self):
        """containerd's way as one of the callers; the hosts are asked then too."""
        own = super().ask()
        command = ("doctor", self.image, "--as", "hosts")
        text, machine = (self.node.run(*command, *more, program=PULLKEY) for more in ([], ["--json"]))
        (caller,) = json.loads(machine.stdout)["callers"]
        for done in (text, machine):
            no_secret(done.stdout + done.stderr, node_doctor.MARKER)
            equal((done.stderr, done.returncode == 0), ("", caller["works"]))
        equal((caller["caller"], text.stdout.splitlines()[-1]), ("containerd", caller["text"]))
        check(own.works or (caller["works"], caller["cause"]) == (False, own.cause), f"{own} and {caller}")
        return Verdict(caller["works"], caller["cause"], caller["text"])

    def pull(self):
        with Home(self.ca) as home, Containerd(home, VERSIONS[0], self.config_path) as containerd:
            return containerd.crictl_pull(self.image).returncode == 0


@contextmanager
def running(name, text, **more):
    """A node whose daemon has a credential for that registry; `text` is of its hosts.toml."""
    rules = {"version": 1, "rules": [{"match": name, "use": [ENV]}]}
    files = {f"{CERTS}/{name}/hosts.toml": text, SYSCONFDIR + "/config.json": json.dumps(rules)}
    with node_doctor.Machine(files) as node, node.started(**VARIABLES, **more):
        wait_for(lambda: BASIC in published(node, name), "containerd to be given the header")
        node.shell = VARIABLES
        yield node


@contextmanager
def machine():
    with Registry({USER: node_doctor.MARKER}) as registry, TemporaryDirectory() as place:
        image = Image(place)
        registry.push(image, REPOSITORY, USER)
        ca = shutil.copy(registry.ca, place)  # which is there longer than the registry
        text = f'server = "https://{registry.address}"\nca = "{ca}"\n[auth]\ncredHelper = "pullkey"\n'
        with running(registry.address, text) as node:
            yield Machine(node, registry, image, ca, text)


@contextmanager
def mirrored():
    """A mirror of that registry, which lets everybody in, goes before it."""
    with machine() as there, Gate(there.registry) as gate:
        gate.answer = lambda request: None
        there.mirror = gate
        there.put(f"{CERTS}/{there.name}/hosts.toml", there.text + table(f"https://{gate.address}", ca=there.ca, **PULL))
        wait_for(lambda: gate.address in published(there.node, there.name), "containerd to be given the mirror")
        yield there


@contextmanager
def behind_proxy():
    """Not of a registry on the loopback, which is asked without one."""
    with running("a.example", HELPER, https_proxy="http://proxy.example:3128") as node:
        yield Place(node)


if os.geteuid() == 0:

    @setup("a containerd that reads no directory", "hosts", machine, "config-path-unset", "reads no hosts.toml", CONFIG)
    def reads_none(there):
        there.put(CONFIG, "version = 2\n")
        there.config_path = ""

    @setup("a containerd that reads what people write", "hosts", machine, "config-path-not-target",
           f"set config_path to {TARGET}")
    def reads_source(there):
        there.put(CONFIG, config(CERTS))
        there.config_path = there.node.path(CERTS)

    @setup("a credential in the unit only", "hosts", machine, "credential-in-unit", "of the daemon only", "the variable R_",
           warning=True)
    def in_unit(there):
        there.node.shell = {}

    @setup("a proxy in the unit only", "hosts", behind_proxy, "proxy-not-in-containerd", "the daemon has a proxy", warning=True)
    def proxy_in_unit(there):
        there.node.containerd = "NO_PROXY="

    @setup("a mirror that is down", "hosts", mirrored, "mirror-failed", "the mirror https://127.0.0.1:", "start it, or take it out",
           warning=True)
    def mirror_down(there):
        there.mirror.stop()

    @setup("a mirror and its registry that are down", "hosts", mirrored, "mirror-failed", "the mirror https://127.0.0.1:", "fails",
           "and https://127.0.0.1:")
    def all_down(there):
        there.mirror.stop()
        there.registry.stop()
