# SPDX-License-Identifier: Apache-2.0
"""A registry token of ECR, cached and not, beside docker-credential-ecr-login with the same server and
curl with the same request. All three trust one authority, from a file: none reads the system's bundle.

Times depend on the machine and are printed; what is asserted leaves room for a busy one.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
sys.dont_write_bytecode = True
import certs
import measure
import peers
import tap
from contextlib import contextmanager
from fake_aws import ACCOUNT, SENT, TARGETS, Aws, password
from home import Home
from registry import find_program
from wire import Server

HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
RUNS = 60
SPAWN, EMPTY = os.environ["BENCH_SPAWN"], os.environ["BENCH_EMPTY"]
# Goals, and what is asserted while other tests run beside it.
CACHED_RATIO, CACHED_MOST = 1.5, 2.5  # of an empty program's time
CACHED_SHARE = 1 / 3  # of the other helper's memory
CURL_RATIO = 1.2  # of curl's time; of its instructions, which can be counted, it is asserted
RSS_KIB = 12 * 1024
RSS_MORE = 512  # than curl, most of which is the libraries of its library


@contextmanager
def place():
    """A home with keys, and an ECR over TLS."""
    with Home() as home:
        authority = certs.Authority(home.directory("authorities"))
        certificate = authority.issue("server", "IP:127.0.0.1")
        aws = Aws(home.directory("aws"), "secret")
        aws.strict = False  # the other helper sends and signs more than it has to
        with Server(aws.handle, certificate, headers=SENT) as server:
            aws.own_endpoints[f"127.0.0.1:{server.port}"] = ("ecr", "eu-west-1")
            keys = aws.user("user/bench")
            home.url = f"https://127.0.0.1:{server.port}/"
            home.keys, home.authority = keys, authority
            home.env.update(
                AWS_ACCESS_KEY_ID=keys.id,
                AWS_SECRET_ACCESS_KEY=keys.secret,
                AWS_ENDPOINT_URL_ECR=home.url,
                AWS_CA_BUNDLE=authority.file,
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
    words += ["--cacert", home.authority.file]
    words += ["--header", "Content-Type: application/x-amz-json-1.1", "--header", f"X-Amz-Target: {TARGETS['ecr']}"]
    words += ["--data", "{}", "--user", f"{home.keys.id}:{home.keys.secret}", home.url]
    subject = measure.Subject("curl", words)
    tap.check("authorizationData" in subject.run().stdout, "curl gets no token")
    return subject


def tell(rows, subjects):
    for subject, row in zip(subjects, rows, strict=True):
        tap.comment(
            f"{subject.name}: {row['minimum_ms']:.2f} ms at least, median {row['median_ms']:.2f}, {row['rss_kib']} KiB"
        )


@tap.case("a cached token, and the other helper's cache")
def cached():
    with place() as home:
        subjects = [measure.Subject("empty", [EMPTY]), pullkey(home, "cache"), ecr_login(home, True)]
        rows = measure.times(SPAWN, subjects, RUNS, home.path)
    tell(rows, subjects)
    ratio = rows[1]["minimum_ms"] / rows[0]["minimum_ms"]
    tap.comment(f"{ratio:.2f} times an empty program, goal {CACHED_RATIO}: {measure.verdict(ratio, CACHED_RATIO)}")
    tap.check(ratio <= CACHED_MOST, f"{ratio:.2f} times an empty program")
    share = rows[1]["rss_kib"] / rows[2]["rss_kib"]
    tap.check(share <= CACHED_SHARE, f"{share:.2f} of the memory of docker-credential-ecr-login")
    tap.check(rows[1]["minimum_ms"] < rows[2]["minimum_ms"], "slower than docker-credential-ecr-login")


@tap.case("an uncached token, the other helper, and curl with the same request")
def uncached():
    with place() as home:
        subjects = [curl(home), pullkey(home, None), ecr_login(home, False)]
        rows = measure.times(SPAWN, subjects, RUNS, home.path)
        counts = [measure.instructions(subject) for subject in subjects[:2]]
    tell(rows, subjects)
    ratio, work = rows[1]["minimum_ms"] / rows[0]["minimum_ms"], counts[1] / counts[0]
    tap.comment(f"{counts[1] / 1e6:.1f} million instructions, {work:.2f} times curl")
    tap.comment(f"{ratio:.2f} times curl, goal {CURL_RATIO}: {measure.verdict(ratio, CURL_RATIO)}")
    tap.check(work <= CURL_RATIO, f"{work:.2f} times the instructions of curl")
    rss, other = rows[1]["rss_kib"], rows[2]["minimum_ms"]
    tap.comment(f"{rss} KiB, goal {RSS_KIB}: {measure.verdict(rss, RSS_KIB)}")
    tap.check(rss <= rows[0]["rss_kib"] + RSS_MORE, f"{rss} KiB, curl {rows[0]['rss_kib']}")
    ours = rows[1]["minimum_ms"]
    tap.comment(f"{ours:.2f} ms, goal less than docker-credential-ecr-login: {measure.verdict(ours, other)}")


sys.exit(tap.run())
