# SPDX-License-Identifier: Apache-2.0
"""Broken set-ups of a kubelet that asks pullkey-kubelet. A kubelet is in no package: a program that
only runs, with its name and its flags, stands for it.
"""

import os
from contextlib import contextmanager

from doctor import MARKER
from doctor_kubelet import USER, Node
from registry import Registry
from setups import Verdict, setup

ADD_RULE = '"caller": ["kubelet"]'


class Place:
    def __init__(self, node):
        self.node, self.image = node, node.image

    def ask(self):
        caller = self.node.report()
        return Verdict(caller["works"], caller["cause"], caller["text"])

    def pull(self):
        """There is no kubelet that pulls."""


@contextmanager
def node():
    """The shell has what the kubelet has."""
    with Registry({USER: MARKER}) as registry, Node(registry) as made:
        made.shell = made.variables
        yield Place(made)


@setup("matchImages that do not match", "kubelet", node, "image-not-matched", 'add "127.0.0.1:', "restart the kubelet")
def not_matched(there):
    there.node.provide("*.example.com")


@setup("matchImages without the port", "kubelet", node, "image-not-matched", 'add "127.0.0.1:', "restart the kubelet")
def no_port(there):
    there.node.provide("127.0.0.1")


@setup("another provider is asked", "kubelet", node, "kubelet-asks-another", "asks other for", "matchImages")
def another(there):
    there.node.provide(there.node.registry.address, name="other")


@setup("a kubelet without the flags", "kubelet", node, "kubelet-flags", "--image-credential-provider-config")
def no_flags(there):
    there.node.flags = []


@setup("no plugin in the bin-dir", "kubelet", node, "binary-missing", "pullkey-kubelet")
def no_plugin(there):
    os.unlink(os.path.join(there.node.bin, "pullkey-kubelet"))


@setup("no rule names the kubelet", "kubelet", node, "no-kubelet-rule", ADD_RULE)
def no_rule(there):
    there.node.rules({"match": there.node.registry.address, "use": ["team"], "when": {"caller": ["docker"]}})


@setup("a variable of the shell only", "kubelet", node, "not-in-kubelet", "is set in this shell, and not for the kubelet",
       "drop-in")
def shell_only(there):
    there.node.variables = {}


@setup("a wrong password of the kubelet's", "kubelet", node, "wrong-password", "where it comes from")
def wrong_variable(there):
    there.node.variables = {**there.node.variables, "R_TOKEN": "another"}
