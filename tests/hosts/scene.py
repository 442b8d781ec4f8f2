# SPDX-License-Identifier: Apache-2.0
"""A daemon with two registries that must come to no harm, and containerd's code to look at them.

    with scene() as it:
        it.write("other.example.com", table("https://other.example.com", helper=it.helper.name))
        it.read("other.example.com")        what containerd makes of it in the target, by name
        it.expect_unharmed()                GOOD and LINKED are what they were
"""

import json
import os
import sys
import tempfile
from base64 import b64decode, b64encode
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from daemon import Hosts
from helper import Helper
from home import Home
from hosts import HostsFile, basic, table, write_hosts
from registry import wait_for
from tap import check, equal

GOOD, LINKED = "good.example.com", "linked.example.com:5000"
OTHER = "other.example.com"
MALFORMED = "[host\n"
CREDENTIAL = ("alice", "mArKeR5ecret0f+tests")


def url(host):
    return f"https://{host}"


class Scene:
    def __init__(self, home, helper, parser, **options):
        self.home, self.helper, self.parser = home, helper, parser
        self.source = home.directory("certs.d")
        self.hosts = Hosts(home, self.source, **options)
        self.target = self.hosts.target
        helper.credentials[GOOD] = CREDENTIAL
        self.write(GOOD, self.table(GOOD))
        self.write(LINKED, table(url("mirror.example.com"), capabilities=["pull"]))

    def table(self, host, **values):
        return table(url(host), helper=self.helper.name, **values)

    def write(self, host, *text):
        """Writes the file of a registry, and renames it to its place."""
        path = write_hosts(os.path.join(self.source, ".new"), host, *text)
        os.makedirs(os.path.join(self.source, host), exist_ok=True)
        place = os.path.join(self.source, host, "hosts.toml")
        os.rename(path, place)
        return place

    def replace(self, host, data, mode=0o644):
        """Puts bytes in the place of a registry's file."""
        path = os.path.join(self.source, host, "hosts.toml")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def be_root(self):
        """For a daemon that is root of a user namespace, and runs helpers as that."""
        self.hosts.configure({"helper_user": "root"})
        path = os.path.join(self.home.path, ".config/pullkey/config.json")
        self.home.env["PULLKEY_CONFIG"] = path
        self.home.env["PULLKEY_CACHE_DIR"] = self.home.directory("cache")

    def start(self, credential=CREDENTIAL):
        self.hosts.start()
        self.hosts.wait_header(url(GOOD))
        self.wait_read(GOOD, basic(*credential))
        self.before = {name: self.read(name) for name in (GOOD, LINKED)}

    def read(self, host, directory=None):
        """What containerd makes of a registry; the same for a link and a copy."""
        directory = directory or self.target
        answer = self.parser.ask(directory, host)
        if "error" in answer:
            answer["error"] = answer["error"].replace(directory, "DIRECTORY")
        answer["directory"] = bool(answer["directory"])
        answer["log"] = [line.split(":")[0] for line in answer["log"]]
        return answer

    def read_source(self, host):
        return self.read(host, self.source)

    def header(self, host):
        """The header that containerd sends to the first host of a registry, or None."""
        return self.read(host)["hosts"][0]["header"].get("Authorization", [None])[0]

    def wait_read(self, host, header):
        wait_for(lambda: self.header(host) == header, f"{host} to have this header")

    def wait_problem(self, registry, *words):
        """Until the status says what is wrong with a registry's file."""

        def is_said():
            problem = self.hosts.problem(registry)
            return problem is not None and all(word in problem for word in words)

        try:
            wait_for(is_said, f"{registry} to have a problem: {words}")
        except AssertionError as error:
            error.add_note(json.dumps(self.hosts.status(), indent=1))
            raise

    def wait_failure(self, host, count=1):
        """Until so many answers in a row were errors; the status that tells it."""
        wait_for(lambda: self.hosts.host(host).get("failures", 0) >= count, f"{host} to fail")
        return self.hosts.host(host)

    def wait_fine(self, registry):
        wait_for(lambda: not self.hosts.problem(registry), f"{registry} to have no problem")

    def expect_unharmed(self):
        for name, answer in self.before.items():
            equal(self.read(name), answer, name)

    def expect_source(self, host):
        """containerd sees what it would see without the daemon."""
        equal(self.read(host), self.read_source(host), host)

    def expect_no_secret(self, secret, *commands):
        """It is nowhere but in the rendered files; `commands` are more that must not say it."""
        texts = {"output": self.hosts.output().encode()}
        for name in ("status.json", "metrics.prom"):
            texts[name] = self.home.read(f"run/pullkey/{name}").encode()
        with open(self.hosts.log_path, "rb") as log:
            texts["log"] = log.read()
        for command in (("status",), ("status", "--json"), ("show", GOOD), *commands):
            done = self.hosts.command(*command)
            texts[" ".join(command)] = (done.stdout + done.stderr).encode()
        for name, text in texts.items():
            for form in forms(secret):
                check(form not in text, f"the secret is in {name}: {text}")

    def inode(self, host):
        return os.stat(os.path.join(self.target, host, "hosts.toml")).st_ino

    def left_over(self):
        """What is in the target that only an unfinished change leaves there."""
        found = []
        for directory, names, files in os.walk(self.target):
            found += [n for n in names + files if n.startswith(".")]
        return found


def forms(secret):
    """As it is, in hexadecimal, and in base64 behind other text."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    for offset in range(3):
        coded = b64encode(b"x" * offset + raw)
        yield coded[4 : len(coded) - 4]


def decoded(header):
    """User and secret of a header."""
    return tuple(b64decode(header.removeprefix("Basic ")).decode().split(":", 1))


@contextmanager
def in_memory():
    """Homes that are made meanwhile are in memory, as what is rendered is on a node."""
    before = tempfile.tempdir
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def scene(start=True, **options):
    with Home() as home, Helper() as helper, HostsFile("2.3") as parser:
        it = Scene(home, helper, parser, **options)
        try:
            if start:
                it.start()
            yield it
        finally:
            it.hosts.stop()
