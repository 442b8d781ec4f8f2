# SPDX-License-Identifier: Apache-2.0
"""Tokens that are cached, in the headers that containerd gets: of several accounts at one registry
each host has its own, and what others have put into the cache is nobody's.
"""

import json
import os
import shutil
import sys
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import ordinary

from daemon import ROOT, Hosts
from home import Home
from hosts import basic, table, write_hosts
from registry import wait_for
from tap import case, check, equal, run

HARBOR = "https://harbor.example.com/v2"
USER = "fake"
MISS_SECONDS = 5


class Node:
    """Registries r.example.com whose only host is the project "r" of one Harbor, and so on; each
    project has a token of an account of its own, which counts how often it was fetched.
    """

    def __init__(self, home, projects):
        self.home, self.source = home, home.directory("certs.d")
        self.hosts = Hosts(home, self.source)
        self.cache = home.env["PULLKEY_CACHE_DIR"] = home.directory("cache")
        self.backends = {name: self.account(name) for name in projects}
        for name in projects:
            text = table(f"{HARBOR}/{name}", helper="pullkey", override_path=True)
            write_hosts(self.source, f"{name}.example.com", text)

    def account(self, name, **options):
        calls = os.path.join(self.cache, f"calls-{name}")
        return {"type": "fake-token", "secret": f"token-of-{name}", "calls": calls, **options}

    def calls(self, name):
        return len(self.home.read(f"cache/calls-{name}"))

    def render(self, **variables):
        """The secrets that containerd gets, by project; None without a header."""
        rules = [{"match": f"harbor.example.com/{name}", "use": [name]} for name in self.backends]
        self.hosts.configure({}, backends=self.backends, rules=rules)
        words = ["render", "--source", self.source, "--target", self.hosts.target]
        done = self.home.run([self.hosts.program, *words], env=variables)
        check(done.returncode in (0, 1) and "internal" not in done.stderr, done.stderr)
        return {name: self.secret(name) for name in self.backends}

    def secret(self, name):
        text = self.home.read(f"run/pullkey/hosts/{name}.example.com/hosts.toml")
        found = [line for line in text.splitlines() if line.startswith("header.Authorization")]
        secrets = {basic(USER, secret): secret for secret in self.known(name)}
        return secrets[found[0].split('"')[1]] if found else None

    def known(self, name):
        return [f"token-of-{other}" for other in (name, *self.backends)] + [NEW, POISON]

    def entries(self):
        """What is cached: paths by the token, or the class of an error."""
        found = {}
        for name in os.listdir(self.cache):
            if len(name) == 65:
                with open(os.path.join(self.cache, name), encoding="utf-8") as file:
                    entry = json.load(file)
                key = entry["token"]["secret"] if "token" in entry else entry["failure"]["class"]
                found[key] = os.path.join(self.cache, name)
        return found


NEW, POISON = "token-of-new", "token-of-evil"


@contextmanager
def node(*projects):
    with Home() as home:
        yield Node(home, projects)


@case("two accounts at one registry: each host has its own token, fetched once, and no other's")
def accounts():
    with node("a", "b") as it:
        own = {"a": "token-of-a", "b": "token-of-b"}
        for _ in range(3):
            equal(it.render(), own)
            equal((it.calls("a"), it.calls("b")), (1, 1), "fetches")
        # Another account for the one, by the same name: the token of the old one is none of its.
        it.backends["a"]["secret"] = NEW
        equal(it.render(), {**own, "a": NEW})
        equal((it.calls("a"), it.calls("b")), (2, 1), "fetches")
        # The same account for both: what is asked for is another project all the same.
        it.backends["a"]["secret"] = "token-of-a"
        it.backends["b"] = it.backends["a"]
        equal(it.render(), {"a": "token-of-a", "b": "token-of-a"})
        equal((it.calls("a"), it.calls("b")), (3, 1), "fetches")


@case("two identities that a module tells apart: none is served the other's token")
def identities():
    with node("a") as it:
        for identity, calls in (("one", 1), ("two", 2), ("two", 2)):
            equal(it.render(FAKE_IDENTITY=identity), {"a": "token-of-a"})
            equal(it.calls("a"), calls, identity)


def poison(it):
    """The token of somebody else, in the only entry that there is."""
    (path,) = it.entries().values()
    with open(path, "r+", encoding="utf-8") as file:
        entry = json.load(file)
        entry["token"]["secret"] = POISON
        file.seek(0)
        json.dump(entry, file)
        file.truncate()
    return path


def link(path):
    os.rename(path, f"{path}.moved")
    os.symlink(f"{path}.moved", path)


def give(path):
    os.chown(path, ordinary.NUMBER, ordinary.NUMBER)


def link_directory(path):
    place = os.path.dirname(path)
    shutil.copytree(place, f"{place}-moved")
    os.chmod(f"{place}-moved", 0o700)
    shutil.rmtree(place)
    os.symlink(f"{place}-moved", place)


SPOILED = {
    "a mode that others can write": lambda path: os.chmod(path, 0o622),
    "a mode that others can read": lambda path: os.chmod(path, 0o644),
    "a link": link,
    "a second name": lambda path: os.link(path, f"{path}.second"),
    "a directory that others can read": lambda path: os.chmod(os.path.dirname(path), 0o755),
    "a directory that is a link": link_directory,
}
if ROOT:
    SPOILED["another owner"] = give
    SPOILED["a directory of another owner"] = lambda path: give(os.path.dirname(path))
    SPOILED["all of it another owner's"] = lambda path: ordinary.give(os.path.dirname(path))


@case("an entry that others could have written gives no header, and keeps nobody from one")
def foreign():
    with node("a") as it:
        it.backends["a"]["calls"] = "/dev/null"  # also where the cache is not used
        equal(it.render(), {"a": "token-of-a"})
        # What is the caller's own is believed.
        poison(it)
        equal(it.render(), {"a": POISON})
    for name, spoil in SPOILED.items():
        with node("a") as it:
            it.backends["a"]["calls"] = "/dev/null"
            equal(it.render(), {"a": "token-of-a"}, name)
            spoil(poison(it))
            equal(it.render(), {"a": "token-of-a"}, name)


@case("the entry of one account under the name of another's is none")
def exchanged():
    with node("a", "b") as it:
        it.render()
        entries = it.entries()
        shutil.copy(entries["token-of-a"], entries["token-of-b"])
        equal(it.render(), {"a": "token-of-a", "b": "token-of-b"})
        equal((it.calls("a"), it.calls("b")), (1, 2), "fetches")


@case("that there is no credential is remembered for five seconds at most")
def miss():
    with node("a") as it:
        there = os.path.join(it.home.path, "there")
        it.backends["a"]["only_with"] = there
        equal(it.render(), {"a": None})
        path = it.entries()["not found"]
        with open(path, encoding="utf-8") as file:
            entry = json.load(file)
        check(0 <= entry["end"] - entry["fetched"] <= MISS_SECONDS, entry)
        it.home.write("there", "")
        wait_for(lambda: it.render() == {"a": "token-of-a"}, "the token")
        check(it.calls("a") >= 2, it.calls("a"))


sys.exit(run())
