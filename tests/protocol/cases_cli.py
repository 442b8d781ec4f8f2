# SPDX-License-Identifier: Apache-2.0
"""Group A: the command line, the streams, and what happens when one of them is missing."""

import os
import pty
import re

from tap import Difference, case
from target import TIMEOUT, check, line_fault

VERBS = "<store|get|erase|list|version>"


def usage(target):
    return f"Usage: {target.session.name} {VERBS}\n".encode()


def expect(result, what, code, out):
    if (result.code, result.out, result.err) != (code, out, b""):
        raise Difference(what, f"exit {code}, stdout {out!r}, stderr empty", result)


def call(target, *arguments, data=b"", **options):
    what = " ".join(arguments) or "(no argument)"
    return target.finish(target.start(*arguments, **options), what, data)


@case("A1 no argument: usage on stdout, exit 1")
def no_argument(target):
    expect(call(target), "(no argument)", 1, usage(target))


@case("A2 two arguments: usage on stdout, exit 1")
def two_arguments(target):
    expect(call(target, "get", "a.test"), "get a.test", 1, usage(target))
    expect(call(target, "list", ""), "list ''", 1, usage(target))


@case("A3 unknown verb: one line, exit 1")
def unknown_verb(target):
    name = target.session.name
    for verb in ("fetch", "helper", "gett"):
        expect(call(target, verb), verb, 1, f"{name}: unknown action: {verb}\n".encode())


@case("A3 unknown verb with control bytes or very long: still one printable line")
def strange_verb(target):
    for verb in ("a\nb", "\x1b[31mred", "x" * 100_000, ""):
        result = call(target, verb)
        if result.code != 1 or line_fault(result):
            raise Difference(repr(verb[:20]), f"exit 1 and {line_fault(result)}", result)


@case("A4 verbs are case-sensitive")
def upper_case_verb(target):
    name = target.session.name
    for verb in ("GET", "Get", "LIST"):
        expect(call(target, verb), verb, 1, f"{name}: unknown action: {verb}\n".encode())


@case("A5 version, --version and -v: name (package) version")
def version(target):
    pattern = re.compile(re.escape(target.session.name) + r" \([^()\n]+\) [0-9][^\s]*\n")
    first = None
    for argument in ("version", "--version", "-v"):
        result = call(target, argument)
        text = result.out.decode("utf-8", "replace")
        if result.code != 0 or result.err or not pattern.fullmatch(text):
            raise Difference(argument, "exit 0, '<name> (<package>) <version>'", result)
        first = first or result.out
        check(result.out == first, f"{argument} answers another text than version")


@case("A6 --help and -h: usage on stdout, exit 0")
def usage_asked_for(target):
    for argument in ("--help", "-h"):
        result = call(target, argument)
        if result.code != 0 or result.err or not result.out.startswith(usage(target)):
            raise Difference(argument, f"exit 0, stdout begins {usage(target)!r}", result)


def lists_entry(target, what, process, data=None):
    result = target.finish(process, what, data)
    if (result.code, result.out, result.err) != (0, b'{"a7.test":"user"}\n', b""):
        raise Difference(what, "exit 0 and the one entry", result)


@case("A7 list and version do not read stdin: a terminal, closed, 'unused', an open pipe")
def list_ignores_stdin(target):
    target.store("a7.test")
    master, slave = pty.openpty()
    try:
        lists_entry(target, "list on a terminal", target.start("list", stdin=slave))
    finally:
        os.close(slave)
        os.close(master)
    process = target.start("list", stdin=None, preexec_fn=lambda: os.close(0))
    lists_entry(target, "list, stdin closed", process)
    lists_entry(target, "list with 'unused'", target.start("list"), b"unused")
    reader, writer = os.pipe()
    try:  # nobody ever writes here: a helper that reads would wait for ever
        lists_entry(target, "list, open pipe", target.start("list", stdin=reader))
        result = target.finish(target.start("version", stdin=reader), "version, open pipe")
        check(result.code == 0, f"version with an open pipe: {result}")
    finally:
        os.close(reader)
        os.close(writer)


@case("A8 stdin closed before the start: one line, exit 1")
def stdin_closed(target):
    target.store("a8.test")
    for verb in ("get", "store", "erase"):
        process = target.start(verb, stdin=None, preexec_fn=lambda: os.close(0))
        result = target.finish(process, f"{verb}, stdin closed")
        if result.code != 1 or line_fault(result):
            raise Difference(f"{verb}, stdin closed", "exit 1 and one line", result)
    target.hit("a8.test")


def exit_code(target, what, process, data):
    """Feeds and reaps a helper whose stdout is not ours."""
    _, err = process.communicate(data, TIMEOUT)
    if process.returncode == 0 or process.returncode < 0 or process.returncode > 1:
        raise Difference(what, "exit 1", f"exit {process.returncode}")
    check(not any(secret.encode() in err for secret in target.secrets), "the secret on stderr")


@case("A9 stdout closed, a broken pipe or a full device: exit 1, no crash")
def stdout_unusable(target):
    target.store("a9.test")
    for verb, data in (("get", b"a9.test"), ("list", b"unused")):
        closed = target.start(verb, stdout=None, preexec_fn=lambda: os.close(1))
        exit_code(target, f"{verb}, stdout closed", closed, data)
        reader, writer = os.pipe()
        os.close(reader)
        broken = target.start(verb, stdout=writer)
        os.close(writer)
        exit_code(target, f"{verb}, stdout a broken pipe", broken, data)
        with open("/dev/full", "wb") as full:
            exit_code(target, f"{verb}, stdout full", target.start(verb, stdout=full), data)


@case("A9 store with closed stdout and stderr: no output lands in a file of the store")
def store_without_streams(target):
    target.store("a9.test", secret="the first secret")

    def close_streams():
        os.close(1)
        os.close(2)

    payload = target.payload("a9.test", secret="the second secret")
    process = target.start("store", stdout=None, stderr=None, preexec_fn=close_streams)
    process.communicate(payload, TIMEOUT)
    check(process.returncode in (0, 1), f"exit {process.returncode}")
    wanted = "the second secret" if process.returncode == 0 else "the first secret"
    target.hit("a9.test", secret=wanted)
    target.lists({"a9.test": "user"})
    process = target.start("get", stderr=None, preexec_fn=lambda: os.close(2))
    result = target.finish(process, "get, stderr closed", b"a9.test")
    check(result.code == 0, f"get with closed stderr: {result}")


@case("A10 inherited descriptors, an empty environment entry and a removed directory do no harm")
def odd_surroundings(target):
    target.store("a10.test")
    gone = target.path("gone")
    os.mkdir(gone)
    reader, writer = os.pipe()
    try:
        process = target.start(
            "get",
            pass_fds=(reader, writer),
            env={**target.environment, "TERM": "", "LC_ALL": "xx_YY"},
            cwd=gone,
            preexec_fn=lambda: os.rmdir(gone),
        )
        result = target.finish(process, "get in odd surroundings", b"a10.test")
    finally:
        os.close(reader)
        os.close(writer)
    check(result.code == 0 and not result.err, f"get in odd surroundings: {result}")
