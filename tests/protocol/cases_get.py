# SPDX-License-Identifier: Apache-2.0
"""Group B: get, byte by byte."""

import os
import signal
import threading

from tap import Difference, case
from target import NO_SERVER, TIMEOUT, check, pipe_is_empty, refusal_fault, wait_until

HUB = "https://index.docker.io/v1/"


@case("B1 hit, the request without a line end")
def hit_plain(target):
    target.store("b1.test:5000")
    target.hit("b1.test:5000")


@case("B2 hit, the request ends with LF")
def hit_lf(target):
    target.store("b2.test")
    target.hit("b2.test\n")


@case("B3 hit, the request ends with CRLF")
def hit_crlf(target):
    target.store("b3.test")
    target.hit("b3.test\r\n")


@case("B4 blanks around the request are trimmed")
def hit_blanks(target):
    target.store("b4.test")
    for request in ("  b4.test", "b4.test  ", "\tb4.test \t", " b4.test \n", "b4.test \r\n"):
        target.hit(request)


@case("B5 empty, line end only, blanks only: no server URL")
def empty_request(target):
    target.store("b5.test")
    for request in ("", "\n", "\r\n", "   ", " \t \n"):
        target.fails("get", request, NO_SERVER)


@case("B6 miss: the exact text, exit 1, nothing on stderr")
def miss(target):
    target.miss("b6.test")
    target.store("b6.test")
    target.miss("other.test")


@case("B7 LF, CR, NUL or tab inside: refused, never joined")
def interior_control(target):
    target.store("b7.test")
    target.store("b7")
    for byte in ("\n", "\r", "\r\n", "\0", "\t", " ", "\x0b", "\x7f"):
        target.refused("get", f"b7.{byte}test")
        target.refused("get", f"b7{byte}.test")
    target.refused("get", "b7.test\nother.test")
    target.refused("get", "b7.test\n\0")


@case("B8 ServerURL echoes the trimmed request")
def echo(target):
    target.store("b8.test:5000")
    for request in ("b8.test:5000", " b8.test:5000\r\n", "b8.test:5000\n"):
        target.hit(request, echo="b8.test:5000")


@case("B9 one compact JSON object and LF, byte for byte")
def bytes_of_a_hit(target):
    target.store("b9.test", "someone", "a secret")
    result = target.run("get", "b9.test\n")
    expected = b'{"ServerURL":"b9.test","Username":"someone","Secret":"a secret"}\n'
    if (result.code, result.out, result.err) != (0, expected, b""):
        raise Difference("get b9.test", f"exit 0, stdout {expected!r}", result)


@case("B10 a key of 2,048 bytes works, one of 2,049 or of 65,535 bytes is refused")
def long_key(target):
    key = "b10.test/" + "a" * (2048 - 9)
    target.store(key)
    target.hit(key + "\n")
    target.erase(key)
    target.miss(key)
    target.refused("get", key + "a")
    target.refused("store", target.payload(key + "a"))
    target.refused("get", "b10.test/" + "a" * (65_535 - 9))
    target.refused("get", "a" * 65_535 + "\n")


def feed(process, chunk, limit):
    """Writes chunks until limit bytes went out or the helper stopped reading; what went out."""
    sent = 0
    try:
        while sent < limit:
            sent += os.write(process.stdin.fileno(), chunk[: limit - sent])
    except BrokenPipeError:
        pass
    return sent


@case("B11 more than 1 MiB, and input without end: a clean error, no hang")
def huge_request(target):
    for size in (1024 * 1024 + 1, 3 * 1024 * 1024):
        for verb in ("get", "store", "erase"):
            target.refused(verb, b"a" * size)
    for verb in ("get", "store"):
        process = target.start(verb)
        deadline = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
        deadline.start()
        try:
            sent = feed(process, b"a" * 65_536, 64 * 1024 * 1024)
            result = target.finish(process, f"{verb}, endless input")
        finally:
            deadline.cancel()
        if refusal_fault(result):
            raise Difference(f"{verb}, {sent} bytes", "exit 1 and one clear line", result)
    for line in ("b11.test\n" * 110_000, " " * 1_100_000):
        target.refused("get", line)


