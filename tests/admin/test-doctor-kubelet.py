# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor --as kubelet: whether a kubelet, in namespaces of its own, asks the plugin, and what that has."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from doctor import MARKER, step
from doctor_kubelet import USER, Node
from registry import Registry
from tap import case, check, run


@case("the plugin is asked with the kubelet's environment, whatever this shell has")
def works():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.shell = {"R_USER": "bob", "R_TOKEN": "wrong", "PULLKEY_CONFIG": "/none"}
        caller = node.finds("works", "will work")
        check("a secret of alice" in step(caller, "team"), caller)
        check("has the kubelet ask pullkey-kubelet" in step(caller, "provider"), caller)
        check("that of the kubelet (" in step(caller, "environment"), caller)


@case("\"env\" of the provider is a part of it, and goes over it")
def provider_env():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.variables = {"R_USER": USER, "R_TOKEN": "wrong"}
        node.finds("wrong-password", "set it right where it comes from")
        node.provide(registry.address, more=f"    env: [{{name: R_TOKEN, value: {MARKER}}}]\n")
        node.finds("works")


@case("what is in this shell alone is named")
def shell_alone():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.variables, node.shell = {}, {"R_USER": USER, "R_TOKEN": MARKER}
        node.finds("not-in-kubelet", "is set in this shell, and not for the kubelet", "drop-in")


@case("no pattern of matchImages is for the image; another port is another registry")
def not_matched():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        for pattern in ("*.example.com", "127.0.0.1", f"{registry.address}/team/other", f"https://{registry.address}"):
            node.provide(pattern)
            node.finds("image-not-matched", f'add "{registry.address}"', "restart the kubelet")
        for pattern in (f"{registry.address}/team", "*.0.0.*:" + registry.address.split(":")[1]):
            node.provide(pattern)
            node.finds("works")


@case("another provider is asked, and not pullkey's")
def another():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.provide(registry.address, name="other")
        node.finds("kubelet-asks-another", "asks other for", "matchImages")


@case("the kubelet was told of no configuration, or does not start with the one it has")
def flags():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        flags, node.flags = node.flags, []
        node.finds("kubelet-flags", "--image-credential-provider-config")
        node.flags = flags
        os.unlink(node.bin + "/pullkey-kubelet")
        node.finds("binary-missing", "pullkey-kubelet")


@case("no rule of pullkey's names the kubelet; one that asks what is denied")
def rules():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.rules({"match": registry.address, "use": ["team"], "when": {"caller": ["docker"]}})
        node.finds("no-kubelet-rule", registry.address, '"caller": ["kubelet"]')
        node.write("pullkey.json", "{")
        node.finds("configuration", "pullkey.json")


@case("where the kubelet's pods have tokens, it is said that none is there")
def tokens():
    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.provide(registry.address, more="""    tokenAttributes:
      serviceAccountTokenAudience: registry.example.com
      cacheType: ServiceAccount
      requireServiceAccount: false
""")
        caller = node.finds("works")
        check("without a token of its service account" in step(caller, "provider"), caller)


sys.exit(run())
