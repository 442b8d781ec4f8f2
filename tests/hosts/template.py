# SPDX-License-Identifier: Apache-2.0
"""A node that `pullkey hosts migrate` works on, below a directory, with the store that it writes.

Every output is searched for MARKER, as it is and in base64 at any offset.
"""

import base64
import json
import os
import shutil
import subprocess

from node import MARKER, PROGRAM, Node
from tap import check, equal

TARGET = "/run/pullkey/certs.d"
STORE = "/etc/pullkey/auth.cms"
KEY = "/var/lib/pullkey/store.key"
HELPER = os.path.join(os.environ["PULLKEY_BINDIR"], "docker-credential-pullkey")
K3S = "/etc/rancher/k3s/registries.yaml"
HAS_YAML = any("yaml.so" in names for _, _, names in os.walk(os.environ["PULLKEY_MODULES"]))


def basic(user, secret):
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def codings(text):
    """As it is, and in base64 at any offset."""
    raw = text.encode()
    forms = {raw}
    for offset in range(3):
        coded = base64.b64encode(b"x" * offset + raw)
        forms.add(coded[4 : len(coded) - 4])
    return forms


SECRETS = (MARKER, MARKER + "-two", MARKER + '-"three"$', MARKER + "-four")
FORMS = codings(MARKER)


class Template(Node):
    def migrate(self, *words, status=0):
        done = self.run("migrate", *words)
        for form in FORMS:
            check(form not in (done.stdout + done.stderr).encode(), "a secret is in the output")
        equal(done.returncode, status, done.stdout + done.stderr)
        return done

    def report(self, *words, status=0):
        return json.loads(self.migrate("--json", *words, status=status).stdout)

    def read(self, inner):
        with open(self.path(inner), encoding="utf-8") as file:
            return file.read()

    def files(self):
        """Every file below the root that is not a lock, with its content."""
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(directory, name)
                if not name.endswith(".lock"):
                    with open(path, "rb") as file:
                        found[path[len(self.root) :]] = file.read()
        return found

    def check_clean(self):
        for inner, data in self.files().items():
            for form in FORMS:
                check(form not in data, f"a secret is in {inner}")
            check("pullkey-new" not in inner, f"{inner} is left")

    def get(self, server):
        """What the store of the template answers."""
        text = json.dumps(
            {
                "version": 1,
                "default": ["file"],
                "backends": {
                    "file": {"type": "file", "path": self.path(STORE), "key": self.path(KEY)}
                },
            }
        )
        done = subprocess.run(
            [HELPER, "get"],
            input=server,
            capture_output=True,
            text=True,
            timeout=30,
            env={**self.environment(), "HOME": self.root, "PULLKEY_CONFIG_JSON": text},
        )
        if done.returncode:
            return None
        answer = json.loads(done.stdout)
        return answer["Username"], answer["Secret"]

    def environment(self):
        return {
            "PATH": "/usr/bin:/bin",
            **{name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name},
        }

    def migrate_via(self, tool, *words):
        """With a program in front of it, whatever comes of it."""
        done = subprocess.run(
            [*tool, PROGRAM, "migrate", "--root", self.root, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            env=self.environment(),
        )
        for form in FORMS:
            check(form not in done.stdout + done.stderr, "a secret is in the output")
        return done

    def copy(self):
        twin = Template()
        shutil.copytree(self.root, twin.root, symlinks=True, dirs_exist_ok=True)
        return twin
