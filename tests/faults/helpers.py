# SPDX-License-Identifier: Apache-2.0
"""The exec backend with helpers that are missing, unsafe or misbehave: an error, not "not found"."""

import concurrent.futures
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

import sandbox
from program import has_ended
from sandbox import Sandbox, tap

SERVER = "registry.example.com"
GOOD = json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": "fine"})


def put(directory, name, text, mode=0o755):
    path = os.path.join(directory, "docker-credential-" + name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


def use(user, **instance):
    backend = {"type": "exec", **instance}
    user.configure({"version": 1, "backends": {"child": backend}, "default": ["child"]})


def refused(user, *words):
    for verb in ("get", "erase"):
        sandbox.check_refused(user.helper(verb, SERVER), *words)
    entry = sandbox.entry(SERVER, "alice", "fine")
    sandbox.check_refused(user.helper("store", entry), *words)


@tap.case("a helper that works is asked, so that the other cases prove something")
def works():
    with Sandbox(config={"version": 1}) as user:
        use(user, path=put(user.path("home"), "child", f"#!/bin/sh\necho '{GOOD}'\n"))
        tap.equal(user.get(SERVER), ("alice", "fine"))


@tap.case("a helper that is not there is an error, by name and by path")
def missing():
    with Sandbox(config={"version": 1}) as user:
        use(user, helper="nowhere-to-be-found")
        refused(user, "there is no docker-credential-nowhere-to-be-found in")
        for path in ("/nonexistent/docker-credential-x", user.path("home", "docker-credential-x")):
            use(user, path=path)
            refused(user, path)


@tap.case("a helper whose interpreter is not there is an error")
def no_interpreter():
    with Sandbox(config={"version": 1}) as user:
        use(user, path=put(user.path("home"), "child", "#!/nonexistent/sh\n"))
        refused(user, "docker-credential-child", "interpreter")


@tap.case("a name never becomes a path")
def names():
    with Sandbox(config={"version": 1}) as user:
        for name in ("../x", "a/b", "/bin/sh", ".", "..", "A", "a b", "a\n", "-a"):
            use(user, helper=name)
            refused(user, "docker-credential- of a program's name")


@tap.case("a helper that others can replace is not run")
def unsafe():
    with Sandbox(config={"version": 1}) as user, tempfile.TemporaryDirectory() as place:
        path = put(place, "child", f"#!/bin/sh\necho '{GOOD}'\n")
        use(user, path=path)
        tap.equal(user.get(SERVER), ("alice", "fine"))
        for mode in (0o775, 0o757):
            os.chmod(path, mode)
            refused(user, path, "chmod go-w")
        os.chmod(path, 0o755)
        os.chmod(place, 0o777)
        refused(user, place, "chmod go-w")
        os.chmod(place, 0o700)
        os.chmod(path, 0o644)
        refused(user, path)


# What a helper does instead of answering, and what is said then. With a "grandchild" it has a child
# that holds its output open, so that the end of the helper alone would not be the end of it.
CHILD = 'echo $! >"$HOME/grandchild"; '
FAULTS = {
    "crashes": ("kill -SEGV $$", ("signal 11", "by hand")),
    "floods": ("exec yes flood", ("more than 1048576 bytes", "by hand")),
    "never answers": ("exec sleep 600", ("did not answer in time", "by hand")),
    "floods through a child": (
        # It says who it is before it floods: the end of the helper comes with the flood.
        """sh -c 'echo $$ >"$HOME/grandchild"; exec yes flood' & wait""",
        ("more than 1048576 bytes", "by hand"),
    ),
    "never answers, nor does its child": (
        f"sleep 600 & {CHILD}wait",
        ("did not answer in time", "by hand"),
    ),
    "ends, and its child holds the output": (
        f"sleep 600 & {CHILD}exit 0",
        ("did not answer in time", "by hand"),
    ),
    "answers, and does not end": (
        f"echo '{GOOD}'; exec >/dev/null; sleep 600 & {CHILD}wait",
        ("did not end in time", "by hand"),
    ),
}

OTHER = "other.example.com"
ENTRIES = {SERVER: "alice", OTHER: "bob"}


def check_grandchildren(users):
    """What the helpers left behind was ended with them."""
    deadline = time.monotonic() + sandbox.TIMEOUT
    left = []
    for user in users:
        with open(user.path("home", "grandchild"), encoding="ascii") as file:
            pid = int(file.read())
        while not has_ended(pid) and time.monotonic() < deadline:
            os.sched_yield()
        if not has_ended(pid):
            os.kill(pid, signal.SIGKILL)
            left.append(pid)
    tap.check(not left, f"{len(left)} children of helpers are still there")


def put_entries(user):
    """The same two entries in a helper that works and in a file, each asked for by its own rule."""
    helper = {"type": "exec", "path": sandbox.put_fake(user)}
    file = {"type": "file", "encryption": "none", "path": user.path("home", "file.json")}
    for name, backend in (("helper", helper), ("file", file)):
        sandbox.use_only(user, **backend)
        for server, username in ENTRIES.items():
            user.store(server, username, sandbox.secret(name))
    return {"helper": helper, "file": file}


def check_entries(user, backends, expected):
    """What each of the two has, once the helper works again."""
    for name, backend in backends.items():
        sandbox.use_only(user, **backend)
        tap.equal(user.list(), expected[name], f"the list of {name}")
        for server, username in expected[name].items():
            tap.equal(user.get(server), (username, sandbox.secret(name)), f"{server} in {name}")


# Verb, its input, and what the helper is called with when it is broken: erase asks before.
REQUESTS = (
    ("get", SERVER, "get"),
    ("list", "", "list"),
    ("store", sandbox.entry(SERVER, "carol", sandbox.secret("new")), "store"),
    ("erase", SERVER, "get"),
    ("erase", SERVER, "erase"),
)


def put_broken(user, fault, call):
    """A helper that is broken when it is called so, with a file behind it."""
    backends = put_entries(user)
    rules = [{"match": "**", "use": ["helper", "file"]}]
    user.configure({"version": 1, "backends": backends, "rules": rules})
    with open(user.path("home", "broken"), "w", encoding="ascii") as out:
        out.write(f'if [ "$1" = {call} ]; then {FAULTS[fault][0]}; fi\n')
    return backends


def check_broken(user, done, backends, fault, verb, call):
    sandbox.check_refused(done, "helper", f"docker-credential-child {call}", *FAULTS[fault][1])
    os.unlink(user.path("home", "broken"))
    left = {server: name for server, name in ENTRIES.items() if server != SERVER}
    # What can be erased is, though the whole has failed.
    check_entries(user, backends, {"helper": ENTRIES, "file": left if verb == "erase" else ENTRIES})


for name_of_fault in FAULTS:

    @tap.case(f"a helper that {name_of_fault}: an error of each verb, and nothing is lost")
    def misbehaviour(fault=name_of_fault):
        with contextlib.ExitStack() as stack:
            users = []
            for _, _, call in REQUESTS:
                user = stack.enter_context(Sandbox(config={"version": 1}))
                users.append((user, put_broken(user, fault, call)))
            # At once, because most of the time is spent waiting.
            with concurrent.futures.ThreadPoolExecutor(len(REQUESTS)) as pool:
                runs = [
                    pool.submit(user.helper, verb, text)
                    for (user, _), (verb, text, _) in zip(users, REQUESTS, strict=True)
                ]
            if "grandchild" in FAULTS[fault][0]:
                check_grandchildren(user for user, _ in users)
            for (user, backends), (verb, _, call), run in zip(users, REQUESTS, runs, strict=True):
                try:
                    check_broken(user, run.result(), backends, fault, verb, call)
                except AssertionError as problem:
                    raise AssertionError(f"{verb}, by {call}: {problem}") from problem


def ignore_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def block_alarm():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})


