# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts watch: who may read (readers, readers_policy), scrub, --overmount, and what each of
them says where the kernel or the privileges do not allow it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import namespace
import tap
from listener import need_permission_events
from namespace import mount
from registry import find_program, wait_for
from tap import check, equal
from watcher import PAGE, PROGRAM, Opener, Watcher, basic, check_ordinary, is_waiting

namespace.enter()
ROOT = os.geteuid() == 0
HERE = os.path.dirname(os.path.abspath(__file__))
SELF = os.path.realpath("/proc/self/exe")
CAT = os.path.realpath(shutil.which("cat"))


def case(name, root=True):
    """One that takes permission events is for root."""

    def mark(function):
        return tap.case(name)(function) if ROOT or not root else function

    return mark


def watch(*options, mode="on", **more):
    need_permission_events()
    return Watcher(f"--on-open={mode}", *options, **more)


def deny(*readers):
    return watch(settings={"readers_policy": "deny", "readers": [SELF, *readers]})


def cat(path, *before, program=CAT):
    return subprocess.run([*before, program, path], capture_output=True, text=True, timeout=60)


def refused(done):
    check(done.returncode != 0, "was let in")
    check("Operation not permitted" in done.stderr, done.stderr)
    equal(done.stdout, "")


def said(daemon, part):
    return [line for line in daemon.said if part in line]


@case("readers_policy deny: a program that is not listed is refused, and told of once")
def refuses():
    with deny() as daemon:
        daemon.wait_headers()
        for _ in range(3):
            refused(cat(daemon.place()))
        daemon.wait_said(f"refused: {CAT} ")
        equal(len(said(daemon, "refused")), 1)
        daemon.configure(readers=[SELF, CAT])
        wait_for(lambda: cat(daemon.place()).returncode == 0, "the new list to be read")
        check(basic("first") in cat(daemon.place()).stdout, "no header")
        equal(daemon.end(), 0)
        equal(cat(daemon.place()).returncode, 0)


@case("a program is known by its own path: not a copy of it, and links are followed")
def by_path():
    with deny("/nonexistent", CAT) as daemon:
        daemon.wait_headers()
        equal(cat(daemon.place()).returncode, 0)
        copy, link = daemon.file("cat"), daemon.file("link")
        shutil.copy(CAT, copy)
        refused(cat(daemon.place(), program=copy))
        os.symlink(copy, link)
        daemon.configure(readers=[SELF, link])
        wait_for(lambda: cat(daemon.place(), program=copy).returncode == 0, "the new list")
        equal(cat(daemon.place(), program=link).returncode, 0)
        refused(cat(daemon.place()))


@case("a * in readers is one part of a path, as long as nobody else can write there")
def any_part():
    if not ROOT:
        raise tap.Skip("/ is not the caller's in a user namespace")
    with deny() as daemon:
        daemon.wait_headers()
        old, new, deep = (daemon.file("data", name, "cat") for name in ("old", "new", "new/deep"))
        daemon.configure(readers=[SELF, daemon.file("data/*/cat")])
        for path in (old, deep, new):
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            shutil.copy(CAT, path)
        wait_for(lambda: cat(daemon.place(), program=old).returncode == 0, "the new list to be read")
        equal(cat(daemon.place(), program=new).returncode, 0)
        refused(cat(daemon.place(), program=deep))
        os.chmod(daemon.file("data"), 0o777)
        refused(cat(daemon.place(), program=new))
        os.chmod(daemon.file("data"), 0o755)
        os.chown(daemon.file("data/new"), 65534, 65534)
        refused(cat(daemon.place(), program=new))
        equal(cat(daemon.place(), program=old).returncode, 0)


