# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts watch --on-open: what a reader finds, and for how long it waits."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import namespace
import tap
from listener import Listener, need_permission_events
from namespace import mount
from registry import wait_for
from tap import case, check, equal
from watcher import PAGE, Opener, Watcher, basic, check_ordinary, is_waiting

namespace.enter()
KILLS = int(os.environ.get("OPEN_KILLS", "300"))
TIMEOUT = 2  # of a helper in these tests
GENERATIONS = "".join(f"# generation %d {line}\n" for line in range(60))


def watch(*options, **more):
    need_permission_events()
    return Watcher("--on-open=on", *options, **more)


def renew(daemon, secret, hold=False):
    """The helper is asked anew, and answers something else."""
    runs = daemon.runs()
    daemon.flag("hold", hold)
    daemon.secret(secret)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.runs() > runs, "the helper to be asked")


def seconds(function):
    start = time.monotonic()
    result = function()
    return result, time.monotonic() - start


@case("a password that was stored a moment ago is in the file that is opened now")
def stored():
    with watch(helper="pullkey") as daemon:
        daemon.wait_headers()
        for number in range(20):
            daemon.login(f"password-{number}")
            equal(daemon.header(), basic(f"password-{number}"))
            equal(len(daemon.read()), PAGE)
        equal(daemon.status()["open_timeouts"], 0)


@case("a source that was changed a moment ago is what is opened now, also by rename of a directory")
def source():
    with watch(text=GENERATIONS % ((0,) * 60)) as daemon:
        daemon.wait_headers()
        for number in range(20):
            daemon.registry("r0.example", text=GENERATIONS % ((number,) * 60))
            check(f"# generation {number} 59\n" in daemon.read(), "the old text")
        equal(daemon.runs(), 1)


@case("the first open after the start waits for the first answer")
def first():
    with watch(start=False) as daemon:
        daemon.flag("hold")
        daemon.start()
        opener = Opener(daemon.place())
        wait_for(lambda: is_waiting(daemon.process), "the open to wait")
        daemon.flag("hold", False)
        check(basic("first") in opener.done(), "no header")
        equal(daemon.status()["open_timeouts"], 0)


@case("a helper that is slow: the current file after helper_timeout, counted; the new one later")
def slow():
    with watch(registries=2) as daemon:
        daemon.wait_headers()
        renew(daemon, "second", hold=True)
        inode = os.stat(daemon.place()).st_ino
        text, waited = seconds(lambda: Opener(daemon.place()).done())
        check(basic("first") in text, text)
        check(TIMEOUT - 0.2 <= waited < TIMEOUT + 5, f"{waited} s")
        name = "pullkey_hosts_open_timeouts_total"
        wait_for(lambda: daemon.metric(name) == 1, "the timeout to be counted")
        equal(daemon.metric(name, 'host="https://r0.example"'), 1)
        equal(daemon.metric(name, 'host="https://r1.example"'), 0)
        equal(daemon.status()["open_timeouts"], 1)
        renew(daemon, "third")
        wait_for(lambda: os.stat(daemon.place()).st_ino != inode, "the file to be replaced")
        equal(daemon.header(), basic("third"))


@case("a renewal that fails delays nobody while the old header is good")
def failing():
    with watch(settings={"helper_timeout": 30}) as daemon:
        daemon.wait_headers()
        daemon.flag("fail")
        renew(daemon, "second")
        wait_for(lambda: daemon.status()["entries"][0]["hosts"][0]["failures"], "the failure")
        count = daemon.status()["open_timeouts"]
        for _ in range(20):
            equal(daemon.header(), basic("first"))
        equal(daemon.status()["open_timeouts"], count)


@case("killed while an open waits: the reader gets the last good file")
def killed():
    for stop in (False, True):
        with watch() as daemon:
            daemon.wait_headers()
            renew(daemon, "second", hold=True)
            opener = Opener(daemon.place())
            wait_for(lambda d=daemon: is_waiting(d.process), "the open to wait")
            if stop:
                daemon.process.send_signal(signal.SIGSTOP)
            daemon.end(signal.SIGKILL)
            check(basic("first") in opener.done(), "not the last good file")
            equal(daemon.header(), basic("first"))


@case("ended while an open waits: the reader gets the last good file, and the next one too")
def ended():
    with watch() as daemon:
        daemon.wait_headers()
        renew(daemon, "second", hold=True)
        opener = Opener(daemon.place())
        wait_for(lambda: is_waiting(daemon.process), "the open to wait")
        equal(daemon.end(), 0)
        check(basic("first") in opener.done(), "not the last good file")
        equal(daemon.header(), basic("first"))


def generation_of(text):
    """A text is of one generation, or torn."""
    equal(len(text), PAGE)
    found = {line.split()[2] for line in text.splitlines() if line.startswith("# generation")}
    equal(len(found), 1, "generations in one text")
    return int(found.pop())


