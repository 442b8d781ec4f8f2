# SPDX-License-Identifier: Apache-2.0
"""A source that is broken in one way after the other: containerd reads on what it could read.

Everything is asked of containerd's own code, by the registry's name below the target.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from scene import CREDENTIAL, GOOD, LINKED, in_memory, scene, url

import namespace
import watcher
from daemon import ROOT
from hanging import Hanging
from hosts import basic, jwt, table
from listener import need_permission_events
from registry import wait_for
from tap import case, check, equal, run
from watcher import Watcher

namespace.enter()

OTHER = "other.example.com"
WITHOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without-landlock.py")
MIB = 1024 * 1024
MALFORMED = "[host\n"


def replace(it, host, data, mode=0o644):
    """Puts bytes in the place of a registry's file."""
    path = os.path.join(it.source, host, "hosts.toml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


@case("malformed: what was rendered stays, and its header is kept true")
def malformed():
    with scene() as it:
        replace(it, GOOD, MALFORMED.encode())
        it.wait_problem(GOOD, "hosts.toml:1")
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
        replace(it, GOOD, MALFORMED.encode())
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
            replace(it, host, text.encode("utf-8", "surrogateescape"))
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
        replace(it, OTHER, large(it, OTHER, MIB))
        it.hosts.wait_header(url(OTHER))
        it.wait_read(OTHER, basic(*CREDENTIAL))
        before = it.read(OTHER)
        equal(len(before["hosts"]), 202)
        replace(it, OTHER, large(it, OTHER, MIB + 1))
        it.wait_problem(OTHER, "1048576")
        equal(it.read(OTHER), before)
        replace(it, "new.example.com", large(it, "new.example.com", MIB + 1))
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
        replace(it, OTHER, text.encode()[:MIB].rpartition(b"\n")[0])
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
            replace(it, GOOD, it.table("evil.example.com").encode(), mode)
            it.wait_problem(GOOD, f"{mode:04o}", "chmod go-w")
            it.expect_unharmed()
            replace(it, GOOD, it.table(GOOD).encode())
            it.wait_fine(GOOD)
        replace(it, OTHER, it.table(OTHER).encode(), 0o666)
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


@case("a configuration that is broken while it runs: the old one stays, and is said")
def configuration():
    with scene() as it:
        it.helper.credentials[OTHER] = CREDENTIAL
        hosts = {url(OTHER): it.helper.name}
        it.write(OTHER, table(url(OTHER)))
        it.hosts.configure({"hosts": hosts})
        it.wait_read(OTHER, basic(*CREDENTIAL))
        path = os.path.join(it.home.path, ".config/pullkey/config.json")
        for text in ("{", '{"version":1,"containerd":{"helper_timeout":"no"}}', ""):
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.rename(path + ".new", path)
            wait_for(lambda: it.hosts.status()["configuration_problem"], "the status to say it")
            check("pullkey_hosts_configuration_valid 0" in it.hosts.metrics(), "the metric")
            equal(it.header(OTHER), basic(*CREDENTIAL))
            it.expect_unharmed()
            it.hosts.configure({"hosts": hosts})
            wait_for(lambda: not it.hosts.status()["configuration_problem"], "it to be fine")
            equal(it.header(OTHER), basic(*CREDENTIAL))
        check("config.json" in it.hosts.output(), "nothing was said")
        it.expect_unharmed()


@case("a helper for a host that no file has: said once, and in the status until there is a file")
def idle():
    with scene() as it:
        it.helper.credentials[OTHER] = CREDENTIAL
        os.makedirs(os.path.join(it.source, OTHER))
        with open(os.path.join(it.source, OTHER, "ca.crt"), "w", encoding="ascii"):
            pass
        equal(it.hosts.status()["notes"], [])
        it.hosts.configure({"hosts": {url(OTHER): it.helper.name, url(GOOD): it.helper.name}})
        wait_for(lambda: it.hosts.status()["notes"], "the status to say it")
        (note,) = it.hosts.status()["notes"]
        check(url(OTHER) in note and GOOD not in note, note)
        shown = it.hosts.command("status")
        check(f"note: {note}" in shown.stdout, shown)
        equal(shown.returncode, 0, f"a note is no problem: {shown.stdout}")
        it.hosts.reload()
        it.hosts.wait_asked(url(GOOD), it.hosts.host(url(GOOD))["asked"] + 1)
        equal(it.hosts.output().count(note), 1, "said once")
        it.write(OTHER, table(url(OTHER)))
        it.wait_read(OTHER, basic(*CREDENTIAL))
        wait_for(lambda: not it.hosts.status()["notes"], "the status to be without")
        equal(it.header(GOOD), basic(*CREDENTIAL))


@case("a kernel without Landlock: said once, and in the status")
def landlock():
    with scene(start=False) as it:
        script = it.home.write("daemon", f'#!/bin/sh\nexec {sys.executable} {WITHOUT} {it.hosts.program} "$@"\n')
        os.chmod(script, 0o755)
        it.hosts.program = script
        it.start()
        equal(it.hosts.status()["notes"], [], "it is pullkey that is confined, and not asked here")
        it.write(OTHER, table(url(OTHER), helper="pullkey"))
        wait_for(lambda: it.hosts.status()["notes"], "the status to say it")
        (note,) = it.hosts.status()["notes"]
        check("no Landlock" in note, note)
        equal(it.hosts.output().count(note), 1, it.hosts.output())
        it.expect_unharmed()


@case("SIGHUP asks all helpers again, and reads everything again")
def hangup():
    with scene() as it:
        asked = it.hosts.host(url(GOOD))["asked"]
        for number in range(1, 4):
            it.helper.credentials[GOOD] = ("alice", str(number))
            it.hosts.reload()
            it.wait_read(GOOD, basic("alice", str(number)))
        it.hosts.wait_asked(url(GOOD), asked + 3)


def processes_of(it):
    """What runs below the daemon, and what was started by that."""
    found = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                words = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words[0] not in "ZX":
            found[int(name)] = int(words[1])
    below = {it.hosts.process.pid}
    while more := {pid for pid, parent in found.items() if parent in below} - below:
        below |= more
    return below - {it.hosts.process.pid}


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def end_in_a_question(end):
    with scene() as it:
        it.helper.hold()
        it.hosts.reload()
        run_of_helper = it.helper.wait_held()
        below = processes_of(it)
        check(run_of_helper.process in below and len(below) >= 2, below)
        began = time.monotonic()
        end(it)
        wait_for(lambda: all(is_gone(pid) for pid in below), "all that it started to end")
        check(time.monotonic() - began < 5, "it took 5 seconds")
        it.expect_unharmed()
        it.helper.let_go()
        it.start()
        it.expect_unharmed()


@case("SIGTERM in the middle of a question: no process is left, and the target stays")
def terminated():
    end_in_a_question(lambda it: it.hosts.stop())


@case("SIGKILL in the middle of a question: no process is left, and the target stays")
def killed():
    end_in_a_question(lambda it: it.hosts.kill())


def refused(it, *words, source=None, target=None):
    """A daemon of these directories does not start, and says why in one line."""
    done = subprocess.run(
        [it.hosts.program, "watch", "--source", source or it.source]
        + ["--target", target or it.target],
        env=it.home.env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    equal((done.returncode, done.stdout), (1, ""), done.stderr)
    equal(done.stderr.count("\n"), 1, done.stderr)
    for word in words:
        check(word in done.stderr, f"{word!r} is missing: {done.stderr}")


def everything(directory):
    """All names with what they are and their text."""
    found = {}
    for place, names, files in os.walk(directory):
        for name in names + files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            text = open(path, "rb").read() if os.path.isfile(path) else None
            found[os.path.relpath(path, directory)] = (status.st_ino, status.st_mode, text)
    return found


@case("two daemons on one target: the second is refused, also by render, and harms nothing")
def second():
    with scene() as it:
        refused(it, "another pullkey-hosts is at work on", it.target)
        done = it.home.run(
            [it.hosts.program, "render", "--source", it.source, "--target", it.target]
        )
        equal(done.returncode, 1)
        check("another pullkey-hosts is at work on" in done.stderr, done.stderr)
        it.expect_unharmed()
        it.hosts.reload()
        it.helper.credentials[GOOD] = ("alice", "second")
        it.wait_read(GOOD, basic("alice", "second"))


@case("a target that is the source, holds what others made, or is open to others, is refused")
def foreign_targets():
    with scene(start=False) as it:
        os.chmod(it.source, 0o700)
        before = everything(it.source)
        refused(it, "is the source itself", target=it.source)
        refused(it, "is in the source", target=it.home.directory("certs.d/below/it"))
        refused(it, "is in the source", target=os.path.join(it.source, "below/made"))
        equal(os.listdir(os.path.join(it.source, "below")), ["it"], "what is left of it")
        shutil.rmtree(os.path.join(it.source, "below"))
        link = os.path.join(it.home.path, "link")
        os.symlink(it.source, link)
        refused(it, "is the source itself", target=link)
        equal(everything(it.source), before)
        # Hosts directories that people wrote, below a mode that would do.
        people = it.home.directory("people")
        shutil.copytree(it.source, people, dirs_exist_ok=True)
        for mode in (0o755, 0o700):
            os.chmod(os.path.join(people, GOOD), mode)
            before = everything(people)
            refused(it, "this program did not make", target=people)
            equal(everything(people), before)
        makers = {
            "a file": lambda place: open(os.path.join(place, "file"), "w").close(),
            "a file in a directory": lambda place: it.home.write("place/r/ca.crt", ""),
            "a directory in a directory": lambda place: os.makedirs(f"{place}/r/hosts.toml"),
            "a fifo": lambda place: os.mkfifo(os.path.join(place, "fifo")),
        }
        for name, make in makers.items():
            place = it.home.directory("place")
            make(place)
            before = everything(place)
            refused(it, "this program did not make", target=place)
            equal(everything(place), before, name)
            shutil.rmtree(place)
        place = it.home.directory("place")
        for mode in (0o755, 0o750, 0o701):
            os.chmod(place, mode)
            refused(it, "with mode 0700", target=place)
        os.rmdir(place)
        it.home.write("place", "")
        refused(it, place, target=place)


if ROOT:

    @case("a target of another user is refused")
    def foreign_owner():
        with scene(start=False) as it:
            place = it.home.directory("place")
            os.chown(place, 65534, 65534)
            refused(it, "must belong to the user who runs this", target=place)


@case("a log that cannot be written changes nothing")
def full_log():
    with scene(start=False) as it:
        for path in ("/dev/full", "/nonexistent/log", it.home.directory("log")):
            it.hosts.log_path = path
            it.start()
            replace(it, OTHER, MALFORMED.encode())
            it.wait_problem(OTHER, "hosts.toml:1")
            it.expect_unharmed()
            it.hosts.stop()
            shutil.rmtree(os.path.join(it.source, OTHER))


LIMITED = 'echo "$1" > /proc/sys/user/max_inotify_$0 && shift && exec "$@"'


def limited(it, what, number, wait=True):
    """Starts the daemon with that limit, in a user namespace of its own."""
    script = it.home.write(
        "limited",
        "#!/bin/sh\n"
        f"exec unshare --user --map-root-user sh -c '{LIMITED}' {what} {number} "
        f"{it.hosts.program} \"$@\"\n",
    )
    os.chmod(script, 0o755)
    it.hosts.program = script
    it.be_root()
    it.hosts.start(wait)


@case("where the kernel gives few inotify watches, it looks again at SIGHUP and twice a minute")
def few_watches():
    with scene(start=False) as it:
        limited(it, "watches", 2)
        it.hosts.wait_header(url(GOOD))
        it.wait_read(GOOD, basic(*CREDENTIAL))
        it.write(GOOD, it.table(GOOD, capabilities=["pull"]))
        it.hosts.reload()
        wait_for(
            lambda: it.read(GOOD)["hosts"][0]["capabilities"] == ["pull"], "the change to be seen"
        )
        with open(it.hosts.log_path, encoding="utf-8") as log:
            check("fs.inotify.max_user_watches" in log.read(), "the log does not say it")


@case("where the kernel gives no inotify at all, it says what to do")
def no_inotify():
    with scene(start=False) as it:
        limited(it, "instances", 0, wait=False)
        equal(it.hosts.process.wait(30), 1)
        check("fs.inotify.max_user_instances" in it.hosts.output(), it.hosts.output())
        it.hosts.process = None


@case("with signals that a caller ignores, it hears them all the same")
def ignored_signals():
    with scene(start=False) as it:
        script = it.home.write(
            "ignoring",
            "#!/usr/bin/python3\n"
            "import os, signal, sys\n"
            "for name in ('SIGCHLD', 'SIGHUP', 'SIGTERM', 'SIGINT', 'SIGPIPE'):\n"
            "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
            f"os.execv({it.hosts.program!r}, [{it.hosts.program!r}, *sys.argv[1:]])\n",
        )
        os.chmod(script, 0o755)
        it.hosts.program = script
        it.start()
        it.helper.credentials[GOOD] = ("alice", "second")
        it.hosts.reload()
        it.wait_read(GOOD, basic("alice", "second"))


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


@case("what others change or remove in the target is published again")
def touched():
    with scene() as it:
        number = 0

        def expect_healed():
            nonlocal number
            number += 1
            # Something else changes: that makes it look, as the half minute does.
            it.write(OTHER, table(url(OTHER), capabilities=["pull"]), f"# {number}\n")
            wait_for(lambda: it.read(GOOD) == it.before[GOOD], "the registry to be there again")
            wait_for(lambda: it.read(LINKED) == it.before[LINKED], "the link to be there again")
            it.expect_unharmed()

        runs = len(it.helper.runs)
        place = os.path.join(it.target, GOOD, "hosts.toml")
        os.unlink(place)
        expect_healed()
        with open(place, "w", encoding="utf-8") as file:
            file.write('server = "https://elsewhere.example.com"\n')
        expect_healed()
        shutil.rmtree(os.path.dirname(place))
        expect_healed()
        os.unlink(os.path.join(it.target, LINKED))
        expect_healed()
        equal(len(it.helper.runs), runs, "runs of the helper")


@case("a target that is removed while it runs is made again, with the headers that it had")
def target_removed():
    with scene() as it:
        for again in (None, 0o700, 0o755):
            it.helper.failure = "the vault is closed"
            shutil.rmtree(it.target)
            if again:
                os.mkdir(it.target)
                os.chmod(it.target, again)
            if again == 0o755:
                wait_for(lambda: it.hosts.status()["target_problem"], "the problem to be said")
                check("mode 0700" in it.hosts.status()["target_problem"], it.hosts.status())
                equal(os.listdir(it.target), [])
                os.rmdir(it.target)
            wait_for(lambda: os.path.isdir(os.path.join(it.target, GOOD)), "the target")
            wait_for(lambda: os.path.lexists(os.path.join(it.target, LINKED)), "the link")
            it.expect_unharmed()
            it.wait_fine(GOOD)
        it.helper.failure = None


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

    @case("a target that is mounted anew while it runs is filled again, and opens wait there too")
    def mounted_anew():
        need_permission_events()
        with Watcher("--on-open=on", helper="pullkey", registries=2) as daemon:
            daemon.wait_headers()
            subprocess.run(["umount", "--lazy", daemon.target], check=True)
            namespace.mount("-t", "tmpfs", "-o", "mode=0700", "none", daemon.target)
            daemon.registry("r1.example", helper="pullkey", text="# another\n")
            wait_for(lambda: os.path.exists(daemon.place()), "the target to be filled")
            equal(daemon.header(), watcher.basic("first"))
            for number in range(5):
                daemon.login(f"password-{number}")
                equal(daemon.header(), watcher.basic(f"password-{number}"))


sys.exit(run())
