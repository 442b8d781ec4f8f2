# SPDX-License-Identifier: Apache-2.0
"""--on-open through real containerds: their open of a hosts.toml waits for what is true now.

The target is a file system of its own, in a mount namespace that the whole test runs in. An ordinary
user cannot have that: there --on-open=auto goes on without.
"""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from daemon import ROOT
from helper import Helper
from hosts import basic, table
from listener import Listener
from namespace import enter, mount, unmount
from node import named, node
from registry import Registry, wait_for
from scenario import PASSWORD, USER, succeed
from service import Gate
from tap import CASES, check, equal, run

enter()

IMAGES = 50


@contextmanager
def opened(version, mode="on", **options):
    """A node whose daemon answers opens, with a gate that takes alice's first password."""
    with Registry({USER: PASSWORD}) as registry, Gate(registry, ("alice", "first")) as gate:
        with node(version, registry, start=False, **options) as it:
            if ROOT:
                os.makedirs(it.hosts.target, 0o700, exist_ok=True)
                mount("-t", "tmpfs", "-o", "mode=0700", "none", it.hosts.target)
            it.hosts.options = [f"--on-open={mode}"]
            try:
                yield it, gate
            finally:
                it.hosts.stop()
                if ROOT:
                    unmount(it.hosts.target)


def credentials(gate):
    return {r.credential for r in gate.requests if r.path != "/v2/"}


def rotated(version):
    """The pull right after a login has the new password: nobody waits for anything between."""
    with opened(version) as (it, gate):
        it.write(gate.address, table(f"https://{gate.address}", helper="pullkey"))
        it.login(gate.address, "alice", "first")
        it.hosts.start()
        it.expect_pulled(it.reference(gate.address))
        gate.accepted = [("alice", "second")]
        it.expect_refused(it.reference(gate.address))
        gate.clear()
        it.login(gate.address, "alice", "second")
        it.expect_pulled(it.reference(gate.address))
        equal(credentials(gate), {("Basic", "alice", "second")}, "what the registry got")
        it.logout(gate.address)
        it.expect_refused(it.reference(gate.address))


def killed(version):
    """The daemon dies while containerd waits in an open: it reads the last good file."""
    with Helper() as helper, opened(version, containerd={"helper_timeout": 30}) as (it, gate):
        url = f"https://{gate.address}"
        helper.credentials[gate.address] = ("alice", "first")
        it.write(gate.address, table(url, helper=helper.name))
        it.hosts.start()
        it.wait_header(url)
        helper.hold()
        it.hosts.reload()
        wait_for(lambda: len(helper.runs) > 1, "the helper to be asked again")
        it.containerd.forget()
        results = []
        reference = it.reference(gate.address)
        pull = threading.Thread(target=lambda: results.append(it.containerd.crictl_pull(reference)))
        pull.start()
        wait_for(lambda: opens(it.containerd), "containerd to wait in its open")
        it.hosts.kill()
        pull.join(60)
        check(results and results[0].returncode == 0, f"the pull: {results}")
        equal(credentials(gate), {("Basic", "alice", "first")}, "what the registry got")
        helper.let_go()
        helper.credentials.clear()
        it.hosts.start()
        it.hosts.reload()
        it.wait_no_header(url)
        it.expect_refused(reference)


def opens(containerd):
    """So many threads of it are held by the kernel until somebody answers their open."""
    directory = f"/proc/{containerd.process_id}/task"
    count = 0
    for thread in os.listdir(directory):
        try:
            with open(f"{directory}/{thread}/wchan", encoding="ascii") as file:
                count += "fanotify" in file.read()
        except OSError:
            pass
    return count


def scrubbed(version):
    """No header is in a file but while it is read, and pulls go on."""
    with opened(version, containerd={"scrub": True}) as (it, gate):
        it.write(gate.address, table(f"https://{gate.address}", helper="pullkey"))
        it.login(gate.address, "alice", "first")
        it.hosts.start()
        it.expect_pulled(it.reference(gate.address))
        secret = basic("alice", "first").removeprefix("Basic ")
        it.hosts.stop()
        equal(it.home.find_text(secret), [], "files that hold the header at rest")
        it.expect_refused(it.reference(gate.address))
        it.hosts.start()
        it.expect_pulled(it.reference(gate.address))
        it.logout(gate.address)
        it.expect_refused(it.reference(gate.address))


