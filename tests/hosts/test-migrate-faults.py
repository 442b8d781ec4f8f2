# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate --write` that is killed, or that cannot write.

Whatever the moment: each file is the old or the new one, no credential is lost, containerd could
start with what is there, and the next run ends where an undisturbed one would have.
"""

import concurrent.futures
import errno
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from live import case_of_root
from node import BASIC, CERTS, CONFIG, CRI, MARKER
from tap import Skip, case, check, comment, equal, run
from template import FORMS, HAS_YAML, K3S, KEY, STORE, Template

TOOL = os.environ["SYSCALL_FAULT"]
HEADER = CERTS + "/registry.corp.example/hosts.toml"

FILES = {
    HEADER: '[host."https://registry.corp.example"]\n'
    f'[host."https://registry.corp.example".header]\nauthorization = "Basic {BASIC}"\n',
    CONFIG: f"""version = 2
[{CRI}.registry.mirrors."docker.io"]
  endpoint = ["https://cache.corp.example"]
[{CRI}.registry.configs."cache.corp.example".auth]
  username = "cache"
  password = "{MARKER}-cache"
""",
    K3S: f"""configs:
  rancher.corp.example:
    auth:
      username: k3s
      password: {MARKER}-k3s
""",
}
if not HAS_YAML:
    del FILES[K3S]

# server: (credential, the file that has it at first)
CREDENTIALS = {
    "registry.corp.example": (("puller", MARKER), HEADER),
    "cache.corp.example": (("cache", MARKER + "-cache"), CONFIG),
    "rancher.corp.example": (("k3s", MARKER + "-k3s"), K3S),
}


def without_store(files):
    return {inner: data for inner, data in files.items() if inner not in (STORE, KEY)}


def undisturbed():
    with Template(FILES) as tree:
        tree.migrate("--write")
        tree.check_clean()
        return without_store(tree.files())


AFTER = undisturbed()


def check_between(tree):
    """What containerd and the next run find."""
    files = tree.files()
    for inner, text in FILES.items():
        check(files.get(inner) in (text.encode(), AFTER[inner]), f"{inner} is neither old nor new")
    for inner, data in files.items():
        old = FILES.get(inner, "").encode()
        check(data == old or not any(form in data for form in FORMS), f"a secret is in {inner}")
    if files[CONFIG] == AFTER[CONFIG]:
        for inner in AFTER:
            if inner.startswith(CERTS) and inner not in FILES:
                equal(files.get(inner), AFTER[inner], "config.toml is new, " + inner)
    # A directory without its file would hide others.
    for name in os.listdir(tree.path(CERTS)):
        if not name.startswith("."):
            check(os.path.exists(tree.path(f"{CERTS}/{name}/hosts.toml")), f"{name} is empty")
    for server, (credential, inner) in CREDENTIALS.items():
        if inner in FILES and files[inner] != FILES[inner].encode():
            equal(tree.get(server), credential, f"the credential of {server}")


def check_next(tree):
    tree.migrate("--write")
    equal(without_store(tree.files()), AFTER, "after the next run")
    for server, (credential, inner) in CREDENTIALS.items():
        if inner in FILES:
            equal(tree.get(server), credential, server)
    equal(tree.report()["files"], [], "nothing is left to do")


class Fault:
    def __init__(self, *arguments, options=()):
        descriptor, self.file = tempfile.mkstemp(prefix="pullkey-fault-")
        os.close(descriptor)
        self.via = [TOOL, "--report", self.file, *options, *map(str, arguments)]

    def fired(self):
        with open(self.file, encoding="ascii") as lines:
            found = dict(line.split()[:2] for line in lines)
        os.unlink(self.file)
        return found["fired"] == "1"


def every_step(step):
    """step(1), step(2), ... until one says that its fault was not reached."""
    first = 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while True:
            if not all(pool.map(step, range(first, first + 16))):
                return
            first += 16


@case("killed at every system call")
def killed():
    seen = {"old": 0, "new": 0, "between": 0}

    def step(number):
        with Template(FILES) as tree:
            fault = Fault("kill", number)
            done = tree.migrate_via(fault.via, "--write")
            fired = fault.fired()
            equal(done.returncode, 137 if fired else 0, done.stderr)
            check_between(tree)
            now = [tree.files()[inner] == FILES[inner].encode() for inner in FILES]
            seen["old" if all(now) else "between" if any(now) else "new"] += 1
            check_next(tree)
            return fired

    every_step(step)
    comment(f"{seen}")
    check(all(seen.values()), "all states were seen")


WRITES = "write,pwrite64,ftruncate"
CHANGES = "fsync,rename,renameat,renameat2,mkdir,mkdirat,fchmod,chmod"


def failing(names, error, **options):
    count = 0

    def step(number):
        nonlocal count
        with Template(FILES) as tree:
            fault = Fault("fail", names, number, error, **options)
            done = tree.migrate_via(fault.via, "--write")
            fired = fault.fired()
            count += fired
            if not fired:
                equal(done.returncode, 0, done.stderr)
            elif names != WRITES:
                equal(done.returncode, 1, f"{number}: {done.stderr}")
                check(done.stderr.count(b"\n") == 1, done.stderr)
            check_between(tree)
            check_next(tree)
            return fired

    every_step(step)
    check(count > 3, f"only {count} calls")


for error_name, from_here in (("ENOSPC", ()), ("ENOSPC", ("--from",)), ("EIO", ())):

    @case(f"{error_name} at every write {' '.join(from_here)}")
    def writes(error=error_name, options=from_here):
        failing(WRITES, error, options=options)

    @case(f"{error_name} at every other change of a file {' '.join(from_here)}")
    def changes(error=error_name, options=from_here):
        failing(CHANGES, error, options=options)


@case("what another process makes meanwhile is said, with what to do")
def meanwhile():
    count = 0

    def step(number):
        nonlocal count
        with Template(FILES) as tree:
            fault = Fault("fail", "renameat2", number, errno.EEXIST)
            done = tree.migrate_via(fault.via, "--write")
            fired = fault.fired()
            # The store has a call of its own, which its key begins with.
            if fired and b"store.key" not in done.stderr:
                count += 1
                equal(done.returncode, 1, done.stderr)
                check(b"run this again" in done.stderr, done.stderr)
            check_next(tree)
            return fired

    every_step(step)
    check(count > 0, "no call")


@case("of several runs at once each ends well or says to run it again")
def at_once():
    for _ in range(8):
        with Template(FILES) as tree, concurrent.futures.ThreadPoolExecutor(6) as pool:
            for done in pool.map(lambda _: tree.migrate_via([], "--write"), range(6)):
                said = done.stderr + done.stdout
                check(done.returncode == 0 or b"run this again" in said, said)
            check_next(tree)


@case_of_root("a tree that cannot be written to is left as it is")
def read_only():
    with Template(FILES) as tree:
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        done = tree.migrate_via(["unshare", "-m", "sh", "-c", script, "sh", tree.root], "--write")
        if b"unshare" in done.stderr or b"mount:" in done.stderr:
            raise Skip("no mounts here")
        equal(done.returncode, 1, done.stderr)
        check(b"Read-only" in done.stderr, done.stderr)
        equal(tree.files(), {inner: text.encode() for inner, text in FILES.items()}, "the files")


sys.exit(run())
