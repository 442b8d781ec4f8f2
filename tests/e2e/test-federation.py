# SPDX-License-Identifier: Apache-2.0
"""Identities of a real provider, Keycloak: pulls with skopeo from a registry that verifies them, exchanges and grants
of its token endpoint, and its token server of registries before a real one.
"""

import json
import os
import struct
import sys
import time
from contextlib import ExitStack, contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "fakes"), os.path.join(HERE, "..", "lib")]

from home import Home
from image import Image
from keycloak import Keycloak, claims_of, machine, realm
from oidcproxy import OidcProxy
from registry import Registry, find_program, wait_for
from rsa_jwt import Key
from scenario import REFUSED, set_up
from tap import CASES, Skip, case, check, equal, run

FRONT, ALICE = {"front": "front-password"}, {"alice": "alice-password"}
SECRET = "s3cret+/%&="
REPOSITORY = "team/hello"
CI = "https://ci.test"
TOKEN_REGISTRY = """\
  token:
    realm: {realm}/protocol/docker-v2/auth
    service: docker
    issuer: {realm}
    rootcertbundle: {bundle}
"""


class DockerRegistry(Registry):
    """Whose tokens come from Keycloak."""

    def __init__(self, keycloak):
        super().__init__({})
        self.keycloak = keycloak

    def _make_auth(self, programs):
        bundle = self._write("bundle.crt", self.keycloak.signing_certificate("corp"))
        return TOKEN_REGISTRY.format(realm=self.keycloak.url("corp"), bundle=bundle)


class World:
    """One of each server for all cases: Keycloak takes long to start."""

    def start(self, stack):
        self.skopeo = find_program("skopeo")
        self.registry = stack.enter_context(Registry(FRONT))
        directory = self.registry.directory
        self.ci, self.signer = Key(directory, "ci"), Key(directory, "signer")
        certificate, authority = self.registry.certificate, self.registry.ca
        self.keycloak = stack.enter_context(Keycloak(certificate, authority, self._realms()))
        self.proxy = stack.enter_context(
            OidcProxy(self.registry, "front", self.keycloak, "corp", "registry")
        )
        self.docker = stack.enter_context(DockerRegistry(self.keycloak))
        self.image = Image(os.path.join(directory, "image"))
        self.registry.push(self.image, REPOSITORY, "front")
        # One trust for both registries, whose authorities differ.
        self.ca = os.path.join(directory, "all.crt")
        with open(self.ca, "w", encoding="ascii") as file:
            for path in (authority, self.docker.ca):
                with open(path, encoding="ascii") as part:
                    file.write(part.read())

    def _realms(self):
        exchanger = {"standard__token__exchange__enabled": "true"}
        bearer = {
            "oauth2__jwt__authorization__grant__enabled": "true",
            "oauth2__jwt__authorization__grant__idp": "ci",
        }
        signer = {"use__jwks__string": "true", "jwks__string": json.dumps({"keys": [self._jwk()]})}
        clients = [
            machine("job", SECRET, ["registry", "exchanger", "signer"]),
            machine("short", SECRET, ["registry", "exchanger"], access__token__lifespan="1"),
            machine("elsewhere", SECRET, ["exchanger"]),
            machine("exchanger", SECRET, ["registry"], **exchanger),
            {**machine("signer", None, ["registry"], **exchanger, **signer), "clientAuthenticatorType": "client-jwt"},
            machine("bearer", SECRET, ["registry"], **bearer),
            {**machine("person", None, ["registry"]), "publicClient": True, "directAccessGrantsEnabled": True},
            machine("registry", SECRET),
            {"clientId": "docker", "protocol": "docker-v2"},
        ]
        link = {"identityProvider": "ci", "userId": "repo:team/app", "userName": "app"}
        people = {"enabled": True, "emailVerified": True, "firstName": "A", "lastName": "B"}
        users = [
            {"username": name, "email": f"{name}@corp.test", **people, **more}
            for name, more in (
                ("alice", {"credentials": [{"type": "password", "value": ALICE["alice"]}]}),
                ("app", {"federatedIdentities": [link]}),
            )
        ]
        provider = {
            "alias": "ci",
            "providerId": "jwt-authorization-grant",
            "enabled": True,
            "config": {
                "issuer": CI,
                "useJwksUrl": "false",
                "publicKeySignatureVerifier": self._public(self.ci),
                "jwtAuthorizationGrantEnabled": "true",
            },
        }
        return [
            realm("corp", clients, users=users, identityProviders=[provider], revokeRefreshToken=True),
            realm("other", [machine("job", SECRET, ["registry"]), machine("registry", SECRET)]),
        ]

    def _public(self, key):
        with open(key.public, encoding="ascii") as file:
            return file.read()

    def _jwk(self):
        return self.signer.jwk()


