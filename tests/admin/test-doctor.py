# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor and registries: for each way to fail, the cause and what to do is its last line."""

import json
import os
import re
import socket
import struct
import sys
import time
from email.utils import formatdate

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
import certs
import fake_registry
from clock import DAY
from distribution import Distribution
from doctor import MARKER, doctor, finds, no_secret, preload, step, store
from home import Home
from image import OCI, Image
from proxy import HttpProxy
from registry import Registry
from service import Recorder
from tap import case, check, equal, run
from terminal import Terminal
from tokens import TokenRegistry
from wire import Reply, Server

USER = "alice"
REPOSITORY = "team/app"
OPAQUE = "nerdctl-experimental://ns/r.example.com/r.example.com/app"
INDEX = "application/vnd.oci.image.index.v1+json"
WITH_HTML = Reply(200, [("Content-Type", "text/html; charset=utf-8")], "<html></html>")


def pushed(registry, home):
    """Its reference."""
    image = Image(os.path.join(home.path, "image"), OCI)
    registry.push(image, REPOSITORY, USER)
    return f"{registry.address}/{REPOSITORY}:{image.tag}"


def answers(status, headers=()):
    return lambda request: (status, list(headers), b"")


@case("a pull that works: every step is there, with the registry's own password")
def works():
    with Registry({USER: MARKER}) as registry, Home() as home:
        image = pushed(registry, home)
        store(home, registry.address)
        caller = finds(home, "works", [image, "will work"], image, "--ca-file", registry.ca)
        names = ["name", "rule", "file", "docker", "proxy", "tcp", "tls", "certificate", "clock"]
        steps = [one["step"] for one in caller["steps"] if one["step"] != "containerd"]
        equal(steps, [*names, "challenge", "manifest"])
        check("the default chain asks file" in step(caller, "rule"), caller)
        check("a secret of alice" in step(caller, "file"), caller)
        check(registry.ca in step(caller, "tls"), caller)
        check("CN = localhost, issued by CN = test CA, good until" in step(caller, "certificate"), caller)
        check("sha256:" in step(caller, "manifest"), caller)
        check(registry.requests("HEAD", "/manifests/"), "the manifest was asked for")
        digest = step(caller, "manifest").split(" ")[-1]
        at_digest = f"{registry.address}/{REPOSITORY}@{digest}"
        finds(home, "works", [at_digest], at_digest, "--ca-file", registry.ca)
        words = ["takes the credential", "name an image"]
        finds(home, "works", words, f"https://{registry.address}/", "--ca-file", registry.ca)


@case("a token server's pull that works: token and scope")
def works_with_tokens():
    with TokenRegistry({USER: MARKER}) as registry, Home() as home:
        image, given = pushed(registry, home), ["--ca-file", registry.ca]
        store(home, registry.address)
        finds(home, "token-server", [registry.tokens.address, "--realm"], image, *given)
        equal(registry.tokens.requests, [])
        given += ["--realm", registry.tokens.address]
        caller = finds(home, "works", [image], image, *given)
        check("to alice" in step(caller, "token"), caller)
        equal(step(caller, "scope"), f"pull of {REPOSITORY}")
        finds(home, "works", ["takes the credential"], registry.address, *given)
        equal(registry.tokens.objections, [])


@case("a wrong password, and none at all")
def wrong_password():
    with Registry({USER: "right"}) as registry, Home() as home:
        image, given = pushed(registry, home), ["--ca-file", registry.ca]
        login = f'"pullkey login {registry.address}"'
        finds(home, "no-credential", ["none is stored", login], registry.address, *given)
        finds(home, "no-credential", ["none is stored", login], image, *given)
        store(home, registry.address)
        finds(home, "wrong-password", ["of alice", "again", login], registry.address, *given)
        finds(home, "wrong-password", ["of alice", "again", login], image, *given)


@case("what the token server refuses, and who may not pull")
def token_server():
    with TokenRegistry({USER: "right"}) as registry, Home() as home:
        image = pushed(registry, home)
        given = [image, "--ca-file", registry.ca, "--realm", registry.tokens.address]
        server, login = registry.tokens.address, f'"pullkey login {registry.address}"'
        finds(home, "no-credential", [server, "401", login], *given)
        registry.tokens.anonymous = True
        finds(home, "no-credential", [server, REPOSITORY, login], *given)
        store(home, registry.address)
        finds(home, "refused-by-token-server", [server, "401", "again"], *given)
        registry.tokens.users[USER] = MARKER
        registry.tokens.rights = lambda user, repository: {"push"}
        finds(home, "no-right", [server, "no right to pull", REPOSITORY], *given)
        registry.tokens.rights = lambda user, repository: {"pull"}
        registry.tokens.users["<token>"] = None
        home.succeed(
            [home.pullkey, "login", "--no-verify", "--identity-token", "--password-stdin"]
            + [registry.address],
            MARKER,
        )
        registry.tokens.post = True
        finds(home, "identity-token-refused", ["expired or was revoked", login], *given)
        registry.tokens.identities[MARKER] = USER
        finds(home, "works", [image], *given)


