# SPDX-License-Identifier: Apache-2.0
"""Token servers of OAuth 2: every grant with every client authentication, and what is made of each answer."""

import json
import os
import sys
import urllib.parse

from scene import MARKER, answer, jwt, scene
from oauth_scene import R, Setting, setting
from tap import case, check, equal, run

from fake_oauth import AUTHS, HOST, TYPE, URL, OAuth
from wire import Reply, Server


@case("each grant, with each way in which a client says who it is")
def grants():
    with setting() as it:
        key = it.oauth.account.private
        for auth in AUTHS:
            it.exchange(auth)
            it.expect()
            it.use(auth, grant="client-credentials")
            it.expect()
            it.use(auth, grant="jwt-bearer", assertion={"key": key, "issuer": "account"})
            it.expect()
            it.use(auth, grant="refresh-token", refresh_token_file=it.refresh_file())
            it.expect()
            claims, it.oauth.account_claims = it.oauth.account_claims, None
            it.use(auth, grant="jwt-bearer", identity={"env": "TOKEN"})
            it.expect()
            it.oauth.account_claims = claims
        equal(len(it.oauth.forms), 5 * len(AUTHS))


@case("token exchange with every parameter, in short and in full; several audiences and resources")
def parameters():
    with setting() as it:
        it.home.env["ACTOR"] = it.oauth.subject(sub="actor")
        it.oauth.more = [
            ("audience", "a"),
            ("audience", "b c"),
            ("resource", "https://r.test/?x=1&y=2"),
            ("resource", "urn:r"),
            ("scope", "read write"),
            ("connector_id", "ü"),
        ]
        options = {
            "actor": {"env": "ACTOR"},
            "audience": ["a", "b c"],
            "resource": ["https://r.test/?x=1&y=2", "urn:r"],
            "scope": ["read", "write"],
            "parameters": {"connector_id": "ü"},
        }
        it.exchange("public", **options)
        it.expect()
        sent = dict(it.oauth.forms[-1])
        equal((sent["subject_token_type"], sent["actor_token_type"]), (TYPE + "jwt", TYPE + "jwt"))
        check("requested_token_type" not in sent, "nothing is requested")
        equal((sent["subject_token"], sent["actor_token"]), (it.home.env["TOKEN"], it.home.env["ACTOR"]))
        types = {"subject_token_type": "id_token", "actor_token_type": TYPE + "access_token"}
        it.exchange("public", requested_token_type="access_token", **types, **options)
        it.expect()
        sent = dict(it.oauth.forms[-1])
        equal(sent["subject_token_type"], TYPE + "id_token")
        equal(sent["actor_token_type"], TYPE + "access_token")
        equal(sent["requested_token_type"], TYPE + "access_token")


@case("what is issued: no access token is N_A, of the type that was requested; nobody takes a proof for a token")
def issued():
    with setting() as it:
        it.exchange(requested_token_type="id_token", username="robot")
        equal(it.get(), f"robot:access-0-{MARKER}")
        it.exchange(requested_token_type="jwt")
        it.oauth.members = {"issued_token_type": TYPE + "saml2"}
        it.refuse("another type than " + TYPE + "jwt")
        it.oauth.members = {"issued_token_type": None, "token_type": "bEARER"}
        it.expect()
        for type_of_token in ("DPoP", "mac", "", 1):
            it.exchange(username=str(type_of_token) or "empty")
            it.oauth.members = {"token_type": type_of_token}
            it.refuse(HOST, "token_type")
        it.exchange()
        it.oauth.members = {"token_type": None}
        it.expect()


@case("assertions that we sign: kid, x5t and audiences as the options have them; keys that are none")
def assertions():
    with setting() as it:
        key = it.oauth.client.private
        it.oauth.client_header.update(kid='k "1"', x5t="dGh1bWI")
        it.oauth.client_audience = "https://issuer.test"
        more = {"client_key_id": 'k "1"', "client_key_x5t": "dGh1bWI", "client_audience": "https://issuer.test"}
        it.use("key", grant="client-credentials", **more)
        it.expect()
        it.oauth.account_header.update(kid="2", x5t="eA")
        it.oauth.account_claims = {"iss": "i", "sub": "s", "aud": "https://a.test/"}
        more = {"issuer": "i", "subject": "s", "audience": "https://a.test/", "key_id": "2", "key_x5t": "eA"}
        it.use(grant="jwt-bearer", assertion={"key": it.oauth.account.private, **more})
        it.expect()
        it.use("key", grant="client-credentials")
        os.chmod(key, 0o644)
        it.refuse("everybody may read", key)
        os.chmod(key, 0o600)
        with open(key, "w", encoding="ascii") as file:
            file.write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        it.refuse("RSA key of at least 2048 bits", key)
        os.unlink(key)
        it.refuse("there is no private key", key)
        equal(len(it.oauth.forms), 2, "nobody is asked without a key")


