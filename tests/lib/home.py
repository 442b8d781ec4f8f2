# SPDX-License-Identifier: Apache-2.0
"""A user's home that lasts as long as a test, with the installed programs in its PATH.

    with Home() as home:
        home.login("127.0.0.1:5000", "alice", "secret")
        home.get("127.0.0.1:5000")      {"ServerURL": ..., "Username": ..., "Secret": ...} or None
        home.run(["skopeo", ...])       a finished process, with output as text

PULLKEY_BINDIR names the directory of the programs under test. Where tests/keyring/within.py runs the
test, there is a keyring on the session bus PULLKEY_TEST_BUS. Where tests/token/without-home.py runs
the test, no variable says where the home is.
"""

import json
import os
import shutil
import subprocess
import tempfile
from secrets import token_hex

from program import die_with_parent

NOT_FOUND = "credentials not found in native keychain\n"
SECONDS = 120


class Home:
    def __init__(self, ca=None):
        """`ca` is the certificate that programs in this home trust, instead of the system's."""
        self.bindir = os.environ["PULLKEY_BINDIR"]
        self.helper = os.path.join(self.bindir, "docker-credential-pullkey")
        self.pullkey = os.path.join(self.bindir, "pullkey")
        if not os.path.exists(self.helper):
            raise AssertionError(f"there is no {self.helper}: run `meson install` first")
        self.ca = ca
        # Short, for the sockets that some programs make below it; and hexadecimal, because some
        # take a path for an image name, which may not hold everything that mkdtemp() chooses.
        self.path = os.path.join(tempfile.gettempdir(), f"pk-home-{token_hex(6)}")
        os.mkdir(self.path, mode=0o700)
        self.env = {
            "PATH": f"{self.bindir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.path,
            "XDG_CONFIG_HOME": self.directory(".config"),
            "XDG_DATA_HOME": self.directory(".local/share"),
            "XDG_STATE_HOME": self.directory(".local/state"),
            "XDG_CACHE_HOME": self.directory(".cache"),
            "XDG_RUNTIME_DIR": self.directory("run"),
            "TMPDIR": self.directory("tmp"),
            "LC_ALL": "C.UTF-8",
        }
        self._lose()
        if "PULLKEY_TEST_BUS" in os.environ:
            self.env["DBUS_SESSION_BUS_ADDRESS"] = os.environ["PULLKEY_TEST_BUS"]
        if ca is not None:
            self.env["SSL_CERT_FILE"] = ca
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Container storage keeps the modes of images, among them directories without w.
        for directory, names, _ in os.walk(self.path):
            for name in names:
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(self.path)

    def _lose(self):
        """The entry of the account alone says where the home is. What the machine has for root is
        not to be written into.
        """
        accounts = os.environ.get("PULLKEY_TEST_ACCOUNTS")
        if accounts is None:
            return
        for name in [name for name in self.env if name == "HOME" or name.startswith("XDG_")]:
            del self.env[name]
        self.env["PULLKEY_CACHE_DIR"] = self.directory("cache")
        with open(accounts, "r+", encoding="utf-8") as file:
            others = [line for line in file if not line.startswith("root:")]
            file.seek(0)
            file.writelines([f"root:x:0:0:root:{self.path}:/bin/sh\n", *others])
            file.truncate()

    def directory(self, name):
        """A directory below the home, made if it is not there, for the owner only."""
        path = os.path.join(self.path, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def write(self, name, text):
        path = os.path.join(self.path, name)
        self.directory(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        """The text of a file below the home, or "" where there is none."""
        try:
            with open(os.path.join(self.path, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def run(self, arguments, text="", env=None, seconds=SECONDS):
        """Runs a program in this home, `text` on its standard input."""
        return subprocess.run(
            arguments,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            env={**self.env, **(env or {})},
            cwd=self.path,
            timeout=seconds,
            preexec_fn=die_with_parent,
        )

    def start(self, arguments, stdout):
        """A program in this home that is still running, with a pipe to its standard input."""
        return subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=stdout,
            env=self.env,
            cwd=self.path,
            preexec_fn=die_with_parent,
        )

    def succeed(self, arguments, text="", env=None, seconds=SECONDS):
        """Like run(), and fails the test unless the exit status is 0. Returns stdout."""
        result = self.run(arguments, text, env, seconds)
        if result.returncode != 0:
            raise AssertionError(
                f"{' '.join(arguments)}: exit status {result.returncode}\n"
                f"{result.stdout}{result.stderr}"
            )
        return result.stdout

    def login(self, server, user, password, *options):
        """`pullkey login`, with the password on standard input."""
        if self.ca is not None and "--no-verify" not in options:
            options = ("--ca-file", self.ca, *options)
        arguments = [self.pullkey, "login", "--username", user, "--password-stdin"]
        return self.run([*arguments, *options, server], password)

    def get(self, server):
        """What the helper answers: the credential, or None when it has none."""
        result = self.run([self.helper, "get"], server)
        if result.returncode == 1 and result.stdout == NOT_FOUND:
            return None
        if result.returncode != 0:
            raise AssertionError(f"get {server}: {result.returncode}, {result.stdout!r}")
        return json.loads(result.stdout)

    def list(self):
        return json.loads(self.succeed([self.helper, "list"]))

    def find_text(self, text):
        """The files below the home that hold this text; none may hold a secret."""
        found = []
        for directory, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        if text.encode() in file.read():
                            found.append(os.path.relpath(path, self.path))
        return found
