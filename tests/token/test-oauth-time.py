# SPDX-License-Identifier: Apache-2.0
"""Tokens of OAuth servers over time: when they are asked for again, many at once, and refresh tokens that rotate."""

import json
import os
import re
import signal
import stat
import struct
import sys
import threading

from scene import MARKER, answer
from oauth_scene import R, setting
from tap import case, check, equal, run

import crowd
from fake_oauth import HOST, Refused
from registry import wait_for
from wire import Reply, Server

LIFE = 3600
BEFORE = 50  # system calls before the one that puts the new token in its place
KEPT = "kept.example.com"


class Clock:
    """The clocks of the programs of a home; see tests/tools/clock-shift.c."""

    def __init__(self, home):
        self.path = home.write("clock", "\0" * 16)
        home.env["CLOCK_SHIFT"] = self.path
        home.env["LD_PRELOAD"] += ":" + os.environ["CLOCK_SHIFT_LIBRARY"]

    def set(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("qq", seconds, seconds))


def gets(it, servers, ready=lambda: None):
    """What each of them gets at the same time."""
    done = crowd.run(it.home.helper, "get", it.home.env, servers, ready)
    equal([status for status, _, _ in done], [0] * len(servers), done)
    return [out for _, out, _ in done]


def gets_while_the_server_thinks(it, servers):
    """All have asked, or wait for who asks, before there is an answer."""
    it.oauth.gate.clear()

    def ready():
        wait_for(lambda: it.it.server.requests, "a question")
        it.oauth.gate.set()

    return gets(it, servers, ready)


@case("a hundred at once, and nothing is kept yet: one question, one answer for all")
def hundred():
    with setting() as it:
        it.exchange("basic")
        answers = gets_while_the_server_thinks(it, [R] * 100)
        equal(len(set(answers)), 1)
        equal((len(it.oauth.forms), len(it.oauth.issued)), (1, 1))


@case("doctor says whether a token came from the cache, and how long it is good")
def doctor():
    with setting() as it:
        it.oauth.members = {"expires_in": LIFE}
        it.exchange("basic")
        for said in ("and not from the cache", "from the cache"):
            done = it.home.run([it.home.pullkey, "doctor", R, "--as", "docker", "--json"])
            (caller,) = json.loads(done.stdout)["callers"]
            (step,) = [step for step in caller["steps"] if "has a secret of" in step["text"]]
            check(re.search(f"token, {said}, good until 20[0-9: -]+ UTC$", step["text"]), step)
            check(MARKER not in done.stdout + done.stderr, done.stdout)
        equal(len(it.oauth.issued), 1)


@case("erase drops what came of an identity, for that registry")
def erased():
    with setting() as it:
        it.exchange()
        it.expect()
        it.expect("other.example.com")
        it.kept()
        it.home.run([it.home.helper, "erase"], R)
        it.expect()
        it.kept("other.example.com")


@case("a token that is about to end is renewed by one, while the others are served the old one")
def renewed():
    with setting() as it:
        clock = Clock(it.home)
        it.oauth.members = {"expires_in": LIFE}
        it.use("basic", grant="client-credentials")
        it.expect()
        clock.set(LIFE - 700)
        it.kept()
        clock.set(LIFE - 500)
        it.oauth.gate.clear()
        got = []
        renewing = threading.Thread(target=lambda: got.append(it.get()))
        renewing.start()
        wait_for(lambda: len(it.oauth.forms) == 2, "the question")
        equal(it.get(), f"token:access-0-{MARKER}", "while it is asked for")
        it.oauth.gate.set()
        renewing.join()
        equal(got, [f"token:access-1-{MARKER}"])
        it.kept()


@case("a server that is away: the old token is served while it is good; one that refuses ends it")
def stale():
    with setting() as it:
        clock = Clock(it.home)
        it.oauth.members = {"expires_in": LIFE}
        it.use("basic", grant="client-credentials")
        it.expect()
        clock.set(LIFE - 500)
        it.oauth.replies = [Reply(503)] * 3
        equal(it.get(), f"token:access-0-{MARKER}")
        equal((len(it.oauth.replies), len(it.oauth.forms)), (0, 1))
        it.kept()  # for half a minute
        clock.set(LIFE - 400)
        it.oauth.replies = [answer(401, error="invalid_client")]
        it.refuse("invalid_client")
        clock.set(LIFE - 350)
        it.expect()
        clock.set(2 * LIFE)
        it.oauth.replies = [Reply(503)] * 3
        it.refuse(HOST, "503")


def content(path):
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    with open(path, encoding="ascii") as file:
        return file.read()


def names(count):
    return [f"r{number}.example.com" for number in range(count)]


