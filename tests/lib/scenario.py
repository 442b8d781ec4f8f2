# SPDX-License-Identifier: Apache-2.0
"""What every client must manage with our helper, against a real registry.

A client is a class with the methods of `Client`. cases() turns it into test cases: each has a
registry, a home and a configured client of its own.
"""

import json
import os
import re
from base64 import b64encode

import keyring
from home import Home
from image import OCI, Image
from registry import Registry, wait_for
from tap import check, equal

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
USER = "alice"
# What no file may hold; the rest of the password is there to be quoted and encoded.
MARKER = "marker-4f1c9a"
PASSWORD = MARKER + ' $1 "2" \\3 \u00fc'
REPOSITORY = "team/hello"
REFUSED = re.compile(
    r"unauthorized|authentication required|no basic auth|access denied|401"
    r"|invalid username/password|authentication failure|basic credential not found",
    re.IGNORECASE,
)


class Client:
    """One container tool. `name` is what the tests call it."""

    name = "client"
    refused = REFUSED
    image_types = OCI
    can_push = True
    can_pull = True
    verifies_login = True

    def __init__(self, home, registry, image):
        self.home = home
        self.registry = registry
        self.image = image

    def configure(self):
        """Does what the README tells users to do. Raises tap.Skip where a program is missing."""
        raise NotImplementedError

    def push(self):
        """Pushes the image as self.reference; returns the finished process. Only if can_push."""
        raise NotImplementedError

    def pull(self):
        """Pulls self.reference; returns the finished process. Only if can_pull."""
        raise NotImplementedError

    def check_pulled(self):
        """Fails unless what pull() left behind is the image."""
        raise NotImplementedError

    def login(self, user, password):
        """Logs in through the client, the password on standard input."""
        raise NotImplementedError

    def logout(self):
        raise NotImplementedError

    def close(self):
        """Ends what the client started."""

    @property
    def reference(self):
        return f"{self.registry.address}/{REPOSITORY}:{self.image.tag}"


def set_up(home, tool):
    """Runs what README.md says for a tool: the fenced commands below its heading.

    The home takes the place of root's, too.
    """
    with open(README, encoding="utf-8") as file:
        section = re.search(rf"^### {tool}\n((?:(?!#).*\n)*)", file.read(), re.M)
    check(section, f"README.md has no heading {tool}")
    commands = re.findall(r"^```sh\n(.*?)^```$", section[1], re.M | re.S)
    equal(len(commands), 1, f"set-ups for {tool}")
    commands = commands[0].replace("/root/", f"{home.path}/")
    home.succeed(["sh", "-eu", "-c", commands], env={"HOME": home.path})


def cases(client_class, extra=()):
    """The test cases of a client, for tap.run(). `extra` are (name, function of a client)."""

    def bound(function):
        def case():
            with Registry({USER: PASSWORD}) as registry, Home(registry.ca) as home:
                image = Image(os.path.join(home.path, "image"), client_class.image_types)
                client = client_class(home, registry, image)
                try:
                    client.configure()
                    function(client)
                except AssertionError as error:
                    error.add_note(f"the registry's last requests:\n{registry.last_requests()}")
                    raise
                finally:
                    client.close()

        return case

    does = ["push"] * client_class.can_push + ["pull"] * client_class.can_pull
    chosen = [
        (", ".join(["pullkey login", *does, "log out through the client"]), whole_round),
        (", ".join(["login through the client, get by hand", *does, "log out"]), login_through),
    ]
    if does:
        chosen.insert(0, (f"{' and '.join(does)} without a credential: refused", refused_without))
    if client_class.verifies_login:
        chosen.append(("login with a wrong password stores nothing", wrong_password))
    chosen += extra
    return [(f"{client_class.name}: {name}", bound(function)) for name, function in chosen]


def succeed(result, what):
    if result.returncode != 0:
        raise AssertionError(f"{what} failed with {result.returncode}:\n{result.stderr[-4000:]}")