def ignore_alarm():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


# A client starts us with the signals that it has itself, and none of them may matter.
CALLERS = {
    "ignores SIGCHLD": ignore_children,
    "blocks SIGALRM": block_alarm,
    "ignores SIGALRM": ignore_alarm,
    "blocks every signal": block_all,
}


def never_ending(user, before):
    """A request that is too long and has no end: only the alarm ends it."""
    process = subprocess.Popen(
        [sandbox.program("docker-credential-pullkey"), "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=user.environment(),
        preexec_fn=before,
    )
    try:
        process.stdin.write(b"a" * 2_000_000)
        process.stdin.flush()
        readable, _, _ = select.select([process.stdout], [], [], sandbox.TIMEOUT)
        tap.check(readable, f"no answer within {sandbox.TIMEOUT} s")
        output = process.stdout.read()
        tap.equal((process.wait(sandbox.TIMEOUT), output.count(b"\n")), (1, 1), repr(output))
    finally:
        process.kill()
        process.communicate()


for name_of_caller in CALLERS:

    @tap.case(f"a caller that {name_of_caller} is served by a helper")
    def served(before=CALLERS[name_of_caller]):
        with Sandbox(config={"version": 1}) as user:
            use(user, path=sandbox.put_fake(user))
            user.store(SERVER, "alice", sandbox.secret(), preexec_fn=before)
            tap.equal(user.get(SERVER, preexec_fn=before), ("alice", sandbox.secret()))
            tap.equal(user.list(preexec_fn=before), {SERVER: "alice"})
            with open(user.path("home", "broken"), "w", encoding="ascii") as out:
                out.write("kill -SEGV $$\n")
            done = user.helper("get", SERVER, preexec_fn=before)
            sandbox.check_refused(done, "docker-credential-child get", "signal 11")
            os.unlink(user.path("home", "broken"))
            user.erase(SERVER, preexec_fn=before)
            tap.equal(user.get(SERVER, preexec_fn=before), None)


@tap.case("who takes too long ends a helper that still runs, and what that has started")
def ended():
    with Sandbox(config={"version": 1}) as user:
        text = f"#!/bin/sh\nsleep 600 & {CHILD}wait\n"
        use(user, path=put(user.path("home"), "child", text))
        process = subprocess.Popen(
            [sandbox.program("docker-credential-pullkey"), "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=user.environment(),
        )
        process.stdin.write(SERVER.encode())
        process.stdin.close()
        process.stdin = None
        path = user.path("home", "grandchild")
        deadline = time.monotonic() + sandbox.TIMEOUT
        while not (os.path.exists(path) and os.path.getsize(path)) and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGALRM)  # as the kernel does when its time is up
        output, _ = process.communicate(timeout=sandbox.TIMEOUT)
        tap.check(b"the request took too long" in output and process.returncode == 1, output)
        check_grandchildren([user])


@tap.case("a caller is told when it takes too long, whatever signals it blocks or ignores")
def told():
    with Sandbox(config={"version": 1}) as user:
        with concurrent.futures.ThreadPoolExecutor(len(CALLERS)) as pool:
            runs = {name: pool.submit(never_ending, user, call) for name, call in CALLERS.items()}
        for name, run in runs.items():
            try:
                run.result()
            except AssertionError as problem:
                raise AssertionError(f"{name}: {problem}") from problem


@tap.case("pullkey is not its own helper, and a loop through another program ends with the reason")
def loops():
    pullkey = sandbox.program("docker-credential-pullkey")
    with Sandbox(config={"version": 1}) as user:
        link = user.path("home", "docker-credential-link")
        os.symlink(pullkey, link)
        for instance in ({"helper": "pullkey"}, {"path": pullkey}, {"path": link}):
            use(user, **instance)
            refused(user, "its own helper")
        use(user, path=put(user.path("home"), "loop", f'#!/bin/sh\nexec {pullkey} "$1"\n'))
        refused(user, "call each other in a loop", "leads back to pullkey")


sys.exit(tap.run())
