# SPDX-License-Identifier: Apache-2.0
"""What the tests of `pullkey import` have in common: files of docker's, and what is said of them."""

import json
import os
import sys
import tempfile
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

MARKER = "marker-91ab3c"
STORE = ".config/pullkey/auth.cms"
DOCKER = ".docker/config.json"
PODMAN = ".config/containers/auth.json"
HUB = "https://index.docker.io/v1/"
PLAIN = '{"version": 1, "backends": {"file": {"type": "file", "encryption": "none"}}}'
ROOT = os.geteuid() == 0


def pullkey(home, *arguments, text="", prefix=(), env=None):
    return home.run([*prefix, home.pullkey, *arguments], text, env)


def take(home, *arguments, text="", env=None):
    """What would be done without --yes is in test "shown"."""
    return pullkey(home, "import", "--yes", *arguments, text=text, env=env)


def login(home, server, secret=MARKER):
    home.login(server, "alice", secret, "--no-verify").check_returncode()


def coded(user, secret):
    return b64encode(f"{user}:{secret}".encode()).decode()


def auth(user, secret):
    return {"auth": coded(user, secret)}


def auths(**entries):
    return json.dumps({"auths": {name.replace("_", "."): value for name, value in entries.items()}})


def docker_file(home, name="docker.json", **more):
    document = {
        "auths": {
            HUB: auth("hubuser", MARKER),
            "registry.example.com:5000": auth("alice", MARKER + ":x"),
            "quay.example.com/team": {"identitytoken": MARKER},
            "kept.elsewhere.example.com": {},
        },
        **more,
    }
    return home.write(name, json.dumps(document))


def summary(stored, same, removed=None):
    text = f"{stored} stored, {same} there already"
    return text if removed is None else f"{text}, {removed} removed where they were"


def last_line(done):
    return done.stdout.rstrip("\n").rpartition("\n")[2]


def actions(done):
    """Of --json: (source, registry) and what happens."""
    return {(e["source"], e["registry"]): e["action"] for e in json.loads(done.stdout)["entries"]}


def servers(home, name=DOCKER):
    return sorted(json.loads(home.read(name))["auths"])


def contents(home):
    """Every file of a home but locks and reports."""
    found = {}
    for directory, _, names in os.walk(home.path):
        for name in names:
            path = os.path.join(directory, name)
            if not name.endswith(".lock") and name != "report" and os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, home.path)] = file.read()
    return found


def run():
    """Thousands of flushed files: a disk would make this slow, and SIGKILL does not ask for one."""
    if os.access("/dev/shm", os.W_OK | os.X_OK):
        tempfile.tempdir = "/dev/shm"
    sys.exit(tap.run())
