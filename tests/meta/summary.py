# SPDX-License-Identifier: Apache-2.0
"""The closing line of tests/run counts every way in which a test can end, as Meson reports them."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import summary
from tap import case, check, equal, run

# What each test prints, its exit status, and what it counts as: passed, failed, skipped.
TAP_TESTS = {
    "good": ("echo 1..2; echo ok 1 - a; echo ok 2 - b", (2, 0, 0)),
    "skip": ("echo 1..2; echo ok 1 - a; echo 'ok 2 - b # SKIP c'", (1, 0, 1)),
    "bad": ("echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", (1, 1, 0)),
    "all-skipped": ("echo '1..0 # SKIP a'", (0, 0, 1)),
    "good-but-status": ("echo 1..1; echo ok 1 - a; exit 1", (1, 1, 0)),
    "cut-short": ("echo 1..3; echo ok 1 - a", (1, 1, 0)),
    "killed": ("echo 1..2; echo ok 1 - a; kill -9 $$", (1, 1, 0)),
    "out-of-time": ("echo 1..2; echo ok 1 - a; exec sleep 60", (1, 1, 0)),
    "silent": ("exit 0", (0, 0, 1)),
}
SECONDS = {"out-of-time": 1}
PLAIN_TESTS = {
    "plain-good": ("exit 0", (1, 0, 0)),
    "plain-bad": ("exit 1", (0, 1, 0)),
    "plain-skip": ("exit 77", (0, 0, 1)),
    "plain-error": ("exit 99", (0, 1, 0)),
}


def results_of(directory, tap_tests, plain_tests):
    """Lets Meson run these tests, and returns the build directory."""
    source = os.path.join(directory, "source")
    build = os.path.join(directory, "build")
    os.mkdir(source)
    lines = ["project('sums')", "sh = find_program('sh')"]
    for protocol, tests in (("tap", tap_tests), ("exitcode", plain_tests)):
        for name, (script, _) in tests.items():
            body = script.replace("'", "\\'")
            options = f"suite: 's', protocol: '{protocol}', timeout: {SECONDS.get(name, 60)}"
            lines.append(f"test('{name}', sh, args: ['-c', '{body}'], {options})")
    with open(os.path.join(source, "meson.build"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    subprocess.run(["meson", "setup", build, source], check=True, capture_output=True)
    subprocess.run(["meson", "test", "-C", build], capture_output=True, check=False)
    return build


def summarise(arguments, strict):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = summary.summarise(arguments, strict)
    return status, output.getvalue().splitlines()


def expected(tests):
    return [sum(counts[i] for _, counts in tests.values()) for i in range(3)]


@case("every way to end is counted")
def every_way():
    with tempfile.TemporaryDirectory() as directory:
        build = results_of(directory, TAP_TESTS, PLAIN_TESTS)
        passed, failed, skipped = expected({**TAP_TESTS, **PLAIN_TESTS})
        status, lines = summarise([f"one={build}"], False)
        equal(lines[-1], f"{passed} passed, {failed} failed, {skipped} skipped")
        equal(status, 1, "exit status")
        for name, (_, counts) in {**TAP_TESTS, **PLAIN_TESTS}.items():
            text = [line for line in lines if line.split(": ")[2:3] == [name]]
            equal(len([t for t in text if t.startswith("failed:")]), counts[1], name)
            equal(len([t for t in text if t.startswith("skipped:")]), counts[2], name)
        status, lines = summarise([f"one={build}"], True)
        equal(lines[-1], f"{passed} passed, {failed + skipped} failed", "in CI")


@case("good results pass; a skip passes, but not in CI")
def good():
    with tempfile.TemporaryDirectory() as directory:
        tests = {name: TAP_TESTS[name] for name in ("good", "skip")}
        build = results_of(directory, tests, {})
        equal(summarise([f"a={build}", f"b={build}"], False)[0], 0, "exit status")
        equal(summarise([f"a={build}", f"b={build}"], False)[1][-1], "6 passed, 0 failed, 2 skipped")
        equal(summarise([f"a={build}"], True)[0], 1, "exit status in CI")


@case("what was not built, and what ran nothing, fails")
def nothing():
    with tempfile.TemporaryDirectory() as directory:
        build = results_of(directory, {"good": TAP_TESTS["good"]}, {})
        status, lines = summarise([f"a={build}", f"b={directory}/absent"], False)
        equal((status, lines[-1]), (1, "2 passed, 1 failed"))
        check(any("b: was not built" in line for line in lines), lines)
        equal(summarise([], False), (1, ["0 passed, 0 failed"]))


sys.exit(run())