CODES = (
    (400, "invalid_request", "a parameter is missing or wrong"),
    (401, "invalid_client", "client_auth"),
    (400, "invalid_grant", "has expired, was used"),
    (400, "unauthorized_client", "allow this grant to the client"),
    (400, "unsupported_grant_type", "does not know this grant"),
    (400, "invalid_scope", '"scope"'),
    (400, "invalid_target", '"audience" and "resource"'),
    (401, "access_denied", "check its issuer, subject and audience"),
    (400, "consent_required", "documentation"),
)


@case("each refusal has its code, what the server says, who was refused by whom, and what to do")
def refusals():
    with setting() as it:
        it.exchange()
        for status, code, said in CODES:
            it.oauth.replies = [answer(status, error=code, error_description="because\nof this")]
            it.refuse(HOST, "the token in the variable TOKEN", f'{code}, "because?of this"', said)
        for reply, said in (
            (answer(404), "is its address right?"),
            (Reply(403, [], "<html>no</html>"), "is its address right?"),
            (answer(400, error=5), "is its address right?"),
            (answer(400, error="Bad Things"), "is its address right?"),
            (answer(), "it has no access_token"),
            (answer(access_token=""), "it has no access_token"),
            (answer(201, access_token="a"), "201"),
            (Reply(200, [], "no JSON"), "reply:1"),
            (Reply(200, [], b""), "reply"),
            (Reply(302, [("Location", "https://evil.test/")], b""), "redirects are not followed"),
            (Reply(307, [("Location", f"{URL}/")], b""), "redirects are not followed"),
            (Reply(200, [], b"{" + b" " * 2 * 1024 * 1024 + b"}"), "is too large"),
        ):
            it.oauth.replies = [reply]
            it.refuse(HOST, said)
        it.oauth.replies = [answer(400, error="temporarily_unavailable")] * 3
        it.refuse("temporarily_unavailable", "later")
        it.oauth.replies = [answer(400, error="server_error"), Reply(503)]
        it.expect()


@case("a signature, an audience or a time that is wrong is refused by the server, and the message says so")
def wrong_identities():
    with setting() as it:
        token = it.home.env["TOKEN"]
        it.exchange()
        it.home.env["TOKEN"] = token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")
        it.refuse("invalid_request", "the signature is wrong")
        it.home.env["TOKEN"] = it.oauth.subject(aud="https://other.test")
        it.refuse("invalid_request", "it is for https://other.test")
        it.home.env["TOKEN"] = it.oauth.subject(exp=1700000000)
        it.refuse("the token in the variable TOKEN has expired")
        it.home.env["TOKEN"] = "two words"
        it.refuse("bytes that no token may have")
        equal(len(it.oauth.forms), 2, "what cannot be right is not sent")


@case("nothing that was sent is repeated, whatever the server says")
def no_secret_is_repeated():
    with setting() as it:
        token, assertion, secret = it.home.env["TOKEN"], it.home.env["ASSERTION"], it.oauth.client_secret
        for auth, echo in (
            ("none", token[30:60]),
            ("none", "x" * 190 + token),
            ("assertion", assertion),
            ("basic", secret),
            ("basic-raw", secret),
            ("post", secret),
        ):
            it.exchange(auth)
            it.oauth.replies = [answer(400, error="invalid_grant", error_description=f"no: {echo}")]
            it.refuse("invalid_grant (the identity")
        refresh = it.oauth.first_refresh_token()
        it.use(grant="refresh-token", refresh_token_file=it.refresh_file(refresh))
        it.oauth.replies = [answer(400, error="invalid_grant", error_description=f"no: {refresh[:20]}")]
        check(refresh[:20] not in it.error(), "the refresh token")


