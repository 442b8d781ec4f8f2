# SPDX-License-Identifier: Apache-2.0
"""What the scenes of all clouds have: registries and token servers by their names, the metadata service at its address,
and one fake that answers for them.
"""

import time
from contextlib import contextmanager

from scene import MARKER, scene
from tap import check, equal
from wire import Reply, Server


@contextmanager
def cloud_scene(recipe, make, registry, names, headers=(), machine_headers=(), secrets=(MARKER, "eyJ")):
    """A home without any identity; make(directory, MARKER) is the cloud. None of `secrets` is in a message or the log."""
    with scene(lambda request: it.answer(request), *names, headers=headers) as it:
        it.cloud, it.registry, it.secrets = make(it.home.directory("cloud"), MARKER), registry, secrets
        it.answer, it.asks_for_errors = it.cloud.handle, False
        with Server(lambda request: it.cloud.handle_machine(request), headers=machine_headers) as it.machine:
            it.home.env["NET_ROUTES"] += f",169.254.169.254:80={it.machine.port}"
            it.use(recipe)
            yield it
            equal(it.cloud.objections + it.machine.objections, [], "objections")
            keeps_secrets(it, it.home.read("log"), "the log")


def keeps_secrets(it, text, where):
    for secret in it.secrets:
        check(secret not in text, f"{secret} in {where}")


def error(it, host=None):
    if it.asks_for_errors:
        uncached(it)
    line = it.error(host or it.registry)
    keeps_secrets(it, line, line)
    return line


def refused(it, *said, host=None):
    line = error(it, host)
    for text in said:
        check(text in line, f"{text!r} is not in {line!r}")
    return line


def asked(it):
    found, it.cloud.asked[:] = list(it.cloud.asked), []
    return found


def uncached(it):
    """The next get asks again."""
    it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory(f"cache-{time.monotonic_ns()}")


def unconfigured(it, *hosts):
    """Without a configuration there is nothing for them, at once and without a request. Returns where it was."""
    config = it.home.env.pop("PULLKEY_CONFIG")
    start = time.monotonic()
    equal([it.get(host) for host in hosts], [None] * len(hosts))
    check(time.monotonic() - start < 5, "somebody was waited for")
    equal((it.server.connections, it.machine.connections), (0, 0))
    return config


def no_registries(it, *hosts):
    """They get nothing, and nobody is asked."""
    for host in (*hosts, *map(str.upper, hosts)):
        uncached(it)
        equal(it.get(host), None, host)
    equal((it.server.connections, it.machine.connections), (0, 0))


@contextmanager
def unasked_proxy(it, exceptions=""):
    """The environment names a proxy for everything, which nobody may ask."""
    with Server(lambda request: Reply(500)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            it.home.env[name] = f"http://127.0.0.1:{proxy.port}"
        it.home.env["no_proxy"] = exceptions
        yield
        equal(proxy.connections, 0, "connections to the proxy")
