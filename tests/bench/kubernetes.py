# SPDX-License-Identifier: Apache-2.0
"""One secret read from a real API server, beside curl with the same request and certificates.

Times depend on the machine and are printed; what is asserted leaves room for a busy one.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
sys.dont_write_bytecode = True
import measure
import tap
from home import Home
from kubernetes import shared
from registry import find_program

HOST = "registry.example"
RUNS = 60
RATIO = 1.3  # of curl's time, a goal
RATIO_MOST = 1.5  # asserted: other tests run beside it
RSS_KIB = 14 * 1024  # with libcurl and libcrypto


@tap.case("an uncached secret, and curl with the same GET")
def read_secret():
    cluster = shared()
    node = cluster.node("bench")
    cluster.add_namespace("bench")
    cluster.add_pull_secret("bench", "robot", {HOST: ("robot", measure.SECRET)})
    rule = {"verbs": ["get"], "resources": ["secrets"], "resourceNames": ["robot"]}
    cluster.grant("bench", "get-robot", rule)
    server = cluster.server
    with Home() as home:
        backend = {"type": "kubernetes", "kubeconfig": node.kubeconfig(), "coalesce": 0}
        backend["secret"] = "bench/robot"
        config = {"version": 1, "backends": {"robot": backend}, "default": ["robot"]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        pullkey = measure.Subject("pullkey", [home.helper, "get"], HOST, home.env)
        tap.equal(json.loads(pullkey.run().stdout)["Secret"], measure.SECRET)

        pem = os.path.join(home.path, "node.pem")
        with open(pem, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            for path in node.certificate:
                with open(path, encoding="ascii") as part:
                    out.write(part.read())
        url = f"https://{server.address}/api/v1/namespaces/bench/secrets/robot"
        words = [find_program("curl"), "--silent", "--fail", "--cacert", server.authority.file]
        curl = measure.Subject("curl", [*words, "--cert", pem, url])
        tap.equal(json.loads(curl.run().stdout)["metadata"]["name"], "robot")

        subjects = [curl, pullkey]
        rows = measure.times(os.environ["BENCH_SPAWN"], subjects, RUNS, home.path)
    ratio = rows[1]["minimum_ms"] / rows[0]["minimum_ms"]
    tap.comment(
        f"pullkey {rows[1]['minimum_ms']:.1f} ms, curl {rows[0]['minimum_ms']:.1f} ms: {ratio:.2f} times, "
        f"goal {RATIO}: {measure.verdict(ratio, RATIO)}; "
        f"{rows[1]['rss_kib']} KiB, curl {rows[0]['rss_kib']} KiB"
    )
    tap.check(ratio <= RATIO_MOST, f"{ratio:.2f} times curl")
    tap.check(rows[1]["rss_kib"] <= RSS_KIB, f"{rows[1]['rss_kib']} KiB")


sys.exit(tap.run())
