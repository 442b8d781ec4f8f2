# SPDX-License-Identifier: Apache-2.0
"""The daemon itself on a machine that is not as it should be: configuration, kernel, signals, log
and end. containerd reads on what it could read.
"""

import os
import shutil
import sys
import time

from scene import CREDENTIAL, GOOD, MALFORMED, OTHER, scene, url

from hosts import basic, table
from registry import wait_for
from tap import case, check, equal, run

WITHOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without-landlock.py")


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


@case("a log that cannot be written changes nothing")
def full_log():
    with scene(start=False) as it:
        for path in ("/dev/full", "/nonexistent/log", it.home.directory("log")):
            it.hosts.log_path = path
            it.start()
            it.replace(OTHER, MALFORMED.encode())
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


sys.exit(run())