@case("the distribution's token server and registry")
def distribution():
    with Distribution({USER: MARKER}) as registry, Home() as home:
        registry.push(Image(os.path.join(home.path, "image"), OCI), f"{USER}/app", USER)
        given = ["--ca-file", registry.ca, "--realm", registry.tokens.address]
        store(home, registry.address)
        finds(home, "works", ["will work"], f"{registry.address}/{USER}/app:test", *given)
        other = f"{registry.address}/bob/app"
        finds(home, "no-right", ["alice", "no right to pull bob/app"], other, *given)


@case("a tag that is not there, a repository that is not, one that is forbidden")
def missing():
    with Registry({USER: MARKER}) as registry, Home() as home:
        image, given = pushed(registry, home), ["--ca-file", registry.ca]
        store(home, registry.address)
        finds(home, "no-tag", ["not 2.0", "is the tag right"], image.replace(":test", ":2.0"), *given)
        other = f"{registry.address}/team/other"
        finds(home, "no-repository", ["no repository team/other"], other, *given)
        for status in (401, 403):
            with Recorder(registry) as front:
                front.answer = lambda request, status=status: (
                    (status, [], b"") if "/manifests/" in request.path else None
                )
                store(home, front.address)
                front_image = f"{front.address}/{REPOSITORY}"
                cause = {401: "wrong-password", 403: "no-right"}[status]
                finds(home, cause, ["alice"], front_image, *given)


@case("an unknown authority, an expired certificate, another name, a clock that is off")
def certificates():
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        alternatives = "DNS:localhost,IP:127.0.0.1"
        good = authority.issue("good", alternatives)
        old = authority.issue("old", alternatives, days=-1)
        other = authority.issue("other", "DNS:registry.example.com")
        given = ["--ca-file", authority.file]

        def with_date(request):
            return Reply(200, [("Date", formatdate(time.time() + server_ahead, usegmt=True))], "{}")

        with Server(with_date, good) as server:
            server_ahead, name = 0, f"localhost:{server.port}"
            caller = finds(home, "unknown-authority", ["certs.d", name], name)
            check("issued by CN = test authority ca" in step(caller, "certificate"), caller)
            finds(home, "works", ["without a credential"], name, *given)
            preload(home, CLOCK_TIME="yes", CLOCK_SHIFT=home.write("clock", "\0" * 16))
            shift(home, 30 * DAY)
            caller = finds(home, "clock", ["set it right"], name, *given)
            is_off(caller["text"], 30 * DAY, "ahead")
            shift(home, -30 * DAY)
            caller = finds(home, "clock", ["set it right"], name, *given)
            is_off(caller["text"], 30 * DAY, "behind")
            # The server's is as wrong.
            server_ahead = -30 * DAY
            finds(home, "certificate-not-yet-valid", ["not valid yet"], name, *given)
            shift(home, 3600)
            server_ahead = 0
            caller = finds(home, "works", ["without a credential"], name, *given)
            is_off(step(caller, "clock"), 3600, "ahead")
            shift(home, 0)
        with Server(with_date, old) as server:
            name = f"localhost:{server.port}"
            caller = finds(home, "expired-certificate", ["has expired", name], name, *given)
            check("expired 20" in step(caller, "certificate"), caller)
        with Server(with_date, other) as server:
            name = f"localhost:{server.port}"
            caller = finds(home, "wrong-name", ["another name", name], name, *given)
            check("CN = test server" in step(caller, "certificate"), caller)
            equal([request.method for request in server.requests], ["HEAD"] * 2, "nothing but a look")


def is_off(text, seconds, where):
    """By so much, less what it took to say so."""
    found = re.search(rf"(\d+) s {where}", text)
    check(found and abs(int(found[1]) - seconds) < 60, text)


def shift(home, seconds):
    with open(os.path.join(home.path, "clock"), "r+b") as file:
        file.write(struct.pack("qq", seconds, 0))


# /etc is seen empty but for this by one process alone.
DOCKER_TRUSTS = """
mount -t tmpfs -o mode=0755 none /etc || exit 77
mkdir -p "/etc/docker/certs.d/$1" && cp "$CA" "/etc/docker/certs.d/$1/ca.crt" && exec "$PULLKEY" doctor "$1"
"""


