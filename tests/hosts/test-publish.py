# SPDX-License-Identifier: Apache-2.0
"""The target while it is changed: killed at every system call, on a disk that fails or is full.

By its name every registry is at any time the old one or the new one, as containerd reads it, and
the next run leaves nothing behind.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from scene import CREDENTIAL, GOOD, scene, url

from daemon import ROOT, program_path
from home import Home
from hosts import HostsFile, basic, table, write_hosts
from program import die_with_parent, wait_for
from tap import case, check, comment, equal, run

KEPT, CHANGED = "kept.example.com", "changed.example.com"
ADDED, REMOVED = "new.example.com", "old.example.com"
TO_LINK, TO_COPY = "to-link.example.com", "to-copy.example.com"
NAMES = (KEPT, CHANGED, ADDED, REMOVED, TO_LINK, TO_COPY)
BYTES_STEP = 9


def managed(host, **values):
    return table(url(host), helper="pullkey", **values)


class Change:
    """What `render` makes of a source that has changed: of every kind of change one."""

    def __init__(self, home, parser):
        self.home, self.parser, self.lock = home, parser, threading.Lock()
        self.places = home.directory("places")
        self.source = os.path.join(home.path, "source")
        auths = {host: {"auth": "YWxpY2U6c2VjcmV0"} for host in NAMES}
        use = {"type": "file", "encryption": "none", "path": self.private("auth.json", auths=auths)}
        config = {"version": 1, "backends": {"file": use}, "default": ["file"]}
        self.env = {**home.env, "PULLKEY_CONFIG": self.private("config.json", **config)}
        self.env["PULLKEY_CACHE_DIR"] = home.directory("cache")
        self.write_old()
        self.base = os.path.join(self.places, "base")
        os.mkdir(self.base)
        equal(self.render(self.base).returncode, 0)
        self.before = self.read(self.base)
        os.rename(self.source, self.source + ".old")
        self.write_new()
        place = self.copy()
        equal(self.render(place).returncode, 0)
        self.after, self.names = self.read(place), names_below(place)
        changed = [name for name in NAMES if self.before[name] != self.after[name]]
        equal(sorted(changed), sorted(set(NAMES) - {KEPT}), "names that change")
        for name in (KEPT, CHANGED, ADDED, TO_COPY):
            check("Basic" in self.after[name], name)

    def private(self, name, **members):
        path = self.home.write(name, json.dumps(members))
        os.chmod(path, 0o600)
        return path

    def write_old(self):
        for host in (KEPT, CHANGED, REMOVED, TO_LINK):
            write_hosts(self.source, host, managed(host))
        write_hosts(self.source, TO_COPY, table(url("mirror.example.com")))

    def write_new(self):
        for host in (KEPT, ADDED, TO_COPY):
            write_hosts(self.source, host, managed(host))
        write_hosts(self.source, CHANGED, managed(CHANGED, capabilities=["pull"]))
        write_hosts(self.source, TO_LINK, table(url("mirror.example.com")))

    def copy(self):
        """A target of the old source."""
        place = tempfile.mkdtemp(dir=self.places)
        shutil.copytree(self.base, place, symlinks=True, dirs_exist_ok=True)
        return place

    def render(self, place, via=()):
        words = ["render", "--source", self.source, "--target", f"{place}/target"]
        return subprocess.run(
            [*via, program_path(), *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=die_with_parent,
        )

    def read(self, place):
        """What containerd reads of each name, as text to compare."""
        answers = {}
        for name in NAMES:
            with self.lock:
                answer = self.parser.ask(f"{place}/target", name)
            answer["directory"] = bool(answer["directory"])
            answers[name] = json.dumps(answer).replace(place, "PLACE")
        return answers

    def step(self, *arguments, options=()):
        """One run with a fault, and one without. Returns whether the fault struck, and what was new
        after it.
        """
        place = self.copy()
        report = os.path.join(place, "report")
        tool = [os.environ["SYSCALL_FAULT"], "--report", report, *options, *map(str, arguments)]
        done = self.render(place, tool)
        with open(report, encoding="ascii") as lines:
            words = dict(line.split() for line in lines)
        os.unlink(report)
        fired = words["fired"] == "1"
        struck = (137,) if arguments[0] == "kill" else (0, 1, 127)
        check(done.returncode in (struck if fired else (0,)), (arguments, done))
        now = self.read(place)
        for name in NAMES:
            old_or_new = {self.before[name], self.after[name]}
            # A link was one to a source that has changed.
            if name == TO_COPY or (name == ADDED and arguments[0] == "fail"):
                old_or_new.add(self.without_header(name))
            check(now[name] in old_or_new, f"{arguments}: {name} is neither: {now[name]}")
        if arguments[0] == "kill" or not fired or number_of(arguments) % 4 == 0:
            self.mend(place, arguments)
        else:
            left = [n for n in names_below(place) if ".pullkey-new" in n]
            check(done.returncode != 0 or not left, f"{arguments}: left {left}")
        shutil.rmtree(place)
        return fired, tuple(name for name in NAMES if now[name] == self.after[name])

    def without_header(self, name):
        """The new one, where its helper could not be asked."""
        answer = json.loads(self.after[name])
        for host in answer["hosts"]:
            host["header"] = {}
        return json.dumps(answer)

    def mend(self, place, arguments):
        done = self.render(place)
        equal(done.returncode, 0, f"{arguments}: {done.stderr}")
        equal(self.read(place), self.after, f"{arguments}: after the next run")
        equal(names_below(place), self.names, f"{arguments}: names after the next run")

    def count(self, names):
        """How many of these calls there are."""
        place = self.copy()
        report = os.path.join(place, "report")
        tool = [os.environ["SYSCALL_FAULT"], "--report", report]
        self.render(place, [*tool, "fail", names, "100000", "EIO"])
        with open(report, encoding="ascii") as lines:
            words = dict(line.split() for line in lines)
        shutil.rmtree(place)
        return int(words["calls"]), int(words["matched"])


def number_of(arguments):
    return int(arguments[1] if arguments[0] == "kill" else arguments[2])


def names_below(directory):
    return sorted(
        os.path.relpath(os.path.join(place, name), directory)
        for place, names, files in os.walk(directory)
        for name in names + files
    )


@contextmanager
def change():
    with Home() as home, HostsFile("2.3") as parser:
        yield Change(home, parser)


def each(step, items):
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(step, items))


@case("killed at every system call: each registry is the old or the new one")
def kill():
    with change() as it:
        calls, _ = it.count("write")
        steps = each(lambda number: it.step("kill", number), range(1, calls + 20))
        states = {new for fired, new in steps if fired}
        comment(f"{sum(fired for fired, _ in steps)} kills of {calls} calls; {len(states)} states")
        check(len(states) >= 6, f"only these states were seen: {states}")
        check(any(fired for fired, _ in steps[-40:]), "the last calls were not reached")


FAILING = {
    "ENOSPC": ("write", "mkdirat", "symlinkat", "openat"),
    "EROFS": ("mkdirat,symlinkat,renameat,renameat2,unlinkat,mkdir",),
    "EIO": ("renameat", "renameat2", "unlinkat", "getdents64", "read"),
    "EMFILE": ("openat",),
}


@case("each call that fails, alone and with all that follow: old or new, and nothing is left")
def failing():
    with change() as it:
        steps = []
        for error, sets in FAILING.items():
            for names in sets:
                matched = it.count(names)[1]
                check(matched > 0, f"no {names}")
                for options in ((), ("--from",)):
                    steps += [(names, n, error, options) for n in range(1, matched + 1)]

        def step(item):
            *arguments, options = item
            return it.step("fail", *arguments, options=options)

        fired = sum(fired for fired, _ in each(step, steps))
        comment(f"{fired} failures")
        check(fired > len(steps) * 0.9, "too few")


@case(f"a disk that is full after some bytes of each write: every {BYTES_STEP}th number of them")
def bytes_written():
    with change() as it:
        matched = it.count("write")[1]
        size = os.path.getsize(f"{it.base}/target/{KEPT}/hosts.toml")
        steps = [(n, k) for n in range(1, matched + 1) for k in range(0, size + 40, BYTES_STEP)]
        results = each(
            lambda item: it.step(
                "fail", "write", item[0], "ENOSPC", options=("--bytes", str(item[1]))
            ),
            steps,
        )
        check(len({new for _, new in results}) > 1, "nothing was ever refused")


MEMORY = """\
mount -t tmpfs -o size=128k,nr_inodes=60,mode=0700,nosuid,nodev,noexec none "$1" || exit
echo ready
exec cat
"""


class Memory:
    """A small tmpfs for the target, in a mount namespace of its own."""

    def __init__(self, it):
        self.it = it
        os.mkdir(it.target, 0o700)
        user = [] if ROOT else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", *user, "--mount", "sh", "-c", MEMORY, "sh", it.target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        equal(self._holder.stdout.readline(), b"ready\n")
        enter = [] if ROOT else ["--user", "--preserve-credentials"]
        if not ROOT:
            it.be_root()
        self._enter = ["nsenter", "--target", str(self._holder.pid), *enter, "--mount"]
        words = " ".join([*self._enter, it.hosts.program])
        script = it.home.write("inside", f'#!/bin/sh\nexec {words} "$@"\n')
        os.chmod(script, 0o755)
        it.hosts.program = script
        it.target = f"/proc/{self._holder.pid}/root{it.target}"

    def stop(self):
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()

    def mount(self, options):
        place = self.it.hosts.target
        options = f"remount,bind,{options},nosuid,nodev,noexec"
        subprocess.run([*self._enter, "mount", "-o", options, place], check=True)

    def fill(self):
        with open(os.path.join(self.it.target, ".fill"), "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def fill_unseen(self):
        """The same with a file that has no name."""
        path = os.path.join(self.it.target, ".fill")
        self._unseen = open(path, "wb", buffering=0)
        os.unlink(path)
        try:
            while self._unseen.write(bytes(4096)):
                pass
        except OSError:
            return

    def empty_unseen(self):
        self._unseen.close()

    def use_inodes(self):
        try:
            for number in range(1000):
                os.mkdir(os.path.join(self.it.target, f".fill-{number}"))
        except OSError:
            return

    def empty(self):
        for name in os.listdir(self.it.target):
            path = os.path.join(self.it.target, name)
            if name == ".fill":
                os.unlink(path)
            elif name.startswith(".fill-"):
                os.rmdir(path)


ENDS = {
    "full": (Memory.fill, Memory.empty, "No space left on device"),
    "out of inodes": (Memory.use_inodes, Memory.empty, "No space left on device"),
    "read-only": (
        lambda memory: memory.mount("ro"),
        lambda memory: memory.mount("rw"),
        "Read-only file system",
    ),
}


def on_real_file_system(begin, end, words):
    with scene(start=False) as it:
        memory = Memory(it)
        try:
            it.start()
            begin(memory)
            it.helper.credentials[GOOD] = ("alice", "second" * 1000)
            it.write(GOOD, it.table(GOOD, capabilities=["pull"]))
            it.write("new.example.com", it.table("new.example.com"))
            it.hosts.reload()
            it.wait_problem(GOOD, words)
            it.wait_problem("new.example.com", words)
            it.expect_unharmed()
            left = [name for name in it.left_over() if "pullkey" in name]
            equal(left, [])
            end(memory)
            it.hosts.reload()
            it.wait_read(GOOD, basic("alice", "second" * 1000))
            equal(it.read(GOOD)["hosts"][0]["capabilities"], ["pull"])
            it.wait_fine(GOOD)
            it.wait_fine("new.example.com")
            it.helper.credentials[GOOD] = CREDENTIAL
            it.write(GOOD, it.table(GOOD))
            it.hosts.reload()
            it.wait_read(GOOD, basic(*CREDENTIAL))
            it.expect_unharmed()
        finally:
            it.hosts.stop()
            memory.stop()


for name_of_end, (begin, end, words) in ENDS.items():

    @case(f"a target that is {name_of_end}: what was there stays, and is mended later")
    def real(begin=begin, end=end, words=words):
        on_real_file_system(begin, end, words)


@case("a target that is full from the start: all are links, nobody waits, and headers come later")
def full_at_start():
    with scene(start=False) as it:
        memory = Memory(it)
        try:
            memory.fill_unseen()
            it.hosts.start()
            it.wait_problem(GOOD, "No space left on device")
            check(os.path.islink(os.path.join(it.target, GOOD)), "no link")
            memory.empty_unseen()
            it.hosts.reload()
            it.wait_read(GOOD, basic(*CREDENTIAL))
            it.wait_fine(GOOD)
        finally:
            it.hosts.stop()
            memory.stop()


def gone(fill):
    with scene(start=False) as it:
        memory = Memory(it)
        try:
            it.start()
            it.wait_read(GOOD, basic(*CREDENTIAL))
            fill(memory)
            del it.helper.credentials[GOOD]
            it.hosts.reload()
            # While there is no room for both, it has a moment without either.
            place = os.path.join(it.target, GOOD)
            wait_for(lambda: os.path.islink(place), "a link in its place")
            check(not it.read(GOOD)["hosts"][0]["header"], "it has a header")
            memory.empty()
        finally:
            it.hosts.stop()
            memory.stop()


for name_of_end, fill_it in (("full", Memory.fill), ("out of inodes", Memory.use_inodes)):

    @case(f"a header whose credential is gone goes from a target too that is {name_of_end}")
    def full_and_gone(fill_it=fill_it):
        gone(fill_it)


sys.exit(run())