@case("how long: a number, digits, nothing, exp of a JWT, nonsense")
def lives():
    with setting() as it:
        good = jwt(life=900)
        for members in (
            {"expires_in": 600},
            {"expires_in": "600"},
            {"expires_in": 599.5},
            {"expires_in": 10**12},
            {"expires_in": None, "access_token": good},
        ):
            it.exchange(username=f"u{len(it.oauth.issued)}")
            it.oauth.members = members
            check(it.get(), "there is one")
            it.kept()
        # As RFC 6749 leaves it open, such a token is not kept.
        it.oauth.members = {"expires_in": None}
        it.exchange(username="open")
        check(it.get() and it.get(), "there is one")
        equal(len(it.oauth.issued), 7)
        it.exchange(username="nonsense")
        for life in (0, -5, 0.5, "soon", "-5", "", True, [600]):
            it.oauth.members = {"expires_in": life}
            it.refuse("no number of seconds")
        it.oauth.members = {"expires_in": None, "access_token": jwt(life=-5)}
        it.refuse("is this machine's clock right?")


@case("an identity that changes between two calls: the cache knows, in a file, by a link and in a variable")
def rotated():
    with setting() as it:
        home = it.home
        path = home.write("token", it.oauth.subject(sub="1") + "\n")
        it.use(identity={"file": path})
        it.expect()
        it.kept()
        home.write("token", it.oauth.subject(sub="22"))
        it.expect()
        it.kept()
        os.unlink(path)
        it.refuse("is missing", path)
        # As the kubelet projects one.
        home.write("..1/token", it.oauth.subject(sub="1"))
        home.write("..2/token", it.oauth.subject(sub="2"))
        os.symlink("..1", os.path.join(home.path, "..data"))
        os.symlink("..data/token", path)
        it.expect()
        it.kept()
        os.symlink("..2", os.path.join(home.path, "..new"))
        os.rename(os.path.join(home.path, "..new"), os.path.join(home.path, "..data"))
        it.expect()
        it.kept()
        it.exchange()
        it.expect()
        home.env["TOKEN"] = it.oauth.subject(sub="other")
        it.expect()
        it.kept()
        home.env["SECRET"] = "first-" + MARKER
        it.oauth.client_secret = home.env["SECRET"]
        it.use("basic", grant="client-credentials")
        it.expect()
        home.env["SECRET"] = it.oauth.client_secret = "other-" + MARKER
        it.expect()


@case("no identity: a variable that is missing or empty (GitLab CI without id_tokens), an empty file; mended at once")
def nobody():
    with setting() as it:
        it.use(identity={"env": "GITLAB_OIDC_TOKEN"})
        it.refuse("the environment variable GITLAB_OIDC_TOKEN is not set")
        it.home.env["GITLAB_OIDC_TOKEN"] = ""
        it.refuse("the environment variable GITLAB_OIDC_TOKEN is not set")
        it.home.env["GITLAB_OIDC_TOKEN"] = it.oauth.subject()
        it.expect()
        path = it.home.write("token", "\n")
        it.use(identity={"file": path})
        it.refuse(path, "is empty")
        it.home.write("token", it.oauth.subject())
        it.expect()
        it.use(identity={"kubelet": True})
        it.refuse("only the kubelet sends one")


def use_optional(it, identity=None, **oauth):
    more = {"identity": identity} if identity else {}
    it.it.use("oauth", optional=True, oauth={"token_url": URL, **oauth}, **more)


