# SPDX-License-Identifier: Apache-2.0
"""A helper that has read a secret leaves no core, and its own user cannot look into it."""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys
import termios
import time

import sandbox
import tap
from sandbox import SERVER, Sandbox

OTHER_USER = 4203


def as_user(user):
    """Root may look into anything, so the helper and those who look are an ordinary user."""
    if os.geteuid():
        return {}
    for directory, _, names in os.walk(user.directory):
        for name in ["", *names]:
            os.lchown(os.path.join(directory, name), OTHER_USER, OTHER_USER)
    return {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": []}


def allow_core():
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def start(box, arguments, **options):
    return subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=box.path("tmp"),
        env=box.environment(),
        preexec_fn=allow_core,
        **options,
    )


def feed(process, data):
    """Writes and waits until all was read: then it is in the memory of the process."""
    process.stdin.write(data)
    process.stdin.flush()
    deadline = time.monotonic() + sandbox.TIMEOUT
    unread = ctypes.c_int(1)
    while unread.value:
        fcntl.ioctl(process.stdin, termios.FIONREAD, unread)
        tap.check(time.monotonic() < deadline, "stdin is not read")
        tap.check(process.poll() is None, "it ended before the end of its input")
        os.sched_yield()


def waiting_helper(box, verb="store", **options):
    """A helper that has half of a request, with the secret, and waits for the rest."""
    process = start(box, [sandbox.program("docker-credential-pullkey"), verb], **options)
    text = sandbox.entry(SERVER, "alice", sandbox.secret("in memory"))
    feed(process, text[:-1].encode())
    return process


def finish(process):
    process.stdin.close()
    with process.stdout, process.stderr:
        output = process.stdout.read() + process.stderr.read()
    process.wait(sandbox.TIMEOUT)
    tap.check(not sandbox.leaks(output), "the secret was printed")


LOOK = r"""
import ctypes, os, sys
pid = int(sys.argv[1])
def attempt(name, action):
    try:
        action()
        print(name, "read")
    except OSError as problem:
        print(name, problem.errno)
def read(name, size=1):
    with open(f"/proc/{pid}/{name}", "rb", buffering=0) as data:
        data.read(size)
attempt("mem", lambda: read("mem", 0))
attempt("environ", lambda: read("environ"))
attempt("maps", lambda: read("maps"))
attempt("auxv", lambda: read("auxv"))
attempt("stack", lambda: read("syscall"))
attempt("fd", lambda: os.listdir(f"/proc/{pid}/fd"))
attempt("exe", lambda: os.readlink(f"/proc/{pid}/exe"))
def attach():
    libc = ctypes.CDLL(None, use_errno=True)
    PTRACE_ATTACH = 16
    if libc.ptrace(PTRACE_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
attempt("ptrace", attach)
"""


def look(pid, options):
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", LOOK, str(pid)],
        capture_output=True,
        text=True,
        timeout=sandbox.TIMEOUT,
        **options,
    )
    tap.equal(done.returncode, 0, done.stderr)
    return dict(line.split() for line in done.stdout.splitlines())


@tap.case("memory, environment and descriptors cannot be read by the same user")
def look_inside():
    for kind in sandbox.KINDS:
        with Sandbox(kind) as user:
            options = as_user(user)
            # The control: cat, started the same way, can be looked into.
            cat = start(user, ["cat"], **options)
            feed(cat, b"x")
            seen = look(cat.pid, options)
            cat.kill()
            finish(cat)
            tap.equal(set(seen.values()), {"read"}, f"the control, {seen}")
            process = waiting_helper(user, **options)
            try:
                seen = look(process.pid, options)
            finally:
                finish(process)
            tap.check(set(seen.values()) <= {"1", "13"}, f"{kind}: could be read: {seen}")


@tap.case("no core, whatever kills it, and no secret in a file beside it")
def core():
    with Sandbox("plain") as user:
        options = as_user(user)
        # The control: this machine writes cores.
        cat = start(user, ["cat"], **options)
        feed(cat, b"x")
        cat.send_signal(signal.SIGABRT)
        control = os.waitpid(cat.pid, 0)[1]
        cat.returncode = -signal.SIGABRT
        finish(cat)
        if not os.WCOREDUMP(control):
            tap.comment("no program leaves a core here, so only the limits are looked at")
        for name in os.listdir(user.path("tmp")):
            os.unlink(user.path("tmp", name))
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT, signal.SIGBUS):
            process = waiting_helper(user, **options)
            with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
                core_limit = [line for line in limits if line.startswith("Max core file size")]
            tap.equal(core_limit[0].split()[4:6], ["0", "0"], "limit of a core")
            process.send_signal(number)
            status = os.waitpid(process.pid, 0)[1]
            process.returncode = -number
            finish(process)
            tap.equal((os.WIFSIGNALED(status), os.WTERMSIG(status)), (True, number))
            tap.check(not os.WCOREDUMP(status), f"signal {number} left a core")
        tap.equal(os.listdir(user.path("tmp")), [], "files beside it")


@tap.case("no new privileges")
def privileges():
    with Sandbox("plain") as user:
        process = waiting_helper(user)
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        finally:
            finish(process)
        tap.equal(lines.get("NoNewPrivs"), "1")


@tap.case("no secret on the command line of anything that runs")
def command_line():
    with Sandbox("plain") as user:
        process = waiting_helper(user)
        try:
            with open(f"/proc/{process.pid}/cmdline", "rb") as data:
                line = data.read()
        finally:
            finish(process)
        tap.check(line.endswith(b"docker-credential-pullkey\0store\0"), repr(line))


@tap.case("closed descriptors 0, 1 or 2 do not let a file become the output")
def closed_descriptors():
    with Sandbox("plain") as user:
        user.store(SERVER, "alice", sandbox.secret("old"))
        before = user.files()
        helper = sandbox.program("docker-credential-pullkey")
        for closed in ("0<&-", "1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"):
            for verb in ("get", "list", "erase", "store"):
                text = SERVER if verb != "store" else "{"
                script = f'exec "$0" "$1" {closed}'
                if verb == "erase" and "0<&-" not in closed:
                    continue  # would rightly erase
                done = user.run(["sh", "-c", script, helper, verb], text, reveals=True)
                if "1>" in closed and verb != "store":
                    tap.equal(done.returncode, 1, f"{verb} {closed}")
                tap.check(user.files() == before, f"{verb} {closed} changed a file")


sys.exit(tap.run())
