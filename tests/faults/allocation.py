# SPDX-License-Identifier: Apache-2.0
"""Every allocation of ours fails once.

Ours are those of the programs, of the modules, and of libc and cJSON for them. Other libraries make
thousands: libcrypto where a store is encrypted, and what libcurl brings where the probe is loaded.
Of those fail the first and the last 50 and every 20th between, from an offset that differs from run
to run. What is plain has none, so there every single one fails.

The answer is then either right (exit 0) or one clear line (exit 1): never a crash, never 'not
found', and never a lost store. Out of memory is an ordinary error.
"""

import json
import os
import random
import re
import sys

import sandbox
import tap
from sandbox import Allocations, Sandbox

OLD = {sandbox.SERVER: "alice", "https://other.example.com": "bob"}
NEW = "https://new.example.com"
EDGE = 50
EVERY = 20
TRACE_ROOM = 100000  # allocations of one run


# Stores that pullkey writes to.
WRITTEN = (*sandbox.KINDS, "exec")


def prepared(kind, entries=None):
    if kind in sandbox.KINDS:
        user = Sandbox(kind, log=True)
    else:
        user = Sandbox(config={"version": 1}, log=True)
        sandbox.use_only(user, type="exec", path=sandbox.put_fake(user))
    for server, name in (OLD if entries is None else entries).items():
        user.store(server, name, sandbox.secret(name))
    return user


def check_outcome(done, right_output):
    if done.returncode == 0:
        tap.equal(done.stdout, right_output, "exit 0")
    else:
        sandbox.check_refused(done)


def content(user):
    """The files less the empty ones, which are locks, and the reports of this test."""
    files = user.files().items()
    return {name: data for name, data in files if data and not name.endswith("-report")}


def check_secrets(user, entries):
    for server, name in entries.items():
        tap.equal(user.get(server), (name, sandbox.secret(name)), server)


def sample(foreign):
    """Some of the allocations of other libraries."""
    offset = random.randrange(EVERY)
    tap.comment(f"of {len(foreign)} by other libraries every {EVERY}th, from {offset}")
    return {*foreign[:EDGE], *foreign[-EDGE:], *foreign[offset::EVERY]}


def fail_everywhere(base, arguments, input, check, reveals=False, env=None):
    """Runs with each allocation failing, on a fresh copy of the user, and checks the outcome.

    `env` makes more variables for a copy.
    """

    def step(number):
        user = base.copy()
        try:
            plan = Allocations(user, number)
            variables = {**plan.env, **(env(user) if env else {})}
            done = user.run(arguments, input, env=variables, reveals=reveals)
            made, failed = plan.report()
            tap.check(made >= number or not failed, "the counts agree")
            check(user, done, number)
            user.check_log()
            return failed == 1
        finally:
            user.remove()

    user = base.copy()
    try:
        trace = Allocations(user, 0, room=TRACE_ROOM)
        user.run(
            arguments,
            input,
            env={**trace.env, **(env(user) if env else {})},
            reveals=reveals,
        )
        made, _ = trace.report()
    finally:
        user.remove()
    tap.check(made <= TRACE_ROOM, f"{made} allocations are too many for the trace")
    tap.check(trace.foreign or base.kind != "encrypted", "libcrypto is not seen")
    if trace.foreign:
        ours = set(range(1, made + 1)).difference(trace.foreign)
        results = sandbox.each(step, sorted(ours | sample(trace.foreign)))
        fired = sum(results)
        tap.check(fired == len(results), f"only {fired} of {len(results)} failed")
    else:
        fired = sandbox.until_quiet(step)
    tap.check(fired > 3, f"only {fired} allocations were seen")
    tap.comment(f"{fired} of {made} allocations")


def unchanged(base, verb, input, right, env=None):
    """A request that changes no file; right is None where it must be refused."""
    helper = sandbox.program("docker-credential-pullkey")
    files = base.files()

    def check(user, done, _):
        if right is None:
            sandbox.check_refused(done)
        else:
            check_outcome(done, right)
        now = {name: data for name, data in user.files().items() if name in files}
        tap.equal(now == files, True, "nothing changed")

    fail_everywhere(base, [helper, verb], input, check, reveals=verb == "get", env=env)


