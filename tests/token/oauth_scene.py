# SPDX-License-Identifier: Apache-2.0
"""A home whose helper asks a fake OAuth server, and files and variables with what that knows."""

import os
from contextlib import contextmanager

from scene import MARKER, scene
from tap import check, equal

from fake_oauth import HOST, URL, OAuth

R = "r.example.com"


class Setting:
    """A home, the fake server, and files and variables with what it knows."""

    def __init__(self, it, oauth):
        self.it, self.oauth, self.home = it, oauth, it.home
        self.home.env.update(SECRET=oauth.client_secret, ASSERTION=oauth.subject(), TOKEN=oauth.subject())
        secret = {"client_id": oauth.client_id, "client_secret": {"env": "SECRET"}}
        self.client = {
            "none": {},
            "public": {"client_id": oauth.client_id, "client_auth": "none"},
            "basic": secret,
            "basic-raw": {**secret, "client_auth": "basic-raw"},
            "post": {**secret, "client_auth": "post"},
            "assertion": {"client_id": oauth.client_id, "client_assertion": {"env": "ASSERTION"}},
            "key": {"client_id": oauth.client_id, "client_key": oauth.client.private},
        }

    def use(self, auth="none", identity=None, **oauth):
        more = {"identity": identity} if identity else {}
        self.oauth.auth = auth
        self.it.use("oauth", oauth={"token_url": URL, **self.client[auth], **oauth}, **more)

    def exchange(self, auth="none", **oauth):
        self.use(auth, identity={"env": "TOKEN"}, **oauth)

    def refresh_file(self, text=None):
        path = self.home.write("refresh", (text or self.oauth.first_refresh_token()) + "\n")
        os.chmod(path, 0o600)
        return path

    def get(self, server=R):
        return self.it.get(server)

    def expect(self, server=R):
        """A get that asks the token server."""
        number = len(self.oauth.issued)
        equal(self.get(server), f"token:access-{number}-{MARKER}")
        equal(len(self.oauth.issued), number + 1, "tokens that were issued")

    def kept(self, server=R):
        """A get that does not."""
        before = len(self.oauth.forms)
        check(self.get(server), "there is one")
        equal(len(self.oauth.forms), before, "questions")

    def error(self, server=R):
        """One line, without anything secret."""
        line = self.it.error(server)
        check(MARKER not in line, line)
        for token in filter(None, (self.home.env["TOKEN"], self.home.env["ASSERTION"])):
            check(not any(token[at : at + 16] in line for at in range(0, len(token) - 16)), line)
        return line

    def refuse(self, *said):
        line = self.error()
        for part in said:
            check(part in line, f"{part!r} is not in {line!r}")


@contextmanager
def setting(*names):
    made = []
    with scene(lambda request: made[0].handle(request), HOST, *names) as it:
        made.append(OAuth(it.home.directory("keys"), MARKER))
        yield Setting(it, made[0])
        equal(made[0].objections, [], "objections")
