# SPDX-License-Identifier: Apache-2.0
"""The distribution registry itself, htpasswd over TLS: the positive control of the fakes."""

from checks import run_check
import registry as real
import tap
from fake_registry import IDENTITY, SECRET
from tap import case, equal


@case("docker-registry with htpasswd takes the right password and denies others")
def _():
    with real.Registry({"puller": SECRET}) as server:
        options = {"ca_file": server.ca}
        run_check(server.port, host="127.0.0.1", options=options, user="puller").accepted("Basic")
        equal(len(server.requests("GET", "/v2/")), 1)
        for user, secret in (
            ("puller", SECRET + "x"),
            ("puller", ""),
            ("stranger", SECRET),
            ("", ""),
        ):
            run_check(
                server.port, host="127.0.0.1", options=options, user=user, secret=secret
            ).failed("denied", "refuses")
        run_check(
            server.port, host="127.0.0.1", options=options, user="<token>", secret=IDENTITY
        ).failed("unsupported")
        run_check(server.port, host="127.0.0.1", options={}, user="puller").failed(
            "invalid", "--ca-file"
        )
        equal(len(server.requests("GET", "/v2/")), 1)


if __name__ == "__main__":
    raise SystemExit(tap.run())
