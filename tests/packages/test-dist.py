# SPDX-License-Identifier: Apache-2.0
"""The archive of `meson dist`: it builds, and installs what tests/meta/installed.txt says.

usage: test-dist.py SOURCE-ROOT PLACE
"""

import glob
import os
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import packages
import tap

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:3]

MESON = os.environ["MESON"]
VERSION = os.environ["PULLKEY_VERSION"]
OPTIONS = ["--auto-features=enabled", "--prefix=/usr", "--libdir=lib"]


def checkout(scratch):
    """The tree as it is now, as a commit: `meson dist` takes what is committed."""
    place = os.path.join(scratch, "checkout")
    packages.copy_files(ROOT, place, packages.files_of(ROOT))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--force", "."], ["commit", "--quiet", "-m", "test"]):
        packages.run(*git, *words, cwd=place)
    return place


@tap.case("it has every file of the tree, and from it the same files are installed")
def dist():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        build = os.path.join(scratch, "build")
        packages.run(MESON, "setup", *OPTIONS, build, checkout(scratch))
        packages.run(MESON, "dist", "-C", build, "--no-tests", "--formats=xztar")
        (archive,) = glob.glob(os.path.join(build, "meson-dist", "*.tar.xz"))
        tap.equal(os.path.basename(archive), f"pullkey-{VERSION}.tar.xz")
        tap.check(os.path.isfile(archive + ".sha256sum"), "no digest")
        with tarfile.open(archive) as file:
            file.extractall(scratch)
        tree = os.path.join(scratch, f"pullkey-{VERSION}")
        found = {
            os.path.relpath(os.path.join(place, name), tree)
            for place, _, names in os.walk(tree)
            for name in names
        }
        tap.equal(found ^ set(packages.files_of(ROOT)), set())

        other, destination = os.path.join(scratch, "other"), os.path.join(scratch, "destination")
        packages.run(MESON, "setup", "-Doptimization=0", *OPTIONS, other, tree)
        packages.run("ninja", "-C", other)
        packages.run(MESON, "install", "-C", other, "--no-rebuild", "--destdir", destination)
        installed = {
            "/" + os.path.relpath(os.path.join(place, name), destination)
            for place, _, names in os.walk(destination)
            for name in names
        }
        tap.equal(installed ^ packages.listed(tree, "lib"), set())
        program = os.path.join(destination, "usr", "bin", "pullkey")
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
        tap.check(done.returncode == 0 and VERSION in done.stdout, done)


sys.exit(tap.run())