@case("a refresh token that rotates: the new one is in the file, and is the one that is used; others stay untouched")
def rotation():
    with setting() as it:
        path = it.refresh_file()
        it.use("key", grant="refresh-token", refresh_token_file=path)
        for name in names(3):
            it.expect(name)
            equal(content(path), it.oauth.refresh_tokens[-1] + "\n")
        equal(len(it.oauth.refresh_tokens), 4)
        it.oauth.rotates = False
        before = os.stat(path)
        it.expect("other.example.com")
        after = os.stat(path)
        equal((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        equal(it.home.find_text(it.oauth.refresh_tokens[-1]), ["refresh"])


@case("what is kept is good while the file holds what came of the same login, whichever registry it was used for")
def family():
    with setting() as it:
        path = it.refresh_file()
        it.use("key", grant="refresh-token", refresh_token_file=path)
        for name in names(3):
            it.expect(name)
            for kept in names(3)[: int(name[1]) + 1]:
                it.kept(kept)
        # Another's, by rename and in place.
        os.rename(it.home.write("next", it.oauth.first_refresh_token() + "\n"), path)
        os.chmod(path, 0o600)
        for name in names(3):
            it.expect(name)
        for name in names(3):
            it.kept(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(it.oauth.first_refresh_token() + "\n")
        it.expect()
        it.expect("r0.example.com")
        it.kept()
        # None is no login, and what was kept of one is not given again.
        os.rename(path, path + "-away")
        it.refuse("there is no refresh token", path)
        os.rename(path + "-away", path)
        it.kept()
        it.oauth.rotates = False
        it.expect("other.example.com")
        it.kept()
        it.kept("other.example.com")


@case("many at once: for one registry it is used once; for several each uses the newest one")
def crowds():
    with setting() as it:
        path = it.refresh_file()
        it.use("post", grant="refresh-token", refresh_token_file=path)
        answers = gets_while_the_server_thinks(it, [R] * 20)
        equal((len(set(answers)), len(it.oauth.forms)), (1, 1))
        gets(it, names(12))
        equal((len(it.oauth.forms), len(it.oauth.refresh_tokens)), (13, 14))
        equal(content(path), it.oauth.refresh_tokens[-1] + "\n")


@case("invalid_grant: the file is read once more, as somebody may have put another token there")
def somebody_else():
    with setting() as it:
        path = it.refresh_file()
        it.use("key", grant="refresh-token", refresh_token_file=path)
        honest = it.oauth._refresh
        tokens = []

        def refresh(form):
            if not tokens:
                return honest(form)
            it.home.write("next", tokens.pop(0)() + "\n")
            os.chmod(os.path.join(it.home.path, "next"), 0o600)
            os.rename(os.path.join(it.home.path, "next"), path)
            form.clear()
            raise Refused("invalid_grant", "too late")

        it.oauth._refresh = refresh
        tokens[:] = [it.oauth.first_refresh_token]
        it.expect()
        equal(len(it.oauth.forms), 2)
        equal(content(path), it.oauth.refresh_tokens[-1] + "\n")
        # Once only.
        tokens[:] = [lambda: "a", lambda: "b", lambda: "c"]
        line = it.error("other.example.com")
        check("the refresh token in " + path in line and "invalid_grant" in line, line)
        equal(len(it.oauth.forms), 4)
        # Nobody has: not at all.
        tokens[:] = [lambda: "b"]
        it.error("third.example.com")
        equal((len(it.oauth.forms), content(path)), (5, "b\n"))


@case("a file that others may read, a link, none, and nonsense in it: nobody is asked")
def files():
    with setting() as it:
        path = it.refresh_file()
        it.use(grant="refresh-token", refresh_token_file=path)
        os.chmod(path, 0o640)
        it.refuse(path)
        os.chmod(path, 0o600)
        os.rename(path, path + "-there")
        it.refuse("there is no refresh token", path)
        os.symlink(path + "-there", path)
        it.refuse(path)
        os.unlink(path)
        it.refresh_file("two words")
        it.refuse("holds no refresh token")
        equal(it.oauth.forms, [])
        it.refresh_file()
        it.expect()


class Loopback:
    """The same server without names and TLS, so that the helper is one thread."""

    def __init__(self, it, server):
        self.it, self.path = it, it.refresh_file()
        it.oauth.url = f"http://127.0.0.1:{server.port}/token"
        it.use("key", grant="refresh-token", refresh_token_file=self.path, token_url=it.oauth.url)

    def run(self, server, *words):
        """One start under syscall-fault, with a refresh token that is good; it, what it got, and the report."""
        self.it.refresh_file()
        self.it.expect(KEPT)
        self.kept = self.it.get(KEPT)
        old = self.it.oauth.refresh_tokens[-1]
        self.inode = os.stat(self.path).st_ino
        report = os.path.join(self.it.home.path, "report")
        command = [os.environ["SYSCALL_FAULT"], "--report", report, *words, self.it.home.helper, "get"]
        # Leaks cannot be looked for in what is traced already.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        done = self.it.home.run(command, server, env={"ASAN_OPTIONS": sanitizer})
        lines = self.it.home.read("report").splitlines()
        return old, done, {key: int(value) for key, value in (line.split() for line in lines)}


@case("killed at each system call around the writing and after it: the old or the new one, whole; new before use")
def killed():
    with setting() as it, Server(it.oauth.handle) as server:
        loopback = Loopback(it, server)
        old, done, report = loopback.run(R, "count")
        equal((done.returncode, content(loopback.path)), (0, it.oauth.refresh_tokens[-1] + "\n"))
        # From the last call back. How many there are differs by one or two, as libcurl waits.
        seen, number = [], report["calls"] + 3
        while seen.count(False) < BEFORE:
            number -= 1
            old, done, report = loopback.run(f"r{number}.example.com", "kill", str(number))
            new = it.oauth.refresh_tokens[-1]
            text = content(loopback.path)
            check(text in (old + "\n", new + "\n"), f"call {number}: {text!r}")
            seen.append(text == new + "\n" != old + "\n")
            if report["fired"]:
                equal(done.returncode, 137, f"call {number}")
                check(not done.stdout or seen[-1], f"call {number}: used before it was kept")
            equal(it.get(KEPT), loopback.kept, f"call {number}: whose it is")
        check(seen[0], "the end is after the writing")
        it.refresh_file()
        it.expect("last.example.com")
        equal(server.objections, [])


@case("the new one cannot take the old one's place, whichever call fails: it is written over it, or nobody is asked")
def full():
    with setting() as it, Server(it.oauth.handle) as server:
        loopback = Loopback(it, server)
        for number, call in enumerate(("write", "fsync", "renameat,renameat2,rename")):
            at, unused, over, fired = 0, 0, 0, True
            while fired:
                at += 1
                asked = len(server.requests)
                old, done, report = loopback.run(f"r{number}-{at}.example.com", "fail", call, str(at), "ENOSPC")
                fired = report["fired"]
                check(MARKER not in done.stdout or done.returncode == 0, done.stdout)
                equal(content(loopback.path), it.oauth.refresh_tokens[-1] + "\n", f"{call} {at}")
                if len(server.requests) == asked + 1:  # the first one's alone
                    check("the refresh token is not used" in done.stdout, done.stdout)
                    unused += 1
                else:
                    over += os.stat(loopback.path).st_ino == loopback.inode
            check(over > 0, call)
            equal(unused > 0, number < 2, call)  # what makes room is not renamed
        # All after it fail, too.
        for at in range(1, 9):
            _, done, _ = loopback.run(f"all-{at}.example.com", "--from", "fail", "fsync", str(at), "ENOSPC")
            if "the refresh token is not used" not in done.stdout:
                break
        check(done.returncode == 1 and "the new one cannot be kept" in done.stdout, done.stdout)


@case("an answer that is refused for something else: the refresh token in it is kept, and the next get is fine")
def refused():
    with setting() as it:
        path = it.refresh_file()
        it.use(grant="refresh-token", refresh_token_file=path)
        for members in ({"token_type": "DPoP"}, {"expires_in": "abc"}, {"issued_token_type": "x" * 500}):
            it.oauth.members = members
            line = it.error(f"r{len(it.oauth.refresh_tokens)}.example.com")
            check(next(iter(members)) in line, line)
            equal(content(path), it.oauth.refresh_tokens[-1] + "\n")
        it.oauth.members = {}
        it.expect("last.example.com")


@case("interrupted while the server is asked: the refresh token that it gives is kept")
def interrupted():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        with setting() as it:
            path = it.refresh_file()
            old = content(path)
            it.use(grant="refresh-token", refresh_token_file=path)
            it.oauth.gate.clear()
            process = crowd.start(it.home.helper, "get", it.home.env)
            process.stdin.write(R)
            process.stdin.close()
            process.stdin = None
            wait_for(lambda: it.it.server.requests, "the question", 30)
            process.send_signal(number)
            it.oauth.gate.set()
            process.communicate(timeout=30)
            equal(process.returncode, -number)
            check(content(path) != old, "the old one is used up")
            equal(content(path), it.oauth.refresh_tokens[-1] + "\n")


@case("interrupted while a program is waited for: the token is not used")
def interrupted_before():
    with setting() as it:
        path = it.refresh_file()
        old = content(path)
        program = it.home.write("secret", '#!/bin/sh\nkill -INT "$PPID"\necho secret\n')
        os.chmod(program, 0o700)
        client = {"client_id": "c", "client_secret": {"command": [program]}}
        it.use(grant="refresh-token", refresh_token_file=path, **client)
        equal(it.home.run([it.home.helper, "get"], R).returncode, -signal.SIGINT)
        equal((it.oauth.forms, it.it.server.requests, content(path)), ([], [], old))


if __name__ == "__main__":
    sys.exit(run())
