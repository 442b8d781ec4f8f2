# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor --as kubelet: whether a kubelet, in namespaces of its own, asks the plugin, and what that has."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from doctor import MARKER, no_secret, step
from home import Home
from image import OCI, Image
from kubelet_cases import HEAD
from registry import Registry, find_program
from tap import Skip, case, check, equal, run

USER, REPOSITORY = "alice", "team/app"
# The kubelet has an environment of its own, and ends with the test's standard input.
START = """import json, os, subprocess, sys
kubelet = subprocess.Popen(sys.argv[3:], executable=sys.argv[1], stdin=subprocess.PIPE, env=json.loads(sys.argv[2]))
while kubelet.args[0].encode() not in open(f"/proc/{kubelet.pid}/cmdline", "rb").read(): pass
status = subprocess.call(json.loads(os.environ["ASK"]))
kubelet.stdin.close()
kubelet.wait()
sys.exit(status)
"""


class Node(Home):
    """A kubelet, its configuration, and that of pullkey; what it has in its environment is `variables`."""

    def __init__(self, registry):
        super().__init__()
        self.registry = registry
        image = Image(os.path.join(self.path, "image"), OCI)
        registry.push(image, REPOSITORY, USER)
        self.image = f"{registry.address}/{REPOSITORY}:{image.tag}"
        self.bin = self.directory("bin")
        for name in ("pullkey-kubelet", "other"):
            os.chmod(self.write(f"bin/{name}", "#!/bin/sh\n"), 0o755)
        self.kubelet = shutil.copy(os.environ["KUBELET_PROGRAM"], self.directory("programs") + "/kubelet")
        os.chmod(self.kubelet, 0o755)
        self.flags = [f"--image-credential-provider-config={self.path}/providers.yaml",
                      f"--image-credential-provider-bin-dir={self.bin}"]
        self.variables = {"R_USER": USER, "R_TOKEN": MARKER}
        self.shell = {}
        self.provide(registry.address)
        self.rules({"match": registry.address, "use": ["team"], "when": {"caller": ["kubelet"]}})

    def provide(self, pattern, name="pullkey-kubelet", more=""):
        text = HEAD + f"""  - name: {name}
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    defaultCacheDuration: 0s
    matchImages: ["{pattern}"]
""" + more
        self.write("providers.yaml", text)

    def rules(self, *rules, **backends):
        team = {"type": "env", "username": "R_USER", "password": "R_TOKEN"}
        text = json.dumps({"version": 1, "backends": {"team": team, **backends}, "rules": rules})
        self.config = self.write("pullkey.json", text)
        os.chmod(self.config, 0o600)

    def ask(self, *words):
        namespaces = "-mpf" if os.geteuid() == 0 else "-Urmpf"
        enter = [find_program("unshare", "util-linux"), namespaces, "--mount-proc"]
        tried = self.run([*enter, "true"])
        if "unshare:" in tried.stderr:
            raise Skip("no namespaces of its own here: " + tried.stderr.strip())
        variables = json.dumps({"PATH": os.environ["PATH"], "PULLKEY_CONFIG": self.config, **self.variables})
        command = [self.pullkey, "doctor", self.image, "--as", "kubelet", "--ca-file", self.registry.ca, *words]
        env = {"ASK": json.dumps(command), **self.shell}
        return self.run([*enter, sys.executable, "-c", START, self.kubelet, variables, "kubelet", *self.flags], env=env)

    def finds(self, cause, *words):
        """The cause, and words of the last line."""
        done, table = self.ask("--json"), self.ask()
        for one in (done, table):
            no_secret(one.stdout + one.stderr)
            equal(one.stderr, "")
        found = json.loads(done.stdout)
        (caller,) = found["callers"]
        equal((caller["caller"], caller["cause"]), ("kubelet", cause), json.dumps(caller, indent=1))
        equal(table.stdout.splitlines()[-1], caller["text"])
        equal((done.returncode, table.returncode), (int(cause != "works"),) * 2)
        for word in words:
            check(word in caller["text"], caller["text"])
        return caller


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
