# SPDX-License-Identifier: Apache-2.0
"""A registry token of ECR, cached and not, beside docker-credential-ecr-login with the same server and
curl with the same request. All three trust what the system does, which is one authority here.

Times depend on the machine: they are printed with their goals, one that is missed is said to be, and
only what is far from them fails. What can be counted is asserted.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
sys.dont_write_bytecode = True
import measure
import namespace
import peers
import tap
from contextlib import contextmanager
from fake_aws import ACCOUNT, SENT, TARGETS, Aws, password
from home import Home
from registry import find_program

HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
RUNS = 60
SPAWN, EMPTY = os.environ["BENCH_SPAWN"], os.environ["BENCH_EMPTY"]
CACHED_RATIO = 1.5  # of an empty program's time, a goal; asserted more closely is what is behind it:
CACHED_CALLS = 85
CACHED_INSTRUCTIONS = 575_000  # more than an empty program's
CACHED_SHARE = 1 / 3  # of the other helper's memory
CURL_RATIO = 1.2  # of curl's time, a goal; of its instructions it is asserted exactly


@contextmanager
def place():
    """A home with keys, and an ECR over TLS."""
    peers.program("ecr-login")  # it may be built only now, by who trusts more than one authority
    with Home() as home:
        aws = Aws(home.directory("aws"), "secret")
        aws.strict = False  # the other helper sends and signs more than it has to
        with measure.trusted_server(home, aws.handle, SENT) as server:
            aws.own_endpoints[f"127.0.0.1:{server.port}"] = ("ecr", "eu-west-1")
            home.keys = aws.user("user/bench")
            home.url = f"https://127.0.0.1:{server.port}/"
            home.env.update(
                AWS_ACCESS_KEY_ID=home.keys.id,
                AWS_SECRET_ACCESS_KEY=home.keys.secret,
                AWS_ENDPOINT_URL_ECR=home.url,
            )
            home.env["PULLKEY_CONFIG"] = home.write("config.json", '{"version": 1}')
            yield home
            tap.equal(aws.objections, [])


def pullkey(home, cache):
    """`cache` is a directory of the home, or None: it asks each time."""
    variables = dict(home.env)
    if cache:
        variables["PULLKEY_CACHE_DIR"] = home.directory(cache)
    else:
        del variables["XDG_RUNTIME_DIR"]
    subject = measure.Subject("pullkey", [home.helper, "get"], HOST, variables)
    tap.equal(json.loads(subject.run().stdout)["Secret"], password("user/bench"))
    return subject


def ecr_login(home, cached):
    variables = {**home.env, **({} if cached else {"AWS_ECR_DISABLE_CACHE": "true"})}
    subject = measure.Subject("ecr-login", [peers.program("ecr-login"), "get"], HOST, variables)
    tap.equal(json.loads(subject.run().stdout)["Secret"], password("user/bench"))
    return subject


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
