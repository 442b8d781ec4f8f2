# SPDX-License-Identifier: Apache-2.0
"""The fault tools do what they say, on a program that is known exactly.

usage: test-tools.py SYSCALL-FAULT ALLOC-FAIL.SO SUBJECT
"""

import errno
import os
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from registry import wait_for

FAULT, PRELOAD, SUBJECT = (os.path.abspath(path) for path in sys.argv[1:4])
SCRATCH = tempfile.TemporaryDirectory()


def fault(*arguments):
    """Exit status and report of one run; the report's 'name' lines become a dictionary."""
    path = os.path.join(SCRATCH.name, "report")
    if os.path.exists(path):
        os.unlink(path)
    done = subprocess.run([FAULT, "--report", path, *arguments], capture_output=True)
    report = {"names": {}}
    if os.path.exists(path):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                word, *rest = line.split()
                if word == "name":
                    report["names"][rest[0]] = int(rest[1])
                else:
                    report[word] = int(rest[0])
    return done.returncode, report


@tap.case("count: each further call is one more, though the program is not dumpable")
def count():
    counts = []
    for times in ("0", "1", "40"):
        status, report = fault("--by-name", "count", SUBJECT, "calls", times)
        tap.equal(status, 0)
        tap.equal(report["names"].get("getppid", 0), int(times))
        tap.equal(report["names"]["prctl"], 1)
        tap.equal(report["calls"], sum(report["names"].values()), "the table adds up")
        tap.check("execve" not in report["names"], "the start itself is not counted")
        tap.equal(report["names"]["exit_group"], 1)
        counts.append(report["calls"])
    tap.equal([counts[1] - counts[0], counts[2] - counts[0]], [1, 40])


@tap.case("count: the calls of a child are not counted")
def child():
    status, report = fault("--by-name", "count", SUBJECT, "child")
    tap.equal(status, 0)
    tap.equal(report["names"].get("getppid", 0), 0)


@tap.case("count: the status of the program, and a signal as 128 + its number")
def status_of_program():
    tap.equal(fault("count", SUBJECT)[0], 99)
    tap.equal(fault("count", SUBJECT, "crash")[0], 128 + signal.SIGABRT)
    tap.equal(fault("count", "/nonexistent/program")[0], 127)


@tap.case("kill: the call at which it dies does not run, the one before did")
def kill():
    path = os.path.join(SCRATCH.name, "killed")
    sizes = []
    _, whole = fault("count", SUBJECT, "write", path)
    for number in range(1, whole["calls"] + 1):
        if os.path.exists(path):
            os.unlink(path)
        status, report = fault("kill", str(number), SUBJECT, "write", path)
        tap.equal((status, report["fired"], report["calls"]), (137, 1, number))
        sizes.append(os.path.getsize(path) if os.path.exists(path) else -1)
    tap.equal(sizes, sorted(sizes))
    # absent; created (killed at each of three writes); complete at fsync and at the exit
    tap.equal([sizes.count(n) for n in (0, 10, 20, 30)], [1, 1, 1, 2], str(sizes))
    tap.check(sizes.count(-1) > 5, "the calls of the dynamic linker come first")


@tap.case("kill: a number past the end changes nothing and is reported")
def kill_late():
    status, report = fault("kill", "100000", SUBJECT, "calls", "3")
    tap.equal((status, report["fired"]), (0, 0))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as text:
            return text.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(path):
    """Ends the process whose number is in that file, and which is running."""
    with open(path, encoding="ascii") as text:
        pid = int(text.read())
    tap.check(is_running(pid), "it has ended already")
    os.kill(pid, signal.SIGKILL)


@tap.case("kill --group: what it has started dies too")
def kill_group():
    path = os.path.join(SCRATCH.name, "pid")
    words = ["sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo $! >{path}; exec true"]
    _, whole = fault("count", *words)
    end(path)
    for options, survives in (((), True), (("--group",), False)):
        status, report = fault(*options, "kill", str(whole["calls"] - 3), *words)
        tap.equal((status, report["fired"]), (137, 1))
        if survives:
            end(path)
        with open(path, encoding="ascii") as text:
            pid = int(text.read())
        wait_for(lambda: not is_running(pid), "its child to end")


