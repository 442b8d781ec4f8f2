# SPDX-License-Identifier: Apache-2.0
"""A target that is no place for a daemon is refused, and one that others touch, remove or mount
anew is made whole again.
"""

import os
import shutil
import subprocess
import sys

from scene import GOOD, LINKED, OTHER, scene, url

import watcher
from daemon import ROOT
from hosts import basic, table
from listener import need_permission_events
from namespace import enter, mount, unmount
from registry import wait_for
from tap import case, check, equal, run
from watcher import Watcher

enter()


def refused(it, *words, source=None, target=None, command="watch"):
    """A daemon of these directories does not start, and says why in one line."""
    done = subprocess.run(
        [it.hosts.program, command, "--source", source or it.source]
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
        for command in ("watch", "render"):
            for name in ("made", "made/it", "made/and/it", f"{GOOD}/it"):
                target = os.path.join(it.source, name)
                refused(it, "is in the source", target=target, command=command)
                equal(everything(it.source), before, f"{command}: {name}")
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


if ROOT:

    @case("a target that is mounted anew while it runs is filled again, and opens wait there too")
    def mounted_anew():
        need_permission_events()
        with Watcher("--on-open=on", helper="pullkey", registries=2) as daemon:
            daemon.wait_headers()
            unmount(daemon.target)
            mount("-t", "tmpfs", "-o", "mode=0700", "none", daemon.target)
            daemon.registry("r1.example", helper="pullkey", text="# another\n")
            wait_for(lambda: os.path.exists(daemon.place()), "the target to be filled")
            equal(daemon.header(), watcher.basic("first"))
            for number in range(5):
                daemon.login(f"password-{number}")
                equal(daemon.header(), watcher.basic(f"password-{number}"))


sys.exit(run())
