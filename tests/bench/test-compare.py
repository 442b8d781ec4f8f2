# SPDX-License-Identifier: Apache-2.0
"""docs/COMPARISON.md is what tests/bench/compare makes, and pullkey's own rows can be made anew.

usage: test-compare.py SOURCE-ROOT BUILD-ROOT
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]
PAGE, PLACE = "COMPARISON.md", "comparison"


@contextmanager
def copy():
    """The page and its pictures, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(os.path.join(SOURCE, "docs", PAGE), directory)
        shutil.copytree(os.path.join(SOURCE, "docs", PLACE), os.path.join(directory, PLACE))
        yield directory


def compare(directory, *options):
    words = [sys.executable, os.path.join(HERE, "compare"), "--build", BUILD, *options]
    words += ["--output", os.path.join(directory, PLACE), "--page", os.path.join(directory, PAGE)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=540)
    tap.equal(done.returncode, 0, done.stderr)


def content(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


@tap.case("the page and its pictures are those of the numbers beside them")
def drawn():
    with copy() as directory:
        names = os.listdir(os.path.join(directory, PLACE))
        tap.check({"measured.json", "times.svg", "memory.svg", "sizes.svg"} == set(names), names)
        for name in names:
            if name.endswith(".svg"):
                os.unlink(os.path.join(directory, PLACE, name))
        compare(directory, "--draw")
        for name in [PAGE, *(os.path.join(PLACE, name) for name in names)]:
            ours = content(os.path.join(SOURCE, "docs", name))
            tap.check(content(os.path.join(directory, name)) == ours, f"{name} is another one")


@tap.case("pullkey's rows: each case of the protocol and of the kubelet's plugins passes")
def measured():
    with copy() as directory:
        compare(directory, "--rounds", "3", "--no-peers")
        result = json.loads(content(os.path.join(directory, PLACE, "measured.json")))
        names = [row["name"] for row in result["stored"]]
        keyring = ["pullkey, keyring"] if os.geteuid() and not result["notes"] else []
        tap.equal(names, ["pullkey, plain file", "pullkey, encrypted file", *keyring])
        tap.equal([row["name"] for row in result["tokens"]], ["pullkey", "pullkey", "pullkey-kubelet"])
        for row in result["stored"] + result["tokens"]:
            tap.check(row["ms"] > 0 and row["mib"] > 0, row)
        tap.check(len(result["plugins"]) > 10, result["plugins"])
        for what, passed in result["plugins"].items():
            tap.equal(passed, {"pullkey-kubelet": True}, what)
        (ours,) = result["conformance"]
        for group in "ABCDEFKV":
            passed, of = ours[group]
            tap.check(0 < of == passed, f"{group}: {passed} of {of}")
        sizes = [row["kib"] for row in result["sizes"]]
        tap.check(len(sizes) == 2 and 0 < sizes[0] < sizes[1], sizes)


sys.exit(tap.run())