def read_only(kind, verb, input, right):
    with prepared(kind) as base:
        unchanged(base, verb, input, right)


def check_state(user, done, old, before, after):
    """The old entries or the new ones, each with its secret."""
    # Most failures come before any change, and asking each time would take minutes.
    if done.returncode and content(user) == old:
        return
    now = user.list()
    tap.check(now in (before, after), f"neither old nor new: {now}")
    if done.returncode == 0:
        tap.equal(now, after, "exit 0")
    check_secrets(user, now)


def changing(kind, verb, input, after, fresh=False):
    helper = sandbox.program("docker-credential-pullkey")
    before = {} if fresh else OLD
    with prepared(kind, before) as base:
        old = content(base)

        def check(user, done, _):
            check_outcome(done, b"")
            check_state(user, done, old, before, after)

        fail_everywhere(base, [helper, verb], input, check)


def answer_of_get():
    words = {"ServerURL": sandbox.SERVER, "Username": "alice", "Secret": sandbox.secret("alice")}
    return json.dumps(words, separators=(",", ":")).encode() + b"\n"


def answer_of_list(kind):
    with prepared(kind) as user:
        return user.helper("list").stdout


for kind_of_store in WRITTEN:

    @tap.case(f"{kind_of_store}: get")
    def get(kind=kind_of_store):
        read_only(kind, "get", sandbox.SERVER, answer_of_get())

    @tap.case(f"{kind_of_store}: list")
    def list_entries(kind=kind_of_store):
        read_only(kind, "list", b"", answer_of_list(kind))

    @tap.case(f"{kind_of_store}: store of a new entry")
    def store(kind=kind_of_store):
        text = sandbox.entry(NEW, "carol", sandbox.secret("carol"))
        changing(kind, "store", text, {**OLD, NEW: "carol"})

    @tap.case(f"{kind_of_store}: store over an entry")
    def replace(kind=kind_of_store):
        text = sandbox.entry(sandbox.SERVER, "carol", sandbox.secret("carol"))
        changing(kind, "store", text, {**OLD, sandbox.SERVER: "carol"})

    @tap.case(f"{kind_of_store}: the first store")
    def first_store(kind=kind_of_store):
        text = sandbox.entry(NEW, "carol", sandbox.secret("carol"))
        changing(kind, "store", text, {NEW: "carol"}, fresh=True)

    @tap.case(f"{kind_of_store}: erase")
    def erase(kind=kind_of_store):
        changing(
            kind, "erase", sandbox.SERVER, {k: v for k, v in OLD.items() if k != sandbox.SERVER}
        )


@tap.case("pullkey config check")
def config_check():
    config = {
        "version": 1,
        "backends": {
            "file": {"type": "file", "encryption": "none"},
            "ci": {"type": "env", "username": "CI_USER", "password": "CI_PASSWORD"},
        },
        "rules": [{"match": ["*.example.com", "example.org"], "use": ["ci", "file"]}],
        "default": ["file"],
    }
    arguments = [sandbox.program("pullkey"), "config", "check"]
    with Sandbox(config=config) as base:
        right = base.run(arguments)
        tap.equal(right.returncode, 0, sandbox.show(right))

        def check(_, done, __):
            if done.returncode == 0:
                tap.equal(done.stdout, right.stdout)
            else:
                # What check finds is its output; what stops it is an error. One of the two.
                tap.check(not done.stdout or not done.stderr, sandbox.show(done))
                sandbox.check_refused(done, stream="stderr" if done.stderr else "stdout")

        fail_everywhere(base, arguments, b"", check)


