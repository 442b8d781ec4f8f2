# SPDX-License-Identifier: Apache-2.0
"""Broken set-ups of who asks docker-credential-pullkey; skopeo and docker ask it too."""

import json
import os
import struct
import time
from base64 import b64encode, urlsafe_b64encode
from contextlib import contextmanager

import certs
from doctor import MARKER, config, docker_config, preload, report, store
from fake_registry import SECRET, basic_registry
from fake_registry import USER as ROBOT
from home import Home
from image import DOCKER, Image
from keyring_home import SSH, keyring_home
from registry import Registry, find_program
from setups import Verdict, setup
from tap import equal
from tokens import TokenRegistry
from wire import Reply, Server

USER = "alice"
REPOSITORY = "team/app"
ENV = {"type": "env", "username": "CI_USER", "password": "CI_PASSWORD"}


class Place:
    """A home, and an image that is pulled from it."""

    def __init__(self, home, image, options=(), client=False):
        self.home, self.image, self.options, self.client = home, image, list(options), client
        self.name = image.split("/")[0]
        self.with_docker = True
        self.server = self.keyring = None

    def ask(self):
        caller = report(self.home, self.image, *self.options)
        return Verdict(caller["works"], caller["cause"], caller["text"])

    def pull(self):
        """None where no real client can."""
        if not self.client:
            return None
        commands = [[find_program("skopeo"), "inspect", "--raw", f"docker://{self.image}"]]
        if self.with_docker:
            commands.append([find_program("docker", "docker.io"), "manifest", "inspect", self.image])
        done = [self.home.run(command) for command in commands]
        equal(len({one.returncode == 0 for one in done}), 1, str(done))
        return done[0].returncode == 0


@contextmanager
def real(password=MARKER):
    """The distribution's registry with its image, and a login."""
    with Registry({USER: password}) as registry, Home(registry.ca) as home:
        image = Image(os.path.join(home.path, "image"), DOCKER)
        registry.push(image, REPOSITORY, USER)
        docker_config(home, credHelpers={registry.address: "pullkey"})  # which skopeo reads too
        store(home, registry.address, password)
        where = f"{registry.address}/{REPOSITORY}:{image.tag}"
        yield Place(home, where, ["--ca-file", registry.ca], client=True)


def token(seconds):
    """One that says itself how long it is good."""
    parts = ({"alg": "none"}, {"exp": int(time.time()) + seconds})
    return ".".join([urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts] + ["eA"])


def real_with_token():
    return real(token(3600))


@contextmanager
def with_tokens():
    """A registry with a token server."""
    with TokenRegistry({USER: MARKER}) as registry, Home(registry.ca) as home:
        image = Image(os.path.join(home.path, "image"), DOCKER)
        registry.push(image, REPOSITORY, USER)
        docker_config(home, credHelpers={registry.address: "pullkey"})
        store(home, registry.address)
        options = ["--ca-file", registry.ca, "--realm", registry.tokens.address]
        there = Place(home, f"{registry.address}/{REPOSITORY}:{image.tag}", options, client=True)
        there.server = registry
        yield there


@setup("wrong password", "docker", real, "wrong-password", USER, "again", "pullkey login")
def wrong_password(there):
    store(there.home, there.name, "another")


@setup("nobody is logged in", "docker", real, "no-credential", "none is stored", "pullkey login")
def no_credential(there):
    there.home.succeed([there.home.pullkey, "logout", there.name])


@setup("expired token", "docker", real_with_token, "expired-token", "expired at", "pullkey login")
def expired_token(there):
    store(there.home, there.name, token(-3600))


@setup("a tag that is not there", "docker", real, "no-tag", "not 2.0", "is the tag right")
def no_tag(there):
    there.image = there.image.rsplit(":", 1)[0] + ":2.0"


@setup("a repository that is not there", "docker", real, "no-repository", "no repository team/other")
def no_repository(there):
    there.image = f"{there.name}/team/other:test"


@setup("unknown authority", "docker", real, "unknown-authority", "certs.d")
def unknown_authority(there):
    there.options = []
    there.with_docker = False  # which lets any authority pass on the loopback
    del there.home.env["SSL_CERT_FILE"]


@setup("docker asks another helper", "docker", real, "docker-asks-another", "docker-credential-pass", "pullkey setup docker --write")
def another_helper(there):
    docker_config(there.home, credsStore="pass")


@setup("docker asks nobody", "docker", real, "docker-asks-nobody", "names no helper")
def asks_nobody(there):
    docker_config(there.home)


@setup("a plain entry of docker's is taken", "docker", real, "docker-plain-entry", '"auths"', "pullkey setup docker")
def plain_entry(there):
    pair = b64encode(f"{USER}:another".encode()).decode()
    docker_config(there.home, auths={there.name: {"auth": pair}})


@setup("wrong rule", "docker", real, "wrong-rule", "file has a credential", "rule 1 of", "does not ask it")
def wrong_rule(there):
    config(there.home, backends={"ci": ENV}, rules=[{"match": there.name, "use": ["ci"]}])


@contextmanager
def by_rule(path=""):
    """A rule alone has the credential."""
    with real() as there:
        there.home.succeed([there.home.pullkey, "logout", there.name])
        there.home.env |= {"CI_USER": USER, "CI_PASSWORD": MARKER}
        config(there.home, backends={"ci": ENV}, rules=[{"match": there.name, "use": ["ci"]}])
        yield there


