# SPDX-License-Identifier: Apache-2.0
"""A source that is broken in one way after the other: containerd reads on what it could read.

Everything is asked of containerd's own code, by the registry's name below the target.
"""

import os
import shutil
import signal
import sys
import threading
import time

from scene import CREDENTIAL, GOOD, LINKED, MALFORMED, OTHER, in_memory, scene, url

import watcher
from daemon import ROOT
from hanging import Hanging
from hosts import basic, jwt, table
from namespace import enter
from registry import wait_for
from tap import case, check, equal, run
from watcher import Watcher

enter()

MIB = 1024 * 1024


@case("malformed: what was rendered stays, and its header is kept true")
def malformed():
    with scene() as it:
        it.replace(GOOD, MALFORMED.encode())
        it.wait_problem(GOOD, "hosts.toml:1: this is not TOML: a ']' is missing")
        it.expect_unharmed()
        # Renewed, and taken away, while nobody can tell what the file says.
        it.helper.credentials[GOOD] = ("alice", "second")
        it.hosts.reload()
        it.wait_read(GOOD, basic("alice", "second"))
        del it.helper.credentials[GOOD]
        it.hosts.reload()
        it.wait_read(GOOD, None)
        it.hosts.wait_no_header(url(GOOD))
        it.helper.credentials[GOOD] = CREDENTIAL
        it.write(GOOD, it.table(GOOD))
        it.hosts.reload()
        it.wait_read(GOOD, basic(*CREDENTIAL))
        it.wait_fine(GOOD)
        it.expect_unharmed()


@case("malformed: also when the daemon is started anew, with the header of the earlier run")
def malformed_restart():
    with scene() as it:
        it.hosts.stop()
        it.replace(GOOD, MALFORMED.encode())
        it.helper.failure = "the vault is closed"
        it.hosts.start()
        it.wait_problem(GOOD, "hosts.toml:1")
        it.expect_unharmed()
        it.helper.failure = None
        it.helper.credentials[GOOD] = ("alice", "second")
        it.hosts.reload()
        it.wait_read(GOOD, basic("alice", "second"))
        it.helper.credentials[GOOD] = CREDENTIAL
        it.write(GOOD, it.table(GOOD))
        it.hosts.reload()
        it.wait_fine(GOOD)
        it.wait_read(GOOD, basic(*CREDENTIAL))
        it.expect_unharmed()


@case("malformed and new: containerd sees what it would see without us")
def malformed_new():
    with scene() as it:
        texts = {
            "a.example.com": MALFORMED,
            "b.example.com": "server = 5\n",
            "c.example.com": it.table("c.example.com", capabilities=["pull", "dance"]),
            "d.example.com": '\0server = "https://d.example.com"\n',
            "e.example.com": it.table("e.example.com") + "x = \udcff\n",
        }
        for host, text in texts.items():
            it.replace(host, text.encode("utf-8", "surrogateescape"))
        for host in texts:
            it.wait_problem(host, "hosts.toml")
            it.expect_source(host)
        it.expect_unharmed()
        equal(it.hosts.status()["source_problem"], None)


def large(it, host, size):
    """A file of exactly that size, of whose hosts the first has a helper."""
    text = it.table(host)
    number = 0
    while len(text) + 4096 < size and number < 200:
        text += table(url(f"mirror-{number}.example.com"), capabilities=["pull"])
        number += 1
    while len(text) + 4096 < size:
        text += f"key-{len(text)} = [{', '.join(str(n) for n in range(300))}]\n"
    return (text + "#" * (size - len(text) - 1) + "\n").encode()


