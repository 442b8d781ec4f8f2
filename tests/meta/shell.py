# SPDX-License-Identifier: Apache-2.0
"""Every shell script of the tree is clean for shellcheck."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from tap import Skip, case, check, equal, run

ROOT = sys.argv.pop(1)
FOLDERS = ("packaging", "tests", ".ci")


def scripts():
    found = []
    for folder in FOLDERS:
        for directory, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.islink(path):
                    continue
                with open(path, "rb") as file:
                    first = file.readline(80)
                if name.endswith(".bash") or (first.startswith(b"#!") and first.rstrip().endswith(b"sh")):
                    found.append(path)
    return found


def shellcheck(*paths):
    if not shutil.which("shellcheck"):
        raise Skip("there is no shellcheck")
    return subprocess.run(["shellcheck", "-s", "bash", *paths], capture_output=True, text=True)


@case("the scripts are clean")
def clean():
    paths = scripts()
    names = {os.path.relpath(path, ROOT) for path in paths}
    check({"tests/run", "packaging/quickstart", ".ci/run"} <= names, names)
    done = shellcheck(*paths)
    equal((done.returncode, done.stdout), (0, ""))


@case("a script that is not clean is noticed")
def dirty():
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write("#!/bin/bash\nrm $1\n")
        file.flush()
        check(shellcheck(file.name).returncode != 0, "nothing was noticed")


sys.exit(run())
