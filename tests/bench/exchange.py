# SPDX-License-Identifier: Apache-2.0
"""One token exchange, beside curl with the same request and certificates; and many at once.

Times depend on the machine: they are printed with their goals, and only what is far from them fails.
What can be counted is asserted.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("token", "lib", "fakes")]
sys.dont_write_bytecode = True
import crowd
import measure
import namespace
import tap
from contextlib import contextmanager
from home import Home
from registry import find_program, wait_for
from scene import answer, form_of, jwt

HOST = "registry.example"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
RUNS = 60
CROWD = 100
RATIO = 1.2  # of curl's time, a goal; of its instructions it is asserted exactly
CACHED = 1.5  # of an empty program's time, a goal; asserted more closely is what is behind it:
CACHED_CALLS = 82
CACHED_INSTRUCTIONS = 610_000  # more than an empty program's


@contextmanager
def place(token, life, ready=lambda: None):
    """A home with an identity token, and who gives another for it, for so many seconds."""

    def handle(request):
        want = {"grant_type": GRANT, "subject_token": token, "subject_token_type": TYPE + "id_token"}
        tap.equal(form_of(request), want)
        ready()
        words = {"issued_token_type": TYPE + "access_token", "token_type": "Bearer"}
        return answer(access_token=measure.SECRET, expires_in=life, **words)

    with Home() as home, measure.trusted_server(home, handle, ("user-agent",)) as server:
        home.url, home.requests = f"https://127.0.0.1:{server.port}/token", server.requests
        instance = {
            "type": "token",
            "recipe": "oauth",
            "identity": {"file": home.write("token", token)},
            "oauth": {"token_url": home.url, "subject_token_type": "id_token"},
        }
        config = {"version": 1, "rules": [{"match": "**", "use": [instance]}]}
        home.env["PULLKEY_CONFIG"] = home.write("config.json", json.dumps(config))
        yield home
        tap.equal(server.objections, [])


def pullkey(home):
    subject = measure.Subject("pullkey", [home.helper, "get"], HOST, home.env)
    tap.equal(json.loads(subject.run().stdout)["Secret"], measure.SECRET)
    return subject


def curl(home, token):
    words = [find_program("curl"), "--silent", "--fail", "--capath", measure.CA_PATH]
    words += ["--header", "Accept: application/json", "--data-urlencode", f"grant_type={GRANT}"]
    words += ["--data-urlencode", f"subject_token={token}"]
    words += ["--data-urlencode", f"subject_token_type={TYPE}id_token", home.url]
    subject = measure.Subject("curl", words, "", home.env)
    tap.equal(json.loads(subject.run().stdout)["access_token"], measure.SECRET)
    return subject


@tap.case("an exchange that no cache has, and curl with the same request")
def uncached():
    token = jwt()
    # A life that is over before it is used: each get asks.
    with place(token, 1) as home:
        subjects = [curl(home, token), pullkey(home)]
        before = len(home.requests)
        rows = measure.times(os.environ["BENCH_SPAWN"], subjects, RUNS, home.path)
        tap.equal(len(home.requests) - before, 2 * RUNS)
        tap.comment(f"pullkey {rows[1]['minimum_ms']:.1f} ms, curl {rows[0]['minimum_ms']:.1f} ms")
        measure.assert_ratio(rows[1], rows[0], "curl", RATIO)
        measure.assert_memory(rows[1], rows[0])
        measure.assert_work(subjects[1], subjects[0], RATIO)


@tap.case("a token that the cache has, with all that chooses an identity looked at, and an empty program")
def cached():
    with place(jwt(), 3600) as home:
        subject, empty = pullkey(home), measure.Subject("empty", [os.environ["BENCH_EMPTY"]])
        rows = measure.times(os.environ["BENCH_SPAWN"], [empty, subject], RUNS * 5, home.path)
        tap.equal(len(home.requests), 1)
        tap.comment(f"pullkey {rows[1]['minimum_ms']:.2f} ms, {rows[1]['rss_kib']} KiB")
        measure.assert_ratio(rows[1], rows[0], "an empty program", CACHED)
        calls = measure.system_calls(os.environ["SYSCALL_FAULT"], subject)
        measure.assert_most("system calls", calls, CACHED_CALLS)
        measure.assert_instructions(subject, empty, CACHED_INSTRUCTIONS)


@tap.case(f"{CROWD} at once make one exchange")
def many():
    is_going = lambda: os.path.exists(os.path.join(home.path, "go"))
    with place(jwt(), 3600, lambda: wait_for(is_going, "the crowd")) as home:
        ready = lambda: home.write("go", "")
        for code, out, err in crowd.run(home.helper, "get", home.env, [HOST] * CROWD, ready):
            tap.equal((code, err, json.loads(out)["Secret"]), (0, "", measure.SECRET))
        tap.equal(len(home.requests), 1)


namespace.enter(map_root=True)
sys.exit(tap.run())
