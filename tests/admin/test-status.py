# SPDX-License-Identifier: Apache-2.0
"""pullkey status: what is set up, and which tools ask pullkey."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from registry import find_program
from tap import Skip, case, check, equal, run

MARKER = "marker-57a705"
CONFIG = ".config/pullkey/config.json"
DROP_IN = ".config/containers/registries.conf.d"
OURS = 'credential-helpers = ["pullkey", "containers-auth.json"]\n'


def rows_of(text):
    """What each row says, and where."""
    return [(row["what"], row["pullkey"], row["where"]) for row in json.loads(text)]


def status(home):
    rows = rows_of(home.succeed([home.pullkey, "status", "--json"]))
    return {what: (state, where) for what, state, where in rows}


def tool(home, name):
    return status(home)[name]


@case("configuration, default chain, where a login goes and what is there")
def own():
    with Home() as home:
        store = os.path.join(home.path, ".config/pullkey/auth.cms")
        place = f"{store}, encrypted with {home.path}/.local/state/pullkey/store.key"
        found = status(home)
        equal(found["configuration"], ("none", ""))
        equal(found["without a rule"], ("file", ""))
        equal((found["login"], found["stored"]), (("file", place), ("0", "")))
        version = home.succeed([home.pullkey, "version"]).split()[1]
        equal(found["version"], (version, ""))
        home.login("a.example.com", "alice", MARKER, "--no-verify").check_returncode()
        rule = {"match": "**", "use": "other"}
        config = {"version": 1, "backends": {"other": {"type": "env"}}, "rules": [rule], "default": ["other", "file"]}
        path = home.write(CONFIG, json.dumps(config))
        found = status(home)
        # What a login is stored in is asked first; the rule that takes all does not matter.
        equal(found["configuration"], ("rules: 1", path))
        equal(found["without a rule"], ("file, other", ""))
        equal((found["login"], found["stored"]), (("file", place), ("1", "")))
        text = home.succeed([home.pullkey, "status"])
        check(text.startswith("WHAT ") and re.search(f"\nlogin +file +{place}\n", text), text)
        check(MARKER not in text, "a secret")
        home.write(CONFIG, '{"version": 1, "default": [{"type": "env"}]}')
        found = status(home)
        check("nothing in the default chain can store" in found["login"][0] and "stored" not in found, found)
        home.write(CONFIG, '{"version": 1, "default": []}')
        equal(status(home)["without a rule"][0], "nobody")
        os.unlink(path)
        home.write(".config/pullkey/auth.cms", "rubbish")
        found = status(home)
        check(found["login"][0] == "file" and store in found["stored"][1], found)
        equal(found["stored"][0], "cannot be read")
        # What is broken keeps nothing else from being shown.
        path = home.write(CONFIG, '{"version": 1,\n rules')
        done = home.run([home.pullkey, "status", "--json"])
        equal((done.returncode, done.stderr), (1, ""))
        rows = rows_of(done.stdout)
        equal([row[0] for row in rows], ["version", "configuration", "docker", "podman", "containerd", "kubelet"])
        check(rows[1][1] == "cannot be read" and f"{path}:2" in rows[1][2], rows)


@case("docker: the store of all, helpers of single registries, and a file that cannot be read")
def docker():
    with Home() as home:
        path = os.path.join(home.path, ".docker/config.json")
        home.env["PATH"] = home.directory("bin")
        equal(tool(home, "docker"), ("not installed", path))
        for program in ("docker", "nerdctl"):
            os.chmod(home.write(f"bin/{program}", "#!/bin/sh\n"), 0o755)
            equal(tool(home, "docker"), ("no", path))
            os.unlink(os.path.join(home.path, "bin", program))
        for config, uses in (
            ({}, "no"),
            ({"credsStore": "pullkey"}, "yes"),
            ({"CredsStore": "pullkey"}, "yes"),
            ({"credsStore": "pass"}, "no"),
            ({"credHelpers": {"a.example.com": "pullkey", "b.example.com": "x", "c.example.com": "pullkey"}}, "for a.example.com, c.example.com"),
            ({"credsStore": "pullkey", "credHelpers": {"a.example.com": "pullkey", "b.example.com": "x"}}, "yes, not for b.example.com"),
        ):
            home.write(".docker/config.json", json.dumps(config))
            equal(tool(home, "docker"), (uses, path), config)
        home.write(".docker/config.json", '{"credsStore": "pullkey"')
        uses, where = tool(home, "docker")
        check(uses == "no" and path in where, where)
        other = home.write("other/config.json", '{"credsStore": "pullkey"}')
        home.env["DOCKER_CONFIG"] = os.path.dirname(other)
        equal(tool(home, "docker"), ("yes", other))


@case("podman: the last file that has the list decides")
def podman():
    with Home() as home:
        first = home.write(f"{DROP_IN}/10.conf", OURS)
        equal(tool(home, "podman"), ("yes", first))
        second = home.write(f"{DROP_IN}/20.conf", '# credential-helpers = ["pullkey"]\nshort-name-mode = "enforcing"\n')
        equal(tool(home, "podman"), ("yes", first), "a comment")
        home.write(f"{DROP_IN}/20.conf", 'credential-helpers = ["pass",\n  "containers-auth.json"]\n')
        equal(tool(home, "podman"), ("no", second))
        home.write(f"{DROP_IN}/20.conf", 'credential-helpers = [\n  "pass",\n  "pullkey",\n]\n')
        equal(tool(home, "podman"), ("yes", second))
        home.write(f"{DROP_IN}/30.txt", 'credential-helpers = ["pass"]\n')
        equal(tool(home, "podman"), ("yes", second), "no file of the directory")


def on_machine(home, script, under="", tools="/nowhere"):
    """In a mount namespace with an /etc and a /run of its own, as root."""
    own = "mount -t tmpfs none /etc && mount -t tmpfs none /run && "
    command = [find_program("unshare", "util-linux"), "-m" if os.geteuid() == 0 else "-Urm", "sh", "-ec"]
    done = home.run([*command, f"{own} {script}; PATH={tools} exec {under} {home.pullkey} status --json"])
    if "unshare:" in done.stderr:
        raise Skip("no namespaces of its own here: " + done.stderr.strip())
    equal(done.returncode, 0, done.stderr)
    return {what: (state, where) for what, state, where in rows_of(done.stdout)}


@case("a machine with containerd, a kubelet, and podman for all users")
def machine():
    with Home() as home:
        found = on_machine(home, "true")
        equal([found[name] for name in ("podman", "containerd", "kubelet")], [("not installed", "")] * 3)
        for program in ("podman", "containerd", "kubelet"):
            os.chmod(home.write(f"bin/{program}", "#!/bin/sh\n"), 0o755)
        found = on_machine(home, "true", tools=os.path.join(home.path, "bin"))
        equal([found[name] for name in ("podman", "containerd", "kubelet")], [("no", "")] * 3)
        files = "mkdir -p /etc/containerd /etc/kubernetes /etc/containers/registries.conf.d; "
        files += f"echo '{OURS.strip()}' >/etc/containers/registries.conf.d/pullkey.conf; "
        files += "echo '  config_path = \"/run/pullkey/certs.d\"' >/etc/containerd/config.toml; "
        files += "echo '- name: pullkey-kubelet' >/etc/kubernetes/credential-provider.yaml"
        found = on_machine(home, files)
        equal(found["podman"], ("yes", "/etc/containers/registries.conf.d/pullkey.conf"))
        equal(found["kubelet"], ("yes", "/etc/kubernetes/credential-provider.yaml"))
        uses, where = found["containerd"]
        check(uses.startswith("not yet: ") and where == "/etc/containerd/config.toml", found)
        files += "; mkdir -p /run/pullkey/certs.d"
        equal(on_machine(home, files)["containerd"][0], "yes, but the daemon does not run")
        # As the daemon does while it runs.
        found = on_machine(home, files, f"{find_program('flock', 'util-linux')} /run/pullkey/certs.d")
        equal(found["containerd"], ("yes", "/etc/containerd/config.toml"))
        found = on_machine(home, files + "; sed -i 's/^/#/' /etc/containerd/config.toml /etc/kubernetes/*.yaml")
        equal((found["containerd"][0], found["kubelet"][0]), ("no", "no"), "comments")
        # A user's own registries.conf and drop-ins come after.
        home.write(f"{DROP_IN}/own.conf", 'credential-helpers = ["pass"]\n')
        equal(on_machine(home, files)["podman"], ("no", os.path.join(home.path, DROP_IN, "own.conf")))


if __name__ == "__main__":
    sys.exit(run())