@case(f"killed {KILLS} times while a file is written over: no reader ever finds a mix")
def torn():
    chance = random.Random(1)
    fresh = 0
    with watch(text=GENERATIONS % ((0,) * 60)) as daemon:
        daemon.wait_headers()
        daemon.end(signal.SIGKILL)
        for number in range(1, KILLS + 1):
            daemon.start()
            daemon.registry("r0.example", text=GENERATIONS % ((number,) * 60))
            openers = [Opener(daemon.place()) for _ in range(2)]
            start, wait = time.perf_counter(), chance.random() * 0.004
            while time.perf_counter() - start < wait:
                pass
            daemon.end(signal.SIGKILL)
            for opener in openers:
                fresh += generation_of(opener.done()) == number
            generation_of(daemon.read())
    tap.comment(f"{fresh} of {2 * KILLS} readers were served before the end")
    check(fresh > KILLS // 10, "hardly anybody was served: nothing was tried")


@case("readers without end while generations change: no reader ever finds a mix, or an older one")
def crowd():
    with watch(text=GENERATIONS % ((0,) * 60)) as daemon:
        daemon.wait_headers()
        written, ended, problems = [0], threading.Event(), []

        def read():
            while not ended.is_set():
                least = written[0]
                try:
                    found = generation_of(daemon.read())
                    check(found >= least, f"{found} after {least} was written")
                except (AssertionError, OSError) as error:
                    problems.append(error)
                    return

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for number in range(1, 101):
            daemon.registry("r0.example", text=GENERATIONS % ((number,) * 60))
            written[0] = number
            generation_of(daemon.read())
        ended.set()
        for reader in readers:
            reader.join()
        equal(problems, [])
        equal(daemon.status()["open_timeouts"], 0)


@case("a file that is longer than a page is never written over: the new one is for the next open")
def large():
    long = "# " + "x" * PAGE + "\n"
    with watch(text=long) as daemon:
        daemon.wait_headers()
        with open(daemon.place(), encoding="utf-8") as before:
            for number in range(10):
                old = daemon.read()
                daemon.registry("r0.example", text=f"{long}# {number}\n")
                equal(daemon.read(), old)
                check(daemon.read().endswith(f"# {number}\n"), "not the new one")
            check("# 0" not in before.read(), "written over")
        equal(daemon.status()["open_timeouts"], 0)


@case("a source that cannot be read any more: what was rendered of it still gets fresh headers")
def kept():
    with watch() as daemon:
        daemon.wait_headers()
        daemon.write("source/r0.example/hosts.toml", "[broken", 0o644)
        wait_for(lambda: daemon.status()["entries"][0]["problem"], "the problem")
        for secret in ("second", "a much longer third one"):
            renew(daemon, secret, hold=True)
            opener = Opener(daemon.place())
            wait_for(lambda: is_waiting(daemon.process), "the open to wait")
            daemon.flag("hold", False)
            text = opener.done()
            check(basic(secret) in text, text)
            equal(len(text), PAGE)


@case("fifty opens at one time wait for one run of the helper")
def parallel():
    with watch() as daemon:
        daemon.wait_headers()
        renew(daemon, "second", hold=True)
        openers = [Opener(daemon.place()) for _ in range(50)]
        wait_for(lambda: is_waiting(daemon.process, 50), "all of them to wait")
        daemon.flag("hold", False)
        equal({basic("second") in opener.done() for opener in openers}, {True})
        equal(daemon.runs(), 2)
        equal(daemon.status()["open_timeouts"], 0)


@case("more opens than can wait: those get the current file at once")
def many():
    with watch() as daemon:
        daemon.wait_headers()
        renew(daemon, "second", hold=True)
        count = 300
        openers = [Opener(daemon.place()) for _ in range(count)]
        texts = [opener.done() for opener in openers]
        equal({basic("first") in text for text in texts}, {True})
        wait_for(lambda: daemon.status()["open_timeouts"] == count, "the timeouts to be counted")


@case("what somebody waits for is asked for before others")
def order():
    with watch(registries=40, start=False) as daemon:
        daemon.flag("hold")
        daemon.configure(helper_timeout=20)
        daemon.start()
        wait_for(lambda: daemon.runs() == 8, "eight helpers to run")
        with open(daemon.file("fake/runs"), encoding="utf-8") as file:
            asked = set(file.read().split())
        last = next(name for name in reversed(daemon.names) if name not in asked)
        opener = Opener(daemon.place(last))
        wait_for(lambda: is_waiting(daemon.process), "the open to wait")
        daemon.flag("hold", False)
        check(basic("first") in opener.done(), "no header")
        daemon.wait_headers()
        with open(daemon.file("fake/runs"), encoding="utf-8") as file:
            place = file.read().split().index(last)
        check(place < 8 + 8, f"asked for as number {place}")


@case("whoever has the old file open keeps it whole; the next one waits until it is closed")
def reading():
    with watch(settings={"helper_timeout": 30}) as daemon:
        daemon.wait_headers()
        inode = os.stat(daemon.place()).st_ino
        with open(daemon.place(), encoding="utf-8") as before:
            renew(daemon, "second", hold=True)
            opener = Opener(daemon.place())
            wait_for(lambda: is_waiting(daemon.process), "the open to wait")
            daemon.flag("hold", False)
            # By rename: whoever comes now finds the new one.
            wait_for(lambda: os.stat(daemon.place()).st_ino != inode, "the new file")
            check(opener.is_alive(), "not waited for the reader")
            check(basic("first") in before.read(), "written over under a reader")
        check(basic("second") in opener.done(), "not the new one")
        equal(daemon.status()["open_timeouts"], 0)


@case("a reader that keeps a file open is forgotten after five seconds")
def forgotten():
    with watch(settings={"helper_timeout": 30}) as daemon:
        daemon.wait_headers()
        start = time.monotonic()
        with open(daemon.place(), encoding="utf-8"):
            renew(daemon, "second", hold=True)
            opener = Opener(daemon.place())
            wait_for(lambda: is_waiting(daemon.process), "the open to wait")
            daemon.flag("hold", False)
            check(basic("second") in opener.done(), "not the new one")
        waited = time.monotonic() - start
        check(4.9 <= waited < 15, f"{waited} s")


@case("directories are opened without waiting, and so is what is no rendered file")
def directories():
    with watch(settings={"helper_timeout": 30}) as daemon:
        daemon.wait_headers()
        renew(daemon, "second", hold=True)
        _, waited = seconds(lambda: os.listdir(os.path.join(daemon.target, "r0.example")))
        os.close(os.open(daemon.target, os.O_RDONLY | os.O_DIRECTORY))
        path = os.path.join(daemon.target, ".other")
        with open(path, "w", encoding="ascii") as file:
            file.write("x")
        with open(path, encoding="ascii") as file:
            equal(file.read(), "x")
        check(waited < 10, f"{waited} s")


@case("an open through a bind mount elsewhere waits too, also where that is read-only")
def bound():
    with watch() as daemon:
        daemon.wait_headers()
        for number, options in enumerate(("bind", "bind,ro")):
            place = daemon.file(f"elsewhere{number}")
            os.mkdir(place)
            mount("--bind", daemon.target, place)
            mount("-o", f"remount,{options}", place)
            try:
                renew(daemon, f"secret-{number}", hold=True)
                opener = Opener(os.path.join(place, "r0.example", "hosts.toml"))
                wait_for(lambda: is_waiting(daemon.process), "the open to wait")
                daemon.flag("hold", False)
                check(basic(f"secret-{number}") in opener.done(), options)
            finally:
                # Until the daemon has heard of the close.
                wait_for(lambda p=place: not subprocess.run(["umount", p]).returncode, "umount")


@case("beside another listener on the same file system headers are as fresh")
def listener():
    with watch() as daemon:
        daemon.wait_headers()
        other = Listener(daemon.target)
        try:
            for number in range(5):
                renew(daemon, f"secret-{number}")
                equal(daemon.header(), basic(f"secret-{number}"))
            check(other.count >= 10, "the listener heard nothing")
        finally:
            other.close()


def pings(daemon, wait):
    """How many WATCHDOG=1 arrive in that time."""
    deadline, count = time.monotonic() + wait, 0
    while (left := deadline - time.monotonic()) > 0:
        daemon.listener.settimeout(left)
        try:
            count += b"WATCHDOG=1" in daemon.listener.recv(65536)
        except TimeoutError:
            break
    daemon.listener.settimeout(60)
    return count


@case("the watchdog hears of both threads: of none where the main one is stuck")
def watchdog():
    with watch(start=False) as daemon:
        daemon.start(WATCHDOG_USEC="400000")
        daemon.wait_headers()
        wait_for(lambda: pings(daemon, 1) > 0, "a ping")
        # The daemon's own opens are not answered: its main thread waits for this test.
        other = Listener(daemon.target, heed=lambda pid: pid != daemon.process.pid)
        try:
            daemon.secret("second")
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: other.kept, "the daemon to wait")
            wait_for(lambda: pings(daemon, 0.5) == 0, "the pings to end")
            equal(pings(daemon, 2), 0)
            # Readers are let in in the meantime.
            text, waited = seconds(lambda: Opener(daemon.place()).done())
            check(basic("first") in text, "not the current file")
            check(waited < TIMEOUT + 5, f"{waited} s")
        finally:
            other.close()
        wait_for(lambda: pings(daemon, 1) > 0, "a ping again")
        wait_for(lambda: daemon.header() == basic("second"), "the new header")


if os.geteuid() != 0:
    tap.CASES[:] = []
    case("an ordinary user: auto says so and goes on, on does not start")(check_ordinary)
sys.exit(tap.run())