@case("optional: nobody is no error; what is missing beside somebody is one")
def optional():
    with setting() as it:
        missing, path = {"env": "MISSING"}, it.home.path + "/missing"
        exchange, account = {"grant": "token-exchange"}, {"key": it.oauth.account.private, "issuer": "account"}
        beside = (
            {"client_id": "c", "client_secret": missing},
            {"client_id": "c", "client_secret": {"file": path}},
            {"client_id": "c", "client_assertion": missing},
            {"client_id": "c", "client_key": path},
        )
        for more in (*beside, {"actor": missing}):
            use_optional(it, {"env": "TOKEN"}, **exchange, **more)
            it.refuse("missing" if path in json.dumps(more) else "MISSING")
            use_optional(it, missing, **exchange, **more)
            equal(it.get(), None, more)
        for more in beside:
            use_optional(it, {"env": "TOKEN"}, grant="jwt-bearer", **more)
            it.error()
            use_optional(it, grant="jwt-bearer", assertion=account, **more)
            it.error()
            use_optional(it, grant="refresh-token", refresh_token_file=it.refresh_file(), **more)
            it.error()
            use_optional(it, grant="client-credentials", **more)
            equal(it.get(), None, more)
        use_optional(it, grant="jwt-bearer", assertion={**account, "key": path})
        equal(it.get(), None)
        equal(it.oauth.forms, [])


@case("optional: a file that is empty, as while it is written, is an error")
def empty():
    with setting() as it:
        for text in ("", "\n"):
            path = it.home.write("token", text)
            use_optional(it, {"file": path})
            it.refuse(path, "is empty")
        it.home.write("token", it.oauth.subject())
        it.expect()


@case("what is signed here is signed anew where a server is asked again; a server that is out of service ends it")
def once():
    with setting() as it:
        exchange = {"identity": {"env": "TOKEN"}}
        account = {"grant": "jwt-bearer", "assertion": {"key": it.oauth.account.private, "issuer": "account"}}
        client = {"grant": "client-credentials"}
        refresh = {"grant": "refresh-token", "refresh_token_file": it.refresh_file()}
        soon = [("Retry-After", "0")]
        for number, (auth, options) in enumerate((("key", exchange), ("key", client), ("none", account), ("key", refresh))):
            it.use(auth, **options)
            before = len(it.it.server.requests)
            it.oauth.replies = [Reply(503, soon), answer(400, error="temporarily_unavailable")]
            it.expect(f"r{number}.example.com")
            forms = [dict(urllib.parse.parse_qsl(one.body.decode())) for one in it.it.server.requests[before:]]
            signed = [form.get("client_assertion") or form["assertion"] for form in forms]
            equal((len(signed), len(set(signed))), (3, 3))
            before = len(it.it.server.requests)
            it.oauth.replies = [Reply(429, soon)]
            it.expect(f"s{number}.example.com")
            equal(len(it.it.server.requests), before + 2)
            it.oauth.replies = [Reply(503, soon)] * 9
            it.error(f"t{number}.example.com")
            equal(len(it.it.server.requests), before + 5)
            # One that wants to be left alone for longer than there is time is not asked again.
            for status in (429, 503):
                it.oauth.replies = [Reply(status, [("Retry-After", "3600")])] * 3
                it.error(f"u{number}-{status}.example.com")
                equal(len(it.oauth.replies), 2)
            it.oauth.replies = []


@case("a program that prints the identity; one that fails, and what no token is")
def command():
    with setting() as it:
        path = it.home.write("print-token", '#!/bin/sh\ntest "$1" = now && echo "$TOKEN" || exit 3\n')
        os.chmod(path, 0o700)
        it.use(identity={"command": [path, "now"]})
        it.expect()
        it.use(identity={"command": [path, "later"]})
        it.refuse(path, "status 3")
        it.use(identity={"command": [path + "-not"]})
        it.refuse("there is no program")
        token, it.home.env["TOKEN"] = it.home.env["TOKEN"], ""
        it.use(identity={"command": [path, "now"]}, username="empty")
        it.refuse(path, "prints no identity token")
        it.home.env["TOKEN"] = token
        equal(it.get(), f"empty:access-1-{MARKER}")
        told = it.home.write("tell", f'#!/bin/sh\nenv > {it.home.path}/told; echo "$TOKEN"\n')
        os.chmod(told, 0o700)
        it.use(identity={"command": [told]}, username="told")
        equal(it.get(), f"told:access-2-{MARKER}")
        lines = it.home.read("told").splitlines()
        equal([line for line in lines if line.startswith("PULLKEY_DEPTH=")], ["PULLKEY_DEPTH=1"])
        check(f"TOKEN={token}" in lines, lines)
        os.chmod(path, 0o722)
        it.use(identity={"command": [path, "now"]}, username="writable")
        it.refuse(path)