@case("an authority that docker trusts for the registry alone")
def docker_authority():
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        good = authority.issue("good", "IP:127.0.0.1")
        with Server(lambda request: Reply(200, [], "{}"), good) as server:
            name = f"127.0.0.1:{server.port}"
            finds(home, "unknown-authority", [f"/etc/docker/certs.d/{name}/ca.crt"], name)
            done = home.run(
                ["unshare", "--map-root-user", "--mount", "sh", "-c", DOCKER_TRUSTS, "sh", name],
                env={"CA": authority.file, "PULLKEY": home.pullkey},
            )
            check(done.returncode != 77, f"no mount namespace: {done.stderr}")
            equal((done.returncode, done.stderr), (0, ""), done.stdout)
            check(f"/etc/docker/certs.d/{name}/ca.crt" in done.stdout, done.stdout)


@case("plain http on the port of https, and what needs --plain-http")
def plain():
    with Home() as home, fake_registry.open_registry(None) as server:
        name = f"localhost:{server.port}"
        finds(home, "no-tls", ["does not speak TLS", "--plain-http"], name)
        finds(home, "works", ["without a credential"], name, "--plain-http")
        finds(home, "plain-http", ["clear text"], "http://registry.example.com")


@case("no such host, no such port, no answer")
def unreachable():
    with Home() as home, socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        preload(home, NET_HOSTS="registry.test=none,slow.test=hang,here.test=127.0.0.1")
        finds(home, "unknown-host", ["no host registry.test"], "registry.test/team/app")
        finds(home, "name-server", ["name server"], "slow.test")
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        caller = finds(home, "connection-refused", ["run there"], f"here.test:{port}")
        check("here.test is 127.0.0.1" in step(caller, "dns"), caller)
        # The queue is full, so the kernel answers nobody.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        finds(home, "timeout", ["firewall"], f"here.test:{port}")
        for one in waiting:
            one.close()


@case("a server that accepts and is silent: it is not the firewall, and TCP is fine")
def silent():
    with Home() as home, socket.create_server(("127.0.0.1", 0)) as quiet:
        name = f"127.0.0.1:{quiet.getsockname()[1]}"
        text = f"{name} accepted the connection and did not %s in time"
        plain = finds(home, "no-answer", [text % "answer"], name, "--plain-http")
        secure = json.loads(doctor(home, name, "--json").stdout)["callers"][0]
        check(text % "begin TLS" in secure["text"], secure)
        for caller, failed in ((plain, "http"), (secure, "tls")):
            found = [(one["step"], one["cause"]) for one in caller["steps"] if one["state"] == "failed"]
            equal(found, [(failed, "no-answer")])
            check("connected to 127.0.0.1" in step(caller, "tcp") and "firewall" not in caller["text"], caller)


@case("a registry out of order, too many requests, and what is no registry")
def out_of_order():
    with Registry({USER: MARKER}) as registry, Home() as home:
        given = ["--ca-file", registry.ca]
        challenge = ("WWW-Authenticate", "Negotiate")
        table = [
            (answers(503), "server-error", ["503", "out of service"]),
            (answers(429), "too-many-requests", ["429", "try again later"]),
            (answers(404), "not-a-registry", ["not a container registry"]),
            (answers(401), "not-a-registry", ["without a WWW-Authenticate"]),
            (answers(401, [challenge]), "not-a-registry", ["neither Basic nor Bearer"]),
            (answers(403), "forbidden", ["ask those who run it"]),
            (answers(302, [("Location", "https://login.example.com/")]), "redirect", ["redirect"]),
            (answers(200, WITH_HTML.headers), "not-a-registry", ["web page"]),
        ]
        with Recorder(registry) as front:
            store(home, front.address)
            for answer, cause, words in table:
                front.answer = answer
                finds(home, cause, words, front.address, *given)


@case("a server that answers 200 to everything has no manifest")
def agreeable():
    with Home() as home:
        table = [[], [("Content-Type", "text/html")], [("Content-Type", "application/vnd.oci.image.")]]
        for headers in table:
            with Server(lambda request, headers=headers: Reply(200, [] if request.target == "/v2/" else headers, "")) as server:
                finds(home, "broken-answer", ["not a manifest"], f"localhost:{server.port}/team/app", "--plain-http")


