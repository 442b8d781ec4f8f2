# SPDX-License-Identifier: Apache-2.0
"""Broken set-ups of a node whose containerd pulls: its files, and for root the daemon's environment."""

import importlib.util
import json
import os
from contextlib import contextmanager

from live import published
from node import BASIC, CERTS, CONFIG, SYSCONFDIR, Node
from registry import wait_for
from setups import Verdict, setup
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


def served(*backends):
    rule = {"match": "a.example", "use": list(backends)}
    text = json.dumps({"version": 1, "rules": [rule]})
    return {FILE: HELPER, SYSCONFDIR + "/config.json": text}


VARIABLES = {"R_USER": "puller", "R_TOKEN": node_doctor.MARKER}
ENV = served({"type": "env", "username": "R_USER", "password": "R_TOKEN"})


@contextmanager
def machine(**more):
    """This machine, whose daemon has the credential, as has the shell."""
    with node_doctor.Machine(ENV) as node, node.started(**VARIABLES, **more):
        wait_for(lambda: BASIC in published(node, "a.example"), "containerd to be given the header")
        node.shell = VARIABLES
        yield Place(node)


if os.geteuid() == 0:

    @setup("a credential in the unit only", "hosts", machine, "credential-in-unit", "of the daemon only", "the variable R_",
           warning=True)
    def in_unit(there):
        there.node.shell = {}

    def behind_proxy():
        return machine(https_proxy="http://proxy.example:3128")

    @setup("a proxy in the unit only", "hosts", behind_proxy, "proxy-not-in-containerd", "the daemon has a proxy", warning=True)
    def proxy_in_unit(there):
        there.node.containerd = "NO_PROXY="