def readers(version):
    """Who is not listed cannot read, and containerd, which is, pulls."""
    with opened(version) as (it, gate):
        listed = [os.path.realpath(it.containerd.program), os.path.realpath(it.containerd.ctr_program)]
        it.hosts.configure({"readers_policy": "deny", "readers": listed})
        it.write(gate.address, table(f"https://{gate.address}", helper="pullkey"))
        it.login(gate.address, "alice", "first")
        it.hosts.start()
        it.expect_pulled(it.reference(gate.address))
        path = os.path.join(it.hosts.target, gate.address, "hosts.toml")
        result = subprocess.run(["cat", path], capture_output=True, text=True)
        check(result.returncode != 0 and "not permitted" in result.stderr, result)
        it.hosts.stop()
        secret = basic("alice", "first").removeprefix("Basic ")
        check(it.home.find_text(secret), "the header is not found without scrub")
        it.hosts.start()
        it.logout(gate.address)
        it.expect_refused(it.reference(gate.address))


def listened(version):
    """Somebody else is asked for the same opens, and answers at once, or late."""
    with opened(version) as (it, gate):
        it.write(gate.address, table(f"https://{gate.address}", helper="pullkey"))
        it.login(gate.address, "alice", "first")
        it.hosts.start()
        reference = it.reference(gate.address)
        other = Listener(it.hosts.target)
        try:
            it.expect_pulled(reference)
            check(other.count >= 2, "the other listener heard nothing")
            for number, is_late in enumerate((False, True)):
                gate.accepted = [("alice", f"password {number}")]
                it.expect_refused(reference)
                gate.clear()
                it.login(gate.address, *gate.accepted[0])
                if is_late:
                    pull_late(it, reference, other)
                else:
                    it.expect_pulled(reference)
                equal(credentials(gate), {("Basic", *gate.accepted[0])}, "what the registry got")
            it.logout(gate.address)
            it.expect_refused(reference)
        finally:
            other.close()
            it.hosts.stop()


def pull_late(it, reference, other):
    """A pull whose open the other listener holds until it has been seen to be held."""
    it.containerd.forget()
    ours = it.containerd.process_id
    other.heed = lambda pid: pid != ours
    results = []
    pull = threading.Thread(target=lambda: results.append(it.containerd.crictl_pull(reference)))
    pull.start()
    wait_for(lambda: other.kept, "the other listener to hold containerd")
    check(not results, "the pull did not wait")
    other.heed = lambda pid: True
    pull.join(60)
    succeed(results[0], "the pull")
    equal(it.containerd.images()["crictl"], {reference: it.image.manifest}, "the images")


def crowd(version):
    """Many pulls open a file while its helper is asked and afterwards: it is asked once for all."""
    with (
        Helper() as helper,
        opened(version, containerd={"helper_timeout": 60}) as (it, gate),
    ):
        helper.credentials[gate.address] = ("alice", "first")
        it.write(gate.address, table(gate.url, helper=helper.name), server=gate.url)
        it.hosts.start()
        it.wait_header(gate.url)
        images = it.push_more(IMAGES, gate.address)
        gate.accepted = [("alice", "second")]
        gate.clear()
        helper.credentials[gate.address] = ("alice", "second")
        helper.hold()
        it.hosts.reload()
        helper.wait_held()

        def let_go():
            wait_for(lambda: opens(it.containerd) > 1, "pulls to wait in their opens")
            helper.let_go()

        it.expect_all_pulled(images, meanwhile=let_go)
        equal(credentials(gate), {("Basic", "alice", "second")}, "what the registry got")
        equal(len(helper.runs), 2, "runs of the helper")
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(gate.url)
        it.expect_refused(next(iter(images)))


def unprivileged(version):
    """auto says why it cannot, once, and pulls go on; on refuses to start."""
    with opened(version, "auto") as (it, gate):
        it.write(gate.address, table(f"https://{gate.address}", helper="pullkey"))
        it.login(gate.address, "alice", "first")
        it.hosts.start()
        it.wait_header(f"https://{gate.address}")
        it.expect_pulled(it.reference(gate.address))
        check("on-open" in it.hosts.output(), it.hosts.output())
        it.logout(gate.address)
        it.wait_no_header(f"https://{gate.address}")
        it.expect_refused(it.reference(gate.address))


if ROOT:
    NAMES = [("a password that changes, and the pull right after it", rotated)]
    NAMES += [("the daemon is killed during an open", killed)]
    NAMES += [("a second listener, at once and late", listened)]
    NAMES += [(f"{IMAGES} pulls at once", crowd)]
    NAMES += [("scrub", scrubbed), ("readers_policy deny", readers)]
    CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]
else:
    CASES += [(named(VERSIONS[0], "--on-open=auto"), partial(unprivileged, VERSIONS[0]))]

sys.exit(run())