@case("B11 input under the limit is read to its end before an error is answered")
def drained(target):
    for verb, size in (("get", 900_000), ("erase", 900_000), ("store", 900_000)):
        process = target.start(verb)
        deadline = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
        deadline.start()
        try:
            sent = feed(process, b"%" * 4096, size)
            result = target.finish(process, f"{verb}, {size} bytes")
        finally:
            deadline.cancel()
        if sent != size:
            raise Difference(f"{verb}, {size} bytes", "all of them read", f"{sent} bytes read")
        if refusal_fault(result):
            raise Difference(f"{verb}, {size} bytes", "exit 1 and one clear line", result)


@case("B11 a request that arrives in pieces is waited for")
def slow_writer(target):
    target.store("b11.test")
    process = target.start("get")
    for byte in b"b11.test":
        os.write(process.stdin.fileno(), bytes([byte]))
        wait_until(lambda: pipe_is_empty(process.stdin), "the helper took the byte")
        check(process.poll() is None, "the helper answered before its input ended")
    result = target.finish(process, "get, byte by byte")
    check(result.code == 0, f"get, byte by byte: {result}")


@case("B12 a byte order mark is refused, by get and by store")
def byte_order_mark(target):
    target.store("b12.test")
    target.refused("get", b"\xef\xbb\xbfb12.test")
    target.refused("store", b"\xef\xbb\xbf" + target.payload("b12.test", "bom", "another one"))
    target.hit("b12.test")


@case("B13 a key outside ASCII is refused")
def non_ascii(target):
    target.store("b13.test")
    for request in ("b\u00fccher.test", "b13.test/\u00fc", "\u0435xample.test", b"b13.test\xff"):
        target.refused("get", request)
    target.refused("get", "b13.test\u00a0")
    target.refused("store", target.payload("b\u00fccher.test"))
    target.lists({"b13.test": "user"})


@case("B14 nerdctl-experimental:// keys match exactly and nothing else")
def nerdctl_key(target):
    key = "nerdctl-experimental://team.test/host/b14.test:5000/v2"
    target.store("b14.test:5000")
    target.store("team.test")
    target.miss(key)
    target.store(key, "robot", "the robot's secret")
    target.hit(key, "robot", "the robot's secret")
    target.hit("b14.test:5000")
    target.miss(key + "/")
    target.miss(key + "/app")
    target.erase(key)
    target.miss(key)
    target.hit("b14.test:5000")


@case("B15 host/ns/img finds the host's entry, or the longest stored path, whole segments")
def repository_key(target):
    target.store("b15.test", "host", "of the host")
    target.hit("b15.test/team/app", "host", "of the host")
    target.store("b15.test/team", "team", "of the team")
    target.hit("b15.test/team/app", "team", "of the team")
    target.hit("b15.test/team", "team", "of the team")
    target.hit("b15.test/team-x/app", "host", "of the host")
    target.hit("b15.test/tea", "host", "of the host")
    target.hit("b15.test", "host", "of the host")
    target.store("b15.test/team/app", "app", "of the app only")
    target.hit("b15.test/team/app", "app", "of the app only")
    target.hit("b15.test/team/app/deep", "app", "of the app only")
    target.erase("b15.test")
    target.miss("b15.test")
    target.miss("b15.test/other/app")


@case("B16 IPv6 addresses")
def ipv6(target):
    target.store("[::1]:5000", "loop", "of the loopback")
    target.hit("[::1]:5000", "loop", "of the loopback")
    target.hit("https://[::1]:5000/", "loop", "of the loopback")
    target.miss("[::1]")
    target.miss("[::1]:5001")
    target.miss("[::2]:5000")
    target.store("[2001:db8::1]", "six", "of the network")
    target.hit("[2001:db8::1]:443", "six", "of the network")


@case("B17 the Hub's token keys are never answered from the base key")
def hub_token_keys(target):
    target.store(HUB, "someone", "the password")
    for key in (HUB + "refresh-token", HUB + "access-token"):
        target.miss(key)
        target.store(key, "someone", "token of " + key)
        target.hit(key, "someone", "token of " + key)
    target.hit(HUB, "someone", "the password")
    target.erase(HUB)
    target.miss(HUB)
    target.hit(HUB + "refresh-token", "someone", "token of " + HUB + "refresh-token")
    target.miss("docker.io")
