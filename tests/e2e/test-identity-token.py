# SPDX-License-Identifier: Apache-2.0
"""Passwords and identity tokens of a real token server before a real registry: what login asks of
it, and pulls with skopeo, which trades the identity token that our helper gives it.
"""

import json
import os
import sys
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from distribution import PATH, PEERS, SERVICE, Distribution
from home import Home
from image import Image
from registry import find_program, wait_for
from scenario import REFUSED, set_up
from service import Recorder
from tap import case, check, equal, run

USERS = {"alice": "al1ce+/%&= \u00fc", "bob": "b0b"}
REPOSITORY = "alice/hello"
MADE_UP = "aB3dE6gH9jK2mN5"  # it looks like one of the server's
IDENTITY = "<token>"


class Place:
    def __init__(self, home, registry):
        self.home, self.registry = home, registry
        self.tokens = registry.tokens

    def login(self, user, secret, *options):
        """Of the registry, whose token server is at another port: that has to be named."""
        return self.home.login(self.registry.address, user, secret, *options)

    def accepts(self, user, secret):
        """The check says so, and what is stored comes back."""
        done = self.login(user, secret, "--realm", self.tokens.address, "--json")
        equal(done.returncode, 0, done.stderr)
        equal(json.loads(done.stdout)["verified"], True, done.stdout)
        found = self.home.get(self.registry.address)
        equal((found["Username"], found["Secret"]), (user, secret))

    def refuses(self, user, secret, *words, options=None):
        """Nothing of the secret is said, and nothing is stored."""
        options = ("--realm", self.tokens.address) if options is None else options
        done = self.login(user, secret, *options)
        equal((done.returncode, done.stdout), (1, ""), done.stderr)
        for word in words:
            check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")
        check(secret not in done.stderr, "the secret is printed")
        equal(self.home.get(self.registry.address), None, "what is stored")

    def asked(self):
        """What arrived at the token server since the last time."""
        requests = list(self.tokens.requests)
        self.tokens.clear()
        return requests

    def store(self, user, secret):
        entry = {"ServerURL": self.registry.address, "Username": user, "Secret": secret}
        self.home.succeed([self.home.helper, "store"], json.dumps(entry))

    def push(self):
        """What skopeo is to pull."""
        set_up(self.home, "skopeo")
        self.image = Image(os.path.join(self.home.path, "image"))
        self.registry.push(self.image, REPOSITORY, "alice")

    def pull(self):
        source = f"docker://{self.registry.address}/{REPOSITORY}:{self.image.tag}"
        words = [find_program("skopeo"), "--insecure-policy", "copy"]
        return self.home.run([*words, source, f"dir:{self.home.path}/pulled"])

    def pulls(self):
        done = self.pull()
        equal(done.returncode, 0, f"{done.stderr}\n{self.tokens.requests}")
        self.image.check_copied(f"{self.home.path}/pulled")

    def pull_is_refused(self, secret):
        done = self.pull()
        text = done.stdout + done.stderr
        check(done.returncode != 0 and REFUSED.search(text), f"{done.returncode}: {text}")
        check(secret not in text, "the secret is printed")


@contextmanager
def place(version="2.8"):
    with Distribution(USERS, version) as registry, Home(registry.ca) as home:
        yield Place(home, registry)


def forms(requests):
    """Of questions by POST, each of which has its credential in the form alone."""
    for request in requests:
        equal((request.method, request.path, request.query), ("POST", PATH, {}))
        equal(request.authorizations, [], "in the header")
    return [request.form for request in requests]


@case("login with a password: the right one is stored, and nobody else's, nor a wrong one")
def passwords():
    with place() as it:
        it.refuses("alice", "wrong", "refuses this user name and password")
        it.refuses("alice", USERS["bob"], "refuses this user name and password")
        it.refuses("carol", USERS["alice"], "refuses this user name and password")
        equal([request.status for request in it.asked()], [401] * 3)
        it.accepts("alice", USERS["alice"])
        first, control = it.asked()
        equal((first.method, first.path, first.status), ("GET", PATH, 200))
        equal(first.query, {"service": [SERVICE], "account": ["alice"]})
        equal(first.credential, ("Basic", "alice", USERS["alice"]))
        # One that nobody has: that it is refused is what makes the other answer worth something.
        equal((control.method, control.status), ("GET", 401))