@setup("a rule with a path", "docker", by_rule, "rule-with-path", "rule 1 of", "has a path", '"match"')
def rule_with_path(there):
    config(there.home, backends={"ci": ENV}, rules=[{"match": f"{there.name}/team", "use": ["ci"]}])


@setup("a wrong password of a variable", "docker", by_rule, "wrong-password", "where it comes from")
def wrong_variable(there):
    there.home.env["CI_PASSWORD"] = "another"


@setup("a configuration that is none", "docker", real, "configuration", "config.json:1", "mach")
def bad_configuration(there):
    there.home.write(".config/pullkey/config.json", '{ "version": 1, "rules": [ { "mach": "x" } ] }')


@setup("a configuration that others may write", "docker", by_rule, "configuration", "config.json")
def others_write(there):
    os.chmod(os.path.join(there.home.path, ".config/pullkey/config.json"), 0o666)


@setup("a store without its key", "docker", real, "store-unreadable", "store.key")
def no_key(there):
    os.unlink(os.path.join(there.home.path, ".local/state/pullkey/store.key"))


@setup("a helper program that is not there", "docker", real, "helper-failed", "/nowhere/docker-credential-x")
def no_helper(there):
    own = {"type": "exec", "path": "/nowhere/docker-credential-x"}
    config(there.home, rules=[{"match": there.name, "use": [own, "file"]}])


@setup("no identity", "docker", real, "no-identity", "NO_SUCH_VARIABLE")
def no_identity(there):
    own = {"type": "token", "recipe": "oauth", "identity": {"env": "NO_SUCH_VARIABLE"}}
    own["oauth"] = {"token_url": "https://tokens.example.com/"}
    config(there.home, rules=[{"match": there.name, "use": [own]}])


@setup("no right to pull", "docker", with_tokens, "no-right", "no right to pull", REPOSITORY)
def no_right(there):
    there.server.rights = there.server.tokens.rights = lambda user, repository: {"push"}


@setup("refused by the token server", "docker", with_tokens, "refused-by-token-server", "401", "again")
def token_server(there):
    there.server.tokens.users[USER] = "another"


# -- What no client of Go can be shown: names, the clock, and registries of the tests' own -------------


@contextmanager
def named():
    """A registry by name, and a clock that can be wrong."""
    with Registry({USER: MARKER}) as registry, Home() as home:
        clock = home.write("clock", "\0" * 16)
        preload(home, NET_HOSTS="registry.localhost=127.0.0.1,gone.test=none", CLOCK_TIME="yes", CLOCK_SHIFT=clock)
        there = Place(home, f"registry.localhost:{registry.port}", ["--ca-file", registry.ca])
        store(home, there.name)
        yield there


@setup("a clock that is off", "docker", named, "clock", "ahead", "set it right")
def clock_off(there):
    with open(os.path.join(there.home.path, "clock"), "r+b") as file:
        file.write(struct.pack("qq", 30 * 86400, 0))


@setup("a host that nobody knows", "docker", named, "unknown-host", "no host gone.test")
def unknown_host(there):
    there.image = "gone.test"


@setup("a proxy that is not there", "docker", named, "proxy", "cannot be reached")
def proxy(there):
    there.home.env["https_proxy"] = "http://127.0.0.1:1"


@setup("a port where nobody listens", "docker", named, "connection-refused", "run there")
def refused(there):
    there.image = "registry.localhost:1"


@contextmanager
def certified():
    """A registry that lets everybody in, with a good certificate; and two that have none."""
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        kinds = {"good": ("DNS:localhost", 1), "old": ("DNS:localhost", -1), "other": ("DNS:r.example.com", 1)}
        for name, (names, days) in kinds.items():
            kinds[name] = authority.issue(name, names, days=days)
        with (Server(lambda request: Reply(200, [], "{}"), kinds["good"]) as good,
              Server(lambda request: Reply(200, [], "{}"), kinds["old"]) as old,
              Server(lambda request: Reply(200, [], "{}"), kinds["other"]) as other):
            there = Place(home, f"localhost:{good.port}", ["--ca-file", authority.file])
            there.server = {"old": f"localhost:{old.port}", "other": f"localhost:{other.port}"}
            yield there


@setup("an expired certificate", "docker", certified, "expired-certificate", "has expired")
def old_certificate(there):
    there.image = there.server["old"]


@setup("a certificate of another name", "docker", certified, "wrong-name", "another name")
def other_certificate(there):
    there.image = there.server["other"]


@contextmanager
def plain():
    with Home() as home, basic_registry(None) as server:
        there = Place(home, f"localhost:{server.port}", ["--plain-http"])
        store(home, there.name, SECRET, ROBOT)
        yield there


@setup("TLS to plain HTTP", "docker", plain, "no-tls", "does not speak TLS", "--plain-http")
def no_tls(there):
    there.options = []


@contextmanager
def locked_away():
    """The login is in GNOME's keyring, of one who came by ssh."""
    with keyring_home() as (home, keyring), basic_registry(None) as server:
        there = Place(home, f"localhost:{server.port}", ["--plain-http"])
        home.env |= SSH
        store(home, there.name, SECRET, ROBOT)
        there.keyring = keyring
        yield there


if os.environ["PULLKEY_TEST_KEYRING"] == "yes":

    @setup("a locked keyring", "docker", locked_away, "locked", "locked", "pullkey unlock", ordinary=True)
    def locked(there):
        there.keyring.lock()
