# SPDX-License-Identifier: Apache-2.0
"""docker-py with our helper: docker.auth and docker.credentials, as a program that uses them would.

No daemon is asked: what the library would send to one is what is compared.
"""

import contextlib
import os
import sys
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from home import Home
from scenario import MARKER, PASSWORD, USER, set_up
from tap import Skip, case, check, equal, run

try:
    import docker
    import docker.auth
    import docker.credentials
except ImportError:
    docker = None

SERVER = "registry.example.com:5000"
HUB = "https://index.docker.io/v1/"
STORE = ".config/pullkey/auth.cms"


@contextlib.contextmanager
def client():
    """A home that docker is configured in, whose variables are those of this process."""
    if docker is None:
        raise Skip("docker-py is missing (Debian package python3-docker)")
    with Home() as home, mock.patch.dict(os.environ, home.env, clear=True):
        set_up(home, "docker")
        yield home


def credential(server, user=USER, secret=PASSWORD):
    """What the library hands to the daemon."""
    return {"ServerAddress": server, "Username": user, "Password": secret}


def fails(errors, function, *arguments):
    try:
        answer = function(*arguments)
    except errors as problem:
        check(MARKER not in str(problem), "the error shows the password")
        return str(problem)
    raise AssertionError(f"no error, but {answer!r}")


@case("docker-py: config.json names the helper, and nothing else has credentials")
def configuration():
    with client():
        config = docker.auth.load_config()
        equal((config.creds_store, config.auths), ("pullkey", {}))
        equal(config.resolve_authconfig(SERVER), None)
        equal(config.get_all_credentials(), {})


@case("docker-py: what pullkey login stored is resolved, as it was given")
def resolved():
    with client() as home:
        home.login(SERVER, USER, PASSWORD, "--no-verify").check_returncode()
        home.login("docker.io", "hubuser", "hub", "--no-verify").check_returncode()
        config = docker.auth.load_config()
        equal(config.resolve_authconfig(SERVER), credential(SERVER))
        for name, asked in ((None, HUB), ("docker.io", HUB), ("index.docker.io", "index.docker.io")):
            equal(config.resolve_authconfig(name), credential(asked, "hubuser", "hub"), name)


@case("docker-py: a miss is no credential, and no error")
def missed():
    with client() as home:
        home.login(SERVER, USER, PASSWORD, "--no-verify").check_returncode()
        config = docker.auth.load_config()
        for name in ("registry.example.com", "other.example.com", None):
            equal(config.resolve_authconfig(name), None, name)
        store = docker.credentials.Store("pullkey")
        fails(docker.credentials.errors.CredentialsNotFound, store.get, "other.example.com")


@case("docker-py: store, get, list and erase of docker.credentials.Store")
def store_verbs():
    with client() as home:
        store = docker.credentials.Store("pullkey")
        equal(store.list(), {})
        equal(store.store(SERVER, USER, PASSWORD), b"")
        equal(store.get(SERVER), {"ServerURL": SERVER, "Username": USER, "Secret": PASSWORD})
        store.store(HUB, "hubuser", "first")
        store.store("docker.io", "hubuser", "second")
        equal(store.get(HUB)["Secret"], "second")
        equal(store.list(), {SERVER: USER, "docker.io": "hubuser"})
        equal(home.find_text(MARKER), [])
        store.erase(SERVER)
        store.erase(SERVER)
        equal(store.list(), {"docker.io": "hubuser"})
        fails(docker.credentials.errors.CredentialsNotFound, store.get, SERVER)
        equal(home.get("docker.io")["Secret"], "second")


@case("docker-py: an identity token is one")
def identity_token():
    with client():
        docker.credentials.Store("pullkey").store(SERVER, "<token>", PASSWORD)
        expected = {"ServerAddress": SERVER, "IdentityToken": PASSWORD}
        equal(docker.auth.load_config().resolve_authconfig(SERVER), expected)


@case("docker-py: get_all_credentials, as a build sends them, is everything by each name")
def all_credentials():
    with client():
        store = docker.credentials.Store("pullkey")
        entries = {HUB: "hubuser", SERVER: USER, "https://two.example.com/v2/": "two"}
        for server, user in entries.items():
            store.store(server, user, PASSWORD)
        expected = {server: credential(server, user) for server, user in entries.items()}
        # The library itself adds each host.
        expected["index.docker.io"] = expected[HUB]
        expected["two.example.com"] = expected["https://two.example.com/v2/"]
        equal(docker.auth.load_config().get_all_credentials(), expected)


@case("docker-py: credHelpers for one registry alone")
def one_registry():
    with client() as home:
        home.write(".docker/config.json", '{"credHelpers": {"%s": "pullkey"}}\n' % SERVER)
        docker.credentials.Store("pullkey").store(SERVER, USER, PASSWORD)
        docker.credentials.Store("pullkey").store("other.example.com", USER, PASSWORD)
        config = docker.auth.load_config()
        equal(config.resolve_authconfig(SERVER), credential(SERVER))
        equal(config.resolve_authconfig("other.example.com"), None)
        host = {"registry.example.com:5000": credential(SERVER)}
        equal(config.get_all_credentials(), host)


@case("docker-py: a store that cannot be read is an error with its reason, never a miss")
def unreadable():
    with client() as home:
        store = docker.credentials.Store("pullkey")
        store.store(SERVER, USER, PASSWORD)
        with open(os.path.join(home.path, STORE), "r+b") as file:
            file.truncate(40)
        config = docker.auth.load_config()
        for function, arguments in (
            (config.resolve_authconfig, (SERVER,)),
            (config.get_all_credentials, ()),
            (store.get, (SERVER,)),
            (store.list, ()),
            (store.erase, (SERVER,)),
            (store.store, (SERVER, USER, PASSWORD)),
        ):
            errors = (docker.errors.DockerException, docker.credentials.StoreError)
            text = fails(errors, function, *arguments)
            check("auth.cms" in text, text)


if __name__ == "__main__":
    sys.exit(run())