world = World()


class Job:
    """Somebody with skopeo, our helper, and a rule for every registry."""

    def __init__(self, home):
        self.home = home
        set_up(home, "skopeo")

    def use(self, recipe, **options):
        instance = {"type": "token", "recipe": recipe, "ca_file": world.ca, **options}
        config = {"version": 1, "rules": [{"match": "**", "use": [instance]}]}
        self.home.env["PULLKEY_CONFIG"] = self.home.write("config.json", json.dumps(config))

    def set_clock(self, seconds):
        """So far from the real one; skopeo itself does not see it."""
        self.home.env["LD_PRELOAD"] = os.environ["CLOCK_SHIFT_LIBRARY"]
        self.home.env["CLOCK_SHIFT"] = path = os.path.join(self.home.path, "clock")
        with open(path, "wb") as file:
            file.write(struct.pack("qq", seconds, 0))

    def hold(self, token):
        """An identity token, in a file."""
        return {"file": self.home.write("token", token + "\n")}

    def pull(self):
        source = f"docker://{world.proxy.address}/{REPOSITORY}:{world.image.tag}"
        return self.home.run([world.skopeo, "--insecure-policy", "copy", source, f"dir:{self.home.path}/pulled"])

    def pulls(self):
        done = self.pull()
        equal(done.returncode, 0, f"{done.stderr}\n{world.proxy.log()[-2000:]}")
        world.image.check_copied(f"{self.home.path}/pulled")

    def is_refused(self, token):
        """By the registry, which has seen the token; nothing of it is said."""
        before = len(world.proxy.statuses())
        done = self.pull()
        text = done.stdout + done.stderr
        check(done.returncode != 0 and REFUSED.search(text), f"{done.returncode}: {text}")
        check(token[-40:] not in text, "the token is printed")
        # With nobody's name, and then with this token.
        statuses = lambda: world.proxy.statuses()[before:]
        wait_for(lambda: len(statuses()) >= 2, "the registry's log")
        equal(set(statuses()), {401}, "the registry's answers")

    def get(self, server="r.example.com"):
        found = self.home.get(server)
        return found["Secret"]

    def error(self, server="r.example.com"):
        done = self.home.run([self.home.helper, "get"], server)
        equal((done.returncode, done.stderr), (1, ""), done.stdout)
        return done.stdout.rstrip("\n")


@contextmanager
def job():
    with Home(world.ca) as home:
        yield Job(home)


def audiences(token):
    found = claims_of(token)["aud"]
    return [found] if isinstance(found, str) else sorted(found)


@case("pull with a token of the provider as the password (recipe echo)")
def echo():
    with job() as it:
        token = world.keycloak.token("corp", "job", SECRET)
        it.use("echo", identity=it.hold(token))
        it.pulls()
        equal(it.home.get(world.proxy.address)["Secret"], token)


@case("pull without an identity, with one for somebody else, of another issuer or changed: refused by the registry")
def refusals():
    whole = world.keycloak.token("corp", "job", SECRET)
    head, body, signature = whole.split(".")
    for token in (
        world.keycloak.token("corp", "elsewhere", SECRET),
        world.keycloak.token("other", "job", SECRET),
        world.ci.sign({**claims_of(whole)}, kid="x"),
        f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
    ):
        with job() as it:
            it.use("echo", identity=it.hold(token))
            it.is_refused(token)
    with job() as it:
        it.use("echo", identity={"file": f"{it.home.path}/nothing"})
        check(it.pull().returncode != 0, "a pull by nobody")