@case("1 MiB is rendered, and a byte more is not: the last good one stays, a new one is linked")
def size():
    with scene() as it:
        it.helper.credentials[OTHER] = CREDENTIAL
        it.replace(OTHER, large(it, OTHER, MIB))
        it.hosts.wait_header(url(OTHER))
        it.wait_read(OTHER, basic(*CREDENTIAL))
        before = it.read(OTHER)
        equal(len(before["hosts"]), 202)
        it.replace(OTHER, large(it, OTHER, MIB + 1))
        it.wait_problem(OTHER, "1048576")
        equal(it.read(OTHER), before)
        it.replace("new.example.com", large(it, "new.example.com", MIB + 1))
        it.wait_problem("new.example.com", "1048576")
        it.expect_source("new.example.com")
        it.expect_unharmed()


@case("one table of 1 MiB with 60,000 keys is no work without end")
def many_keys():
    with scene() as it:
        text = it.table(OTHER)
        text += "".join(f"k{n} = 1\n" for n in range(90000) if len(text) < MIB)
        it.helper.credentials[OTHER] = CREDENTIAL
        began = time.monotonic()
        it.replace(OTHER, text.encode()[:MIB].rpartition(b"\n")[0])
        it.hosts.wait_header(url(OTHER))
        it.wait_read(OTHER, basic(*CREDENTIAL))
        check(time.monotonic() - began < 10, "it took more than 10 seconds")
        it.expect_unharmed()


@case("10,000 directories, of which two have a helper")
def many_directories():
    # In memory, as it is on a node.
    with in_memory(), scene(start=False) as it:
        for number in range(9998):
            os.mkdir(os.path.join(it.source, f"r{number}.example.com"))
        shutil.copyfile(
            os.path.join(it.source, LINKED, "hosts.toml"),
            os.path.join(it.source, "r77.example.com", "hosts.toml"),
        )
        it.start()
        equal(it.hosts.status()["registries"], 10000)
        equal(len(os.listdir(it.target)), 10000)
        it.expect_source("r77.example.com")
        it.expect_source("r9997.example.com")
        it.helper.credentials["r5000.example.com"] = CREDENTIAL
        it.write("r5000.example.com", it.table("r5000.example.com"))
        it.wait_read("r5000.example.com", basic(*CREDENTIAL))
        os.rmdir(os.path.join(it.source, "r9997.example.com"))
        gone = os.path.join(it.target, "r9997.example.com")
        wait_for(lambda: not os.path.lexists(gone), "it to be gone from the target")
        it.expect_unharmed()


@case("links that lead in a circle, to nowhere, and to the source itself")
def circles():
    with scene() as it:
        source = it.source
        os.symlink("b.example.com", os.path.join(source, "a.example.com"))
        os.symlink("a.example.com", os.path.join(source, "b.example.com"))
        os.symlink("/nonexistent", os.path.join(source, "c.example.com"))
        os.symlink(".", os.path.join(source, "d.example.com"))
        os.mkdir(os.path.join(source, "e.example.com"))
        os.symlink("hosts.toml", os.path.join(source, "e.example.com", "hosts.toml"))
        os.symlink("..", os.path.join(source, GOOD, "up"))
        os.symlink("round", os.path.join(source, GOOD, "round"))
        it.wait_problem("e.example.com", "hosts.toml")
        for host in "abcde":
            it.expect_source(f"{host}.example.com")
        it.expect_unharmed()
        # Many components that are each fine.
        it.helper.credentials[OTHER] = CREDENTIAL
        os.mkdir(os.path.join(source, ".real"))
        with open(os.path.join(source, ".real", "hosts.toml"), "w", encoding="ascii") as file:
            file.write(it.table(OTHER))
        os.symlink(".real", os.path.join(source, OTHER))
        it.wait_read(OTHER, basic(*CREDENTIAL))