@case("login where the token server has POST alone: the grant for passwords, right and wrong")
def password_grant():
    with place("2.5") as it:
        it.tokens.answer = lambda request: (405, [], b"") if request.method == "GET" else None
        it.refuses("alice", "wrong", "refuses this user name and password")
        it.asked()
        it.accepts("bob", USERS["bob"])
        asked = [request for request in it.asked() if request.method == "POST"]
        equal([request.status for request in asked], [200, 401])
        expected = {"grant_type": "password", "username": "bob", "password": USERS["bob"]}
        equal(forms(asked)[0], {**expected, "service": SERVICE, "client_id": "pullkey"})


@case("login with an identity token: the server that gave it is asked, and it is stored")
def identity():
    for version in PEERS:
        with place(version) as it:
            token = it.registry.identity("alice")
            it.accepts(IDENTITY, token)
            asked = it.asked()
            equal([request.status for request in asked], [200, 401])
            expected = {"grant_type": "refresh_token", "refresh_token": token}
            equal(forms(asked)[0], {**expected, "service": SERVICE, "client_id": "pullkey"})
            # With the token that it got.
            wait_for(lambda: len(it.registry.requests("GET", "/v2/")) == 1, "the registry's log")


@case("login with an identity token that is made up, cut, or for another service: named as refused")
def wrong_identities():
    with place() as it:
        whole = it.registry.identity("alice")
        for token in (MADE_UP, whole[:-1], it.registry.identity("alice", "another registry")):
            it.refuses(IDENTITY, token, "refuses this identity token", it.tokens.address, "401")
            equal([request.status for request in it.asked()], [401])
        # Nor is it a password, nor a password an identity token.
        it.refuses("alice", whole, "refuses this user name and password")
        it.refuses(IDENTITY, USERS["alice"], "refuses this identity token")


@case("pull with an identity token that was stored: skopeo gets it from the helper and trades it")
def pull():
    with place() as it:
        it.push()
        token = it.registry.identity("alice")
        it.store(IDENTITY, token)
        it.pulls()
        asked = it.asked()
        equal({request.status for request in asked}, {200})
        for form in forms(asked):
            equal((form["grant_type"], form["refresh_token"]), ("refresh_token", token))
            equal(form["scope"], f"repository:{REPOSITORY}:pull")


@case("pull with an identity token that is made up or another user's, or with none: refused")
def refused_pulls():
    with place() as it:
        it.push()
        it.pull_is_refused(MADE_UP)
        it.asked()
        it.store(IDENTITY, MADE_UP)
        it.pull_is_refused(MADE_UP)
        equal({request.status for request in it.asked()}, {401})
        # Bob's is good, for what is his own.
        other = it.registry.identity("bob")
        it.store(IDENTITY, other)
        it.pull_is_refused(other)
        equal({request.status for request in it.asked()}, {200})


@case("a registry that names a token server elsewhere: nothing is sent there, in no form")
def elsewhere():
    with place() as it, Recorder(it.registry) as front, Recorder(it.registry.server) as trap:
        # The true one, but not named here.
        token = it.registry.identity("alice")
        for user, secret in ((IDENTITY, token), ("alice", USERS["alice"])):
            it.refuses(user, secret, "--realm", options=())
            it.refuses(user, secret, "--realm", options=("--realm", front.address))
        equal(it.asked(), [])
        # A registry that says that its token server is another than the one that is named.
        it.registry = front
        challenge = f'Bearer realm="https://{trap.address}{PATH}",service="{SERVICE}"'
        front.answer = lambda request: (401, [("WWW-Authenticate", challenge)], b"")
        for user, secret in ((IDENTITY, token), ("alice", USERS["alice"])):
            it.refuses(user, secret, trap.address)
        equal((trap.requests, it.asked()), ([], []))
        equal(front.credentials(), [None], "what the registry itself got")


sys.exit(run())