@case("pull with a token that is over: refused here, and by the registry where this machine's clock is late")
def expired():
    token = world.keycloak.expired("corp", "short", SECRET)
    with job() as it:
        it.use("echo", identity=it.hold(token))
        it.set_clock(-600)
        it.is_refused(token)
        it.set_clock(600)
        done = it.pull()
        check(done.returncode != 0 and "has expired" in done.stderr, done.stderr)


@case("pull with a token that the provider exchanges for one of the registry (RFC 8693, recipe oauth)")
def exchanged():
    with job() as it:
        token = world.keycloak.token("corp", "elsewhere", SECRET)
        check("registry" not in audiences(token), "it needs no exchange")
        it.home.env["CLIENT_SECRET"] = SECRET
        oauth = {
            "token_url": world.keycloak.token_url("corp"),
            "subject_token_type": "access_token",
            "requested_token_type": "access_token",
            "audience": "registry",
            "client_id": "exchanger",
            "client_secret": {"env": "CLIENT_SECRET"},
        }
        it.use("oauth", identity=it.hold(token), oauth=oauth)
        it.pulls()
        equal(audiences(it.get(world.proxy.address)), ["registry"])


@case("exchange: the client by Basic, in the form, and by an assertion; what is refused says why")
def exchanges():
    clients = {"client_id": "exchanger", "client_secret": {"env": "CLIENT_SECRET"}}
    base = {"token_url": world.keycloak.token_url("corp"), "subject_token_type": "access_token", "audience": "registry"}
    whole = world.keycloak.token("corp", "job", SECRET)
    over = world.keycloak.expired("corp", "short", SECRET)
    foreign = world.keycloak.token("other", "job", SECRET)
    for token, oauth, said in (
        (whole, {**clients, "client_auth": "basic"}, None),
        (whole, {**clients, "client_auth": "post"}, None),
        (whole, {"client_id": "signer", "client_assertion": {"env": "ASSERTION"}}, None),
        (whole, {**clients, "client_secret": {"env": "WRONG"}}, "check client_id"),
        (whole, {"client_id": "exchanger"}, "refuses"),
        (whole, {**clients, "audience": "nobody"}, "Audience not found"),
        (whole, {**clients, "scope": "nonsense"}, "invalid_scope"),
        (whole, {**clients, "requested_token_type": "saml2"}, "refuses"),
        (foreign, clients, "refuses"),
        (over, clients, "refuses"),
        (world.keycloak.token("corp", "registry", SECRET), clients, "refuses"),
    ):
        with job() as it:
            now = int(time.time())
            assertion = {"iss": "signer", "sub": "signer", "aud": world.keycloak.url("corp"), "jti": f"{now}"}
            it.home.env["CLIENT_SECRET"], it.home.env["WRONG"] = SECRET, "wrong"
            it.set_clock(-600 if token is over else 0)
            it.home.env["ASSERTION"] = world.signer.sign({**assertion, "iat": now, "exp": now + 60}, kid="signer")
            it.use("oauth", identity=it.hold(token), oauth={**base, **oauth})
            if not said:
                equal(audiences(it.get()), ["registry"])
                continue
            line = it.error()
            check(said in line and token[-40:] not in line, f"{said!r} is not in {line!r}")


@case("client credentials; a JWT grant for a token of another issuer, once, and not for any other")
def grants():
    oauth = {
        "token_url": world.keycloak.token_url("corp"),
        "client_id": "job",
        "client_secret": {"env": "CLIENT_SECRET"},
    }
    with job() as it:
        it.home.env["CLIENT_SECRET"] = SECRET
        it.use("oauth", oauth={**oauth, "grant": "client-credentials"})
        it.pulls()
    now = int(time.time())
    good = {"iss": CI, "sub": "repo:team/app", "aud": world.keycloak.url("corp"), "iat": now, "exp": now + 120}
    wrong = world.signer.sign({**good, "jti": "4"})
    for token, said in (
        (world.ci.sign({**good, "jti": "1"}), None),
        (world.ci.sign({**good, "jti": "1"}), "invalid_grant"),
        (world.ci.sign({**good, "jti": "2", "sub": "repo:team/other"}), "invalid_grant"),
        (world.ci.sign({**good, "jti": "3", "aud": "https://else.test"}), "invalid_grant"),
        (wrong, "invalid_grant"),
    ):
        with job() as it:
            it.home.env["CLIENT_SECRET"] = SECRET
            it.use("oauth", identity=it.hold(token), oauth={**oauth, "grant": "jwt-bearer", "client_id": "bearer"})
            if not said:
                it.pulls()
                continue
            line = it.error()
            check(said in line and token[-40:] not in line, f"{said!r} is not in {line!r}")


