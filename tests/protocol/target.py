# SPDX-License-Identifier: Apache-2.0
"""One helper program under test: a fresh store for each case, runs with a deadline, expectations.

Nothing here knows how a helper keeps its entries; what a program needs around it (directories,
variables, services) is in profiles.py. Every run is recorded in the session, so that the last
cases can judge all of them together, and every run is searched for the secrets of its case.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

from tap import Difference

NOT_FOUND = b"credentials not found in native keychain\n"
NO_SERVER = b"no credentials server URL\n"
NO_USERNAME = b"no credentials username\n"
TIMEOUT = 20  # seconds; longer than any helper may think, shorter than a reader's patience
LINE_MAX = 1024  # an error is one short line


class Result:
    """What one run of the helper left behind."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __str__(self):
        text = f"exit {self.code}, stdout {shorten(self.out)}"
        return text + (f", stderr {shorten(self.err)}" if self.err else "")


class Session:
    """One program and its profile, and a record of every run of this suite."""

    def __init__(self, program, profile, environment=None, quick=False, slow=5.0, timeout=TIMEOUT):
        self.program = os.path.abspath(program)
        self.name = os.path.basename(program)
        self.profile = profile
        self.environment = environment or {}
        self.quick, self.slow, self.timeout = quick, slow, timeout
        self.runs = []  # (command, Result)