@case("a program whose file was replaced by an upgrade is known by its path")
def deleted():
    shell = os.path.realpath(shutil.which("dash") or find_program("sh"))
    with deny() as daemon:
        daemon.wait_headers()
        own = daemon.file("shell")
        shutil.copy(shell, own)
        daemon.configure(readers=[SELF, own])
        script = 'read -r go; while read -r line; do echo "$line"; done <"$0"'
        words = [own, "-c", script, daemon.place()]

        def is_let_in():
            return subprocess.run(words, input="\n", capture_output=True, text=True).stdout

        wait_for(is_let_in, "the new list to be read")
        with subprocess.Popen(words, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
            os.unlink(own)
            check(os.readlink(f"/proc/{process.pid}/exe").endswith(" (deleted)"), "not deleted")
            out, err = process.communicate("\n", timeout=60)
        check(basic("first") in out, err)


@case("the same path in another mount namespace, or none that can be seen, is another program")
def namespaces():
    with deny(CAT) as daemon:
        daemon.wait_headers()
        equal(cat(daemon.place()).returncode, 0)
        refused(cat(daemon.place(), "unshare", "--mount"))
        daemon.wait_said(f"refused: {CAT} in another mount namespace")
    with watch(settings={"readers_policy": "deny", "readers": [CAT]}, start=False) as daemon:
        daemon.start(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        refused(cat(daemon.place()))
        daemon.wait_said("refused: a program that cannot be told")
        daemon.end(signal.SIGKILL)  # unshare itself heeds nothing else


@case("readers_policy log: everybody is let in, and one that is not listed is told of once")
def logs():
    with watch() as daemon:
        daemon.wait_headers()
        for _ in range(3):
            equal(cat(daemon.place()).returncode, 0)
        equal(cat(daemon.place(), "unshare", "--mount").returncode, 0)
        daemon.wait_said(f"{CAT} in another mount namespace opened")
        equal(len(said(daemon, f"{CAT} opened a rendered file")), 1)
        equal(said(daemon, "refused"), [])


@case("without CAP_SYS_PTRACE it says that readers cannot be told")
def no_ptrace():
    with watch(start=False) as daemon:
        daemon.start(["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"])
        daemon.wait_said("without CAP_SYS_PTRACE")
        daemon.wait_headers()


@case("scrub: no header at rest, one for each who opens, none after the death of the daemon")
def scrub():
    with watch(settings={"scrub": True}) as daemon:
        for _ in range(5):
            equal(daemon.header(), basic("first"))
        equal({len(daemon.read()) for _ in range(3)}, {PAGE})
        equal(daemon.runs(), 1)
        with open(daemon.place(), encoding="utf-8") as file:
            equal(daemon.header(), basic("first"))
            check(basic("first") in file.read(), "emptied while it is open")
        equal({basic("first") in Opener(daemon.place()).done() for _ in range(50)}, {True})
        openers = [Opener(daemon.place()) for _ in range(50)]
        equal({basic("first") in opener.done() for opener in openers}, {True})
        daemon.secret("second")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: daemon.runs() == 2, "the helper to be asked")
        equal(daemon.header(), basic("second"))
        daemon.end(signal.SIGKILL)
        equal(daemon.header(), None)
        equal(len(daemon.read()), PAGE)
        daemon.start()
        equal(daemon.header(), basic("second"))
        equal(daemon.end(), 0)
        equal(daemon.header(), None)


@case("scrub: who is killed with it finds a file with the header, or without, and whole")
def scrub_killed():
    with watch(settings={"scrub": True}) as daemon:
        whole = {daemon.read()}
        daemon.end(signal.SIGKILL)
        whole.add(daemon.read())
        equal(len(whole), 2)
        for number in range(60):
            daemon.start()
            opener = Opener(daemon.place())
            start = time.perf_counter()
            while time.perf_counter() - start < number / 10000:
                pass
            daemon.end(signal.SIGKILL)
            text = opener.done()
            equal(len(text), PAGE)
            check(text.replace(expiry(text), "") in {t.replace(expiry(t), "") for t in whole}, text)
            equal(daemon.header(), None)


def expiry(text):
    return next((line for line in text.splitlines() if "# pullkey:" in line), "-")


@case("scrub: when the helper does not answer, a reader gets the file without a header")
def scrub_slow():
    with watch(settings={"scrub": True, "helper_timeout": 1}, start=False) as daemon:
        daemon.flag("hold")
        daemon.start()
        equal(daemon.header(), None)
        daemon.flag("hold", False)
        wait_for(lambda: daemon.header() == basic("first"), "the header")


@case("scrub: a file that is longer than a page keeps its header")
def scrub_large():
    with watch(settings={"scrub": True}, text="# " + "x" * PAGE + "\n") as daemon:
        daemon.wait_headers()
        equal(daemon.end(), 0)
        equal(daemon.header(), basic("first"))


@case("scrub: switched on and off while it runs")
def scrub_switched():
    with watch() as daemon:
        daemon.wait_headers()
        daemon.configure(scrub=True)
        inode = os.stat(daemon.place()).st_ino
        wait_for(lambda: os.stat(daemon.place()).st_ino != inode, "the file to be replaced")
        equal(daemon.header(), basic("first"))
        daemon.configure(scrub=False)

        def stays():
            inodes = {(daemon.read(), os.stat(daemon.place()).st_ino)[1] for _ in range(2)}
            return len(inodes) == 1

        wait_for(stays, "the header to stay")
        equal(daemon.end(), 0)
        equal(daemon.header(), basic("first"))


@case("readers_policy and scrub say that they have no effect without --on-open")
def aloud():
    settings = {"readers_policy": "deny", "scrub": True}
    for options in ((), ("--on-open=off",)):
        with Watcher(*options, settings=settings) as daemon:
            daemon.wait_said('readers_policy "deny" has no effect without --on-open')
            daemon.wait_said("scrub has no effect without --on-open")
            daemon.wait_headers()
            equal(cat(daemon.place()).returncode, 0)
    with Watcher() as daemon:
        daemon.wait_headers()
        equal(daemon.said, [])
        daemon.configure(scrub=True)
        daemon.wait_said("scrub has no effect without --on-open")
        equal(daemon.metric("pullkey_hosts_on_open"), 0)


def fails(daemon, *options, before=()):
    """It does not start; what it says."""
    words = [*before, *daemon.command(*options)]
    done = subprocess.run(
        words, env=daemon.environment(), capture_output=True, text=True, timeout=60
    )
    equal(done.returncode, 1, done.stderr)
    return done.stderr


@case("without the capability: auto says so once and goes on, on does not start")
def no_capability():
    before = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    with Watcher("--on-open=auto", start=False) as daemon:
        daemon.start(before)
        daemon.wait_said("going on without --on-open: fanotify is not permitted")
        daemon.wait_headers()
        equal(len(daemon.said), 1)
        equal(daemon.status()["on_open"], False)
        daemon.end()
        check("CAP_SYS_ADMIN" in fails(daemon, "--on-open=on", before=before), "not said")
    with watch(mode="auto") as daemon:
        daemon.wait_headers()
        equal(daemon.status()["on_open"], True)
        equal(daemon.metric("pullkey_hosts_on_open"), 1)


# What without.py takes away, and what is said then.
LACKS = {
    "fanotify": "this kernel has no fanotify as of Linux 4.20",
    "permission-events": "this kernel was built without CONFIG_FANOTIFY_ACCESS_PERMISSIONS",
}
ADVICE = "; leave --on-open off, or run a kernel that has it"


@case("a kernel that lacks it: auto says so on stderr and in the log, on does not start")
def no_kernel():
    for what, reason in LACKS.items():
        before = [sys.executable, os.path.join(HERE, "without.py"), what]
        if what != "fanotify":
            need_permission_events()
        with Watcher("--on-open=auto", start=False) as daemon:
            log = daemon.file("log")
            daemon.start(before, PULLKEY_LOG=log)
            daemon.wait_said("going on without --on-open")
            daemon.wait_headers()
            message = reason + ADVICE
            equal(daemon.said, [f"going on without --on-open: {message}"])
            with open(log, encoding="utf-8") as file:
                check(f"going on without --on-open: {message}\n" in file.read(), "not in the log")
            equal(daemon.status()["on_open"], False)
            equal(daemon.metric("pullkey_hosts_on_open"), 0)
            equal(daemon.end(), 0)
            equal(
                fails(daemon, "--on-open=on", before=before),
                f"pullkey-hosts: --on-open=on: {message}\n",
            )


@case("a target that is no file system of its own: auto says so and goes on, on does not start")
def no_mount():
    with Watcher("--on-open=auto", start=False) as daemon:
        subprocess.run(["umount", daemon.target], check=True)
        os.chmod(daemon.target, 0o700)
        message = "is no file system of its own; mount a tmpfs there"
        check(message in fails(daemon, "--on-open=on"), "not said")
        place = daemon.file("place")
        os.mkdir(place, 0o700)
        mount("--bind", place, daemon.target)
        check(message in fails(daemon, "--on-open=on"), "not said")
        daemon.start()
        daemon.wait_said(f"going on without --on-open: {daemon.target} {message}")
        daemon.wait_headers()


case("an ordinary user: auto says so and goes on, on does not start", root=False)(check_ordinary)


OVER, SOURCE, TARGET = "/etc/containerd/certs.d", "/run/pullkey/source", "/run/pullkey/hosts"


class Node(Watcher):
    """A daemon in its usual places, below an /etc and a /run that are the test's own."""

    def __init__(self):
        super().__init__("--overmount", "--on-open=on", start=False)
        os.makedirs(self.file("etc"))
        for name in ("passwd", "group", "ld.so.cache"):
            shutil.copy(f"/etc/{name}", self.file("etc"))
        mount("--bind", self.file("etc"), "/etc")
        mount("-t", "tmpfs", "none", "/run")
        for place in (OVER, SOURCE, TARGET):
            os.makedirs(place)
        mount("-t", "tmpfs", "-o", "mode=0700", "none", TARGET)
        shutil.copytree(self.source, OVER, dirs_exist_ok=True)
        os.mkdir(f"{OVER}/plain.example")
        with open(f"{OVER}/plain.example/hosts.toml", "w", encoding="ascii") as file:
            file.write('server = "https://plain.example"\n')

    def __exit__(self, *rest):
        self.end()
        for place in ("/run", "/etc"):
            subprocess.run(["umount", "--recursive", "--lazy", place], check=False)
        super().__exit__(*rest)

    def command(self, *options):
        return [PROGRAM, "watch", *options]

    def place(self, name="r0.example"):
        return f"{OVER}/{name}/hosts.toml"

    def refuses(self, part, *options):
        message = fails(self, "--overmount", *options)
        check(part in message and "--overmount: " in message, message)


@case("--overmount: the headers are in the directory of the source, and links lead below it")
def overmount():
    need_permission_events()
    with Node() as node:
        with open(node.place(), "a", encoding="ascii") as file:
            file.write('[host."https://ca.example"]\nca = "ca.crt"\n')
        mount("--bind", OVER, SOURCE)
        mount("--make-private", SOURCE)
        node.start()
        node.wait_said("containerd gets no headers until the target is mounted over")
        mount("--bind", TARGET, OVER)
        node.wait_headers()
        check(f'ca = "{SOURCE}/r0.example/ca.crt"' in node.read(), node.read())
        equal(os.readlink(f"{OVER}/plain.example"), f"{SOURCE}/plain.example")
        equal(node.read("plain.example"), 'server = "https://plain.example"\n')
        node.secret("second")
        node.flag("hold")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.runs() == 2, "the helper to be asked")
        opener = Opener(node.place())
        wait_for(lambda: is_waiting(node.process), "the open to wait")
        node.flag("hold", False)
        check(basic("second") in opener.done(), "no fresh header")
        equal(node.end(), 0)
        equal(node.header(), basic("second"))
        node.start()
        equal(node.header(), basic("second"))
        equal(said(node, "until the target is mounted"), [])


@case("--overmount: what does not fit together is refused")
def misfits():
    with Node() as node:
        node.refuses(f"nothing is mounted at {SOURCE}")
        node.refuses("nothing is mounted at /nonexistent", "--source", "/nonexistent")
        node.refuses("is neither the target", "--source", "/usr")
        mount("--bind", TARGET, OVER)
        mount("--bind", OVER, SOURCE)
        node.refuses("is the target again")
        subprocess.run(["umount", SOURCE, OVER], check=True)
        for name in ("k3s", "rke2"):
            place = f"/run/var/rancher/{name}/agent/etc/containerd/certs.d"
            os.makedirs(place)
            node.refuses("belongs to k3s or RKE2", "--source", place)
            mount("--bind", place, SOURCE)
            node.refuses("belongs to k3s or RKE2")
            subprocess.run(["umount", SOURCE], check=True)
        shutil.rmtree(OVER)
        os.symlink(place, OVER)
        node.refuses("belongs to k3s or RKE2")
        os.unlink(OVER)
        node.refuses(f"there is no {OVER}")


sys.exit(tap.run())
