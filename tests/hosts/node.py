# SPDX-License-Identifier: Apache-2.0
"""A node's files below a directory that lasts as long as a test.

    with Node({"/etc/containerd/config.toml": "version = 2\n"}, release="1.7.22") as node:
        node.check()      a finished `pullkey-hosts check --root ...`
        node.findings()   [(id, inner path or None, line or None, level)]

MARKER is a secret: nothing that a program prints may hold it, as it is or in base64.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile

PROGRAM = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts")
SYSCONFDIR = os.environ["PULLKEY_SYSCONFDIR"]

MARKER = "marker-81c5e2"
BASIC = base64.b64encode(f"puller:{MARKER}".encode()).decode()

CONFIG = "/etc/containerd/config.toml"
CERTS = "/etc/containerd/certs.d"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
IMAGES = 'plugins."io.containerd.cri.v1.images"'


class Node:
    def __init__(self, files=None, release=None, place=None):
        self.root = tempfile.mkdtemp(prefix="pullkey-node-", dir=place)
        self.shell = {}  # variables of whoever runs it
        for inner, text in (files or {}).items():
            self.put(inner, text)
        if release:
            self.put(
                "/var/lib/dpkg/status",
                f"Package: containerd\nStatus: install ok installed\nVersion: {release}\n",
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def path(self, inner):
        return self.root + inner

    def put(self, inner, text):
        """None makes a directory, ("link", TARGET) a link."""
        path = self.path(inner)
        os.makedirs(path if text is None else os.path.dirname(path), exist_ok=True)
        if isinstance(text, tuple):
            os.symlink(text[1], path)
        elif text is not None:
            with open(path, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())

    def run(self, *words, root=None):
        done = subprocess.run(
            [PROGRAM, words[0], "--root", root or self.root, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}, **self.shell},
        )
        done.stdout = done.stdout.decode("utf-8", "strict")
        done.stderr = done.stderr.decode("utf-8", "strict")
        for secret in (MARKER, BASIC, BASIC[:16]):
            if secret in done.stdout + done.stderr:
                raise AssertionError(f"a secret is in the output: {done.stdout}{done.stderr}")
        return done

    def check(self, *words):
        return self.run("check", *words)

    def report(self, *words):
        done = self.check("--json", *words)
        if done.stderr:
            raise AssertionError(done.stderr)
        return done.returncode, json.loads(done.stdout)

    def findings(self, *words):
        status, report = self.report(*words)
        found = []
        for item in report["findings"]:
            if set(item) != {"id", "level", "file", "line", "text", "fix"}:
                raise AssertionError(item)
            if not item["text"] or not item["fix"] or "\n" in item["text"] + item["fix"]:
                raise AssertionError(item)
            inner = item["file"]
            if inner is not None:
                if not inner.startswith(self.root + "/"):
                    raise AssertionError(inner)
                inner = inner[len(self.root):]
            found.append((item["id"], inner, item["line"], item["level"]))
        bad = any(level != "note" for _, _, _, level in found)
        if status != (1 if bad else 0):
            raise AssertionError(f"exit status {status} with {found}")
        return found
