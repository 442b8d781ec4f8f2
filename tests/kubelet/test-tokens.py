# SPDX-License-Identifier: Apache-2.0
"""Credentials that expire: how long a kubelet may keep them, and many plugins that want one."""

import contextlib
import os
import re
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap
from clock import DAY
from plugin import PASSWORD, Plugin, decode, request, rule, token
from registry import wait_for

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/app"
CROWD = 50
MARGIN = 60


def instance(plugin, **options):
    calls = plugin.path("calls")
    return {"type": "fake-token", "secret": PASSWORD, "calls": calls, **options}


@contextlib.contextmanager
def exchanging(members=None, top=None, **options):
    with Plugin() as plugin:
        use = [instance(plugin, **options)]
        plugin.configure([rule(use=use, kubelet=members or {})], **(top or {}))
        yield plugin


def calls(plugin):
    return len(plugin.home.read("calls"))


def duration(plugin, **more):
    return int(plugin.answer(IMAGE, **more)["cacheDuration"].removesuffix("s"))


@tap.case("an answer is kept until a minute before its expiry, and never longer than cache_seconds")
def expiry():
    for life, most in ((3600, 300), (300, 300), (300, 7), (61, 300), (60, 300), (10, 300)):
        with exchanging({"cache_seconds": most}, life=life) as plugin:
            got, left = duration(plugin), max(life - MARGIN, 0)
            # The test may take some of it.
            tap.check(min(left, most) - min(left, 30) <= got <= min(left, most), (life, most, got))


@tap.case("so is one from the cache, whose life has become shorter")
def expiry_of_cached():
    with exchanging({"cache_seconds": 86400}, life=3600) as plugin:
        clock = Clock(plugin)
        first = duration(plugin)
        clock.set(600)
        second = duration(plugin)
        tap.equal(calls(plugin), 1)
        tap.check(3500 <= first <= 3540 and 2900 <= second <= 2940, (first, second))


