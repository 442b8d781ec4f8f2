# SPDX-License-Identifier: Apache-2.0
"""Group F: many at once, killed in the middle, and what a process may show of a secret."""

import fcntl
import os
import pty
import random
import resource
import signal
import subprocess
import termios
import time

from tap import Difference, case, comment
from target import (
    TIMEOUT,
    check,
    line_fault,
    locked_list_fault,
    pipe_is_empty,
    refusal_fault,
    shorten,
    spellings,
    wait_until,
)

PARALLEL = 20


def finish_all(target, started):
    """started: (what, process, data). Feeds all first, so that they really run together."""
    for _, process, data in started:
        process.stdin.write(data)
        process.stdin.close()
        process.stdin = None
    return [(what, target.finish(process, what)) for what, process, _ in started]


def all_silent(results):
    for what, result in results:
        if (result.code, result.out, result.err) != (0, b"", b""):
            raise Difference(what, "exit 0 and no output", result)


@case("F1 20 parallel get")
def parallel_get(target):
    target.store("f1.test")
    expected = target.hit("f1.test").out
    started = [("parallel get", target.start("get"), b"f1.test") for _ in range(PARALLEL)]
    for what, result in finish_all(target, started):
        if result.code != 0 or result.out != expected or result.err:
            raise Difference(what, "the credential", result)


@case("F2 20 parallel store of one key: all succeed, one whole value wins")
def parallel_same_key(target):
    values = [f"secret of writer {number}" for number in range(PARALLEL)]
    payloads = [target.payload("f2.test", f"user{i}", values[i]) for i in range(PARALLEL)]
    started = [("parallel store", target.start("store"), payload) for payload in payloads]
    all_silent(finish_all(target, started))
    entries = target.listing()
    check(list(entries) == ["f2.test"], f"list after parallel stores: {entries}")
    winner = entries["f2.test"]
    target.hit("f2.test", winner, values[int(winner.removeprefix("user"))])


@case("F3 parallel store of different keys: none is lost; parallel erase neither")
def parallel_different_keys(target):
    servers = [f"f3-{number}.test" for number in range(2 * PARALLEL)]
    started = [("parallel store", target.start("store"), target.payload(s)) for s in servers]
    all_silent(finish_all(target, started))
    target.lists({server: "user" for server in servers})
    gone, kept = servers[:PARALLEL], servers[PARALLEL:]
    started = [("parallel erase", target.start("erase"), s.encode()) for s in gone + gone[:5]]
    all_silent(finish_all(target, started))
    target.lists({server: "user" for server in kept})


@case("F4 get during store sees the old or the new value, whole, every time")
def get_during_store(target):
    values = {f"user{i}": f"{i}" * 3000 for i in (1, 2)}
    target.store("f4.test", "user1", values["user1"])
    expected = {target.hit("f4.test", "user1", values["user1"]).out}
    target.store("f4.test", "user2", values["user2"])
    expected.add(target.hit("f4.test", "user2", values["user2"]).out)
    for turn in range(5 if target.session.quick else 15):
        username = f"user{turn % 2 + 1}"
        payload = target.payload("f4.test", username, values[username])
        started = [("store", target.start("store"), payload)]
        started += [("get", target.start("get"), b"f4.test") for _ in range(6)]
        for what, result in finish_all(target, started):
            if what == "get" and (result.code or result.out not in expected):
                raise Difference("get during store", "one of two credentials", result)
            if what == "store" and result.code:
                raise Difference("store during get", "exit 0", result)


def kill_store(target, payload, delay):
    """Starts a store and kills it, and whatever it started, after the delay."""
    process = target.start("store")
    try:
        process.stdin.write(payload)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    time.sleep(delay)  # the random moment is the test
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode


@case("F5 a store killed at a random moment leaves the old or the new value")
def killed_store(target):
    target.store("other.f5.test", secret="secret of another")
    begin = time.monotonic()
    target.store("f5.test", "user", "value number 0 " * 200)
    usual = time.monotonic() - begin
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    allowed = {"value number 0 " * 200}
    killed = 0
    for turn in range(1, (15 if target.session.quick else 80) + 1):
        new = f"value number {turn} " * 200
        payload = target.payload("f5.test", "user", new)
        killed += kill_store(target, payload, dice.uniform(0, 1.2 * usual)) == -signal.SIGKILL
        result = target.run("get", b"f5.test")
        found = [v for v in allowed | {new} if f'"Secret":"{v}"'.encode() in result.out]
        if result.code != 0 or not found:
            raise Difference(f"get after kill {turn} (seed {seed})", "old or new value", result)
        allowed = set(found)
        target.hit("other.f5.test", secret="secret of another")
    check(killed, "no store was alive when it was killed")
    target.store("f5.test", secret="stored at the end")
    target.hit("f5.test", secret="stored at the end")
    target.lists({"f5.test": "user", "other.f5.test": "user"})


