# SPDX-License-Identifier: Apache-2.0
"""A home whose programs ask a fake API server, and the service account tokens of a kubelet."""

import json
import os
import re
import struct
import sys
import time
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "fakes"), os.path.join(HERE, "..", "lib")]
from fake_kubernetes import Kubernetes, sign
from home import Home
from tap import equal

MARKER = "m4rk3r-of-a-secret"
KUBELET = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")


class Scene:
    def __init__(self, home, api):
        self.home, self.api = home, api
        self.log = os.path.join(home.path, "log")
        home.env["PULLKEY_LOG"] = self.log
        home.env["PULLKEY_CACHE_DIR"] = home.directory("cache")
        self.token_file = home.write("token", api.token)
        self.seen = 0

    def instance(self, **options):
        return {"type": "kubernetes", "server": self.api.url, "token_file": self.token_file, **options}

    def configure(self, *chain, when=None, **more):
        """One rule for everything, answered by these instances."""
        rule = {"match": "**", "use": list(chain), **({"when": when} if when else {})}
        config = {"version": 1, "rules": [rule], **more}
        self.home.env["PULLKEY_CONFIG"] = self.home.write("config.json", json.dumps(config))

    def use(self, **options):
        self.configure(self.instance(**{"coalesce": 0, **options}))

    def get(self, server):
        """USER:SECRET, or None."""
        found = self.home.get(server)
        return found and f"{found['Username']}:{found['Secret']}"

    def error(self, server):
        """The one line of a get that fails."""
        done = self.home.run([self.home.helper, "get"], server)
        equal((done.returncode, done.stdout.count("\n"), done.stderr), (1, 1, ""), done.stdout)
        return done.stdout.rstrip("\n")

    def asked(self):
        """METHOD PATH[?QUERY] of what the API server was asked since the last time."""
        new = self.api.requests[self.seen :]
        self.seen += len(new)
        prefixes = re.compile("/api/v1/namespaces/|/apis/authentication.k8s.io/v1/")
        return [f"{request.method} {prefixes.sub('', request.target, count=1)}" for request in new]

    def kubelet(self, image, token, **more):
        """The plugin's exit status, and what it answers or says."""
        request = {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "kind": "CredentialProviderRequest",
            "image": image,
            **({"serviceAccountToken": token} if token else {}),
            **more,
        }
        done = self.home.run([KUBELET], json.dumps(request) + "\n")
        return done.returncode, json.loads(done.stdout) if done.returncode == 0 else done.stderr


class Clock:
    """The clocks of the programs of a home; see tests/tools/clock-shift.c."""

    def __init__(self, home):
        self.path = home.write("clock", "\0" * 16)
        home.env["CLOCK_SHIFT"] = self.path
        home.env["LD_PRELOAD"] = os.environ["CLOCK_SHIFT_LIBRARY"]

    def set(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("qq", seconds, max(seconds, 0)))


@contextmanager
def scene(**options):
    """Nothing that pullkey sends is objected to, and no secret is where none belongs."""
    with Kubernetes(**options) as api, Home() as home:
        it = Scene(home, api)
        yield it
        equal(api.objections, [], "objections of the API server")
        equal(home.find_text(MARKER), [], "files with a secret")


def token(namespace="team", pod="web-1", uid="p-1", account="web", account_uid="s-1", node="node-a", life=3600):
    """A bound token as TokenRequest makes one."""
    now = int(time.time())
    claims = {
        "aud": ["pullkey"],
        "exp": now + life,
        "iat": now - 10,
        "nbf": now - 10,
        "iss": "https://kubernetes.default.svc",
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": pod, "uid": uid},
            "serviceaccount": {"name": account, "uid": account_uid},
            **({"node": {"name": node, "uid": "n-1"}} if node else {}),
        },
    }
    return sign(claims)


def forged(true):
    """The same token with another signature."""
    rest, _, end = true.rpartition(".")
    return f"{rest}.{'B' if end[0] == 'A' else 'A'}{end[1:]}"
