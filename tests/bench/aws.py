# SPDX-License-Identifier: Apache-2.0
"""A registry token of ECR, cached and not, beside docker-credential-ecr-login with the same server and
curl with the same request. All three trust what the system does, which is one authority here.

Times depend on the machine: they are printed with their goals, one that is missed is said to be, and
only what is far from them fails. What can be counted is asserted.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
sys.dont_write_bytecode = True
import measure
import namespace
import tap
from ecr import ecr_login, place, pullkey
from fake_aws import TARGETS
from registry import find_program

RUNS = 60
SPAWN, EMPTY = os.environ["BENCH_SPAWN"], os.environ["BENCH_EMPTY"]
CACHED_RATIO = 1.5  # of an empty program's time, a goal; asserted more closely is what is behind it:
CACHED_CALLS = 85
CACHED_INSTRUCTIONS = 575_000  # more than an empty program's
CACHED_SHARE = 1 / 3  # of the other helper's memory
CURL_RATIO = 1.2  # of curl's time, a goal; of its instructions it is asserted exactly


def curl(home):
    words = [find_program("curl"), "--silent", "--fail", "--aws-sigv4", "aws:amz:eu-west-1:ecr"]
    words += ["--capath", measure.CA_PATH]
    words += ["--header", "Content-Type: application/x-amz-json-1.1", "--header", f"X-Amz-Target: {TARGETS['ecr']}"]
    words += ["--data", "{}", "--user", f"{home.keys.id}:{home.keys.secret}", home.url]
    subject = measure.Subject("curl", words)
    tap.check("authorizationData" in subject.run().stdout, "curl gets no token")
    return subject


def times(home, *subjects):
    rows = measure.times(SPAWN, subjects, RUNS, home.path)
    for subject, row in zip(subjects, rows, strict=True):
        tap.comment(
            f"{subject.name}: {row['minimum_ms']:.2f} ms at least, median {row['median_ms']:.2f}, {row['rss_kib']} KiB"
        )
    return rows


@tap.case("a cached token, and the other helper's cache")
def cached():
    with place() as home:
        empty, ours, other = measure.Subject("empty", [EMPTY]), pullkey(home, "cache"), ecr_login(home, True)
        rows = times(home, empty, ours, other)
        measure.assert_ratio(rows[1], rows[0], "an empty program", CACHED_RATIO)
        share = rows[1]["rss_kib"] / rows[2]["rss_kib"]
        measure.assert_most("of the memory of docker-credential-ecr-login", share, CACHED_SHARE)
        tap.check(rows[1]["minimum_ms"] < rows[2]["minimum_ms"], "slower than docker-credential-ecr-login")
        calls = measure.system_calls(os.environ["SYSCALL_FAULT"], ours)
        measure.assert_most("system calls", calls, CACHED_CALLS)
        measure.assert_instructions(ours, empty, CACHED_INSTRUCTIONS)


@tap.case("an uncached token, the other helper, and curl with the same request")
def uncached():
    with place() as home:
        curls, ours, other = curl(home), pullkey(home, None), ecr_login(home, False)
        rows = times(home, curls, ours, other)
        measure.assert_ratio(rows[1], rows[0], "curl", CURL_RATIO)
        # Not reached: libcurl and OpenSSL take longer to load than that whole program to answer.
        measure.tell_ratio(rows[1], rows[2], "docker-credential-ecr-login", 1)
        measure.assert_memory(rows[1], rows[0])
        measure.assert_work(ours, curls, CURL_RATIO)


namespace.enter(map_root=True)
sys.exit(tap.run())
