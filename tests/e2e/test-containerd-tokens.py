# SPDX-License-Identifier: Apache-2.0
"""Registries with a token server, Harbor among them, through real containerds.

containerd sends the header to the token server since 2.1. With an older one such a pull fails, with
and without a credential, and the header goes nowhere that it did not go before.
"""

import os
import re
import sys
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import table
from node import named, node
from registry import Registry
from scenario import MARKER, PASSWORD, REPOSITORY, USER
from tap import CASES, check, equal, run
from tokens import Harbor, TokenRegistry

FAILED = re.compile("failed to")
CREDENTIAL = ("Basic", USER, PASSWORD)


def expect(it, reference=None):
    """A pull that succeeds where containerd can; with an older one it is refused."""
    if it.containerd.sends_headers_for_tokens:
        it.expect_pulled(reference)
    else:
        it.expect_refused(reference)


def token_server(version, registry_class=TokenRegistry):
    with registry_class({USER: PASSWORD}) as registry, node(version, registry) as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        it.expect_refused()
        equal(registry.tokens.credentials(), [None], "what the token server got without a login")
        it.login(it.address, USER, PASSWORD, "--no-verify")
        it.wait_header()
        registry.tokens.clear()
        expect(it)
        expected = [CREDENTIAL] if it.containerd.sends_headers_for_tokens else [None]
        equal(registry.tokens.credentials(), expected, "what the token server got")
        it.expect_no_secret(MARKER)
        it.logout()
        it.wait_no_header()
        registry.tokens.clear()
        it.expect_refused()
        equal(registry.tokens.credentials(), [None], "what the token server got after the logout")


class Elsewhere(TokenRegistry):
    """Its token server is another host: the registry chooses who gets the header."""

    def set_up_tokens(self):
        self.tokens.host = "localhost"


class Projects(Harbor):
    """Two proxy projects, each for a robot of its own."""

    second = "robot$second"
    projects = {Harbor.robot: Harbor.project, second: "mirror"}

    def __init__(self, password):
        super().__init__(password)
        self.users[self.second] = "second-password"

    def _rights(self, user, repository):
        project = self.projects.get(user)
        return {"pull"} if project and repository.startswith(f"{project}/") else set()


def harbor(version):
    """One host with two keys, told apart by their paths."""
    with Projects(PASSWORD) as registry, node(version, registry) as it:
        references = {}
        for user, project in registry.projects.items():
            registry.push(it.image, f"{project}/{REPOSITORY}", registry.robot)
            name, mirror = f"{project}.example", f"https://{it.address}/v2/{project}"
            entry = table(mirror, helper="pullkey", override_path=True)
            it.write(name, entry, server="https://127.0.0.1:1")
            it.login(f"{it.address}/{project}", user, registry.users[user], "--no-verify")
            it.wait_header(mirror)
            references[user] = it.reference(name)
        for user, reference in references.items():
            registry.tokens.clear()
            expect(it, reference)
            users = {request.user for request in registry.tokens.requests}
            expected = user if it.containerd.sends_headers_for_tokens else None
            equal(users, {expected}, "the users of the tokens")
            equal(registry.tokens.objections, [], "the token server's objections")
            paths = {request.path for request in registry.tokens.requests}
            equal(paths, {"/service/token"}, "pages of the token server")
        it.logout(f"{it.address}/mirror")
        it.wait_no_header(f"https://{it.address}/v2/mirror")
        it.expect_refused(references[registry.second], text=FAILED)
        expect(it, references[registry.robot])


def identity_token(version, registry_class):
    """It is for token servers' own forms; no header can carry it."""
    with registry_class({USER: PASSWORD}) as registry, node(version, registry) as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.login(it.address, "<token>", MARKER, "--no-verify")
        it.hosts.wait_failure(it.url, "identity token")
        status = it.hosts.command("status")
        equal(status.returncode, 1, "exit status of status")
        check("identity token" in status.stdout + status.stderr, status.stdout + status.stderr)
        check("Authorization" not in it.published(it.address), "it was given a header")
        it.expect_refused()
        if registry_class is TokenRegistry:
            equal(registry.tokens.credentials(), [None], "what the token server got")
        it.expect_no_secret(MARKER)
        # The password of the same user is no identity token.
        it.login(it.address, USER, PASSWORD, "--no-verify")
        it.wait_header()
        it.expect_pulled()


NAMES = [
    ("a token server", token_server),
    ("a token server on another host", partial(token_server, registry_class=Elsewhere)),
    ("Harbor: two proxy projects with two robots", harbor),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]
# Of an older containerd only a registry without a token server gets the password after it.
REGISTRIES = {"2.3": TokenRegistry, "2.0": Registry, "system": Registry}
CASES += [
    (named(v, "an identity token: refused"), partial(identity_token, v, registry_class))
    for v, registry_class in REGISTRIES.items()
]

sys.exit(run())
