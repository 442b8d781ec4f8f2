# SPDX-License-Identifier: Apache-2.0
"""A user of their own for the fault tests: directories, a configuration, and the installed programs.

Every secret that the tests store contains MARKER. Each run is searched for it: apart from the
answer of a successful `get`, no output and no log may contain it in any coding.
"""

import base64
import concurrent.futures
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap

MARKER = "mArKeR5ecret0f+tests"
NOT_FOUND = b"credentials not found in native keychain\n"
TIMEOUT = 30  # seconds until a program that should be fast counts as hanging
SERVER = "https://registry.example.com"

KINDS = ("plain", "encrypted")


def program(name):
    """The installed program, as an absolute path."""
    path = os.path.join(os.environ["PULLKEY_BINDIR"], name)
    tap.check(os.access(path, os.X_OK), f"{path} is not installed")
    return path


def codings(text):
    """The forms in which a text could slip out: as it is, in base64 at any offset, in hex."""
    raw = text.encode()
    forms = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for offset in range(3):
        coded = base64.b64encode(b"x" * offset + raw)
        # The first and last groups also depend on the neighbours.
        forms.add(coded[4 : len(coded) - 4])
    forms.add(json.dumps(text)[1:-1].encode())
    return forms


MARKER_FORMS = codings(MARKER)


def leaks(data):
    return any(form in data for form in MARKER_FORMS)


def secret(text=""):
    return f"{MARKER}-{text}"


class Sandbox:
    def __init__(self, kind="plain", config=None, log=False, cache=True):
        """With cache=False there is no place for one, so that only the store is written."""
        self.kind = kind
        self.cache_wanted = cache
        self.directory = tempfile.mkdtemp(prefix="pullkey-faults-")
        self.log_wanted = log
        for name in ("home", "config", "state", "run", "tmp"):
            os.mkdir(self.path(name), 0o700)
        if config is None and kind == "plain":
            config = {
                "version": 1,
                "backends": {"file": {"type": "file", "encryption": "none"}},
                "default": ["file"],
            }
        if config is not None:
            self.configure(config)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        try:
            self.check_log()
        finally:
            self.remove()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @property
    def config_file(self):
        return self.path("config", "pullkey", "config.json")

    @property
    def store_file(self):
        name = "auth.json" if self.kind == "plain" else "auth.cms"
        return self.path("config", "pullkey", name)

    @property
    def key_file(self):
        return self.path("state", "pullkey", "store.key")

    @property
    def log_file(self):
        return self.path("log")

    def configure(self, config):
        os.makedirs(self.path("config", "pullkey"), mode=0o700, exist_ok=True)
        text = config if isinstance(config, (str, bytes)) else json.dumps(config)
        data = text.encode() if isinstance(text, str) else text
        with open(self.config_file, "wb", opener=private) as out:
            out.write(data)

    def environment(self, extra=None):
        result = {
            "PATH": "/usr/bin:/bin",
            "HOME": self.path("home"),
            "XDG_CONFIG_HOME": self.path("config"),
            "XDG_STATE_HOME": self.path("state"),
            "XDG_RUNTIME_DIR": self.path("run"),
            "TMPDIR": self.path("tmp"),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                result[name] = os.environ[name]
        if not self.cache_wanted:
            del result["XDG_RUNTIME_DIR"]
        if self.log_wanted:
            result["PULLKEY_LOG"] = self.log_file
        result.update(extra or {})
        return result

    def copy(self):
        """The same user again, to be spoilt by one test step."""
        twin = object.__new__(Sandbox)
        twin.kind = self.kind
        twin.log_wanted = self.log_wanted
        twin.cache_wanted = self.cache_wanted
        twin.directory = tempfile.mkdtemp(prefix="pullkey-faults-")
        shutil.copytree(self.directory, twin.directory, symlinks=True, dirs_exist_ok=True)
        return twin

    def files(self):
        """Every file below, with its content, less the log."""
        found = {}
        for directory, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(directory, name)
                relative = os.path.relpath(path, self.directory)
                if relative == "log":
                    continue
                if os.path.islink(path):
                    found[relative] = os.readlink(path).encode()
                elif os.path.isfile(path):
                    with open(path, "rb") as data:
                        found[relative] = data.read()
                else:
                    found[relative] = None
        return found

    def run(self, arguments, input=b"", via=(), env=None, reveals=False, **options):
        """Runs to the end; checks that it did not crash, hang, or show the secret."""
        if isinstance(input, str):
            input = input.encode()
        options.setdefault("cwd", self.path("tmp"))
        done = subprocess.run(
            [*via, *arguments],
            input=input,
            capture_output=True,
            env=self.environment(env),
            timeout=TIMEOUT,
            **options,
        )
        if not (reveals and done.returncode == 0):
            tap.check(not leaks(done.stdout), f"the secret is on stdout: {show(done)}")
        tap.check(not leaks(done.stderr), f"the secret is on stderr: {show(done)}")
        return done

    def helper(self, verb, input=b"", **options):
        reveals = verb == "get"
        return self.run(
            [program("docker-credential-pullkey"), verb], input, reveals=reveals, **options
        )

    def check_log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.log_file, "rb") as data:
                tap.check(not leaks(data.read()), "the secret is in the log")

    # What the protocol says, as values; a failure raises.

    def store(self, server, user, secret_text, **options):
        done = self.helper("store", entry(server, user, secret_text), **options)
        tap.equal((done.returncode, done.stdout), (0, b""), f"store {server}")

    def get(self, server, **options):
        """(user, secret), or None when it is not found."""
        done = self.helper("get", server, **options)
        if done.returncode == 1 and done.stdout == NOT_FOUND:
            return None
        tap.equal(done.returncode, 0, f"get {server}: {show(done)}")
        answer = json.loads(done.stdout)
        tap.equal(answer["ServerURL"], server)
        return answer["Username"], answer["Secret"]

    def erase(self, server, **options):
        done = self.helper("erase", server, **options)
        tap.equal((done.returncode, done.stdout), (0, b""), f"erase {server}")

    def list(self, **options):
        done = self.helper("list", **options)
        tap.equal(done.returncode, 0, f"list: {show(done)}")
        return json.loads(done.stdout)


