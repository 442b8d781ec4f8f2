# SPDX-License-Identifier: Apache-2.0
"""packaging/quickstart on a copy of the tree: it shows a credential, installs, and uninstalls.

As root, the tree belongs to another user, who goes on with what root has built.
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

OTHER_USER = 4203
OWNER = os.geteuid() or OTHER_USER


class Place:
    """A copy of the tree without builds, a home, and a prefix."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("tree", "home"):
            os.mkdir(self.path(name))
        os.chown(self.path("home"), OWNER, -1)
        pipe = "tar --create --exclude='./build*' --exclude=./.git . | tar --extract -C \"$0\""
        subprocess.run(["sh", "-c", pipe, self.path("tree")], cwd=ROOT, check=True)
        os.chmod(directory, 0o755)
        for folder, names, files in os.walk(self.path("tree")):
            for name in ["", *names, *files]:
                os.lchown(os.path.join(folder, name), OWNER, -1)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def quickstart(self, *arguments, user=None):
        return subprocess.run(
            [self.path("tree", "packaging", "quickstart"), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": self.path("home"), "LANG": "C.UTF-8", "CCACHE_DISABLE": "1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            user=user,
        )

    def files(self, name):
        return sorted(
            os.path.relpath(os.path.join(directory, file), self.path(name))
            for directory, _, files in os.walk(self.path(name))
            for file in files
        )

    def check_owner(self):
        """What was built belongs to whom the tree belongs to."""
        for folder, names, files in os.walk(self.path("tree", "build")):
            for name in ["", *names, *files]:
                path = os.path.join(folder, name)
                tap.equal(os.lstat(path).st_uid, OWNER, path)


def succeed(done):
    tap.equal(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout


@tap.case("without arguments: a first credential, and nothing in the home")
def first():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        for user in (None, OWNER):
            lines = succeed(place.quickstart(user=user)).splitlines()
            answers = [json.loads(line) for line in lines if line.startswith("{")]
            expected = {"ServerURL": "https://registry.example.com", "Username": "alice"}
            tap.equal(answers, [{**expected, "Secret": "example"}])
            place.check_owner()
        tap.equal(place.files("home"), [])


@tap.case("--install and --uninstall, with two prefixes: the programs work, and nothing stays")
def installs():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        prefixes = [place.path("prefix-a"), place.path("prefix", "a")]  # alike but for one character
        for prefix in prefixes:
            os.makedirs(prefix)
            said = succeed(place.quickstart("--install", prefix))
            tap.check("to your PATH" in said, said)
            version = [os.path.join(prefix, "bin", "pullkey"), "version"]
            shown = subprocess.run(version, capture_output=True, text=True, check=True).stdout
            for module in ("cms", "probe"):
                tap.check(module in shown and "absent" not in shown, shown)
            place.check_owner()
        tap.equal(place.files("home"), [])
        done = place.quickstart("--uninstall", place.path("elsewhere"))
        tap.equal(done.returncode, 1)
        installed = place.files("prefix")
        if os.geteuid() == 0:
            done = place.quickstart("--uninstall", prefixes[1], user=OWNER)
            tap.equal((done.returncode, place.files("prefix")), (1, installed), done.stderr)
        succeed(place.quickstart("--uninstall", prefixes[0] + "/"))
        tap.equal(place.files("prefix-a"), [])
        tap.equal(place.files("prefix"), installed, "the other installation")
        tap.equal(place.quickstart("--uninstall", prefixes[0]).returncode, 1, "once more")
        succeed(place.quickstart("--uninstall", prefixes[1]))
        tap.equal(place.files("prefix"), [])


@tap.case("--install and --uninstall without a prefix: an ordinary user's is ~/.local")
def default_prefix():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        user = OWNER if os.geteuid() == 0 else None
        said = succeed(place.quickstart("--install", user=user))
        local = place.path("home", ".local")
        tap.check(f"installed in {local}:" in said and f"add {local}/bin to your PATH" in said, said)
        for name in ("docker-credential-pullkey", "pullkey"):
            command = [os.path.join(local, "bin", name), "version"]
            subprocess.run(command, capture_output=True, check=True, user=user)
        installed = place.files("home")
        tap.equal([name for name in installed if not name.startswith(".local/")], [])
        place.check_owner()
        succeed(place.quickstart("--uninstall", user=user))
        tap.equal(place.files("home"), [])


@tap.case("a wrong command line changes nothing")
def usage():
    for arguments in (["--instal"], ["--install", "relative"], ["--install", "/a", "/b"]):
        with tempfile.TemporaryDirectory() as directory:
            place = Place(directory)
            tap.equal(place.quickstart(*arguments).returncode, 2, arguments)
            tap.check(not os.path.exists(place.path("tree", "build")), arguments)


sys.exit(tap.run())
