# SPDX-License-Identifier: Apache-2.0
"""The budgets that do not depend on the machine's mood: libraries, calls, instructions, memory.

Times are printed by tests/bench/run; here stands what is behind them and can be counted.
"""

import functools
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
import measure
import tap

# Recorded, with room for another compiler or C library; a change that needs more is looked at.
# Instructions are those of the program less those of an empty one; a tenth of them are for looking
# up what only `pullkey` calls, which is the same file. One imported name more or less moves them by
# 5,000, as the table of names is laid out anew.
LIMITS = {
    "plain": {"calls": 80, "rss_kib": 3 * 1024, "instructions": 350_000},
    "encrypted": {"calls": 150, "rss_kib": 6 * 1024, "instructions": 8_000_000},
    "kubelet": {"calls": 80, "rss_kib": 3 * 1024, "instructions": 630_000},
}
CALLS_FOR_EACH_FURTHER_FILE = 6

SYSCALL_FAULT = os.environ["SYSCALL_FAULT"]
SPAWN, EMPTY = os.environ["BENCH_SPAWN"], os.environ["BENCH_EMPTY"]
PROGRAM = os.path.join(os.environ["PULLKEY_BINDIR"], "docker-credential-pullkey")
MAKERS = {"plain": measure.pullkey_plain, "encrypted": measure.pullkey_encrypted}
if os.path.exists(os.path.join(os.environ["PULLKEY_MODULES"], "fake-token.so")):
    # From a cached token; the others have a file.
    MAKERS["kubelet"] = functools.partial(
        measure.pullkey_kubelet, modules=os.environ["PULLKEY_MODULES"]
    )
SCRATCH = tempfile.TemporaryDirectory(prefix="pullkey-bench-")


@functools.cache
def subject(kind):
    return MAKERS[kind](SCRATCH.name, PROGRAM)


def system_calls(kind):
    calls = measure.system_calls(SYSCALL_FAULT, subject(kind))
    measure.assert_most("system calls", calls, LIMITS[kind]["calls"])


def memory(kind):
    empty = measure.Subject("empty", [EMPTY])
    rows = measure.times(SPAWN, [empty, subject(kind)], 20, SCRATCH.name)
    most = LIMITS[kind]["rss_kib"]
    measure.assert_most(f"KiB (empty program {rows[0]['rss_kib']})", rows[1]["rss_kib"], most)


def instructions(kind):
    empty = measure.Subject("empty", [EMPTY])
    measure.assert_instructions(subject(kind), empty, LIMITS[kind]["instructions"])


@tap.case("docker-credential-pullkey names no library but libc and libcjson")
def libraries():
    tap.equal(measure.needed(PROGRAM), ["libc.so.6", "libcjson.so.1"])


@tap.case("each further configuration file costs at most 6 system calls")
def further_files():
    counts = []
    for number in (0, 1, 2, 10):
        files = {
            f"config.d/{n:02}.json": '{"version":1,"rules":[{"match":"r%d.example.com",'
            '"use":["file"]}]}' % n
            for n in range(number)
        }
        counts.append(
            measure.system_calls(
                SYSCALL_FAULT,
                subject("plain"),
                lambda argv, files=files: measure.with_system_files(
                    SCRATCH.name, os.environ["PULLKEY_SYSCONFDIR"], files, argv
                ),
            )
        )
    tap.comment(f"system calls with 0, 1, 2, 10 files in config.d: {counts}")
    tap.check(counts[3] > counts[2] > counts[1] > counts[0], "the files are read")
    for files, count in zip((1, 2, 10), counts[1:], strict=True):
        budget = LIMITS["plain"]["calls"] + CALLS_FOR_EACH_FURTHER_FILE * files
        tap.check(count <= budget, f"{files} files: {count} calls, at most {budget}")
    for files, more in ((1, counts[2] - counts[1]), (8, counts[3] - counts[2])):
        limit = CALLS_FOR_EACH_FURTHER_FILE * files
        tap.check(more <= limit, f"{files} more files cost {more} calls")


for kind_of_store in MAKERS:
    tap.case(f"{kind_of_store} get: peak memory")(lambda kind=kind_of_store: memory(kind))
    tap.case(f"{kind_of_store} get: system calls")(lambda kind=kind_of_store: system_calls(kind))
    tap.case(f"{kind_of_store} get: instructions")(lambda kind=kind_of_store: instructions(kind))

sys.exit(tap.run())