def use_only(user, **instance):
    """A configuration with one backend, which serves everything."""
    user.configure({"version": 1, "backends": {"only": instance}, "default": ["only"]})


def put_fake(user):
    """A helper that works: its path. Its entries are in $HOME/fake of who runs it.

    Where there is a $HOME/broken, the shell runs that text first.
    """
    fake = os.path.join(HERE, "..", "fakes", "docker-credential-fake")
    path = user.path("home", "docker-credential-child")
    os.mkdir(user.path("home", "fake"), 0o700)
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o700)) as out:
        out.write('#!/bin/sh\n[ ! -e "$HOME/broken" ] || . "$HOME/broken"\n')
        out.write(f'FAKE_STORE=$HOME/fake exec sh {fake} "$1"\n')
    return path


def private(path, flags):
    return os.open(path, flags, 0o600)


def entry(server, user, secret_text):
    return json.dumps({"ServerURL": server, "Username": user, "Secret": secret_text})


def show(done):
    """A result for messages. Not for the answer of a get."""
    return f"exit {done.returncode}, stdout {done.stdout[:400]!r}, stderr {done.stderr[:400]!r}"


def check_refused(done, *words, stream="stdout"):
    """Exit 1 and one line that says something other than 'not found', with these words in it."""
    output = getattr(done, stream)
    tap.equal(done.returncode, 1, show(done))
    tap.check(output.endswith(b"\n") and output.count(b"\n") == 1, f"not one line: {show(done)}")
    tap.check(output != NOT_FOUND, "an error was reported as not found")
    tap.check(len(output) > 10 and output.isascii(), f"no message: {show(done)}")
    for word in words:
        tap.check(word.encode() in output, f"{word!r} is missing: {show(done)}")


class Fault:
    """syscall-fault before a command: `via` for run(), then report() tells what happened."""

    def __init__(self, sandbox, *arguments, options=()):
        self.file = sandbox.path("fault-report")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file)
        tool = os.environ["SYSCALL_FAULT"]
        self.via = [tool, "--report", self.file, *options, *map(str, arguments)]

    def report(self):
        result = {"names": {}}
        with open(self.file, encoding="ascii") as lines:
            for line in lines:
                word, *rest = line.split()
                if word == "name":
                    result["names"][rest[0]] = int(rest[1])
                else:
                    result[word] = int(rest[0])
        os.unlink(self.file)
        return result


class Allocations:
    """alloc-fail in the environment: `env` for run(), then report() gives (made, failed).

    With room for a trace, `foreign` has then the numbers of the allocations that other libraries
    made: neither our code nor libc or cJSON for it.
    """

    def __init__(self, sandbox, fail_at, room=0):
        self.file = sandbox.path("allocation-report")
        with open(self.file, "wb") as out:
            out.write(bytes(16 + room))
        self.env = {
            "LD_PRELOAD": os.environ["ALLOC_FAIL"],
            "ALLOC_FAIL_AT": str(fail_at),
            "ALLOC_FAIL_REPORT": self.file,
        }

    def report(self):
        with open(self.file, "rb") as data:
            result = struct.unpack("QQ", data.read(16))
            self.foreign = [number for number, byte in enumerate(data.read(), 1) if byte]
        os.unlink(self.file)
        return result


def each(step, numbers):
    """The results of step(number) for the numbers, a few at a time. A step that raises ends it,
    named by its number."""

    def named(number):
        try:
            return step(number)
        except Exception as problem:
            raise AssertionError(f"step {number}: {problem}") from problem

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(named, numbers))


def until_quiet(step, limit=100000):
    """
    Calls step(1), step(2), ... until one returns False (the fault did not fire any more), as `each`
    does. Returns how many fired.
    """
    fired = 0
    for first in range(1, limit, 16):
        results = each(step, range(first, first + 16))
        fired += sum(results)
        if not all(results):
            return fired
    raise AssertionError(f"still firing after {limit} steps")