@case("the kubelet's token for a service account is exchanged, for that pod; another one is another identity")
def kubelet():
    with setting() as it:
        program = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
        names = {"namespace": "team", "serviceaccount": {"name": "web", "uid": "s-1"}, "pod": {"name": "p", "uid": "u"}}
        it.it.use(
            "oauth",
            when={"caller": ["kubelet"]},
            identity={"kubelet": True},
            oauth={"token_url": URL},
        )

        def ask(token):
            request = {
                "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "kind": "CredentialProviderRequest",
                "image": R + "/a/b",
                "serviceAccountToken": token,
            }
            done = it.home.run([program], json.dumps(request) + "\n")
            equal(done.returncode, 0, done.stderr)
            return [entry["password"] for entry in json.loads(done.stdout)["auth"].values()]

        sub = "system:serviceaccount:team:web"
        token = it.oauth.subject(sub=sub, **{"kubernetes.io": names})
        equal(ask(token), [f"access-0-{MARKER}"])
        equal(ask(token), [f"access-0-{MARKER}"])
        equal(dict(it.oauth.forms[-1])["subject_token"], token)
        names["serviceaccount"]["uid"] = "s-2"
        other = it.oauth.subject(sub=sub, **{"kubernetes.io": names})
        equal(ask(other), [f"access-1-{MARKER}"])
        equal(len(it.oauth.forms), 2)