def expect_refused(client, result, what):
    """The registry turned the request away, and the client said so."""
    check(result.returncode != 0, f"{what} succeeded")
    text = result.stdout + result.stderr
    check(client.refused.search(text), f"{what} failed for another reason:\n{text}")
    check(MARKER not in text, f"{what} printed the password")


def expect_refused_pull(client):
    before = client.registry.refusals()
    authorised = len(client.registry.requests("GET", "/manifests/"))
    expect_refused(client, client.pull(), "the pull")
    wait_for(lambda: client.registry.refusals() > before, "a refusal in the registry's log")
    equal(len(client.registry.requests("GET", "/manifests/")), authorised, "manifests served")


def push_and_pull(client):
    registry = client.registry
    if client.can_push:
        before = len(registry.requests("PUT", "/manifests/"))
        succeed(client.push(), "the push")
        wait_for(lambda: len(registry.requests("PUT", "/manifests/")) > before, "the push's log")
        equal(registry.repositories(USER), [REPOSITORY], "pushed repositories")
    elif client.can_pull:
        registry.push(client.image, REPOSITORY, USER)
    if client.can_pull:
        before = len(registry.requests("GET", "/manifests/"))
        succeed(client.pull(), "the pull")
        wait_for(lambda: len(registry.requests("GET", "/manifests/")) > before, "the pull's log")
        client.check_pulled()


def expect_no_secret(client):
    """Nothing that the client wrote holds the password, plain or as Basic authorization."""
    pair = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for text in (MARKER, pair):
        equal(client.home.find_text(text), [], "files that hold the password")


def expect_stored(client):
    credential = client.home.get(client.registry.address)
    check(credential is not None, "the helper has no credential")
    equal(credential["ServerURL"], client.registry.address, "ServerURL")
    equal((credential["Username"], credential["Secret"]), (USER, PASSWORD), "the credential")
    bus = client.home.env.get("DBUS_SESSION_BUS_ADDRESS")
    if bus:
        servers = [entry.server for entry in keyring.found(bus).entries()]
        equal(servers, [client.registry.address], "what the keyring has")


def expect_nothing_stored(client):
    equal(client.home.get(client.registry.address), None, "the credential")
    equal(client.home.list(), {}, "the list")


def log_out(client):
    succeed(client.logout(), "the logout")
    expect_nothing_stored(client)
    if client.can_pull:
        expect_refused_pull(client)


def refused_without(client):
    """Shows that the other cases prove something: this registry lets nobody in."""
    expect_refused_pull(client)
    if client.can_push:
        expect_refused(client, client.push(), "the push")
        equal(client.registry.repositories(USER), [], "pushed repositories")


def whole_round(client):
    succeed(client.home.login(client.registry.address, USER, PASSWORD), "pullkey login")
    expect_stored(client)
    push_and_pull(client)
    expect_no_secret(client)
    log_out(client)


def login_through(client):
    succeed(client.login(USER, PASSWORD), "the login")
    expect_stored(client)
    equal(list(client.home.list().values()), [USER], "the users listed")
    expect_no_secret(client)
    push_and_pull(client)
    log_out(client)


def store(client, server=None, password=PASSWORD):
    """Stores a credential by hand, as a client would; for the registry if no server is named."""
    server = server or client.registry.address
    request = {"ServerURL": server, "Username": USER, "Secret": password}
    client.home.succeed([client.home.helper, "store"], json.dumps(request))


def login_again(client):
    """A login that names no user takes the one that is stored, and checks it."""
    store(client)
    succeed(client.login_again(), "the login without a user name")
    expect_stored(client)
    store(client, password="stale")
    check(client.login_again().returncode != 0, "a login with a stale password succeeded")


def logout_all(client):
    """--all lists, and erases what was listed."""
    store(client)
    store(client, "other.example.com")
    store(client, "https://index.docker.io/v1/")
    succeed(client.logout_all(), "the logout of everything")
    expect_nothing_stored(client)
    expect_refused_pull(client)


def wrong_password(client):
    result = client.login(USER, "wrong")
    expect_refused(client, result, "the login with a wrong password")
    expect_nothing_stored(client)
