# SPDX-License-Identifier: Apache-2.0
"""A scene with every service that a recipe is for."""

from contextlib import contextmanager

from scene import MARKER, scene
from fake_federation import CONNECTION, Federation
from tap import check, equal

HUB = {"organization": "team", "connection_id": CONNECTION}


@contextmanager
def federation(*more_hosts):
    """A scene with all services; `it.them` is the fake."""
    them = None

    def handle(request):
        return them.handle(request)

    with scene(handle, *Federation.HOSTS, *more_hosts, headers=Federation.HEADERS) as it:
        them = it.them = Federation(it.home.directory("keys"), MARKER)
        yield it
        equal(them.objections, [], "objections of the services")
        check(MARKER not in it.home.read("log"), "a secret in the log")


def from_file(it, audience, **claims):
    return {"file": it.home.write("token", it.them.subject(audience, **claims) + "\n")}


def with_token(got, user):
    """The user, and a token that the service has made."""
    found, _, secret = got.partition(":")
    equal(found, user)
    check(secret.count(".") == 2 or secret.startswith("quay-"), got)
    return secret