@case("a FIFO as hosts.toml or as a directory: nobody waits for it")
def fifos():
    with scene() as it:
        os.mkfifo(os.path.join(it.source, "a.example.com"))
        os.mkdir(os.path.join(it.source, "b.example.com"))
        os.mkfifo(os.path.join(it.source, "b.example.com", "hosts.toml"))
        it.wait_problem("b.example.com", "regular file")
        equal(os.readlink(os.path.join(it.target, "b.example.com")), f"{it.source}/b.example.com")
        it.expect_source("a.example.com")
        # In the place of one that was rendered, and beside one.
        os.mkfifo(os.path.join(it.source, GOOD, "ca.crt"))
        os.mkfifo(os.path.join(it.source, GOOD, "fifo"))
        os.rename(
            os.path.join(it.source, GOOD, "fifo"), os.path.join(it.source, GOOD, "hosts.toml")
        )
        it.wait_problem(GOOD, "regular file")
        os.unlink(os.path.join(it.source, GOOD, "ca.crt"))
        it.expect_unharmed()


@case("a file that others may write to: the last good one stays, a new one is linked")
def writable():
    with scene() as it:
        for mode in (0o666, 0o664):
            it.replace(GOOD, it.table("evil.example.com").encode(), mode)
            it.wait_problem(GOOD, f"{mode:04o}", "chmod go-w")
            it.expect_unharmed()
            it.replace(GOOD, it.table(GOOD).encode())
            it.wait_fine(GOOD)
        it.replace(OTHER, it.table(OTHER).encode(), 0o666)
        it.wait_problem(OTHER, "chmod go-w")
        it.expect_source(OTHER)
        it.expect_unharmed()


if ROOT:

    @case("a file of another user: the last good one stays, a new one is linked")
    def foreign():
        with scene() as it:
            for host in (GOOD, OTHER):
                path = it.write(host, it.table("evil.example.com"))
                os.chown(path, 65534, 65534)
                it.wait_problem(host, "65534")
            it.expect_source(OTHER)
            it.expect_unharmed()

else:

    @case("a source that may not be read: all of it stays, and is said")
    def unreadable():
        with scene() as it:
            path = os.path.join(it.source, GOOD, "hosts.toml")
            os.chmod(path, 0)
            it.wait_problem(GOOD, "Permission denied")
            it.expect_unharmed()
            os.chmod(path, 0o644)
            it.wait_fine(GOOD)
            os.chmod(it.source, 0)
            wait_for(lambda: it.hosts.status()["source_problem"], "the status to say it")
            os.chmod(it.source, 0o700)
            it.hosts.reload()
            wait_for(lambda: not it.hosts.status()["source_problem"], "the status to be fine")
            it.expect_unharmed()


@case("the source is moved away and back, and made anew: what was rendered is there all the time")
def removed():
    with scene() as it:
        inode = it.inode(GOOD)
        for _ in range(3):
            os.rename(it.source, it.source + ".away")
            wait_for(lambda: it.hosts.status()["registries"] == 1, "the daemon to see it")
            equal(it.read(GOOD), it.before[GOOD])
            os.rename(it.source + ".away", it.source)
            wait_for(lambda: it.hosts.status()["registries"] == 2, "the daemon to see it")
            it.expect_unharmed()
        equal(it.inode(GOOD), inode, "the inode of what was rendered")
        os.rename(it.source, it.source + ".away")
        wait_for(lambda: not os.listdir(it.target), "an empty target")
        shutil.copytree(it.source + ".away", it.source)
        it.wait_read(GOOD, basic(*CREDENTIAL))
        it.expect_unharmed()


class Storm:
    """Rewrites a registry by rename, a thousand times a second; the last text is `last`."""

    def __init__(self, it, host, seconds, last):
        self.it, self.host, self.seconds, self.last, self.count = it, host, seconds, last, 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            self.it.write(self.host, self.it.table(self.host), f"# {self.count}\n")
            self.count += 1
            # 1000 a second, as far as the machine can.
            threading.Event().wait(0.0007)
        self.it.write(self.host, self.last)

    def wait(self):
        self._thread.join()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@case("1000 rewrites a second for 3 seconds: it settles on the last, with little work")
