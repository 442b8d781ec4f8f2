# SPDX-License-Identifier: Apache-2.0
"""pullkey run is killed at each of its system calls, each of them fails, and each allocation.

Whatever happens, no credential is left behind, and the command is run with all of what it should
have or not at all.
"""

import contextlib
import glob
import json
import os
import shutil
import sys
import tempfile

import sandbox
import tap
from sandbox import Allocations, Fault, Sandbox

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registry import wait_for

SECRET = sandbox.secret("run")
IMAGE = "registry.example.com/team/app"
# Fails unless it has all of what it should have.
COMMAND = """
grep -q '"registry.example.com":{"auth":"' "$REGISTRY_AUTH_FILE" &&
    [ "$REGISTRY_AUTH_FILE" = "$DOCKER_CONFIG/config.json" ] && [ -n "$CRICTL_AUTH" ] &&
    echo complete || echo incomplete
"""
SHARED_MEMORY = "/dev/shm"


@contextlib.contextmanager
def prepared():
    """A user with a credential, and a place in memory that nobody else uses."""
    if not os.path.isdir(SHARED_MEMORY):
        raise tap.Skip(f"there is no {SHARED_MEMORY}")
    with Sandbox() as user:
        user.store("https://registry.example.com", "alice", SECRET)
        yield user


@contextlib.contextmanager
def runtime():
    directory = tempfile.mkdtemp(prefix="pullkey-faults-", dir=SHARED_MEMORY)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def left(directory):
    return glob.glob(os.path.join(directory, "pullkey", "*"))


def start(user, directory, command, via=(), env=None):
    arguments = [sandbox.program("pullkey"), "run", "--", *command, IMAGE]
    return user.run(arguments, via=via, env={"XDG_RUNTIME_DIR": directory, **(env or {})})


SHELL = ["sh", "-c", COMMAND, "sh"]
ENDLESS = ["sh", "-c", "exec tail -f /dev/null"]


def check_refused(done):
    """Nothing was run, and one line says why: pullkey itself, or what would have been the command."""
    done.returncode = 1 if done.returncode == 126 else done.returncode
    sandbox.check_refused(done, stream="stderr")
    tap.equal(done.stdout, b"", sandbox.show(done))


@tap.case("undisturbed, and the command is seen to be particular")
def control():
    with prepared() as user, runtime() as directory:
        done = start(user, directory, SHELL)
        tap.equal((done.returncode, done.stdout, done.stderr), (0, b"complete\n", b""))
        tap.equal(left(directory), [])
        tap.equal(os.listdir(directory), ["pullkey"])
        done = user.run(SHELL)
        tap.equal(done.stdout, b"incomplete\n")


def kill_everywhere(*options):
    seen = set()

    def step(number):
        with runtime() as directory:
            twin = user.copy()
            try:
                fault = Fault(twin, "kill", number, options=options)
                done = start(twin, directory, SHELL, via=fault.via)
                fired = fault.report()["fired"]
                # Once the command is started, it may find that they are gone.
                expected = (b"", b"complete\n", b"incomplete\n") if fired else (b"complete\n",)
                tap.check(done.stdout in expected, sandbox.show(done))
                tap.equal(done.returncode, 137 if fired else 0)
                wait_for(lambda: not left(directory), "what is left to be removed")
                seen.add(done.stdout)
                return bool(fired)
            finally:
                twin.remove()

    with prepared() as user:
        fired = sandbox.until_quiet(step)
    tap.check({b"", b"complete\n"} <= seen, "before and after the command's start")
    tap.comment(f"{fired} system calls")


@tap.case("killed at each system call: nothing stays, also where the command goes on without")
def killed():
    kill_everywhere()


@tap.case("killed with its whole process group at each system call: nothing stays")
def group_killed():
    kill_everywhere("--group")


@tap.case("the same where the process that removes them has come to each of its system calls only")
def keeper_killed():
    def step(number):
        with runtime() as directory:
            twin = user.copy()
            try:
                fault = Fault(twin, "kill", number, options=["--child"])
                done = start(twin, directory, ENDLESS, via=fault.via)
                tap.equal((done.returncode, done.stdout, done.stderr), (137, b"", b""))
                wait_for(lambda: not left(directory), "what is left to be removed")
                return bool(fault.report()["fired"])
            finally:
                twin.remove()

    with prepared() as user:
        fired = sandbox.until_quiet(step)
    tap.check(fired > 5, f"{fired} system calls")
    tap.comment(f"{fired} system calls")


# What may fail, and how.
FAILURES = (
    ("mkdir,mkdirat", "ENOSPC"),
    ("openat,open", "EMFILE"),
    ("fstatfs", "ENOSYS"),
    ("faccessat2,faccessat,access", "EACCES"),
    ("flock", "ENOLCK"),
    ("pipe2", "EMFILE"),
    ("socketpair", "EMFILE"),
    ("poll,ppoll", "ENOMEM"),
    ("read", "EIO"),
    ("clone,clone3,fork,vfork", "EAGAIN"),
    ("write", "ENOSPC"),
    ("getrandom", "ENOSYS"),
    ("fstat,newfstatat,stat", "EIO"),
    ("unlinkat", "EIO"),
    ("getdents64", "EIO"),
    ("rt_sigprocmask,rt_sigaction", "EPERM"),
    ("wait4", "EINTR"),
    ("rt_sigtimedwait", "EINTR"),
)


def check_end(done, directory):
    tap.equal(left(directory), [], sandbox.show(done))
    if b"error while loading shared libraries" in done.stderr:
        return  # the dynamic linker's affair, before any code of ours
    if done.returncode == 0:
        tap.equal((done.stdout, done.stderr), (b"complete\n", b""), sandbox.show(done))
    else:
        check_refused(done)


def fail_calls(user, names, error, *options):
    def step(number):
        with runtime() as directory:
            twin = user.copy()
            try:
                fault = Fault(twin, "fail", names, number, error, options=options)
                done = start(twin, directory, SHELL, via=fault.via)
                fired = fault.report()["fired"]
                check_end(done, directory)
                return bool(fired)
            finally:
                twin.remove()

    return sandbox.until_quiet(step)


@tap.case("a system call fails: nothing stays, and the command had all or one line says why not")
def failing():
    with prepared() as user:
        for names, error in FAILURES:
            tap.comment(f"{names}: {fail_calls(user, names, error)}")


@tap.case("the file cannot be written to its end")
def full():
    with prepared() as user:
        for size in (0, 1, 20):
            with runtime() as directory:
                fault = Fault(user, "fail", "write", 2, "ENOSPC", options=["--bytes", str(size)])
                done = start(user, directory, SHELL, via=fault.via)
                tap.equal(fault.report()["fired"], 1)
                check_refused(done)
                tap.equal(left(directory), [])


@tap.case("an allocation fails: the same")
def allocations():
    def step(number):
        with runtime() as directory:
            twin = user.copy()
            try:
                counter = Allocations(twin, number)
                done = start(twin, directory, ["true"], env=counter.env)
                made, failed = counter.report()
                tap.equal(left(directory), [], sandbox.show(done))
                if done.returncode != 0:
                    check_refused(done)
                return failed > 0 or made >= number
            finally:
                twin.remove()

    with prepared() as user:
        tap.comment(f"{sandbox.until_quiet(step)} allocations")


sys.exit(tap.run())
