# SPDX-License-Identifier: Apache-2.0
"""Helpers other than pullkey, through real containerds: what they answer, fail to answer, and how
long that is good for.
"""

import json
import os
import pwd
import shlex
import sys
import time
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from secrets import token_hex

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from daemon import ROOT, helper_user
from helper import Helper
from hosts import basic, table
from node import helped, named, node
from passwordstore import PasswordStore
from registry import Registry, wait_for
from scenario import PASSWORD, USER
from service import Gate
from tap import CASES, check, equal, run
from tokens import TokenRegistry

LIFE = 12  # seconds: the least that is renewed well before it ends
IMAGES = 50
GOOGLE = ("_dcgcr_2_0_0_token", "ya29.token")


def named_helper(version):
    """What it knows is used, and what it no longer knows is not."""
    with helped(version) as (it, gate, helper):
        url, reference = gate.url, it.reference(gate.address)
        it.wait_header(url)
        it.expect_pulled(reference)
        equal(helper.names, [gate.address], "names that it was asked for")
        user = pwd.getpwnam(helper_user()).pw_uid if ROOT else os.geteuid()
        equal(helper.runs[0].user, user, "the user that runs it")
        del helper.credentials[gate.address]
        it.hosts.reload()
        it.wait_no_header(url)
        equal(helper.names[1:], [gate.address, url], "names that it was asked for then")
        it.expect_refused(reference)
        helper.credentials[url] = ("alice", "first")
        it.hosts.reload()
        it.wait_header(url)
        it.expect_pulled(reference)
        it.expect_no_secret("first", b64encode(b"alice:first").decode())


def trouble(version):
    """While it fails the last header stays; a wrong one is not sent for longer than it is there."""
    with helped(version) as (it, gate, helper):
        url, reference = gate.url, it.reference(gate.address)
        it.wait_header(url)
        it.expect_pulled(reference)

        helper.failure = "the vault is sealed"
        it.hosts.reload()
        found = it.hosts.wait_failure(url, "failed with status 1")
        check(found["header"], "the header is gone")
        equal(it.hosts.command("status").returncode, 1, "exit status of status")
        it.expect_pulled(reference)

        helper.failure = None
        helper.hold()
        it.hosts.reload()
        helper.wait_held()
        found = it.hosts.wait_failure(url, "did not answer in time")
        equal(found["class"], "unreachable", "the class of the error")
        it.expect_pulled(reference)
        helper.let_go()

        helper.remove()
        it.hosts.reload()
        it.hosts.wait_failure(url, f"there is no docker-credential-{helper.name}")
        it.expect_pulled(reference)
        helper.install()

        helper.credentials[gate.address] = ("alice", "wrong")
        it.hosts.reload()
        it.wait_published(gate.address, basic("alice", "wrong"))
        gate.clear()
        it.expect_refused(reference)
        # Without a credential as the "server" of the file.
        expected = [("Basic", "alice", "wrong"), None]
        equal(gate.credentials(), expected, "what the registry got")

        helper.credentials[gate.address] = ("alice", "first")
        it.hosts.reload()
        it.wait_published(gate.address, basic("alice", "first"))
        it.expect_pulled(reference)
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(url)
        it.expect_refused(reference)


def google(version):
    """As the guides have it, with a helper of that name."""
    with (
        Registry({USER: PASSWORD}) as registry,
        Gate(registry, GOOGLE) as gate,
        Helper("gcr") as helper,
        node(version, registry) as it,
    ):
        url = gate.url
        entry = table(url, helper="gcr", capabilities=["pull", "resolve"])
        it.write(gate.address, entry, server=url)
        it.hosts.wait_asked(url, 1)
        it.expect_refused(it.reference(gate.address))
        helper.credentials[url] = GOOGLE
        it.hosts.reload()
        it.wait_header(url)
        it.expect_pulled(it.reference(gate.address))
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(url)
        it.expect_refused(it.reference(gate.address))


def google_tokens(version):
    """The same where the registry has a token server: containerd sends it the header since 2.1."""
    with (
        TokenRegistry(dict([GOOGLE])) as registry,
        Helper("gcr") as helper,
        node(version, registry) as it,
    ):
        helper.credentials[it.address] = GOOGLE
        it.write(it.address, table(it.url, helper="gcr"), server=it.url)
        it.wait_header()
        registry.tokens.clear()
        if it.containerd.sends_headers_for_tokens:
            it.expect_pulled()
            equal(registry.tokens.credentials(), [("Basic", *GOOGLE)], "what the token server got")
        else:
            it.expect_refused()
            equal(registry.tokens.credentials(), [None], "what the token server got")
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header()
        it.expect_refused()


