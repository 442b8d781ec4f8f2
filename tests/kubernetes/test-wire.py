# SPDX-License-Identifier: Apache-2.0
"""docker-credential-pullkey against an API server on the wire: what arrives there from a
kubeconfig, and what is made of each answer. A failure is never taken for a secret that is not there.
"""

import base64
import json
import os
import ssl
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import certs
import tap
from home import NOT_FOUND, Home
from proxy import HttpProxy, SocksProxy
from tap import case, check, equal
from wire import Reply, Server

SCRATCH = tempfile.TemporaryDirectory(prefix="pullkey-wire-")
AUTHORITY = certs.Authority(SCRATCH.name)
LOCALHOST = AUTHORITY.issue("server", "DNS:localhost,IP:127.0.0.1")
NODE = AUTHORITY.issue("node", "DNS:node", usage="clientAuth", subject="/CN=system:node:n")
TOKEN = "MARKER-token"
PASSWORD = "MARKER-password"
PATH = "/api/v1/namespaces/team/secrets/pull"
REGISTRY = "registry.example.com"


def coded(text):
    return base64.b64encode(text.encode()).decode()


def secret(auths=None, padding=0):
    auths = auths or {REGISTRY: {"auth": coded(f"robot:{PASSWORD}")}}
    document = json.dumps({"auths": auths}) + " " * padding
    return json.dumps(
        {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": "pull", "namespace": "team", "resourceVersion": "7"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": coded(document)},
        }
    )


def status(code, reason, message=""):
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return Reply(code, body=json.dumps({**body, "reason": reason, "code": code}))


def serve(*replies, certificate=LOCALHOST, tls=None):
    """A server that answers with each of these, and with the last one from then on."""
    left = list(replies) or [Reply(200, body=secret())]
    return Server(lambda _: left.pop(0) if len(left) > 1 else left[0], certificate, tls)


class Machine(Home):
    """With a kubeconfig whose cluster and user have these members."""

    def __init__(self, server, cluster=None, user=None):
        super().__init__()
        cluster = {
            "server": f"https://localhost:{server.port}",
            "certificate-authority": AUTHORITY.file,
            **(cluster or {}),
        }
        kubeconfig = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": cluster}],
            "users": [{"name": "a", "user": {"token": TOKEN} if user is None else user}],
        }
        instance = {
            "type": "kubernetes",
            "kubeconfig": self.write("kubeconfig", json.dumps(kubeconfig)),
            "secret": "team/pull",
        }
        rules = {"version": 1, "rules": [{"match": "**", "use": [instance]}]}
        self.env["PULLKEY_CONFIG"] = self.write("pullkey.json", json.dumps(rules))
        self.env["PULLKEY_LOG"] = os.path.join(self.path, "log")

    def ask(self, registry=REGISTRY):
        """(credential, None), or (None, what is said instead). No secret is in log or error."""
        done = self.run([self.helper, "get"], registry)
        said = self.read("log") + done.stderr + (done.stdout if done.returncode != 0 else "")
        check("MARKER" not in said and coded(f"robot:{PASSWORD}") not in said, said)
        if done.returncode == 0:
            return json.loads(done.stdout), None
        equal((done.returncode, done.stdout.count("\n")), (1, 1), done.stdout)
        return None, done.stdout

    def served(self):
        credential, message = self.ask()
        equal(message, None)
        equal((credential["Username"], credential["Secret"]), ("robot", PASSWORD))
        check("GET https://" in self.read("log"), "there is no log to look for secrets in")

    def refused(self, *words):
        _, message = self.ask()
        check(message and message != NOT_FOUND, f"not an error: {message}")
        for word in words:
            check(word in message, f"{word!r} is not in {message!r}")


@case("a token: as Bearer, to the one path that is needed")
def _():
    with serve() as server, Machine(server) as machine:
        machine.served()
        equal(server.objections, [])
        equal([(request.method, request.target) for request in server.requests], [("GET", PATH)])
        equal(server.requests[0].header("authorization"), f"Bearer {TOKEN}")
        equal(server.requests[0].header("accept"), "application/json")


@case("a client certificate, as files and as data, and nothing beside it")
def _():
    def demand(context):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(AUTHORITY.file)

    def data(path):
        with open(path, encoding="utf-8") as text:
            return coded(text.read())

    for user in (
        {"client-certificate": NODE[0], "client-key": NODE[1]},
        {"client-certificate-data": data(NODE[0]), "client-key-data": data(NODE[1])},
    ):
        with serve(tls=demand) as server, Machine(server, user=user) as machine:
            machine.served()
            equal(server.requests[0].header("authorization"), None)
    with serve(tls=demand) as server, Machine(server) as machine:
        machine.refused(f"localhost:{server.port} wants a client certificate")


@case("an exec plugin's token, and its failure")
def _():
    with serve() as server:
        exec_plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/echo"}
        answer = {
            "kind": "ExecCredential",
            "apiVersion": exec_plugin["apiVersion"],
            "status": {"token": TOKEN},
        }
        exec_plugin["args"] = [json.dumps(answer)]
        with Machine(server, user={"exec": exec_plugin}) as machine:
            machine.served()
            equal(server.requests[0].header("authorization"), f"Bearer {TOKEN}")
        with Machine(server, user={"exec": {**exec_plugin, "command": "/bin/false"}}) as machine:
            machine.refused("exec plugin /bin/false ends with status 1")
        equal(len(server.requests), 1)