@case("a registry that sends the password back is not believed")
def mirror():
    with Home() as home:
        said = [("Docker-Content-Digest", MARKER), ("Date", MARKER)]
        said += [("WWW-Authenticate", f'Basic realm="{MARKER}"'), ("Retry-After", MARKER)]
        statuses = {}

        def answer(request):
            status = statuses["then"] if request.header("authorization") else 401
            headers = [*said, ("Content-Type", statuses["kind"])]
            return Reply(status, headers, "" if request.method == "HEAD" else MARKER)

        with Server(answer) as server:
            name = f"localhost:{server.port}"
            store(home, name)
            for status, cause, kind in (
                (200, "works", INDEX),
                (200, "broken-answer", MARKER),
                (401, "wrong-password", MARKER),
                (403, "no-right", MARKER),
                (404, "no-repository", MARKER),
                (418, "broken-answer", MARKER),
                (307, "redirect", MARKER),
            ):
                statuses.update(then=status, kind=kind)
                finds(home, cause, [], f"{name}/team/app", "--plain-http")
            equal({one.method for one in server.requests}, {"GET", "HEAD"})


@case("a proxy: what it refuses, and its password is not shown")
def proxies():
    with Registry({USER: MARKER}) as registry, Home() as home:
        given = ["--ca-file", registry.ca]
        store(home, "registry.localhost")
        preload(home, NET_HOSTS="registry.localhost=127.0.0.1")
        with HttpProxy(registry.port, pair=("bob", MARKER)) as proxy:
            home.env["https_proxy"] = f"http://bob:{MARKER}@127.0.0.1:{proxy.port}"
            caller = finds(home, "works", ["takes"], "registry.localhost", *given)
            equal(
                step(caller, "proxy"),
                f"http://***@127.0.0.1:{proxy.port}, from the environment",
            )
            home.env["https_proxy"] = f"http://bob:{MARKER}x@127.0.0.1:{proxy.port}"
            finds(home, "proxy", ["user name and password"], "registry.localhost", *given)
        with HttpProxy(registry.port, refuses=403) as proxy:
            home.env["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
            finds(home, "proxy", ["answers 403"], "registry.localhost", *given)
        finds(home, "proxy", ["cannot be reached"], "registry.localhost", *given)
        # Without the rest, it is no port.
        home.env["https_proxy"] = f"http://bob:{MARKER}"
        caller = finds(home, "proxy", [], "registry.localhost", *given)
        equal(step(caller, "proxy").splitlines()[0], "http://bob, from the environment")


@case("names: images as docker understands them, and what is none")
def names():
    with Home() as home:
        preload(home, NET_HOSTS="registry-1.docker.io=none,r.example.com=none,inside=none")
        for text, name in (
            ("nginx", "image docker.io/library/nginx:latest"),
            ("nginx:1.25", "image docker.io/library/nginx:1.25"),
            ("team/app", "image docker.io/team/app:latest"),
            ("docker.io/alpine", "image docker.io/library/alpine:latest"),
            ("docker.io", "registry docker.io"),
            ("https://index.docker.io/v1/", "registry docker.io"),
            ("r.example.com", "registry r.example.com"),
            ("r.example.com:443/", "registry r.example.com"),
            ("r.example.com/app", "image r.example.com/app:latest"),
            ("docker://r.example.com/app:2", "image r.example.com/app:2"),
            ("https://r.example.com/app:2", "image r.example.com/app:2"),
            ("https://r.example.com/v2/", "registry r.example.com"),
            ("https://inside/", "registry inside"),
        ):
            caller = finds(home, "unknown-host", [], text)
            equal(step(caller, "name"), name, text)
        # As login and logout have it.
        for text in ("", "a b", "Team/App", "r.example.com/app:", "r.example.com/app@sha256:1", "-", OPAQUE):
            done = doctor(home, "--", text)
            equal((done.returncode, done.stdout), (1 if text else 2, ""), text)
            equal(done.stderr.count("\n"), 1, done.stderr)
            check(f'"{text}" is no name' in done.stderr or text in ("", OPAQUE), done.stderr)
            equal("lower case" in done.stderr, text == "Team/App", done.stderr)
        for text, status in (("", 2), ("a b", 1)):
            equal(home.run([home.pullkey, "logout", text]).returncode, status)
        done = doctor(home, "ghcr.io/Foo/Bar\x1b[1m")
        check("\x1b" not in done.stderr and "lower case" not in done.stderr, done.stderr)
        check("lower case" in doctor(home, "ghcr.io/Foo/Bar").stderr, "ghcr.io/Foo/Bar")
        equal(doctor(home).returncode, 2)


@case("at a terminal, who waits is told so")
def progress():
    with Home() as home, socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [home.pullkey, "doctor", f"127.0.0.1:{silent.getsockname()[1]}"]
        with Terminal(arguments, home.env) as terminal:
            terminal.expect("Still waiting")
            equal(terminal.wait(), 1, terminal.output)
            no_secret(terminal.output)


if __name__ == "__main__":
    sys.exit(run())