@tap.case("kill --child: the child is kept at its call until the program sleeps")
def kill_child():
    for number in (1, 2, 50):
        status, report = fault("--child", "kill", str(number), SUBJECT, "child")
        tap.equal((status, report["fired"], report["calls"]), (137, 1, number))
    status, report = fault("--child", "kill", "100000", SUBJECT, "child")
    tap.equal((status, report["fired"]), (0, 0))
    tap.check(report["calls"] > 50, "the calls of the child are counted")


@tap.case("fail: the named call returns the error, without having run")
def fail():
    path = os.path.join(SCRATCH.name, "failed")
    for number, size in ((1, 0), (2, 10), (3, 20)):
        status, report = fault("fail", "write", str(number), "ENOSPC", SUBJECT, "write", path)
        tap.equal((status, report["fired"]), (errno.ENOSPC, 1))
        tap.equal(os.path.getsize(path), size)
    status, report = fault("fail", "write", "4", "ENOSPC", SUBJECT, "write", path)
    tap.equal((status, report["fired"], report["matched"]), (0, 0, 3))
    tap.equal(os.path.getsize(path), 30)
    tap.equal(fault("fail", "fsync", "1", "EIO", SUBJECT, "write", path)[0], errno.EIO)
    tap.equal(fault("fail", "fsync,write", "4", "5", SUBJECT, "write", path)[0], errno.EIO)
    tap.equal(fault("fail", "fsync", "1", "EDQUOT", SUBJECT, "write", path)[0], errno.EDQUOT)


@tap.case("fail --from: every later call fails too")
def fail_from():
    _, report = fault("--from", "fail", "getppid", "2", "EPERM", SUBJECT, "calls", "5")
    tap.equal((report["fired"], report["matched"]), (1, 5))
    path = os.path.join(SCRATCH.name, "from")
    tap.equal(fault("--from", "fail", "write,fsync", "3", "EIO", SUBJECT, "write", path)[0], 5)
    tap.equal(os.path.getsize(path), 20)


@tap.case("fail --bytes: the disk is full after exactly so many bytes")
def fail_bytes():
    path = os.path.join(SCRATCH.name, "bytes")
    for length in range(0, 10):
        status, report = fault(
            "--bytes", str(length), "fail", "write", "2", "ENOSPC", SUBJECT, "write", path
        )
        tap.equal((status, report["fired"]), (errno.ENOSPC, 1), f"{length} bytes")
        tap.equal(os.path.getsize(path), 10 + length)


@tap.case("wrong use is told from every answer of a program")
def wrong_use():
    for words in (
        ["count"],
        ["kill", "0", SUBJECT],
        ["kill", "x", SUBJECT],
        ["fail", "nosuchcall", "1", "EIO", SUBJECT],
        ["fail", "write", "1", "ENOSUCH", SUBJECT],
        ["fail", "write", "1", "EIO"],
        ["other", SUBJECT],
    ):
        tap.equal(fault(*words)[0], 125, str(words))


def allocate(number):
    path = os.path.join(SCRATCH.name, "allocations")
    with open(path, "wb") as report:
        report.write(bytes(16) + b"?" * 6)
    environment = dict(
        os.environ, LD_PRELOAD=PRELOAD, ALLOC_FAIL_AT=str(number), ALLOC_FAIL_REPORT=path
    )
    done = subprocess.run([SUBJECT, "allocate"], env=environment, capture_output=True)
    with open(path, "rb") as report:
        result = struct.unpack("QQ", report.read(16))
        # The program's own five, and what there was no allocation for.
        tap.equal(report.read(), bytes(5) + b"?")
    return done.returncode, result


@tap.case("alloc-fail: each kind of allocation fails alone, in its turn")
def alloc_fail():
    tap.equal(allocate(0), (0, (5, 0)))
    for number in range(1, 6):
        tap.equal(allocate(number), (1 << (number - 1), (5, 1)), f"allocation {number}")
    tap.equal(allocate(6), (0, (5, 0)))


sys.argv[1:4] = []
sys.exit(tap.run())
