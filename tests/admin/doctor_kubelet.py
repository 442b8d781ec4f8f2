# SPDX-License-Identifier: Apache-2.0
"""A kubelet in namespaces of its own, whose configuration pullkey doctor --as kubelet looks at.

    with Registry({USER: MARKER}) as registry, Node(registry) as node:
        node.provide(pattern)           matchImages of the kubelet's configuration
        node.rules(rule, ...)           pullkey's
        node.variables, node.shell, node.flags      of the kubelet, of who asks, of the kubelet
        node.report()                   the caller's part of the answer
"""

import json
import os
import shutil
import sys

from doctor import MARKER, no_secret
from home import Home
from image import OCI, Image
from kubelet_cases import HEAD
from registry import find_program
from tap import Skip, check, equal

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

    def report(self):
        """Both forms say the same."""
        done, table = self.ask("--json"), self.ask()
        for one in (done, table):
            no_secret(one.stdout + one.stderr)
            equal(one.stderr, "")
        found = json.loads(done.stdout)
        (caller,) = found["callers"]
        equal((caller["caller"], caller["works"]), ("kubelet", caller["cause"] == "works"))
        equal(table.stdout.splitlines()[-1], caller["text"])
        equal((done.returncode, table.returncode), (int(not caller["works"]),) * 2)
        return caller

    def finds(self, cause, *words):
        """The cause, and words of the last line."""
        caller = self.report()
        equal(caller["cause"], cause, json.dumps(caller, indent=1))
        for word in words:
            check(word in caller["text"], caller["text"])
        return caller
