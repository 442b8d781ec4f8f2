# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts watch on a file system of its own, for tests that run as root.

    with Watcher("--on-open=on") as watcher:
        watcher.header("r0.example")      the Authorization that a reader finds now, or None

The test runs in a mount namespace of its own (namespace.enter), so that what it mounts ends with it,
and /usr/local/bin there holds the helper docker-credential-fake, which does what files tell it.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import ordinary
from namespace import mount
from program import die_with_parent, wait_for
from tap import check, equal

PROGRAM = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts")
PAGE = 4096

# What it answers, how many seconds it takes and whether it fails are files; each run adds a line.
HELPER = """#!/bin/sh
read -r server
echo "$server" >>DIR/runs
while [ -e DIR/hold ]; do sleep 0.01; done
[ ! -e DIR/fail ] || { echo "out of order"; exit 1; }
echo '{"Username":"u","Secret":"'"$(cat DIR/secret)"'"}'
"""


def basic(secret):
    return "Basic " + base64.b64encode(f"u:{secret}".encode()).decode()


class Watcher:
    def __init__(self, *options, registries=1, helper="fake", settings=(), text="", start=True):
        self.path = tempfile.mkdtemp(prefix="pk-watch-")
        os.chmod(self.path, 0o755)
        for name in ("source", "target", "bin", "fake", "store", "config"):
            os.mkdir(self.file(name), 0o755)
        self.source, self.target = self.file("source"), self.file("target")
        self.options, self.process, self.said = list(options), None, []
        self.settings = {"helper_user": "root", "helper_timeout": 2, **dict(settings)}
        mount("-t", "tmpfs", "-o", "mode=0700", "none", self.target)
        self.write("bin/docker-credential-fake", HELPER.replace("DIR", self.file("fake")), 0o755)
        mount("--bind", self.file("bin"), "/usr/local/bin")
        self.secret("first")
        self.login("first")
        self.names = [f"r{number}.example" for number in range(registries)]
        for name in self.names:
            self.registry(name, helper, text)
        self.configure()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(self.file("notify"))
        self.listener.settimeout(60)
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.listener.close()
        for place in ("/usr/local/bin", self.target):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.path)

    def file(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, name, text, mode=0o600):
        """By rename."""
        path = self.file(name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
            os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def secret(self, secret):
        """What the helper answers from now on."""
        self.write("fake/secret", secret)

    def login(self, secret):
        """What the store of pullkey itself has from now on."""
        auth = base64.b64encode(f"u:{secret}".encode()).decode()
        names = [f"r{number}.example" for number in range(64)]
        self.write("store/auth.json", json.dumps({"auths": {n: {"auth": auth} for n in names}}))

    def flag(self, name, value=True):
        """hold: the helper does not answer; fail: it refuses."""
        if value:
            self.write(f"fake/{name}", "")
        elif os.path.exists(self.file("fake", name)):
            os.unlink(self.file("fake", name))

    def registry(self, name, helper="fake", text=""):
        os.makedirs(os.path.join(self.source, name), exist_ok=True)
        self.write(
            f"source/{name}/hosts.toml",
            f'[host."https://{name}"]\n[host."https://{name}".auth]\ncredHelper = "{helper}"\n'
            f'assumeLifetime = "1h"\n{text}',
            0o644,
        )

    def configure(self, **more):
        self.settings.update(more)
        store = {"type": "file", "sources": [self.file("store/auth.json")]}
        config = {"version": 1, "default": [store], "containerd": self.settings}
        self.write("config/config.json", json.dumps(config), 0o644)

    def command(self, *options):
        return [PROGRAM, "watch", "--source", self.source, "--target", self.target, *options]

    def environment(self):
        keep = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")
        return {
            **{key: os.environ[key] for key in keep if key in os.environ},
            "PULLKEY_CONFIG": self.file("config/config.json"),
            "NOTIFY_SOCKET": self.file("notify"),
        }

    def start(self, prefix=(), ready=True, **more):
        self.process = subprocess.Popen(
            [*prefix, *self.command(*self.options)],
            env={**self.environment(), **more},
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self.said = []
        self.reader = threading.Thread(target=self._listen, args=(self.process.stderr,))
        self.reader.start()
        if ready:
            self.wait_ready()

    def _listen(self, stream):
        for line in stream:
            self.said.append(line.rstrip("\n"))

    def wait_ready(self):
        while b"READY=1" not in self.listener.recv(65536):
            pass

    def wait_headers(self, secret="first"):
        for name in self.names:
            wait_for(lambda name=name: self.header(name) == basic(secret), f"the header of {name}")

    def end(self, number=signal.SIGTERM):
        if not self.process:
            return None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.reader.join()
        self.process.stderr.close()
        self.process = None
        return status

    def place(self, name="r0.example"):
        return os.path.join(self.target, name, "hosts.toml")

    def read(self, name="r0.example"):
        with open(self.place(name), encoding="utf-8") as file:
            return file.read()

    def header(self, name="r0.example"):
        found = re.search(r'Authorization = "([^"]*)"', self.read(name))
        return found[1] if found else None

    def runs(self):
        try:
            with open(self.file("fake/runs"), encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def wait_said(self, part):
        wait_for(lambda: any(part in line for line in self.said), f"{part!r} among {self.said}")

    def metric(self, name, label=""):
        """The sum of the samples of that name, of those with a label that has that value."""
        with open(self.file("metrics.prom"), encoding="utf-8") as file:
            lines = [line for line in file if line.startswith((name + "{", name + " "))]
        return sum(int(line.split()[-1]) for line in lines if label in line)

    def status(self):
        with open(self.file("status.json"), encoding="utf-8") as file:
            return json.load(file)


class Directory:
    """A source and a target for a user who may not mount."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="pk-watch-")
        for name in ("source", "target"):
            os.mkdir(os.path.join(self.path, name), 0o700)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def registry(self, name):
        """A registry without a credential; where its rendered file will be."""
        source = os.path.join(self.path, "source", name)
        os.mkdir(source, 0o755)
        with open(os.path.join(source, "hosts.toml"), "x", encoding="ascii") as file:
            file.write(f'server = "https://{name}"\n')
        return os.path.join(self.path, "target", name, "hosts.toml")

    def run(self, *options):
        """A process; as a user without privileges also where the test has some."""
        words = [PROGRAM, "watch", "--source", os.path.join(self.path, "source")]
        words += ["--target", os.path.join(self.path, "target"), *options]
        ordinary.give(self.path)
        env = {"PATH": os.environ["PATH"], "HOME": self.path}
        words = ordinary.command(words)
        return subprocess.Popen(
            words, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )


def check_ordinary():
    """The case for a user, who can mount nothing: auto says so and goes on, on does not start."""
    with Directory() as daemon:
        target = os.path.join(daemon.path, "target")
        message = f"{target} is no file system of its own; mount a tmpfs there"
        place = daemon.registry("r0.example")
        with daemon.run("--on-open=auto") as process:
            try:
                line = process.stderr.readline()
                check(f"going on without --on-open: {message}" in line, line)
                wait_for(lambda: os.path.exists(place), "the file")
            finally:
                process.send_signal(signal.SIGTERM)
            equal((process.wait(60), process.stderr.read()), (0, ""))
        for mode, status, words in (
            ("on", 1, f"--on-open=on: {message}"),
            ("perhaps", 2, "--on-open is off, auto or on"),
        ):
            with daemon.run(f"--on-open={mode}") as process:
                _, said = process.communicate(timeout=60)
            equal((process.returncode, said.count("\n")), (status, 1), said)
            check(words in said, said)


class Opener(threading.Thread):
    """Opens and reads a file in a thread of its own."""

    def __init__(self, path, together=None):
        super().__init__(daemon=True)
        self.path, self.together, self.text, self.error = path, together, None, None
        self.start()

    def run(self):
        if self.together:
            self.together.wait()
        try:
            with open(self.path, encoding="utf-8") as file:
                self.text = file.read()
        except OSError as error:
            self.error = error

    def done(self, seconds=60):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError(f"the open of {self.path} waits for ever")
        if self.error:
            raise self.error
        return self.text


def is_waiting(process, count=1):
    """So many events of a permission group wait for an answer of that process: fdinfo does not tell,
    but each holds a descriptor of the file."""
    found = 0
    for name in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            found += os.readlink(f"/proc/{process.pid}/fd/{name}").endswith("/hosts.toml")
        except FileNotFoundError:
            pass
    return found >= count
