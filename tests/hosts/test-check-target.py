# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: the target and the kernel under it."""

import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, Node
from tap import case, check, equal, run
from traps import A, E, HELPER, N, TARGET, W, config, header, reads, report_of_node


@case("a kernel without Landlock is a note, where the node itself is looked at")
def landlock():
    without = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without-landlock.py")
    with Node({CONFIG: config(TARGET), A: HELPER}) as node:
        for prefix, expected in (([sys.executable, without], 1), ([], 0 if has_landlock() else 1)):
            report = report_of_node(node, *prefix)
            found = [item["level"] for item in report["findings"] if item["id"] == "landlock-missing"]
            equal(found, [N] * expected)
        check("landlock-missing" not in [f[0] for f in node.findings()], "an image has no kernel that runs")


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@case("another target is one that the command line names")
def target():
    with Node({**reads("/srv/certs"), A: HELPER}, "2.1.0") as node:
        found = node.findings()
        equal([f[0] for f in found], ["config-path-not-target", "config-path-missing"][:len(found)])
        equal(node.findings("--target", "/srv/certs"), [])


@case("the target: others may read it, it is on a disk, it is the source")
def target_state():
    with Node({**reads(TARGET), A: HELPER, "/run/pullkey/hosts/a.example/hosts.toml": header(f'"Basic {BASIC}"'),
               TARGET: ("link", "/run/pullkey/hosts")}, "2.1.0") as node:
        os.chmod(node.path("/run/pullkey/hosts"), 0o755)
        found = {f[0] for f in node.findings()}
        check("target-readable" in found and "plaintext-header" not in found, found)
        os.chmod(node.path("/run/pullkey/hosts"), 0o700)
        found = {f[0] for f in node.findings()}
        check(found <= {"target-on-disk"}, found)
    with Node({**reads(TARGET), A: HELPER, TARGET: ("link", CERTS)}, "2.1.0") as node:
        equal(node.findings(), [("target-is-source", TARGET, None, W)])


@case("under an overmount the real source is looked at")
def overmount():
    with Node({**reads(), A: header(f'"Basic {BASIC}"'),
               "/run/pullkey/source/a.example/hosts.toml": HELPER}, "2.1.0") as node:
        os.chmod(node.path(CERTS), 0o700)
        check({f[0] for f in node.findings()} <= {"target-on-disk"}, node.findings())
    # The same directory by another name is no overmount.
    with Node({**reads(), A: header(f'"Basic {BASIC}"'), "/run/pullkey/source": ("link", CERTS)},
              "2.1.0") as node:
        equal(node.findings(), [("plaintext-header", A, 2, E)])


sys.exit(run())
