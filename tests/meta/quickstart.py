# SPDX-License-Identifier: Apache-2.0
"""packaging/quickstart on a copy of the tree: it shows a credential, installs, and uninstalls."""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]


class Place:
    """A copy of the tree without builds, a home, and a prefix."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("tree", "home"):
            os.mkdir(self.path(name))
        pipe = "tar --create --exclude='./build*' --exclude=./.git . | tar --extract -C \"$0\""
        subprocess.run(["sh", "-c", pipe, self.path("tree")], cwd=ROOT, check=True)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def quickstart(self, *arguments):
        return subprocess.run(
            [self.path("tree", "packaging", "quickstart"), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": self.path("home"), "LANG": "C.UTF-8"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
        )

    def files(self, name):
        return sorted(
            os.path.relpath(os.path.join(directory, file), self.path(name))
            for directory, _, files in os.walk(self.path(name))
            for file in files
        )


def succeed(done):
    tap.equal(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout


@tap.case("without arguments: a first credential, and nothing in the home")
def first():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        lines = succeed(place.quickstart()).splitlines()
        answers = [json.loads(line) for line in lines if line.startswith("{")]
        expected = {"ServerURL": "https://registry.example.com", "Username": "alice"}
        tap.equal(answers, [{**expected, "Secret": "example"}])
        tap.equal(place.files("home"), [])


@tap.case("--install PREFIX and --uninstall PREFIX: the programs work, and nothing stays")
def installs():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        os.mkdir(place.path("prefix"))
        said = succeed(place.quickstart("--install", place.path("prefix")))
        tap.check("to your PATH" in said, said)
        version = [place.path("prefix", "bin", "pullkey"), "version"]
        shown = subprocess.run(version, capture_output=True, text=True, check=True).stdout
        for module in ("cms", "probe"):
            tap.check(module in shown and "absent" not in shown, shown)
        tap.equal(place.files("home"), [])
        done = place.quickstart("--uninstall", place.path("elsewhere"))
        tap.equal(done.returncode, 1)
        succeed(place.quickstart("--uninstall", place.path("prefix")))
        tap.equal(place.files("prefix"), [])


@tap.case("a wrong command line changes nothing")
def usage():
    for arguments in (["--instal"], ["--install", "relative"], ["--install", "/a", "/b"]):
        with tempfile.TemporaryDirectory() as directory:
            place = Place(directory)
            tap.equal(place.quickstart(*arguments).returncode, 2, arguments)
            tap.check(not os.path.exists(place.path("tree", "build")), arguments)


sys.exit(tap.run())