@case("what is mended is not remembered: an exec plugin, a token and a kubeconfig that were broken once")
def _():
    answer = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "status": {"token": TOKEN},
    }
    plugin = {"apiVersion": answer["apiVersion"], "command": "./plugin"}
    works = f"#!/bin/sh\necho '{json.dumps(answer)}'\n"
    past = json.dumps({**answer, "status": {"token": TOKEN, "expirationTimestamp": "2001-01-01T00:00:00Z"}})
    with serve() as server:
        for text, said in (
            (None, "is not there"),
            ("#!/bin/sh\nexit 7\n", "ends with status 7"),
            (f"#!/bin/sh\necho '{past}'\n", "has expired"),
        ):
            with Machine(server, user={"exec": plugin}) as machine:
                if text:
                    os.chmod(machine.write("plugin", text), 0o700)
                machine.refused(said)
                os.chmod(machine.write("plugin", works), 0o700)
                machine.served()
        for text, said in ((None, "/token"), ("\n", "is empty")):
            with Machine(server, user={"tokenFile": "token"}) as machine:
                if text:
                    machine.write("token", text)
                machine.refused(said)
                machine.write("token", TOKEN)
                machine.served()
        with Machine(server) as machine:
            path = os.path.join(machine.path, "kubeconfig")
            os.rename(path, path + "-away")
            machine.refused(path)
            os.rename(path + "-away", path)
            machine.served()


@case("a path in the server's URL, another name for TLS, and a proxy, as the kubeconfig has them")
def _():
    named = AUTHORITY.issue("named", "DNS:kubernetes")
    with serve(certificate=named) as server:
        for kind, scheme in ((HttpProxy, "http"), (SocksProxy, "socks5")):
            with kind(server.port, pair=("user", "MARKER-proxy")) as proxy:
                cluster = {
                    "server": "https://api.example.com/k8s/c-1/",
                    "tls-server-name": "kubernetes",
                    "proxy-url": f"{scheme}://user:MARKER-proxy@127.0.0.1:{proxy.port}",
                }
                with Machine(server, cluster) as machine:
                    machine.served()
                equal(proxy.asked, ["api.example.com:443"])
                equal(server.requests[-1].target, "/k8s/c-1" + PATH)
                equal(server.requests[-1].header("host"), "api.example.com")
        with Machine(server) as machine:
            machine.refused("for another name")


@case("insecure-skip-tls-verify: refused before a connection")
def _():
    with serve() as server:
        cluster = {"certificate-authority": "", "insecure-skip-tls-verify": True}
        with Machine(server, cluster) as machine:
            machine.refused("insecure_skip_tls_verify")
        equal(server.connections, 0)


@case("a secret that is named and not there is an error; a registry that is not in it is not found")
def _():
    with serve(status(404, "NotFound", 'secrets "pull" not found')) as server:
        with Machine(server) as machine:
            machine.refused("there is no secrets/pull in the namespace team")
    with serve(Reply(200, body=secret({"other.example.com": {"auth": "YTpi"}}))) as server:
        with Machine(server) as machine:
            equal(machine.ask(), (None, NOT_FOUND))


@case("answers of an API server that refuses: a sentence for each")
def _():
    cannot = 'secrets "pull" is forbidden: User "alice" cannot get resource "secrets"'
    for reply, words in (
        (status(401, "Unauthorized"), ["does not know who asks"]),
        (
            status(403, "Forbidden", cannot),
            ['"alice" may not get secrets pull', 'resourceNames ["pull"]'],
        ),
        (status(403, "Forbidden", "MARKER quota"), ["not for a missing right"]),
        (status(410, "Expired"), ["410 (Expired)"]),
    ):
        with serve(reply) as server, Machine(server) as machine:
            machine.refused(*words)
            equal(len(server.requests), 1)


@case("answers of somebody else, broken ones, and a redirect: errors, and no anonymous pull")
def _():
    page = "<html>MARKER</html>"
    for reply, words in (
        (Reply(404, body=page), ["404", "not as an API server would"]),
        (Reply(403, body=page), ["403", "not as an API server would"]),
        (Reply(401, [("WWW-Authenticate", "Basic")], page), ["401", "not as an API server would"]),
        (Reply(404, body="404 page not found\n"), ["not as an API server would"]),
        (Reply(200, body=page), ["the answer of the API server"]),
        (Reply(200, body=""), ["the answer of the API server"]),
        (Reply(200, body="{}"), ["something else"]),
        (Reply(200, body=secret()[:-9]), ["the answer of the API server"]),
        (Reply(200, [("Content-Encoding", "gzip")], b"\x1f\x8bMARKER"), ["the answer"]),
        (Reply(302, [("Location", "https://localhost:1/MARKER")]), ["redirect"]),
        (Reply(200, body=" " * (4 * 1024 * 1024 + 1)), ["too large"]),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nMARKER"), ["broke off"]),
    ):
        with serve(reply) as server, Machine(server) as machine:
            machine.refused(*words)


@case("a secret of a mebibyte")
def _():
    padding = 1024 * 1024 - len(base64.b64decode(json.loads(secret())["data"][".dockerconfigjson"]))
    with serve(Reply(200, body=secret(padding=padding))) as server, Machine(server) as machine:
        machine.served()


@case("a server that is busy is asked again, and one that stays so is an error")
def _():
    for busy in (status(429, "TooManyRequests"), status(503, "ServiceUnavailable"), Reply(504)):
        busy.headers.append(("Retry-After", "0"))
        with serve(busy, busy, Reply(200, body=secret())) as server, Machine(server) as machine:
            machine.served()
            equal(len(server.requests), 3)
    with serve(busy) as server, Machine(server) as machine:
        machine.refused("504")
        equal(len(server.requests), 3)


if __name__ == "__main__":
    raise SystemExit(tap.run())