def storm():
    with scene() as it:
        it.helper.credentials[OTHER] = CREDENTIAL
        it.write(OTHER, it.table(OTHER))
        it.wait_read(OTHER, basic(*CREDENTIAL))
        asked, used = len(it.helper.runs), cpu_seconds(it.hosts.process.pid)
        last = it.table(OTHER, capabilities=["pull", "resolve"])
        rewrites = Storm(it, OTHER, 3, last)
        rewrites.wait()
        wait_for(
            lambda: it.read(OTHER)["hosts"][0]["capabilities"] == ["pull", "resolve"],
            "the last text",
        )
        it.wait_read(OTHER, basic(*CREDENTIAL))
        check(rewrites.count > 300, f"only {rewrites.count} rewrites")
        used = cpu_seconds(it.hosts.process.pid) - used
        check(used < 1, f"{used} s of CPU for {rewrites.count} rewrites")
        equal(len(it.helper.runs) - asked, 0, "runs of the helper")
        it.expect_unharmed()


@case("the same text again changes nothing in the target")
def same():
    with scene() as it:
        inode = it.inode(GOOD)
        for _ in range(3):
            it.write(GOOD, it.table(GOOD))
            it.write(OTHER, "# nothing\n")
            link = os.path.join(it.target, OTHER)
            wait_for(lambda link=link: os.path.lexists(link), "the other to be linked")
            shutil.rmtree(os.path.join(it.source, OTHER))
            wait_for(lambda link=link: not os.path.lexists(link), "the other to be gone")
        equal(it.inode(GOOD), inode)
        it.expect_unharmed()


@case("a directory whose name is no UTF-8 harms no other, and the status can be read")
def odd_name():
    with scene() as it:
        place = os.fsencode(it.source) + b"/b\xff.example.com"
        os.mkdir(place)
        with open(place + b"/hosts.toml", "w", encoding="utf-8") as file:
            file.write(MALFORMED)
        it.wait_problem("b\ufffd.example.com", "hosts.toml:1")
        it.expect_unharmed()
        check(os.path.lexists(os.fsencode(it.target) + b"/b\xff.example.com"), "it is not there")


SHORT_LIFE = 6  # seconds


def give_short_life(daemon):
    """The helper's credential ends in a moment: that, and when."""
    expiry = int(time.time()) + SHORT_LIFE
    daemon.secret(jwt(expiry))
    return jwt(expiry), expiry


if ROOT:

    @case("the source hangs: a header goes when it has expired, and only then the daemon waits")
    def hangs_while_it_runs():
        with Watcher(start=False) as daemon:
            token, expiry = give_short_life(daemon)
            daemon.start()
            daemon.wait_headers(token)
            daemon.flag("fail")
            with Hanging(daemon.source) as source:
                wait_for(lambda: daemon.header() is None, "the header to be gone")
                check(time.time() < expiry, "it could be seen expired")
                source.wait_question()
                check('[host."https://r0.example"]' in daemon.read(), daemon.read())
                # What systemd's watchdog does.
                equal(daemon.end(signal.SIGKILL), -signal.SIGKILL)

    @case("the source hangs from the start: what an earlier run left goes when it has expired")
    def hangs_from_the_start():
        with Watcher(start=False, registries=2) as daemon:
            daemon.registry("r1.example", helper="pullkey")
            token, expiry = give_short_life(daemon)
            daemon.start()
            wait_for(lambda: daemon.header() == watcher.basic(token), "the header")
            wait_for(lambda: daemon.header("r1.example") == watcher.basic("first"), "the other header")
            daemon.end(signal.SIGKILL)
            equal(daemon.header(), watcher.basic(token))
            wait_for(lambda: time.time() > expiry, "the credential to expire")
            with Hanging(daemon.source) as source:
                daemon.start(ready=False)
                source.wait_question()
                equal(daemon.header(), None)
                # Of this one nobody knows when it ends.
                equal(daemon.header("r1.example"), watcher.basic("first"))
                daemon.end(signal.SIGKILL)
            daemon.login("second")
            daemon.start()
            wait_for(lambda: daemon.header("r1.example") == watcher.basic("second"), "the header")


sys.exit(run())
