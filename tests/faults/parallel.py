# SPDX-License-Identifier: Apache-2.0
"""Many at the same time: no entry is lost, and every reader sees a whole state."""

import sys
import threading

import sandbox
import crowd
import tap
from sandbox import SERVER, Sandbox

WRITERS = 200


def server(number):
    return f"https://r{number}.example.com"


def start(user, verb):
    return crowd.start(sandbox.program("docker-credential-pullkey"), verb, user.environment())


def store_in_parallel(kind, number_of_writers):
    with Sandbox(kind) as user:
        entries = [
            sandbox.entry(server(number), f"user{number}", sandbox.secret(str(number)))
            for number in range(number_of_writers)
        ]
        program = sandbox.program("docker-credential-pullkey")
        results = crowd.run(program, "store", user.environment(), entries)
        for number, result in enumerate(results):
            tap.equal(result, (0, "", ""), f"writer {number}")
        tap.equal(
            user.list(), {server(n): f"user{n}" for n in range(number_of_writers)}, "the list"
        )
        for number in range(number_of_writers):
            expected = (f"user{number}", sandbox.secret(str(number)))
            tap.equal(user.get(server(number)), expected)


def race(kind):
    """Two writers and a reader: the reader sees one of the two, whole."""
    values = {(name, sandbox.secret(name * size)) for name, size in (("a", 10), ("b", 3000))}
    with Sandbox(kind) as user:
        user.store(SERVER, *sorted(values)[0])
        problems = []
        done = threading.Event()

        def write(value):
            try:
                while not done.is_set():
                    user.store(SERVER, *value)
            except Exception as problem:
                problems.append(problem)

        writers = [threading.Thread(target=write, args=(value,)) for value in values]
        for writer in writers:
            writer.start()
        seen = set()
        reads = 0
        try:
            # Until both were seen, and often enough.
            while (reads < 300 or seen != values) and reads < 20000 and not problems:
                value = user.get(SERVER)
                tap.check(value in values, "a reader saw neither of the two")
                seen.add(value)
                reads += 1
        finally:
            done.set()
            for writer in writers:
                writer.join()
        tap.check(not problems, f"a writer failed: {problems}")
        tap.equal(len(seen), 2, "values seen")
        tap.comment(f"{reads} reads")


def first_store_race(kind):
    """Before the first store nothing is found; afterwards it is; nothing else in between."""
    for _ in range(20):
        with Sandbox(kind) as user:
            writer = start(user, "store")
            writer.stdin.write(sandbox.entry(SERVER, "alice", sandbox.secret("first")))
            writer.stdin.close()
            answers = []
            while writer.poll() is None:
                answers.append(user.get(SERVER))
            with writer.stdout, writer.stderr:
                tap.equal((writer.returncode, writer.stdout.read()), (0, ""))
            answers.append(user.get(SERVER))
            right = ("alice", sandbox.secret("first"))
            tap.check(set(answers) <= {None, right}, "something else was seen")
            tap.equal(answers, sorted(answers, key=lambda a: a is not None), "it stays")
            tap.equal(answers[-1], right)


def store_and_erase(kind):
    """Writers of other entries do not bring back what was erased."""
    with Sandbox(kind) as user:
        for number in range(20):
            user.store(server(number), "old", sandbox.secret("old"))
        writers = []
        for number in range(20):
            eraser = start(user, "erase")
            eraser.stdin.write(server(number))
            storer = start(user, "store")
            storer.stdin.write(sandbox.entry(server(100 + number), "new", sandbox.secret("new")))
            writers += [eraser, storer]
        for process in writers:
            process.stdin.close()
        for process in writers:
            with process.stdout, process.stderr:
                output = process.stdout.read()
            tap.equal((process.wait(sandbox.TIMEOUT), output), (0, ""))
        tap.equal(user.list(), {server(100 + n): "new" for n in range(20)})


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: {WRITERS} parallel stores keep {WRITERS} entries")(
        lambda kind=kind_of_store: store_in_parallel(kind, WRITERS)
    )
    tap.case(f"{kind_of_store}: every get sees the old or the new entry")(
        lambda kind=kind_of_store: race(kind)
    )
    tap.case(f"{kind_of_store}: the first store and a reader")(
        lambda kind=kind_of_store: first_store_race(kind)
    )
    tap.case(f"{kind_of_store}: parallel stores and erases")(
        lambda kind=kind_of_store: store_and_erase(kind)
    )

sys.exit(tap.run())
