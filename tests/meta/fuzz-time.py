# SPDX-License-Identifier: Apache-2.0
"""tests/fuzz/fuzz.py fuzzes a changed parser for longer."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Skip, case, equal, run

FUZZ = os.path.join(HERE, "..", "fuzz", "fuzz.py")


class Tree:
    """A target, its parser and another file, in git after commit()."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = {"PATH": os.environ["PATH"], "HOME": directory}
        self.write("fuzz-x", '#!/bin/sh\necho "$@"\n')
        os.chmod(os.path.join(directory, "fuzz-x"), 0o755)
        for name in ("fuzz-x.c", "x.c", "other.c"):
            self.write(name, "")

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as file:
            file.write(text)

    def git(self, *words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(
            ["git", *identity, *words],
            cwd=self.directory,
            env=self.environment,
            check=True,
            capture_output=True,
        )

    def commit(self, name=None, text=""):
        if name:
            self.write(name, text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "x")

    def seconds(self, **environment):
        """What the target is told."""
        paths = [os.path.join(self.directory, n) for n in ("fuzz-x", "corpus", "fuzz-x.c", "x.c")]
        done = subprocess.run(
            [sys.executable, FUZZ, *paths],
            env={**self.environment, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return int(re.search(r"-max_total_time=(\d+)", done.stdout)[1])


@case("60 s for what the last commit, the branch or the working tree changed, else 10 s")
def durations():
    if not shutil.which("git"):
        raise Skip("git is missing")
    with tempfile.TemporaryDirectory() as directory:
        tree = Tree(directory)
        equal(tree.seconds(), 10, "no repository")
        tree.git("init", "-q", "-b", "main")
        equal(tree.seconds(), 10, "no commit")
        tree.commit()
        equal(tree.seconds(), 10, "no parent")
        tree.commit("other.c", "1")
        equal(tree.seconds(), 10, "another file")
        tree.commit("x.c", "1")
        equal(tree.seconds(), 60, "the parser")
        tree.commit("fuzz-x.c", "1")
        equal(tree.seconds(), 60, "the target")
        tree.commit("other.c", "2")
        equal(tree.seconds(), 10, "a commit before the last")
        tree.write("x.c", "2")
        equal(tree.seconds(), 60, "the working tree")
        equal(tree.seconds(FUZZ_SECONDS="3"), 3, "as asked for")
        tree.commit()
        tree.git("checkout", "-q", "--track", "-b", "mine")
        equal(tree.seconds(), 60, "nothing of the branch, but the last commit")
        tree.commit("other.c", "3")
        equal(tree.seconds(), 10, "another file of the branch")
        tree.commit("x.c", "3")
        tree.commit("other.c", "4")
        equal(tree.seconds(), 60, "the parser, on the branch")


if __name__ == "__main__":
    sys.exit(run())