def password_store(version):
    """A helper of Debian's, with gpg and its agent behind it, as an account of its own."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, ("alice", "first")))
        it = stack.enter_context(node(version, registry, start=False))
        store = stack.enter_context(PasswordStore(it.home))
        if store.account:
            it.hosts.configure({"helper_user": store.account})
        command = shlex.join(store.with_account([it.hosts.program]))
        it.hosts.program = it.home.write("hosts", f'#!/bin/sh\nexec {command} "$@"\n')
        os.chmod(it.hosts.program, 0o755)
        url, reference = gate.url, it.reference(gate.address)
        it.write(gate.address, table(url, helper="pass"), server=url)
        # Under either of the names that it is asked for.
        for number, name in enumerate((gate.address, url)):
            store.store(name, "alice", "first")
            if number == 0:
                it.hosts.start()
            it.hosts.reload()
            it.wait_header(url)
            gate.clear()
            it.expect_pulled(reference)
            check(("Basic", "alice", "first") in gate.credentials(), "it was not sent")
            store.erase(name)
            it.hosts.reload()
            it.wait_no_header(url)
            equal(it.hosts.host(url)["class"], "not found", "the class of the error")
            it.expect_refused(reference)
        it.expect_no_secret("first", b64encode(b"alice:first").decode())


def jwt(expiry):
    parts = ({"alg": "none"}, {"exp": expiry, "jti": token_hex(4)}, {})
    return ".".join(urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)


def ecr(expiry):
    text = json.dumps({"payload": token_hex(8), "expiration": expiry, "type": "DATA_KEY"})
    return b64encode(text.encode()).decode()


class Issuer(Gate):
    """It lets in whoever has one of its tokens that has not expired yet."""

    def __init__(self, registry, make):
        super().__init__(registry)
        self.make = make
        self.issued = {}

    def issue(self):
        expiry = int(time.time()) + LIFE
        token = self.make(expiry)
        self.issued[token] = expiry
        return "token", token

    def accepts(self, user, password):
        return time.time() < self.issued.get(password, 0)


class Issuing(Helper):
    """It asks the issuer for a new token each time."""

    issuers = {}

    def answer(self, name):
        issuer = self.issuers.get(name)
        if issuer and self.failure is None:
            self.credentials[name] = issuer.issue()
        return super().answer(name)


def expiring(version):
    """Three kinds of tokens, whose life is read or assumed: renewed before they end; where that
    fails the header goes; and it comes back.
    """
    kinds = {"jwt": jwt, "ecr": ecr, "opaque": lambda expiry: token_hex(16)}
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        helper = stack.enter_context(Issuing())
        it = stack.enter_context(node(version, registry))
        issuers = [stack.enter_context(Issuer(registry, make)) for make in kinds.values()]
        helper.issuers = {issuer.address: issuer for issuer in issuers}
        urls = [issuer.url for issuer in issuers]
        for name, issuer, url in zip(kinds, issuers, urls):
            auth = {"assumeLifetime": f"{LIFE}s" if name == "opaque" else "15m"}
            it.write(issuer.address, table(url, helper=helper.name, auth=auth), server=url)
        for issuer, url in zip(issuers, urls):
            it.wait_header(url)
            it.expect_pulled(it.reference(issuer.address))
        first = [it.hosts.host(url)["expires"] for url in urls]
        for url in urls:
            it.hosts.wait_asked(url, 2)
        wait_for(lambda: time.time() >= max(first), "the first tokens to end", LIFE)
        for issuer, expiry in zip(issuers, first):
            it.expect_pulled(it.reference(issuer.address))
            second = list(issuer.issued.values())[1] - LIFE
            check(second < expiry, "a token was renewed after its end")

        helper.failure = "the issuer is down"
        for issuer, url in zip(issuers, urls):
            expiry = max(issuer.issued.values())
            it.wait_no_header(url)
            check("Authorization" not in it.published(issuer.address), "the header stays")
            written = os.stat(os.path.join(it.hosts.target, issuer.address, "hosts.toml")).st_mtime
            check(written < expiry, "the header stayed longer than it was good")
        it.expect_refused(it.reference(issuers[0].address))

        helper.failure = None
        for issuer, url in zip(issuers, urls):
            it.wait_header(url)
        it.expect_pulled(it.reference(issuers[0].address))


def expiring_everywhere():
    """Most of it is waiting, so all containerds do it at the same time."""
    with ThreadPoolExecutor(len(VERSIONS)) as pool:
        runs = {version: pool.submit(expiring, version) for version in VERSIONS}
    for version, run_of_it in runs.items():
        try:
            run_of_it.result()
        except Exception as error:
            error.add_note(named(version, "tokens that expire"))
            raise


def crowd(version):
    """Many pulls at once are no reason to ask the helper again."""
    with helped(version) as (it, gate, helper):
        it.wait_header(gate.url)
        images = it.push_more(IMAGES, gate.address)
        it.expect_all_pulled(images)
        equal(len(helper.runs), 1, "runs of the helper")
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(gate.url)
        it.expect_refused(next(iter(images)))


NAMES = [
    ("a helper of another name", named_helper),
    ("a helper that fails, hangs, is missing, is wrong", trouble),
    ("credHelper = \"gcr\"", google),
    ("credHelper = \"gcr\", a token server", google_tokens),
    (f"{IMAGES} pulls at once", crowd),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]
CASES += [(named(VERSIONS[0], "docker-credential-pass with gpg"), partial(password_store, VERSIONS[0]))]
CASES += [("every containerd: tokens that expire", expiring_everywhere)]

sys.exit(run())
