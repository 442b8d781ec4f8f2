# SPDX-License-Identifier: Apache-2.0
"""What containerd itself does with credentials in hosts.toml, without any program of ours.

Ours are built upon this, so it is shown for each version that can be had here. A `credHelper` means
nothing to any of them. An Authorization header does: the registry gets it, and its token server
since containerd 2.1.
"""

import os
import sys
from contextlib import contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS, Containerd
from home import Home
from hosts import basic, table, write_hosts
from image import Image
from registry import Registry
from scenario import PASSWORD, REFUSED, REPOSITORY, USER, succeed
from service import Recorder
from tap import check, equal, run
from tokens import Harbor, TokenRegistry

HEADER = basic(USER, PASSWORD)
CREDENTIAL = ("Basic", USER, PASSWORD)


class Node:
    """A containerd, and one registry behind `mirror` that has one image."""

    def __init__(self, home, registry, mirror):
        self.home, self.registry, self.mirror = home, registry, mirror
        self.directory = home.directory("certs.d")
        self.image = Image(os.path.join(home.path, "image"))
        self.reference = f"{mirror.address}/{REPOSITORY}:{self.image.tag}"
        self.daemon = None

    def write(self, helper=None, authorization=None):
        url = f"https://{self.mirror.address}"
        entry = table(url, helper, authorization, ca=self.registry.ca)
        return write_hosts(self.directory, self.mirror.address, entry, server=url)

    def pull(self, client):
        """A pull that fetches everything anew; what was recorded before is forgotten."""
        self.daemon.forget()
        self.mirror.clear()
        if isinstance(self.registry, TokenRegistry):
            self.registry.tokens.clear()
        pull = getattr(self.daemon, f"{client}_pull")
        return pull(self.reference, *([] if client == "crictl" else [self.directory]))

    def expect_pulled(self, client):
        succeed(self.pull(client), f"the pull with {client}")
        self.expect_image(client)

    def expect_image(self, client):
        equal(self.daemon.images()[client], {self.reference: self.image.manifest}, "the images")

    def expect_refused(self, client):
        expect_refused(self.pull(client), client)


def expect_refused(result, client):
    text = result.stdout + result.stderr
    check(result.returncode != 0, f"the pull with {client} succeeded")
    check(REFUSED.search(text), f"the pull with {client} failed for another reason:\n{text}")


CLIENTS = ("crictl", "ctr", "nerdctl")


@contextmanager
def node(version, registry_class=Registry, settings="", **options):
    with (
        registry_class({USER: PASSWORD}) as registry,
        Recorder(registry) as mirror,
        Home(registry.ca) as home,
    ):
        made = Node(home, registry, mirror)
        registry.push(made.image, REPOSITORY, USER)
        options.setdefault("config_path", made.directory)
        with Containerd(home, version, **options, settings=settings) as made.daemon:
            yield made


def helper_alone(version):
    with node(version) as it:
        it.write(helper="pullkey")
        for client in CLIENTS:
            it.expect_refused(client)
            equal(it.mirror.credentials(), [None], "what the registry got")


def header(version):
    """It is read anew by each pull, whatever the last one found."""
    with node(version) as it:
        for client in CLIENTS:
            it.write(helper="pullkey", authorization=basic(USER, "stale"))
            it.expect_refused(client)
            it.write(helper="pullkey", authorization=HEADER)
            it.expect_pulled(client)
            equal(it.mirror.credentials(), [CREDENTIAL], "what the registry got")
            check(all(len(r.authorizations) == 1 for r in it.mirror.requests), "it got two headers")


def no_secret(version):
    """Not in containerd's log, nor in what it stores."""
    with node(version, level="debug") as it:
        path = it.write(authorization=HEADER)
        it.expect_pulled("crictl")
        check("loading host directory" in it.daemon.log(), "the log is none for debugging")
        found = it.home.find_text(HEADER.removeprefix("Basic "))
        equal(found, [os.path.relpath(path, it.home.path)], "files that hold the credential")


def image_credentials(version):
    """Those of a pod are not used where a good header is; a stale header is replaced by them."""
    with node(version) as it:
        for stored, given, expected in [
            (HEADER, f"{USER}:wrong", [CREDENTIAL]),
            (basic(USER, "stale"), f"{USER}:{PASSWORD}", [("Basic", USER, "stale"), CREDENTIAL]),
        ]:
            it.write(authorization=stored)
            it.daemon.forget()
            it.mirror.clear()
            succeed(it.daemon.crictl_pull(it.reference, given), "the pull")
            equal(it.mirror.credentials(), expected, "what the registry got")


