# SPDX-License-Identifier: Apache-2.0
"""A home whose helper exchanges identities at fake servers, which have the names of real ones."""

import base64
import json
import os
import sys
import time
import urllib.parse
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "fakes"), os.path.join(HERE, "..", "lib")]
import certs
from home import Home
from tap import check, equal
from wire import Reply, Server

MARKER = "m4rk3r-of-a-secret"


def jwt(marker=MARKER, life=3600, **claims):
    """A token of somebody whom the fake servers trust: they compare, and do not verify."""
    part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(marker.encode()).rstrip(b"=").decode()
    body = {"sub": "job", "exp": int(time.time()) + life, **claims}
    return ".".join((part({"alg": "RS256"}), part(body), signature))


def answer(status=200, **members):
    return Reply(status, [("Content-Type", "application/json")], json.dumps(members))


def form_of(request):
    """The parameters of a form; each is there once."""
    equal(request.header("content-type"), "application/x-www-form-urlencoded")
    pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    check(all(value for _, value in pairs), f"empty parameters in {pairs}")
    return dict(pairs) if len(dict(pairs)) == len(pairs) else pairs


def basic_of(request):
    kind, _, value = request.header("authorization").partition(" ")
    equal(kind, "Basic")
    return base64.b64decode(value).decode()


class Scene:
    def __init__(self, home, server, names):
        self.home, self.server = home, server
        self.log = os.path.join(home.path, "log")
        routes = os.environ["NET_ROUTES_LIBRARY"]
        # It comes before the sanitizer's library, where there is one.
        options = home.env.get("ASAN_OPTIONS")
        home.env["ASAN_OPTIONS"] = f"{options}:verify_asan_link_order=0" if options else "verify_asan_link_order=0"
        home.env.update(
            PULLKEY_LOG=self.log,
            PULLKEY_CACHE_DIR=home.directory("cache"),
            LD_PRELOAD=routes,
            NET_HOSTS=",".join(f"{name}=198.51.100.1" for name in names),
            NET_ROUTES=f"198.51.100.1:443={server.port}",
        )

    def use(self, recipe, when=None, match="**", **options):
        """`options` of the instance, "on_error" among them."""
        instance = {"type": "token", "recipe": recipe, "ca_file": self.authority, **options}
        rule = {"match": match, "use": [instance], **({"when": when} if when else {})}
        config = {"version": 1, "rules": [rule]}
        self.home.env["PULLKEY_CONFIG"] = self.home.write("config.json", json.dumps(config))

    def get(self, server):
        found = self.home.get(server)
        return found and f"{found['Username']}:{found['Secret']}"

    def error(self, server):
        done = self.home.run([self.home.helper, "get"], server)
        equal((done.returncode, done.stdout.count("\n"), done.stderr), (1, 1, ""), done.stdout)
        return done.stdout.rstrip("\n")


@contextmanager
def scene(handle, *names, headers=()):
    """handle(request) -> Reply, for all of these hosts."""
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        certificate = authority.issue("server", ",".join(f"DNS:{name}" for name in names))
        with Server(handle, certificate, headers=headers) as server:
            it = Scene(home, server, names)
            it.authority, it.certificate = authority.file, certificate
            yield it
            equal(server.objections, [], "objections")