class Clock:
    """Of the plugin, by tests/tools/clock-shift."""

    def __init__(self, plugin):
        self.home = plugin.home
        library = os.environ["CLOCK_SHIFT_LIBRARY"]
        plugin.env |= {"LD_PRELOAD": library, "CLOCK_SHIFT": plugin.path("clock")}
        self.set(0)

    def set(self, seconds):
        with open(os.path.join(self.home.path, "clock"), "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True) + bytes(8))


@tap.case("a clock that is a day wrong keeps nothing too long (row 26)")
def wrong_clock():
    with exchanging({"cache_seconds": 86400}, life=3600) as plugin:
        clock = Clock(plugin)
        tap.check(duration(plugin) <= 3540, "the first")
        for expected, seconds in ((2, DAY), (3, -DAY)):
            clock.set(seconds)
            tap.check(0 <= duration(plugin) <= 3540, seconds)
            tap.equal(calls(plugin), expected, f"calls at {seconds} s")


@tap.case('what is for one pod is not kept, unless "cache_type" is "Token"')
def per_pod():
    with exchanging(per_pod=True) as plugin:
        # From the backend, and from the cache.
        tap.equal([duration(plugin), duration(plugin), calls(plugin)], [0, 0, 1])
    with exchanging(top={"kubelet": {"cache_type": "Token"}}, per_pod=True) as plugin:
        tap.equal(duration(plugin), 300)


@tap.case('the token itself is passed on with "cache_type": "Token" and never kept (row 27)')
def echoed():
    own = token()
    for kind, served in (("Token", True), ("ServiceAccount", False), (None, False)):
        top = {"kubelet": {"cache_type": kind}} if kind else {}
        with exchanging(top=top, secret=own) as plugin:
            plugin.secrets.append(own)
            if served:
                answer = plugin.answer(IMAGE, serviceAccountToken=own)
                tap.equal(answer["cacheDuration"], "0s")
                tap.equal([pair["password"] for pair in answer["auth"].values()], [own])
            else:
                words = "is the service account token itself", "cacheType Token", '"cache_type"'
                plugin.fail(IMAGE, *words, serviceAccountToken=own)
            # Another one's is a password as any.
            tap.equal(duration(plugin, serviceAccountToken=token("team-b")), 300)
            tap.equal(duration(plugin), 300)


@tap.case("two service accounts, and two pods of one, never get each other's (row 20)")
def two_accounts():
    tokens = [token(), token("team-b"), token(account="other"), token(jti="of-another-pod")]
    with exchanging(echo=True, top={"kubelet": {"cache_type": "Token"}}) as plugin:
        for _ in range(2):
            for own in tokens:
                answer = plugin.answer(IMAGE, serviceAccountToken=own)
                tap.equal([pair["password"] for pair in answer["auth"].values()], [own])
                tap.equal(answer["cacheDuration"], "0s")
        tap.equal(calls(plugin), len(tokens))
        tap.equal(plugin.answer(IMAGE)["auth"][IMAGE]["password"], PASSWORD)
        note = {"example.com/role": "admin"}
        plugin.answer(IMAGE, serviceAccountToken=tokens[0], serviceAccountAnnotations=note)
        tap.equal(calls(plugin), len(tokens) + 2, "annotations choose too")


@tap.case("a failure is not kept, and is no empty answer")
def failure():
    with exchanging(fail="the exchange is down") as plugin:
        for count in (1, 2):
            plugin.fail(IMAGE, "the exchange is down")
            tap.equal(calls(plugin), count)


@tap.case("a token is kept between two runs, for its registry and path, and nobody else reads it")
def kept():
    with exchanging() as plugin:
        images = IMAGE, f"{IMAGE}:2", f"{HOST}/x", "r.example.com/a"
        for count, image in zip((1, 1, 2, 3), images, strict=True):
            plugin.answer(image)
            tap.equal(calls(plugin), count, image)
        for name in os.listdir(plugin.path("cache")):
            tap.equal(os.stat(plugin.path(f"cache/{name}")).st_mode & 0o777, 0o600, name)


def start_crowd(plugin, number):
    """All are started before the first gets its request."""
    processes = [plugin.start() for _ in range(number)]
    for process in processes:
        process.stdin.write(request(IMAGE).encode())
        process.stdin.close()
        process.stdin = None
    return processes


def check_served(plugin, processes):
    for process in processes:
        done = plugin.finish(process)
        tap.equal((done.returncode, done.stderr), (0, b""))
        tap.equal(decode(done.stdout, "v1")["auth"][IMAGE]["password"], PASSWORD)


@tap.case(f"{CROWD} plugins at once for one token that no cache has ask once")
def crowd():
    with Plugin() as plugin:
        plugin.configure([rule(use=[instance(plugin, wait=plugin.path("go"))])])
        processes = start_crowd(plugin, CROWD)
        wait_for(lambda: calls(plugin), "the first call", 30)
        plugin.home.write("go", "")
        check_served(plugin, processes)
        tap.equal(calls(plugin), 1)


@tap.case("one that is killed while it asks leaves the others, and the next, served")
def killed():
    with Plugin() as plugin:
        plugin.configure([rule(use=[instance(plugin, wait=plugin.path("go"))])])
        leader = start_crowd(plugin, 1)[0]
        wait_for(lambda: calls(plugin), "the first call", 30)
        others = start_crowd(plugin, 9)
        leader.send_signal(signal.SIGKILL)
        done = plugin.finish(leader)
        tap.equal((done.returncode, done.stdout, done.stderr), (-signal.SIGKILL, b"", b""))
        wait_for(lambda: calls(plugin) == 2, "another one's call", 30)
        plugin.home.write("go", "")
        check_served(plugin, others)
        tap.equal(calls(plugin), 2)
        tap.equal(plugin.answer(IMAGE)["auth"][IMAGE]["password"], PASSWORD)
        tap.equal(calls(plugin), 2)


def under_faults(plugin, *words):
    """The plugin under tests/tools/syscall-fault; its report as {word: number}."""
    # Beside a tracer leaks cannot be looked for.
    plugin.sanitize("detect_leaks=0")
    report = plugin.path("report")
    command = [os.environ["SYSCALL_FAULT"], "--report", report, *words, plugin.program]
    done = plugin.run(request(IMAGE), program=command[0], arguments=command[1:])
    found = re.findall(r"^(\w+) (\d+)$", plugin.home.read("report"), re.M)
    return done, {word: int(number) for word, number in found}


@tap.case("killed at each system call: nothing half is answered, and the next run is served")
def killed_anywhere():
    with exchanging() as plugin:
        done, report = under_faults(plugin, "count")
        tap.equal(done.returncode, 0, str(done.stderr))
        answers = 0
        for number in range(1, report["calls"] + 1, 3):
            shutil.rmtree(plugin.path("cache"))
            plugin.home.directory("cache")
            done, report = under_faults(plugin, "kill", str(number))
            if done.stdout:
                answers += 1
                decode(done.stdout, "v1")
            answer = plugin.answer(IMAGE)
            tap.equal(answer["auth"][IMAGE]["password"], PASSWORD, f"after call {number}")
        tap.check(answers < report["calls"], "none was killed")


@tap.case("a cache that is full, read-only, somebody else's or no directory: served all the same")
def no_cache():
    write = "write,pwrite64,writev,ftruncate,fallocate"
    for names, number in ((write, "ENOSPC"), ("openat,mkdirat,mkdir", "EROFS"), ("flock", "EIO")):
        with exchanging() as plugin:
            # Everything but what loads the program and the answer itself.
            _, before = under_faults(plugin, "fail", names, "100000", number)
            shutil.rmtree(plugin.path("cache"))
            plugin.home.directory("cache")
            tried = 0
            for position in range(1, before["matched"] + 1):
                done, _ = under_faults(plugin, "fail", names, str(position), number)
                if done.returncode == 0:
                    tried += 1
                    decode(done.stdout, "v1")
                else:
                    # The configuration, the backend and the answer, but not the cache.
                    tap.equal(done.stdout, b"", f"{names} {position}")
                    tap.check(plugin.path("cache").encode() not in done.stderr, done.stderr)
                    tap.check(done.stderr.count(b"\n") == 1, done.stderr)
                shutil.rmtree(plugin.path("cache"))
                plugin.home.directory("cache")
            tap.check(tried > 0, f"{names}: every fault was an error")
    with exchanging() as plugin:
        os.chmod(plugin.path("cache"), 0o500)
        for count, place in enumerate((plugin.path("cache"), "/dev/null/x", "/proc/none", "x"), 1):
            plugin.env["PULLKEY_CACHE_DIR"] = place
            tap.equal(duration(plugin), 300, place)
            tap.equal(calls(plugin), count, place)


sys.exit(tap.run())