@case("a client that signs its own assertion; refresh tokens that rotate, of which each is good once")
def keys_and_refresh():
    oauth = {"token_url": world.keycloak.token_url("corp"), "client_audience": world.keycloak.url("corp")}
    oauth |= {"client_id": "signer", "client_key": world.signer.private, "client_key_id": "signer"}
    with job() as it:
        it.use("oauth", oauth={**oauth, "grant": "client-credentials"})
        it.pulls()
        it.use("oauth", oauth={**oauth, "grant": "client-credentials", "client_key": world.ci.private})
        it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory("another")
        check("refuses" in it.error(), "a key that is another's")
    with job() as it:
        form = {"grant_type": "password", "client_id": "person", "username": "alice", "password": ALICE["alice"]}
        first = world.keycloak.ask(world.keycloak.token_url("corp"), form)["refresh_token"]
        # Keycloak tells tokens that were used by the second in which they were made.
        made = time.time()
        wait_for(lambda: time.time() > made + 2, "another second")
        path = it.home.write("refresh", first)
        os.chmod(path, 0o600)
        oauth = {"token_url": world.keycloak.token_url("corp"), "grant": "refresh-token", "client_id": "person"}
        it.use("oauth", oauth={**oauth, "refresh_token_file": path})
        tokens = set()
        for name in ("one", "two", "three"):
            it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory(name)
            tokens |= {it.get(), it.home.read("refresh").strip()}
            check(first not in tokens, "it was not replaced")
        equal(len(tokens), 6, "tokens, none twice")
        it.pulls()
        it.home.write("refresh", first)
        it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory("four")
        line = it.error()
        check("invalid_grant" in line and first[-40:] not in line, line)


@case("login with a token as the password asks the registry that verifies it: stored, or refused")
def token_login():
    server = world.proxy.address
    with Home(world.ca) as home:
        done = home.login(server, "anybody", world.keycloak.token("corp", "elsewhere", SECRET))
        check(done.returncode != 0 and "refuses this user name and password" in done.stderr, done.stderr)
        equal(home.get(server), None)
        token = world.keycloak.token("corp", "job", SECRET)
        equal(home.login(server, "anybody", token).returncode, 0)
        equal(home.get(server)["Secret"], token)


@case("login asks a real registry and its real token server: the right password is stored, a wrong one is not")
def probe():
    server = world.docker.address
    with Home(world.ca) as home:
        allowed = ("--realm", world.keycloak.address)
        done = home.login(server, "alice", "wrong", *allowed)
        check(done.returncode != 0 and "refuses this user name and password" in done.stderr, done.stderr)
        done = home.login(server, "nobody", ALICE["alice"], *allowed)
        check(done.returncode != 0 and "refuses" in done.stderr, done.stderr)
        done = home.login(server, "alice", ALICE["alice"])
        check(done.returncode != 0 and "--realm" in done.stderr, done.stderr)
        equal(home.get(server), None)
        done = home.login(server, "alice", ALICE["alice"], *allowed)
        equal(done.returncode, 0, done.stderr)
        equal(home.get(server)["Secret"], ALICE["alice"])


def skip(reason):
    def skipped():
        raise reason

    CASES[:] = [(name, skipped) for name, _ in CASES]


if __name__ == "__main__":
    with ExitStack() as stack:
        try:
            world.start(stack)
        except Skip as reason:
            skip(reason)
        status = run()
    sys.exit(status)
