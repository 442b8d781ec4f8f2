# SPDX-License-Identifier: Apache-2.0
"""What the tests of `pullkey hosts check` share: how a trap is written down.

    trap("what", "2.1.9", {CONFIG: text}, ("id", CONFIG, 3, E))

is a case: a node of that release (None: an unknown one) with these files has these findings, and no others.
"""

import json
import os
import shutil
import struct
import subprocess

from node import BASIC, CERTS, CONFIG, CRI, MARKER, PROGRAM, Node
from tap import Skip, case, check, equal

TARGET = "/run/pullkey/certs.d"
A = CERTS + "/a.example/hosts.toml"
HUB = CERTS + "/docker.io/hosts.toml"
DEFAULT = CERTS + "/_default/hosts.toml"
HELPER = '[host."https://a.example".auth]\ncredHelper = "pullkey"\n'
PLAIN = '[host."https://a.example"]\n'
K3S = "/etc/rancher/k3s/registries.yaml"
E, W, N = "error", "warning", "note"


def config(path, version=2, table=CRI, more=""):
    return f'version = {version}\n[{table}.registry]\nconfig_path = "{path}"\n{more}'


def reads(path=CERTS, version=2, table=CRI, more=""):
    """A config.toml whose config_path is read by every release."""
    return {CONFIG: config(path, version, table, more)}


R = reads()


def header(value, key="Authorization", url="https://a.example"):
    return f'[host."{url}".header]\n{key} = {value}\n'


def has_module(name):
    return name in os.environ["PULLKEY_PARTS"].split()


def expect(node, findings, *words):
    """These findings and no others, in the order of files and lines."""
    found = node.findings(*words)
    equal(sorted(found, key=str), sorted(findings, key=str))
    equal(found, sorted(found, key=lambda f: (f[1] or "", f[2] or 0)))


def trap(what, release, files, *findings):
    @case(f"trap: {what}")
    def one():
        if K3S in files and not has_module("yaml"):
            raise Skip("the module yaml is not installed")
        with Node(files, release) as node:
            expect(node, findings)


def inside(node):
    """What a command has to begin with for the node's /etc to be the machine's."""
    for name in ("ld.so.cache", "ld.so.conf"):
        if os.path.exists("/etc/" + name):
            shutil.copy("/etc/" + name, node.path("/etc/"))
    script = 'mount --bind "$0" /etc && exec "$@"'
    space = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "/bin/sh", "-c", script, node.path("/etc")]
    if subprocess.run([*space, "true"], capture_output=True).returncode != 0:
        raise Skip("no mount namespace of its own here")
    return space


def said_of_node(node, *words, prefix=()):
    """What `check` says where the root is /."""
    command = [*inside(node), *prefix, PROGRAM, "check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    equal(done.stderr, "")
    check(MARKER not in done.stdout and BASIC not in done.stdout, done.stdout)
    return done.stdout


def report_of_node(node, *prefix, words=()):
    return json.loads(said_of_node(node, "--json", *words, prefix=prefix))


def ids(report):
    return [item["id"] for item in report["findings"]]


def go_program(version):
    """An ELF file with nothing in it but the release of Go that built it."""
    names, text = b"\0.go.buildinfo\0", version.encode()
    information = b"\xff Go buildinf:\x08\x02" + bytes(16) + bytes([len(text)]) + text
    at = 64 + 3 * 64
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 1)
    sections = [bytes(64)]
    for name, size in ((0, len(names)), (1, len(information))):
        sections.append(struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, at, size, 0, 0, 16, 0))
        at += size
    return head + b"".join(sections) + names + information
