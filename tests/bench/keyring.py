# SPDX-License-Identifier: Apache-2.0
"""`get` from a keyring beside docker-credential-secretservice on the same one, in turns.

The ratio of the times is printed. Asserted is what a busy machine does not change, or hardly: the
calls on the bus, and the time of the processor.
"""

import functools
import os
import resource
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "keyring")]
sys.dont_write_bytecode = True
import measure
import scene
import tap

SPAWN, EMPTY = os.environ["BENCH_SPAWN"], os.environ["BENCH_EMPTY"]
ROUNDS, CPU_ROUNDS = 60, 40
CALLS = 5  # GetAll of the service, SearchItems, GetAll of the item, OpenSession, GetSecret
CPU_SLACK = 1.1
SECRET_SERVICES = {"0.6": scene.debian, "0.9": scene.current.program}


def subject(own, program):
    return measure.Subject(os.path.basename(program), [program, "get"], scene.SERVER, own.env)


def beside(function):
    """With a keyring that has one entry, for pullkey and another helper."""

    @functools.wraps(function)
    def wrapped(find):
        program = find()
        with scene.Scene() as own:
            own.store(scene.SERVER)
            subjects = [subject(own, own.helper), subject(own, program)]
            for one in subjects:
                tap.check('"secret"' in one.run().stdout, one.name)
            function(own, *subjects)

    return wrapped


@beside
def time_and_memory(own, ours, theirs):
    empty = measure.Subject("empty", [EMPTY])
    rows = measure.times(SPAWN, [empty, ours, theirs], ROUNDS, own.path)
    names = ("an empty program", "pullkey", "docker-credential-secretservice")
    for name, row in zip(names, rows, strict=True):
        times = f"{row['minimum_ms']:.1f} ms, median {row['median_ms']:.1f} ms"
        tap.comment(f"{name}: {times}, {row['median_rss_kib'] / 1024:.1f} MB")
    measure.tell_ratio(rows[1], rows[2], "docker-credential-secretservice", 1)
    measure.assert_most("KiB more than it", rows[1]["median_rss_kib"] - rows[2]["median_rss_kib"], 0)


def used():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def processor_seconds(subjects):
    """Of each, the least of many runs in turns: what it takes where nobody disturbs it."""
    least = [float("inf")] * len(subjects)
    for _ in range(CPU_ROUNDS):
        for number, one in enumerate(subjects):
            before = used()
            one.run()
            least[number] = min(least[number], used() - before)
    return least


@beside
def processor(own, ours, theirs):
    own_seconds, other = processor_seconds([ours, theirs])
    tap.comment(f"{own_seconds * 1000:.1f} ms of the processor, and {other * 1000:.1f} ms")
    measure.assert_most("times the processor", own_seconds / other, CPU_SLACK)


@beside
def calls(own, ours, theirs):
    counts = []
    for one in (ours, theirs):
        with scene.Monitor(own) as monitor:
            one.run()
        counts.append(len(monitor.calls))
    measure.assert_most(f"calls on the bus (docker-credential-secretservice {counts[1]})", counts[0], CALLS)
    tap.check(counts[0] <= counts[1], f"calls: {counts}")


for version, find_other in SECRET_SERVICES.items():
    for what, function in (("time and memory", time_and_memory), ("processor", processor), ("calls", calls)):
        name = f"get beside docker-credential-secretservice {version}: {what}"
        tap.case(name)(functools.partial(function, find_other))
scene.begin()
sys.exit(tap.run())