def usual_runs(target):
    """One run of each kind, so that the judgement below stands on something when run alone."""
    target.store("f.test")
    target.run("get", "f.test")
    target.run("get", "absent.test")
    target.run("get", "a b")
    target.run("get", "a" * 1_200_000)
    target.run("store", "{")
    target.run("erase", "absent.test")
    target.run("list")
    target.finish(target.start("nonsense"), "nonsense")
    target.finish(target.start(), "(no argument)")


@case("F6 exit codes are 0 and 1 only, in all runs of this suite")
def exit_codes(target):
    usual_runs(target)
    odd = sorted({(what, r.code) for what, r in target.session.runs if r.code not in (0, 1)})
    if odd:
        raise Difference("exit codes", "0 or 1", shorten(odd, 600))


@case("F7 no run of this suite took long")
def time_bounds(target):
    usual_runs(target)
    limit = target.session.slow
    slow = [(r.seconds, what) for what, r in target.session.runs]
    comment(f"{len(slow)} runs, the slowest took {max(slow)[0]:.3f} s: {max(slow)[1]}")
    over = sorted(row for row in slow if row[0] > limit)
    if over:
        raise Difference("time", f"under {limit} s", shorten(over[::-1], 600))


@case("F8 less than 1 KiB on stderr, in all runs of this suite")
def stderr_size(target):
    usual_runs(target)
    loud = sorted({(what, len(r.err)) for what, r in target.session.runs if len(r.err) >= 1024})
    if loud:
        raise Difference("stderr", "under 1024 bytes", shorten(loud, 600))


MARKER = "marker-3f9d2c71-secret"


@case("F9 no secret in stdout of failures, stderr or the log")
def secret_in_text(target):
    target.profile.log(target)
    target.store("f9.test", secret=MARKER)
    payload = target.payload("f9.test", secret=MARKER)
    target.hit("f9.test", secret=MARKER)
    for broken in (
        payload[:-3],
        payload + payload,
        payload.replace(b'"Username":"user"', b'"Username":user'),
        payload.replace(b'"Username":"user"', b'"Username":7'),
        payload.replace(b'"Username":"user",', b""),
        payload.replace(b"f9.test", b""),
        payload.replace(b"f9.test", b"f9%.test"),
        payload.replace(b'"user"', b'"\\u0000"'),
        payload.replace(b"marker", b"\xffmarker"),
        payload.replace(b"marker", b"\\xmarker"),
        payload.replace(b"marker", b"\nmarker"),
        MARKER.encode(),
    ):
        result = target.run("store", broken)  # searched for the secret by run() itself
        check(result.code == 1, f"a broken store: {result}")
    for verb in ("get", "erase"):
        target.run(verb, payload)
        target.run(verb, f"https://user:{MARKER}@f9.test/")
    result = target.finish(target.start("store", MARKER), "store with an argument", payload)
    target.erase("f9.test")
    no_secret_on_disk(target, "after erase")


def no_secret_on_disk(target, when, except_for=()):
    for directory, _, names in os.walk(target.root):
        for name in names:
            path = os.path.join(directory, name)
            if path in except_for or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            for secret in target.secrets:
                if any(form in content for form in spellings(secret)):
                    where = os.path.relpath(path, target.root)
                    raise Difference(f"files {when}", "no secret", f"the secret in {where}")


@case("F9 no secret in any file but the store's own")
def secret_in_files(target):
    target.profile.log(target)
    target.store("f9.test", secret=MARKER)
    target.hit("f9.test", secret=MARKER)
    target.listing()
    no_secret_on_disk(target, "after store", target.profile.plain_files(target))


def processes_of(session):
    """The processes of a session: the helper and whatever it started."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    if int(file.read().rpartition(")")[2].split()[3]) == session:
                        yield entry
            except OSError:
                continue  # it ended meanwhile


def look_into(session, marker):
    """Whether argv or environment of the session's processes show the marker."""
    seen = 0
    for pid in processes_of(session):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    content = file.read()
            except OSError:
                continue  # gone, or not readable, which is better still
            seen += 1
            if any(form in content for form in spellings(marker)):
                raise Difference(f"{name} of a process", "no secret", "the secret")
    return seen


