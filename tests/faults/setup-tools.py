# SPDX-License-Identifier: Apache-2.0
"""pullkey setup podman, containerd and kubelet are killed at each system call, and each fails.

Whatever happens, each file is the old one or the new one, and afterwards the change can be made, and
undone to the byte. The system's places are the sandbox's own.
"""

import json
import os
import sys

import sandbox
import tap
from sandbox import Fault, Sandbox

RULE = {"match": "a.example", "use": ["file"], "when": {"caller": ["kubelet"]}}
PROVIDERS = """apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: other
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  defaultCacheDuration: "0s"
  matchImages: ["b.example"]
"""
UNIT = "etc/systemd/system/kubelet.service.d/pullkey.conf"
# What may change, as it is before: None, there is none.
TOOLS = {
    "podman": {"home/.config/containers/registries.conf.d/pullkey.conf": None},
    "containerd": {"etc/containerd/config.toml": "version = 2\n"},
    "kubelet": {"etc/kubernetes/credential-provider.yaml": PROVIDERS, UNIT: None},
}
FAILURES = (
    ("write,pwrite64", "ENOSPC"),
    ("fsync,fdatasync", "EIO"),
    ("rename,renameat,renameat2", "EIO"),
    ("mkdir,mkdirat", "ENOSPC"),
    ("flock", "ENOLCK"),
    ("fchmod", "EPERM"),
)
INSIDE = 'mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib && exec "$@"'


def read(user, name):
    try:
        with open(user.path(name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(user, name, text):
    os.makedirs(os.path.dirname(user.path(name)), 0o755, exist_ok=True)
    with open(user.path(name), "w", encoding="utf-8") as out:
        out.write(text)


def prepared(tool):
    user = Sandbox(cache=False)
    os.mkdir(user.path("lib"), 0o755)
    write(user, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(user, "etc/pullkey/config.json", json.dumps({"version": 1, "rules": [RULE]}))
    with open("/etc/ld.so.cache", "rb") as cache, open(user.path("etc/ld.so.cache"), "wb") as out:
        out.write(cache.read())
    for name, text in TOOLS[tool].items():
        if text is not None:
            write(user, name, text)
    return user


def run(user, tool, word, via=()):
    """With processes of its own, which are always the same."""
    enter = ["unshare", "-mpf" if os.geteuid() == 0 else "-Urmpf", "--mount-proc", "sh", "-c", INSIDE, user.directory]
    return user.run([*enter, *via, sandbox.program("pullkey"), "setup", tool, word])


def check_end(user, tool, new, wanted, done):
    """Each old or new, and all as wanted if it says so; then it can be made, and undone."""
    old = TOOLS[tool]
    now = {name: read(user, name) for name in old}
    for name, text in now.items():
        tap.check(text in (old[name], new[name]), f"{name}: {text}")
    if done.returncode == 0:
        tap.equal(now, wanted, "exit 0")
    done = run(user, tool, "--write")
    tap.equal((done.returncode, {name: read(user, name) for name in old}), (0, new), sandbox.show(done))
    done = run(user, tool, "--undo")
    tap.equal((done.returncode, {name: read(user, name) for name in old}), (0, old), sandbox.show(done))
    for name in old:
        below = os.path.dirname(user.path(name))
        left = set(os.listdir(below)) - {os.path.basename(other) for other in old} if os.path.isdir(below) else set()
        tap.equal(left, set(), "what is left beside it")


def try_all(tool, word, *arguments, status=None):
    """How often the fault can happen."""

    def step(number):
        twin = prepared(tool)
        try:
            wanted = TOOLS[tool]
            if word == "--undo":
                tap.equal(run(twin, tool, "--write").returncode, 0)
            else:
                wanted = new
            names = [number if argument is None else argument for argument in arguments]
            fault = Fault(twin, *names)
            done = run(twin, tool, word, fault.via)
            fired = fault.report()["fired"]
            if status:
                tap.equal(done.returncode, status if fired else 0, sandbox.show(done))
            check_end(twin, tool, new, wanted, done)
            return bool(fired)
        finally:
            twin.remove()

    with prepared(tool) as base:
        done = run(base, tool, "--write")
        tap.equal(done.returncode, 0, sandbox.show(done))
        new = {name: read(base, name) for name in TOOLS[tool]}
        tap.check(all("pullkey" in text for text in new.values()), str(new))
    return sandbox.until_quiet(step)


for tool_name in TOOLS:
    if tool_name == "containerd" and "hosts" not in os.environ.get("PULLKEY_FEATURES", "hosts").split():
        continue

    for verb in ("--write", "--undo"):

        @tap.case(f"{tool_name} {verb}: a system call fails")
        def failing(tool=tool_name, word=verb):
            for names, error in FAILURES:
                tap.comment(f"{names}: {try_all(tool, word, 'fail', names, None, error)}")

        @tap.case(f"{tool_name} {verb}: killed at each system call")
        def killed(tool=tool_name, word=verb):
            tap.comment(f"{try_all(tool, word, 'kill', None, status=137)} system calls")


sys.exit(tap.run())
