# SPDX-License-Identifier: Apache-2.0
"""Sources, helpers and clocks that are not as they should be, and a target mounted over its source: a
real containerd pulls what it could pull before, and nothing more.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from contextlib import ExitStack, contextmanager
from errno import ENOSPC
from functools import partial
from json import dumps

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from clock import DAY, Clock
from containerd import VERSIONS
from daemon import ROOT
from hanging import Hanging
from helper import Helper
from hosts import basic, table
from namespace import enter, mount, unmount
from node import named, node
from registry import Registry, wait_for
from scenario import PASSWORD, USER
from service import Gate, Recorder
from tap import CASES, check, equal, run

enter()

OVER = "/etc/containerd/certs.d"
ETC = ("passwd", "group", "nsswitch.conf", "hosts", "ld.so.cache")
MIB = 1024 * 1024
PLAIN = re.compile("400 Bad Request")
OTHER = "other.example.com"
INJECTION = 'alice"\n[host."https://evil.example"]\n[host."https://evil.example".header]\nX = "'


class Public(Recorder):
    """A registry that everybody may pull from."""

    def __init__(self, registry):
        super().__init__(registry)
        self._user = basic(*next(iter(registry.users.items())))

    def _pass_on(self, request, headers):
        kept = [pair for pair in headers if pair[0].lower() != "authorization"]
        return super()._pass_on(request, [*kept, ("Authorization", self._user)])


@contextmanager
def unharmed(version, **options):
    """A node with a managed registry and one that needs no credential. Both are pulled at the end,
    whatever was done to them, and without its credential the first is refused.
    """
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        it = stack.enter_context(node(version, registry, **options))
        public = stack.enter_context(Public(registry))
        it.public = it.reference(public.address)
        it.write(public.address, table(f"https://{public.address}"))
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.login()
        yield it
        expect_both(it)
        it.expect_refused_after_logout()
        it.expect_pulled(it.public)


def expect_both(it):
    it.expect_pulled()
    it.expect_pulled(it.public)


def directories(version):
    """They are there before the daemon starts."""
    with unharmed(version, start=False) as it:
        for number in range(10000 - len(os.listdir(it.source))):
            os.mkdir(os.path.join(it.source, f"r{number}.example.com"))
        it.hosts.start()
        equal(len(os.listdir(it.hosts.target)), 10000, "registries in the target")
        it.wait_header()


def replace(it, registry, data):
    path = it.home.write("new.toml", data)
    os.chmod(path, 0o644)
    os.makedirs(os.path.join(it.source, registry), exist_ok=True)
    os.rename(path, os.path.join(it.source, registry, "hosts.toml"))


def large(version):
    """A file of a megabyte is one; what is larger is not read, and the last one stays."""
    with unharmed(version) as it:
        it.wait_header()
        good = table(it.url, helper="pullkey")
        exact = good + "#" * (MIB - len(good) - 1) + "\n"
        replace(it, it.address, f"# large\n{good}{exact[len(good) + 8:]}")
        it.wait_published(it.address, "# large")
        it.wait_header()
        expect_both(it)
        for registry in (OTHER, it.address):
            replace(it, registry, exact + "#")
            it.hosts.wait_problem(registry, str(MIB))
            expect_both(it)


def links(version):
    """Circles of directories and of files, for others and beside the managed one."""
    with unharmed(version) as it:
        it.wait_header()
        for name, target in (("a", "b"), ("b", "a"), ("c", "."), ("d", "/nonexistent")):
            os.symlink(target.replace("b", "b.example"), os.path.join(it.source, f"{name}.example"))
        os.mkdir(os.path.join(it.source, OTHER))
        os.symlink("hosts.toml", os.path.join(it.source, OTHER, "hosts.toml"))
        for name, target in (("up", ".."), ("round", "round")):
            os.symlink(target, os.path.join(it.source, it.address, name))
        it.hosts.wait_problem(OTHER, "hosts.toml")
        expect_both(it)
        it.hosts.restart()
        it.wait_header()


def fifo(version):
    """Nobody writes into it; the daemon is asked for other things, and for a new start."""
    with unharmed(version) as it:
        it.wait_header()
        os.mkdir(os.path.join(it.source, OTHER))
        os.mkfifo(os.path.join(it.source, OTHER, "hosts.toml"))
        wait_for(lambda: it.hosts.problem(OTHER), "the daemon to say what is wrong")
        expect_both(it)
        it.expect_refused_after_logout()
        it.hosts.restart()
        it.login()
        it.wait_header()


def removed(version):
    """The source is moved away and back, then gone for long, and made anew: while there is none,
    registries are what they are without one.
    """
    with unharmed(version) as it:
        it.wait_header()
        away = it.source + ".away"
        for _ in range(2):
            os.rename(it.source, away)
            os.rename(away, it.source)
            expect_both(it)
        os.rename(it.source, away)
        wait_for(lambda: not os.listdir(it.hosts.target), "the target to be empty")
        if it.containerd.version >= (2, 0):
            it.expect_refused()
            it.expect_pulled(it.public)
        else:  # it speaks http with a registry on loopback that no file tells it about
            it.expect_refused(text=PLAIN)
        shutil.copytree(away, it.source)
        it.wait_header()
        expect_both(it)
        # It is heard of what happens there.
        it.write(it.address, "# again\n", table(it.url, helper="pullkey"), server=it.url)
        it.wait_published(it.address, "# again")
        it.wait_header()


class Scribbler(Helper):
    """It writes whatever it is told, and says that all is well."""

    scribble = None

    def answer(self, name):
        return super().answer(name) if self.scribble is None else b"0" + self.scribble


@contextmanager
def scribbled(version):
    """And a third registry, whose helper can be made to write anything."""
    with unharmed(version) as it, Scribbler() as helper, Gate(it.registry, ("alice", "a")) as gate:
        it.wait_header()
        helper.credentials[gate.address] = ("alice", "a")
        it.write(gate.address, table(f"https://{gate.address}", helper=helper.name))
        it.wait_header(f"https://{gate.address}")
        it.expect_pulled(it.reference(gate.address))
        yield it, helper, gate
        expect_both(it)
        helper.scribble = None
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(f"https://{gate.address}")
        it.expect_refused(it.reference(gate.address))


def garbage(version):
    """What the helper wrote before is used on."""
    texts = [b"\xff\xfe\0garbage\n" * 100, b"", b"null", b'{"Username":"alice"}', b"{" * 100000]
    with scribbled(version) as (it, helper, gate):
        url = f"https://{gate.address}"
        before = it.published(gate.address)
        for text in texts:
            helper.scribble = text
            check(it.hosts.wait_next_failure(url)["header"], "the header is gone")
            equal(it.published(gate.address), before, "what is published")
        it.expect_pulled(it.reference(gate.address))


def injected(version):
    """A user name that would be TOML is refused: no header has room for its colons; without them it
    is a name as others are, in base64.
    """
    with scribbled(version) as (it, helper, gate):
        url = f"https://{gate.address}"
        before = it.published(gate.address)
        helper.credentials[gate.address] = (INJECTION, "a")
        it.hosts.wait_next_failure(url)
        equal(it.published(gate.address), before, "what is published")
        it.expect_pulled(it.reference(gate.address))
        user = 'alice"] [host."evil.example"] #'
        gate.accepted = [(user, "a")]
        it.expect_refused(it.reference(gate.address))
        helper.credentials[gate.address] = (user, "a")
        it.hosts.reload()
        it.wait_published(gate.address, basic(user, "a"))
        check("evil" not in it.published(gate.address), "the name stands there as it is")
        gate.clear()
        it.expect_pulled(it.reference(gate.address))
        equal({c for c in gate.credentials() if c}, {("Basic", user, "a")}, "what it got")


def token(expiry):
    parts = ({"alg": "none"}, {"exp": expiry}, {})
    return ".".join(urlsafe_b64encode(dumps(part).encode()).decode().rstrip("=") for part in parts)


def clock(version):
    """A day forward takes the token away, until there is one of that day; and back."""
    today, tomorrow = (token(int(time.time()) + after) for after in (3600, DAY + 3600))
    with unharmed(version, start=False) as it, Helper() as helper:
        with Gate(it.registry, ("alice", today), ("alice", tomorrow)) as gate:
            clock = Clock(it.hosts)
            url, reference = f"https://{gate.address}", it.reference(gate.address)
            helper.credentials[gate.address] = ("alice", today)
            it.write(gate.address, table(url, helper=helper.name), server=url)
            it.hosts.start()
            it.wait_header(url)
            it.expect_pulled(reference)
            clock.set(DAY)
            it.hosts.reload()
            it.wait_no_header(url)
            check("Authorization" not in it.published(gate.address), "the header is still there")
            it.expect_refused(reference)
            expect_both(it)
            helper.credentials[gate.address] = ("alice", tomorrow)
            it.hosts.reload()
            it.wait_published(gate.address, basic("alice", tomorrow))
            it.expect_pulled(reference)
            for shift, secret in ((0, today), (-DAY, tomorrow), (0, today)):
                helper.credentials[gate.address] = ("alice", secret)
                clock.set(shift)
                it.hosts.reload()
                it.wait_published(gate.address, basic("alice", secret))
                it.expect_pulled(reference)
            it.wait_header()


@contextmanager
def mounted(it):
    """The source is at its usual place, below an /etc of the test's own, and bound to a second one
    for the daemon. Yields a function that mounts the target over it.
    """
    etc, real = it.home.directory("etc"), it.home.directory("real")
    for name in ETC:
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", etc)
    os.makedirs(etc + OVER.removeprefix("/etc"))
    os.makedirs(it.hosts.target, 0o700, exist_ok=True)
    with ExitStack() as stack:
        for options, place in (
            (("--bind", etc), "/etc"),
            (("--bind", it.source), OVER),
            (("--bind", OVER), real),
            (("-t", "tmpfs", "-o", "mode=0700", "none"), it.hosts.target),
        ):
            mount(*options, place)
            stack.callback(unmount, place)
        it.hosts.source = real
        it.hosts.options = ["--overmount"]
        stack.callback(it.hosts.stop)
        yield lambda: mount("--bind", it.hosts.target, OVER)


def fill(path):
    """No byte more has room beside it."""
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                equal(error.errno, ENOSPC, "the error")


@contextmanager
def rotating(version, memory=None):
    """A node whose gate takes alice's passwords, the second one too; the target is a file system of
    its own with these options of mount. Yields it with a reference, which is pulled with the first
    password. What is done to it then ends with a pull with the second alone, and a logout.
    """
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, ("alice", "first"), ("alice", "second")))
        it = stack.enter_context(node(version, registry, start=False))
        if memory is not None:
            os.makedirs(it.hosts.target, 0o700, exist_ok=True)
            mount("-t", "tmpfs", "-o", f"mode=0700,{memory}", "none", it.hosts.target)
            stack.callback(unmount, it.hosts.target)
        stack.callback(it.hosts.stop)
        url, reference = f"https://{gate.address}", it.reference(gate.address)
        it.write(gate.address, table(url, helper="pullkey"), server=url)
        it.login(gate.address, "alice", "first", "--no-verify")
        it.hosts.start()
        it.wait_header(url)
        it.expect_pulled(reference)
        yield it, gate, reference
        it.wait_published(gate.address, basic("alice", "second"))
        gate.accepted = [("alice", "second")]
        it.expect_pulled(reference)
        it.logout(gate.address)
        it.wait_no_header(url)
        it.expect_refused(reference)


@contextmanager
def filled(target):
    filler = os.path.join(target, ".fill")
    fill(filler)
    yield
    os.unlink(filler)


@contextmanager
def read_only(target):
    mount("-o", "remount,ro", target)
    yield
    mount("-o", "remount,rw", target)


def unwritable(version, made, message):
    """Nothing can be written into the target: what stands there is used on, until that is over."""
    with rotating(version, "size=256k") as (it, gate, reference):
        with made(it.hosts.target):
            it.login(gate.address, "alice", "second", "--no-verify")
            it.hosts.wait_problem(gate.address, message)
            check(basic("alice", "first") in it.published(gate.address), "the old header is gone")
            it.expect_pulled(reference)
        it.hosts.reload()


def hanging(version):
    """Whoever asks the source waits for ever: the daemon while it runs, and one that is started
    then. What was rendered is pulled all the same, and in the end that daemon goes on.
    """
    with rotating(version) as (it, gate, reference):
        with Hanging(it.source) as source:
            it.hosts.reload()
            source.wait_question()
            it.expect_pulled(reference)
            it.hosts.kill()
            it.expect_pulled(reference)
        with Hanging(it.source) as source:
            it.hosts.start(wait=False)
            source.wait_question()
            it.expect_pulled(reference)
        wait_for(it.hosts.is_ready, "the daemon to be ready")
        it.login(gate.address, "alice", "second", "--no-verify")
        it.hosts.reload()


def overmount(version):
    """containerd's config_path is where people write; the registry's CA stands beside the file."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        public = stack.enter_context(Public(registry))
        it = stack.enter_context(
            node(version, registry, start=False, trust=False, config_path=OVER)
        )
        it.public = it.reference(public.address)
        urls = {it.address: it.url, public.address: f"https://{public.address}"}
        for name, url in urls.items():
            helper = "pullkey" if name == it.address else None
            it.write(name, table(url, helper=helper, ca="own-ca.crt"), server=url)
            shutil.copy(registry.ca, os.path.join(it.source, name, "own-ca.crt"))
        it.login(it.address, USER, PASSWORD, "--ca-file", registry.ca)
        over = stack.enter_context(mounted(it))
        it.expect_refused()
        it.expect_pulled(it.public)
        it.hosts.start()
        it.wait_header()
        # Nothing is mounted over it yet.
        it.expect_refused()
        over()
        expect_both(it)
        check(f'"{it.hosts.source}/{it.address}/own-ca.crt"' in it.published(it.address), "the CA")
        it.hosts.kill()
        expect_both(it)
        it.hosts.start()
        expect_both(it)
        it.expect_refused_after_logout()
        it.login(it.address, USER, PASSWORD, "--ca-file", registry.ca)
        it.wait_header()
        expect_both(it)
        # Without what is mounted the source is there again, and what it let be pulled.
        it.hosts.stop()
        subprocess.run(["umount", OVER], check=True)
        it.expect_refused()
        it.expect_pulled(it.public)


FAULTS = [
    ("10,000 directories", directories),
    ("a file of a megabyte, and larger ones", large),
    ("links that lead in circles", links),
    ("a FIFO in the place of another registry's file", fifo),
    ("a source that goes, comes back and is made anew", removed),
    ("a helper that writes garbage", garbage),
    ("a helper whose user name is TOML", injected),
    ("a clock that jumps by a day", clock),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in FAULTS]
if ROOT:
    MOUNTED = [("--overmount", overmount), ("a source that hangs", hanging)]
    UNWRITABLE = [("full", filled, "No space left"), ("read-only", read_only, "Read-only file")]
    MOUNTED += [
        (f"a target that is {what}", partial(unwritable, made=made, message=message))
        for what, made, message in UNWRITABLE
    ]
    CASES += [(named(v, name), partial(f, v)) for v in VERSIONS for name, f in MOUNTED]

sys.exit(run())