def next_host(version):
    """Each host gets its own header and no other's."""
    with node(version) as it, Recorder(it.registry, lambda _: (503, [], b"")) as broken:
        tables = [
            table(f"https://{broken.address}", None, basic("robot", "first"), ca=it.registry.ca),
            table(f"https://{it.mirror.address}", None, HEADER, ca=it.registry.ca),
        ]
        server = f"https://{it.mirror.address}"
        write_hosts(it.directory, "registry.example", *tables, server=server)
        it.reference = f"registry.example/{REPOSITORY}:{it.image.tag}"
        for client in CLIENTS:
            broken.clear()
            it.expect_pulled(client)
            equal(broken.credentials(), [("Basic", "robot", "first")], "what the first host got")
            equal(it.mirror.credentials(), [CREDENTIAL], "what the second host got")


def helper_alone_token(version):
    with node(version, TokenRegistry) as it:
        it.write(helper="pullkey")
        for client in CLIENTS:
            it.expect_refused(client)
            equal(it.registry.tokens.credentials(), [None], "what the token server got")


def sends_headers_for_tokens(daemon, client):
    """nerdctl pulls by itself, with the library of its own version."""
    return client == "nerdctl" or daemon.sends_headers_for_tokens


def header_token(version):
    with node(version, TokenRegistry) as it:
        it.write(helper="pullkey", authorization=HEADER)
        tokens = it.registry.tokens
        for client in CLIENTS:
            if sends_headers_for_tokens(it.daemon, client):
                it.expect_pulled(client)
                expected = [CREDENTIAL]
            else:
                it.expect_refused(client)
                expected = [None]
            equal(tokens.credentials(), expected, "what the token server got")
            equal(it.mirror.credentials()[0], CREDENTIAL, "what the registry got first")
            equal(tokens.objections, [], "the token server's objections")


def expired_token(version):
    """What shows that the registry looks at the tokens of this token server."""
    with node(version, TokenRegistry) as it:
        it.write(authorization=HEADER)
        it.registry.tokens.lifetime = -120  # the registry forgives a minute
        it.expect_refused("nerdctl")
        it.registry.tokens.lifetime = 120
        it.expect_pulled("nerdctl")
        check(all(request.granted for request in it.registry.tokens.requests), "nothing granted")


def proxy_project(version):
    """A repository of another registry, by way of Harbor."""
    with Harbor(PASSWORD) as registry, Home(registry.ca) as home:
        it = Node(home, registry, registry)
        registry.push(it.image, f"{registry.project}/{REPOSITORY}", registry.robot)
        it.reference = f"registry.example/{REPOSITORY}:{it.image.tag}"
        authorization = basic(registry.robot, PASSWORD)
        values = {"ca": registry.ca, "override_path": True}
        entry = table(registry.mirror, "pullkey", authorization, **values)
        write_hosts(it.directory, "registry.example", entry, server=f"https://{registry.address}")
        with Containerd(home, version, it.directory) as it.daemon:
            result = it.daemon.crictl_pull(it.reference)
            if not it.daemon.sends_headers_for_tokens:
                expect_refused(result, "crictl")
                return
            succeed(result, "the pull")
            it.expect_image("crictl")
            paths = {request.path for request in registry.tokens.requests}
            equal(paths, {"/service/token"}, "pages of the token server")
            users = {request.user for request in registry.tokens.requests}
            equal(users, {registry.robot}, "users of the token server")


def two_directories(version):
    """A list of directories in config_path is taken for one name since 2.1, in silence."""
    with node(version, config_path="/nonexistent") as it:
        for settings in ("", "use_local_image_pull = true"):
            it.daemon.config_path = f"{it.directory}:/nonexistent"
            it.daemon.settings = settings if it.daemon.version >= (2, 1) else ""
            it.daemon.restart()
            it.write(authorization=HEADER)
            if it.daemon.version >= (2, 1) and not settings:
                it.expect_refused("crictl")
                equal(it.mirror.credentials(), [None], "what the registry got")
            else:
                it.expect_pulled("crictl")
                equal(it.mirror.credentials(), [CREDENTIAL], "what the registry got")


KINDS = {"system": "the distribution's containerd"}
NAMES = [
    ("credHelper alone: refused", helper_alone),
    ("a header: every client pulls, and a new one is seen", header),
    ("a header: neither logged nor stored", no_secret),
    ("a header and credentials of the image's own", image_credentials),
    ("a header goes to its own host only", next_host),
    ("token server, credHelper alone: refused", helper_alone_token),
    ("token server, a header: works since 2.1", header_token),
    ("token server, an expired token: refused", expired_token),
    ("token server, proxy project: works since 2.1", proxy_project),
    ("two directories in config_path: broken since 2.1", two_directories),
]

sys.exit(
    run(
        [
            (f"{KINDS.get(version, f'containerd {version}')}: {name}", partial(function, version))
            for version in VERSIONS
            for name, function in NAMES
        ]
    )
)