class Target:
    """The helper as one case sees it. A context manager: an empty store, gone afterwards."""

    def __init__(self, session):
        self.session, self.profile = session, session.profile
        self.secrets, self.servers = set(), set()
        self.started = []
        self.root = None

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="protocol-")
        self.environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}
        for name, directory in (
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
        ):
            self.environment[name] = self.path(directory)
            os.mkdir(self.path(directory), 0o700)
        os.mkdir(self.path("cwd"), 0o700)
        try:
            self.profile.prepare(self)
        except BaseException:
            shutil.rmtree(self.root)
            raise
        self.environment.update(self.session.environment)
        return self

    def __exit__(self, *ignored):
        try:
            self.end_all()
            if self.profile.persistent:  # a store that outlives the case is emptied by the helper
                for server in sorted(self.servers):
                    self.run("erase", server)
            self.profile.finish(self)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.root, *names)

    # Running

    def start(self, *arguments, **options):
        """Starts the helper in a session of its own: no terminal, and one group to kill."""
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        options.setdefault("env", self.environment)
        options.setdefault("start_new_session", True)
        options.setdefault("cwd", self.path("cwd"))
        process = subprocess.Popen([self.session.program, *arguments], **options)
        process.begin = time.monotonic()
        self.started.append(process)
        return process

    def end_all(self):
        """Ends what a case that failed half-way left running: it would go on writing here."""
        for process in self.started:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def finish(self, process, what, data=None):
        """Feeds and reaps a started helper; one that does not answer is killed and a difference."""
        try:
            out, err = process.communicate(data, self.session.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            limit = f"an answer within {self.session.timeout} s"
            raise Difference(what, limit, "none") from None
        seconds = time.monotonic() - process.begin
        result = Result(process.returncode, out or b"", err or b"", seconds)
        self.session.runs.append((what, result))
        self.check_secrets(what, result)
        return result

    def run(self, verb, data=b"", **options):
        data = data.encode() if isinstance(data, str) else data
        return self.finish(self.start(verb, **options), name_run(verb, data), data)

    def check_secrets(self, what, result):
        """A secret belongs into the answer of a successful get and nowhere else."""
        streams = {"stderr": result.err}
        if result.code != 0:
            streams["stdout of a failure"] = result.out
        for stream, text in streams.items():
            for secret in self.secrets:
                if any(form in text for form in spellings(secret)):
                    raise Difference(what, f"no secret in {stream}", "the secret")

    # Expectations

    def store(self, server, username="user", secret="open-sesame"):
        """Stores, which must succeed without a word."""
        self.silent("store", self.payload(server, username, secret))

    def payload(self, server, username="user", secret="open-sesame"):
        """The bytes that docker's own client sends for store."""
        self.remember(server, secret)
        text = json.dumps(
            {"ServerURL": server, "Username": username, "Secret": secret}, separators=(",", ":")
        )
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text.encode() + b"\n"

    def remember(self, server, secret=""):
        self.servers.add(server)
        if len(secret) >= 8:  # shorter ones would be found by chance
            self.secrets.add(secret)

    def erase(self, server):
        self.silent("erase", server)

    def silent(self, verb, data):
        result = self.run(verb, data)
        if (result.code, result.out, result.err) != (0, b"", b""):
            raise Difference(name_run(verb, data), "exit 0 and no output", result)

    def hit(self, request, username="user", secret="open-sesame", echo=None):
        """get must answer with exactly this credential and echo the request."""
        echo = as_text(request).strip() if echo is None else echo
        self.remember("", secret)
        result = self.run("get", request)
        if result.code != 0 or result.err:
            raise Difference(name_run("get", request), "a credential, exit 0", result)
        expected = {"ServerURL": echo, "Username": username, "Secret": secret}
        try:
            got = json.loads(result.out)
        except ValueError:
            raise Difference(name_run("get", request), "one JSON object", result) from None
        if got != expected:
            raise Difference(name_run("get", request), shorten(expected), shorten(got))
        return result

    def miss(self, request, verb="get"):
        """The one answer that clients read as "not found"."""
        self.fails(verb, request, NOT_FOUND)

    def fails(self, verb, data, text):
        result = self.run(verb, data)
        if (result.code, result.out, result.err) != (1, text, b""):
            raise Difference(
                name_run(verb, data), f"exit 1, stdout {shorten(text)}, stderr empty", result
            )

    def refused(self, verb, data, **options):
        """One clear line and exit 1, and not the text that sends clients on as anonymous."""
        result = self.run(verb, data, **options)
        fault = refusal_fault(result)
        if fault:
            raise Difference(name_run(verb, data), f"exit 1 and one clear line ({fault})", result)
        return result

    def listing(self):
        result = self.run("list")
        try:
            entries = json.loads(result.out)
        except ValueError:
            entries = None
        if result.code != 0 or result.err or not isinstance(entries, dict):
            raise Difference("list", "one JSON object, exit 0", result)
        return entries

    def lists(self, expected):
        entries = self.listing()
        if entries != expected:
            raise Difference("list", shorten(expected), shorten(entries))


def check(condition, message):
    """For what needs no more than a sentence: no traceback, unlike tap.check()."""
    if not condition:
        raise Difference(message)


def refusal_fault(result):
    """What is wrong with a refusal, or None."""
    if result.code != 1:
        return "exit 1"
    if result.out == NOT_FOUND:
        return "not the not-found text"
    return line_fault(result)


def locked_list_fault(result, entries):
    """What is wrong with the list of a locked store, or None: a refusal, or these entries."""
    if result.code != 0:
        return refusal_fault(result)
    try:
        listed = json.loads(result.out)
    except ValueError:
        listed = None
    return None if listed == entries and not result.err else f"a refusal, or {entries}"


def line_fault(result):
    """What is wrong with an error as text, or None: one printable line on stdout alone."""
    if result.err:
        return "nothing on stderr"
    if not result.out.endswith(b"\n") or result.out.count(b"\n") != 1 or result.out == b"\n":
        return "one line on stdout"
    if len(result.out) > LINE_MAX:
        return "a short line"
    try:
        if not result.out[:-1].decode().isprintable():
            return "a printable line"
    except UnicodeDecodeError:
        return "UTF-8"
    return None


def spellings(secret):
    """The forms in which a secret shows up in texts and files."""
    raw = secret.encode()
    forms = {raw, json.dumps(secret)[1:-1].encode(), raw.hex().encode()}
    for before in (b"", b"x", b"xx"):  # base64 of the secret behind anything (user:secret)
        encoded = base64.b64encode(before + raw).rstrip(b"=")
        forms.add(encoded[4 if before else 0 : -1 if (len(before) + len(raw)) % 3 else None])
    return forms


def as_text(data):
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


def name_run(verb, data):
    """A short name of a run, on one line, without the secret that store carries."""
    if verb == "store":
        return f"store ({len(data)} bytes)"
    return f"{verb} {shorten(repr(as_text(data or b'')))}"


def shorten(value, limit=160):
    if isinstance(value, bytes):
        value = repr(value[: 2 * limit])[1:]
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def wait_until(condition, what, seconds=TIMEOUT):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Difference(what, f"within {seconds} s", "not reached")
        time.sleep(0.001)


def pipe_is_empty(stream):
    """Whether the other side has read all that was written into this pipe."""
    waiting = fcntl.ioctl(stream.fileno(), termios.FIONREAD, b"\0" * 4)
    return struct.unpack("i", waiting)[0] == 0
