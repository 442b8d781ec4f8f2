# SPDX-License-Identifier: Apache-2.0
"""`pullkey kubelet check` against the kubelet's own code: what the one calls an error, the other refuses, and nothing else.

What `pullkey kubelet config` prints is accepted.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "admin"))

import peers
from home import Home
from kubelet_cases import CASES, CURRENT
from tap import case, check, equal, run

NAMES = ("provider", "other", "third", "echo-token", "pullkey-kubelet")


class Kubelet(Home):
    def __init__(self):
        super().__init__()
        self.program = peers.program("kubelet-plugin")
        self.bin = self.directory("bin")
        for name in NAMES:
            os.chmod(self.write(f"bin/{name}", "#!/bin/sh\n"), 0o755)

    def put(self, files):
        if isinstance(files, str):
            return self.write("config", files)
        for name, text in files.items():
            self.write(f"config.d/{name}", text)
        return os.path.join(self.path, "config.d")

    def accepts(self, path):
        """True if a kubelet would start with it; the reason is kept."""
        done = self.run([self.program, "--config", path, "--bin-dir", self.bin])
        self.reason = done.stderr
        check(done.returncode in (0, 1), done.stderr)
        return done.returncode == 0


for name, files, version, findings in CASES:
    if version != CURRENT:
        continue

    @case(name)
    def trap(files=files, findings=findings):
        with Kubelet() as kubelet:
            errors = [finding for finding in findings if finding[0] == "error"]
            equal(kubelet.accepts(kubelet.put(files)), not errors, f"{errors}\n{kubelet.reason}")


@case("the release of the kubelet's code is the one that the cases are for")
def release():
    found = re.search(r"kubelet-plugin-0\.(\d+)\.", os.path.realpath(peers.program("kubelet-plugin")))
    check(found, peers.program("kubelet-plugin"))
    equal("1." + found[1], CURRENT)


@case("what `pullkey kubelet config` prints is accepted")
def printed():
    rules = [{"match": ["a.example", "*.b.example:5000/team", "**", "index.docker.io"], "use": ["file"],
              "when": {"caller": ["kubelet"]}}]
    with Kubelet() as kubelet:
        path = kubelet.write("pullkey.json", json.dumps({"version": 1, "rules": rules}))
        os.chmod(path, 0o600)
        kubelet.env["PULLKEY_CONFIG"] = path
        for words in ([], ["--audience", "a.example"], ["--audience", "0", "--cache-type", "Token"]):
            for more in ([], ["--json"]):
                command = [kubelet.pullkey, "kubelet", "config", "--kubelet-version", CURRENT, *words, *more]
                kubelet.write("printed", kubelet.succeed(command))
                check(kubelet.accepts(os.path.join(kubelet.path, "printed")), kubelet.reason)


sys.exit(run())