# Commands that only print, in the forms that take different ways to their output.
PRINTED = (
    ("list",),
    ("list", "--json"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("explain", sandbox.SERVER),
    ("explain", sandbox.SERVER, "--json"),
    ("status",),
    ("status", "--json"),
    ("backends",),
    ("backends", "--json"),
    ("cache", "list", "--json"),
    ("version",),
    ("version", "--json"),
)
WITH_RULE = {
    "version": 1,
    "backends": {"file": {"type": "file", "encryption": "none"}},
    "rules": [{"match": "*.example.org", "use": ["file"], "when": {"caller": ["hosts"]}}],
    "default": ["file"],
    "store": "file",
}
# Helpers that other tests have in the same directory for a while.
PASSING = re.compile(rb"test-[0-9a-f]{12}, |(, )?test-[0-9a-f]{12}")
# libcurl may bring GnuTLS (for RTMP), which is not used, and whose constructor writes this.
GNUTLS = re.compile(rb"^Error in GnuTLS initialization: .*\n", re.M)


for words_of_command in PRINTED:

    @tap.case(f"pullkey {' '.join(words_of_command)}")
    def printed(words=words_of_command):
        arguments = [sandbox.program("pullkey"), *words]
        with prepared("plain") as base:
            base.configure(WITH_RULE)
            right = base.run(arguments)
            tap.equal((right.returncode, right.stderr), (0, b""), sandbox.show(right))
            expected = PASSING.sub(b"", right.stdout)

            def check(user, done, _):
                # The dynamic linker ends a process where it has no memory for the variables of a
                # thread, here those of GnuTLS.
                if done.returncode == 127 and b"thread-local data: ABORT" in done.stderr:
                    return
                done.stderr = GNUTLS.sub(b"", done.stderr)
                # Copies differ in their directory, which is what the output names.
                output = done.stdout.replace(user.directory.encode(), base.directory.encode())
                output = PASSING.sub(b"", output)
                if done.returncode == 0:
                    tap.equal((output, done.stderr), (expected, b""), "exit 0")
                else:
                    sandbox.check_refused(done, stream="stderr")
                    tap.check(expected.startswith(output), sandbox.show(done))

            fail_everywhere(base, arguments, b"", check)


def auths(entries):
    return {
        "auths": {
            server: {"username": name, "password": sandbox.secret(name)}
            for server, name in entries.items()
        }
    }


# What is only read: how it is prepared, and the variables it needs.


def with_sources(user):
    for name, entries in (("first", list(OLD.items())[1:]), ("second", OLD.items())):
        path = user.path("home", f"{name}.json")
        with open(path, "w", encoding="ascii", opener=sandbox.private) as out:
            json.dump(auths(dict(entries)), out)
    paths = ["~/absent.json", "~/first.json", "~/second.json"]
    sandbox.use_only(user, type="file", sources=paths)


def with_credential(user):
    path = user.path("home", "registry-auth")
    with open(path, "w", encoding="ascii", opener=sandbox.private) as out:
        json.dump(auths(OLD), out)
    sandbox.use_only(user, type="file", credential="registry-auth")


def with_pair(user):
    sandbox.use_only(user, type="env", username="CI_USER", password="CI_PASSWORD")


def with_auth_config(user):
    sandbox.use_only(user, type="env")


READ = {
    "file, sources": (with_sources, None),
    "file, credential": (
        with_credential,
        lambda user: {"CREDENTIALS_DIRECTORY": user.path("home")},
    ),
    "env, two variables": (
        with_pair,
        lambda _: {"CI_USER": "alice", "CI_PASSWORD": sandbox.secret("alice")},
    ),
    "env, DOCKER_AUTH_CONFIG": (
        with_auth_config,
        lambda _: {"DOCKER_AUTH_CONFIG": json.dumps(auths(OLD))},
    ),
}


def only_read(name, verb, input, right):
    prepare, env = READ[name]
    with Sandbox(config={"version": 1}, log=True) as base:
        prepare(base)
        done = base.helper(verb, input, env=env(base) if env else None)
        if right is None:
            sandbox.check_refused(done)
        else:
            tap.equal((done.returncode, done.stdout), (0, right), "without a fault")
        unchanged(base, verb, input, right, env)


for name_of_reader in READ:
    has_keys = name_of_reader != "env, two variables"

    @tap.case(f"{name_of_reader}: get")
    def get_only(name=name_of_reader):
        only_read(name, "get", sandbox.SERVER, answer_of_get())

    @tap.case(f"{name_of_reader}: list")
    def list_only(name=name_of_reader, listed=has_keys):
        right = json.dumps(OLD if listed else {}, sort_keys=True, separators=(",", ":"))
        only_read(name, "list", b"", right.encode() + b"\n")

    @tap.case(f"{name_of_reader}: store and erase, which change nothing")
    def write_only(name=name_of_reader):
        only_read(name, "store", sandbox.entry(NEW, "carol", sandbox.secret("carol")), None)
        only_read(name, "erase", sandbox.SERVER, b"")


def admin(kind, arguments, input, after):
    """A command of pullkey that changes the store: the old state or the new one, and one line."""
    with prepared(kind) as base:
        old = content(base)

        def check(user, done, _):
            if done.returncode:
                sandbox.check_refused(done, stream="stderr")
            check_state(user, done, old, OLD, after)

        fail_everywhere(base, [sandbox.program("pullkey"), *arguments], input, check)


for kind_of_store in WRITTEN:

    @tap.case(f"{kind_of_store}: pullkey login")
    def login(kind=kind_of_store):
        arguments = ["login", NEW, "-u", "carol", "--password-stdin", "--no-verify"]
        admin(kind, arguments, sandbox.secret("carol"), {**OLD, NEW: "carol"})

    @tap.case(f"{kind_of_store}: pullkey import")
    def import_stdin(kind=kind_of_store):
        text = json.dumps(auths({NEW: "carol"}))
        admin(kind, ["import", "--yes", "--from", "-"], text, {**OLD, NEW: "carol"})


@tap.case("pullkey doctor, of a registry that is not there")
def doctor():
    # Not a name: the C library itself does not bear to be out of memory where it looks one up.
    with prepared("plain", {"127.0.0.1:1": "alice"}) as base:

        def check(_, done, __):
            """Its last line, or one line of an error."""
            tap.equal(done.returncode, 1, sandbox.show(done))
            tap.check(done.stdout or done.stderr.count(b"\n") == 1, sandbox.show(done))
            tap.check(b"will work" not in done.stdout, sandbox.show(done))

        fail_everywhere(base, [sandbox.program("pullkey"), "doctor", "127.0.0.1:1"], b"", check)


@tap.case("pullkey logout")
def logout():
    after = {k: v for k, v in OLD.items() if k != sandbox.SERVER}
    admin("plain", ["logout", sandbox.SERVER], b"", after)


@tap.case("encrypted: pullkey store rekey, of two stores with one key")
def rekey():
    config = {
        "version": 1,
        "backends": {"second": {"type": "file", "path": "~/second/auth.cms"}},
        "rules": [{"match": "second.example.com", "use": ["second"]}],
    }
    entries = {**OLD, "second.example.com": "dora"}
    arguments = [sandbox.program("pullkey"), "store", "rekey"]
    with Sandbox("encrypted", config=config, log=True) as base:
        for server, name in entries.items():
            base.store(server, name, sandbox.secret(name))
        old = content(base)
        key = os.path.relpath(base.key_file, base.directory)

        def check(user, done, _):
            now = content(user)
            if done.returncode:
                sandbox.check_refused(done, stream="stderr")
            else:
                tap.check(now[key] != old[key], "exit 0, and the old key is in place")
            if now == old:
                return
            check_secrets(user, entries)
            # The next run ends what this one began.
            if done.returncode:
                again = user.run(arguments)
                tap.equal(again.returncode, 0, sandbox.show(again))
                tap.equal(user.list(), entries)

        fail_everywhere(base, arguments, b"", check)


sys.exit(tap.run())