@case("F9 no secret in argv or environment of the helper or its children")
def secret_in_processes(target):
    payload = target.payload("f9.test", secret=MARKER)
    process = target.start("store")
    process.stdin.write(payload[:-4])
    process.stdin.flush()
    wait_until(lambda: pipe_is_empty(process.stdin), "store read what was written")
    check(look_into(process.pid, MARKER), "nothing could be looked at")
    process.stdin.write(payload[-4:])
    process.stdin.close()
    process.stdin = None
    while process.poll() is None:
        look_into(process.pid, MARKER)
    target.finish(process, "store")
    for verb in ("get", "erase"):
        process = target.start(verb)
        process.stdin.write(b"f9.test")
        process.stdin.close()
        process.stdin = None
        while process.poll() is None:
            look_into(process.pid, MARKER)
        target.finish(process, verb)


def dumps_core(process):
    """Aborts a process and says whether the kernel wrote a core file of it."""
    os.kill(process.pid, signal.SIGQUIT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else status
    return os.WIFSIGNALED(status) and os.WCOREDUMP(status)


def allow_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@case("F9 no core file of a helper that holds a secret")
def secret_in_core(target):
    payload = target.payload("f9.test", secret=MARKER)
    process = target.start("store", preexec_fn=allow_core)
    process.stdin.write(payload[:-4])
    process.stdin.flush()
    wait_until(lambda: pipe_is_empty(process.stdin), "store read what was written")
    with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
        limit = next(line for line in file if line.startswith("Max core file size")).split()[4]
    dumped = dumps_core(process)
    process.communicate()
    check(not dumped, "the kernel wrote a core file")
    no_secret_on_disk(target, "after an abort")
    # Where the kernel is told to write no core file at all the above proves nothing: look at
    # what the program asked for itself.
    control = subprocess.Popen(
        ["sleep", str(TIMEOUT)], preexec_fn=allow_core, cwd=target.path("cwd")
    )
    if not dumps_core(control) and limit != "0":
        raise Difference("limit of core files", "0", limit)


def start_on_terminal(target, verb, **options):
    """Starts the helper with a controlling terminal that nobody types at."""
    master, slave = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = target.start(
        verb, preexec_fn=take_terminal, start_new_session=False, pass_fds=(slave,), **options
    )
    os.close(slave)
    return process, master


def nothing_on(master, what):
    os.set_blocking(master, False)
    try:
        text = os.read(master, 4096)
    except OSError:  # nothing was written, or the other side is closed and nothing is left
        text = b""
    os.close(master)
    if text:
        raise Difference(what, "no prompt", f"{text!r} on the terminal")


def answers_without_prompt(target, verb, data, right):
    process, master = start_on_terminal(target, verb)
    result = target.finish(process, f"{verb} on a terminal", data)
    nothing_on(master, f"{verb} on a terminal")
    if not right(result):
        raise Difference(f"{verb} on a terminal", "the usual answer", result)
    if result.seconds > 2:
        raise Difference(f"{verb} on a terminal", "within 2 s", f"{result.seconds:.1f} s")


@case("F10 no prompt on the terminal")
def no_prompt(target):
    payload = target.payload("f10.test")
    answers_without_prompt(target, "store", payload, lambda r: r.code == 0)
    answers_without_prompt(target, "get", b"f10.test", lambda r: r.code == 0)
    answers_without_prompt(target, "list", b"", lambda r: r.code == 0)
    answers_without_prompt(target, "erase", b"f10.test", lambda r: r.code == 0)
    answers_without_prompt(target, "get", b"", lambda r: r.code == 1)


@case("F10 a locked store answers an error within 2 s, without a prompt")
def locked_without_prompt(target):
    target.store("f10.test")
    target.profile.lock(target)
    for verb, data in (
        ("get", b"f10.test"),
        ("erase", b"f10.test"),
        ("store", target.payload("f10.test", "wrong", "another one")),
    ):
        answers_without_prompt(target, verb, data, lambda r: not refusal_fault(r))
    answers_without_prompt(
        target, "list", b"", lambda r: not locked_list_fault(r, {"f10.test": "user"})
    )
    target.profile.unlock(target)
    target.hit("f10.test")


@case("F10 with no HOME and no session at all get answers within 2 s")
def bare_environment(target):
    process, master = start_on_terminal(target, "get", env={"PATH": "/usr/bin:/bin"})
    result = target.finish(process, "get, bare environment", b"absent.f10.test")
    nothing_on(master, "get, bare environment")
    if result.code != 1 or line_fault(result):
        raise Difference("get, bare environment", "exit 1 and one line", result)
    if result.seconds > 2:
        raise Difference("get, bare environment", "within 2 s", f"{result.seconds:.1f} s")
