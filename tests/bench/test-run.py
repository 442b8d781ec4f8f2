# SPDX-License-Identifier: Apache-2.0
"""tests/bench/run prints every number of the goals, and those that are no times are reached.

usage: test-run.py BUILD-ROOT
"""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap

BUILD = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

SIZE = "size, as packaged"
SIZE_MOST = 1172 * 1024  # the goal is missed, docs/BENCHMARKS.md says why; it is to grow no further

ROWS = [
    "empty C program",
    "pullkey, plain file",
    "pullkey, encrypted file",
    "pullkey, cached token",
    "pullkey-kubelet, cached token",
]
GOALS = [
    ("pullkey, plain file", "time"),
    ("pullkey, plain file", "system calls"),
    ("pullkey, plain file", "memory"),
    ("pullkey, encrypted file", "time"),
    ("pullkey, encrypted file", "memory"),
    ("pullkey-kubelet, cached token", "time"),
    ("docker-credential-pullkey", "libraries"),
    ("pullkey, plain file", "200 parallel stores"),
    ("pullkey, encrypted file", "200 parallel stores"),
    ("pullkey, slow backend", "100 parallel gets"),
    ("everything installed", SIZE),
]


def run(*options):
    words = [os.path.join(HERE, "run"), "--build", BUILD, "--rounds", "3", "--no-peers", *options]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=240)
    tap.equal((done.returncode, done.stderr), (0, ""), done.stdout)
    return done.stdout


@tap.case("--json: each row has its numbers, and no goal but a time is missed")
def as_json():
    result = json.loads(run("--json"))
    tap.equal((result["rounds"], result["notes"]), (3, []))
    tap.equal([row["name"] for row in result["rows"]], ROWS)
    for row in result["rows"]:
        for key in ("minimum_ms", "median_ms", "p90_ms", "ratio", "median_ratio", "rss_kib", "calls"):
            tap.check(row[key] > 0, f"{key} of {row}")
        tap.check(row["instructions"] is None or row["instructions"] > 10000, row)
    tap.check(result["installed_bytes"] >= result["installed_bytes_packaged"] > 0, "no size")
    tap.equal([(goal["name"], goal["what"]) for goal in result["goals"]], GOALS)
    for goal in result["goals"]:
        tap.check(goal["reached"] or goal["what"] in ("time", SIZE), goal)
    tap.check(result["installed_bytes_packaged"] <= SIZE_MOST, result["installed_bytes_packaged"])


@tap.case("as text: a line for each row and each goal")
def as_text():
    lines = run().splitlines()
    for name in ROWS:
        tap.check(any(line.startswith(name) for line in lines), name)
    for name, what in GOALS:
        found = [line for line in lines if line.startswith(name) and f" {what} " in line]
        tap.check(len(found) == 1 and found[0].endswith(("reached", "MISSED")), (name, what))


sys.exit(tap.run())