@case("a system program's program is told where its home is and how deep it stands, and nothing of the caller's")
def system_command():
    with setting() as it:
        program = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
        path = it.home.write("print-token", f"#!/bin/sh\nenv > {it.home.path}/told; cat {it.home.path}/token\n")
        os.chmod(path, 0o700)
        it.home.write("token", it.oauth.subject())
        it.it.use("oauth", when={"caller": ["kubelet"]}, identity={"command": [path]}, oauth={"token_url": URL})
        request = {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "kind": "CredentialProviderRequest",
            "image": R + "/a/b",
        }
        done = it.home.run([program], json.dumps(request) + "\n")
        equal(done.returncode, 0, done.stderr)
        check(f"access-0-{MARKER}" in done.stdout, done.stdout)
        told = dict(line.split("=", 1) for line in it.home.read("told").splitlines())
        own = {"_", "PWD", "SHLVL", "OLDPWD"}  # of the shell
        equal(set(told) - own - {"HOME"}, {"PATH", "PULLKEY_DEPTH"})
        equal(told["PULLKEY_DEPTH"], "1")
        equal(told["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@case("a registry without TLS gets nothing, and nobody is asked; \"hosts\" is no option of this recipe")
def registries():
    with setting() as it:
        it.exchange()
        equal((it.get(f"http://{R}"), len(it.oauth.forms)), (None, 0))
        it.expect()
        it.it.use("oauth", identity={"env": "TOKEN"}, oauth={"token_url": URL}, hosts={R: True})
        it.refuse("hosts", "serves every registry that a rule has for it")


@case("GitHub Actions: the job's own endpoint, its token and the audience; without them what the job lacks")
def github():
    made = []

    def handle(request):
        if request.method == "POST":
            return made[0].oauth.handle(request)
        equal(request.target, "/idtoken/1?api-version=2.0&audience=https%3A%2F%2Fissuer.test")
        equal(request.header("authorization"), "Bearer " + MARKER)
        return replies.pop(0) if replies else answer(value=made[0].home.env["TOKEN"])

    replies = []
    with scene(handle, HOST, "actions.test") as it:
        made.append(Setting(it, OAuth(it.home.directory("keys"), MARKER)))
        it = made[0]
        it.use(identity={"github": "https://issuer.test"})
        it.refuse("is no GitHub Actions job", "id-token: write")
        it.home.env["GITHUB_ACTIONS"] = "true"
        it.home.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "https://actions.test/idtoken/1?api-version=2.0"
        it.refuse("this GitHub Actions job may not request", "id-token: write")
        it.home.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = MARKER
        for reply, said in (
            (answer(403), "refuses an identity token"),
            (answer(), 'has no "value"'),
            (Reply(200, [], "no"), "the identity of the job"),
            (answer(value="two words"), "bytes that no token may have"),
            (Reply(302, [("Location", "https://evil.test/")], b""), "redirects are not followed"),
        ):
            replies.append(reply)
            it.refuse(said)
        it.expect()
        equal(it.oauth.objections, [])


@case("plain http: to nobody but this machine")
def plain():
    with setting() as it:
        it.exchange(token_url="http://issuer.test/token")
        it.refuse("oauth.token_url", "https://")
        equal(it.oauth.forms, [])
        with Server(it.oauth.handle) as server:
            it.oauth.url = f"http://127.0.0.1:{server.port}/token"
            it.use("key", grant="client-credentials", token_url=it.oauth.url)
            it.expect()
            equal(server.objections, [])


@case("options that make no sense are refused by name, and nobody is asked")
def options():
    with setting() as it:
        identity, key = {"env": "TOKEN"}, {"client_id": "c", "client_key": "/k"}
        secret = {"client_secret": {"env": "S"}}
        for said, identity_option, oauth in (
            ("oauth.nonsense", identity, {"nonsense": "1"}),
            ("oauth.grant", identity, {"grant": "password"}),
            ("oauth.client_auth", identity, {"client_auth": "digest"}),
            ("oauth.resource", identity, {"resource": "no-uri"}),
            ("oauth.resource[1]", identity, {"resource": ["urn:a", "urn:b#c"]}),
            ("oauth.audience[0]", identity, {"audience": [""]}),
            ("oauth.scope", identity, {"scope": 1}),
            ("oauth.parameters.scope", identity, {"parameters": {"scope": "a"}}),
            ("oauth.parameters.x", identity, {"parameters": {"x": ""}}),
            ("oauth.client_key", identity, {"client_key": "relative", "client_id": "c"}),
            ("oauth.actor", identity, {"actor": {"env": "A", "file": "/a"}}),
            ("oauth.actor.nothing", identity, {"actor": {"nothing": "A"}}),
            ("takes one of", identity, {**key, **secret}),
            ("needs \"client_id\" and", identity, secret),
            ("oauth.client_id", identity, {"client_id": "a:b", "client_auth": "basic-raw", **secret}),
            ("an assertion needs", identity, {"client_key": "/k"}),
            ("is none, and", identity, {**key, "client_auth": "none"}),
            ("needs \"client_key\"", identity, {"client_key_id": "1"}),
            ("needs an \"identity\"", None, {}),
            ("needs an \"identity\"", None, {"grant": "jwt-bearer"}),
            ("needs an \"identity\"", identity, {"grant": "jwt-bearer", "assertion": {"key": "/k", "issuer": "i"}}),
            ("\"key\" and \"issuer\"", None, {"grant": "jwt-bearer", "assertion": {"key": "/k"}}),
            ("oauth.assertion.key", None, {"grant": "jwt-bearer", "assertion": {"key": "k", "issuer": "i"}}),
            ("is not for the grant token-exchange", identity, {"assertion": {"key": "/k", "issuer": "i"}}),
            ("is not for the grant client-credentials", None, {"grant": "client-credentials", "actor": identity}),
            ("refresh_token_file", None, {"grant": "refresh-token"}),
            ("refresh_token_file", None, {"grant": "refresh-token", "refresh_token_file": "relative"}),
            ("has no use for", identity, {"grant": "refresh-token", "refresh_token_file": "/r"}),
            ("has no use for", identity, {"grant": "client-credentials"}),
        ):
            it.use(identity=identity_option, **oauth)
            it.refuse(said)
        it.it.use("oauth")
        it.refuse('the object "oauth"')
        it.it.use("oauth", oauth={}, identity=identity)
        it.refuse("token_url")
        equal(it.oauth.forms, [])


@case("a server that repeats the header with the client's secret: no piece of it is shown")
def header():
    with setting() as it:
        seen = []

        def repeat(request):
            seen.append(request.header("authorization"))
            return answer(401, error="invalid_client", error_description=f"got {seen[-1]} from you")

        it.oauth.handle = repeat
        for auth in ("basic", "basic-raw"):
            it.exchange(auth)
            line = it.it.error(f"{auth}.example.com")
            value = seen[-1].partition(" ")[2]
            check("invalid_client" in line, line)
            check(not any(value[at : at + 12] in line for at in range(len(value) - 12)), line)


if __name__ == "__main__":
    sys.exit(run())
