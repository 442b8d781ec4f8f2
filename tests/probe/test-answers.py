# SPDX-License-Identifier: Apache-2.0
"""How registries and token servers answer, and what the check makes of it."""

from checks import AUTHORITY, LOCALHOST, run_check
import fake_registry as registry
import tap
from fake_registry import (
    IDENTITY,
    SECRET,
    TOKEN,
    USER,
    Registry,
    basic_registry,
    bearer_registry,
    open_registry,
    serve,
    token_server,
)
from tap import case, check, equal
from wire import Reply, Server

SERVICE = 'service="fake service, with comma"'


def realm_of(server, path="/token"):
    return f'realm="https://localhost:{server.port}{path}"'


def with_token_server(body, registry_options=None, **options):
    """A registry and its token server, on two ports; the second is on the list of realms."""
    with token_server(LOCALHOST, **options) as tokens:
        challenge = f"Bearer {realm_of(tokens)},{SERVICE}"
        with bearer_registry(LOCALHOST, challenge, **(registry_options or {})) as front:
            allowed = {"ca_file": AUTHORITY.file, "realms": [f"localhost:{tokens.port}"]}
            body(
                front,
                tokens,
                lambda **more: run_check(
                    front.port, options=allowed, servers=[front, tokens], **more
                ),
            )


@case("a registry that asks for nothing is open, and is sent nothing")
def _():
    with open_registry(LOCALHOST) as server:
        result = run_check(server.port, servers=[server])
        equal(result.answer, {"verdict": "open", "scheme": "", "realm_host": ""})
        equal([request.header("authorization") for request in server.requests], [None])


@case("Basic: the right password, without a word before the challenge")
def _():
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, servers=[server]).accepted("Basic")
        equal(
            [request.header("authorization") is None for request in server.requests], [True, False]
        )
        equal(server.connections, 1, "one connection serves both requests")
        equal(server.requests[0].header("user-agent").split("/")[0], "pullkey")


@case("Basic: the wrong password is denied, with 401 and with 403")
def _():
    for status in (401, 403):
        with basic_registry(LOCALHOST, refuses_with=status) as server:
            run_check(server.port, secret="MARKER-wrong", servers=[server]).failed(
                "denied", "refuses this user name and password", str(status)
            )


@case("Basic: a server that takes anybody proves nothing; one that does not is asked once more")
def _():
    with basic_registry(LOCALHOST, accepts_all=True) as server:
        equal(run_check(server.port, servers=[server]).answer["verdict"], "open")
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, servers=[server]).accepted("Basic")
        equal(server.handle.controls, 1)
        run_check(server.port, secret="MARKER-wrong", servers=[server]).failed("denied")
        equal(server.handle.controls, 1, "only after a good answer")


@case("Basic: a user name with a colon is refused before it is sent")
def _():
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, user="a:b", servers=[server]).failed(
            "invalid", "user name holds a colon"
        )
        equal(len(server.requests), 1)


@case("Basic: an identity token is never sent to the registry itself")
def _():
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, user="<token>", secret=IDENTITY, servers=[server]).failed(
            "unsupported", "identity token"
        )
        equal(len(server.requests), 1)


@case("Bearer: the GET form, then the registry with the token")
def _():
    def body(front, tokens, run):
        run().accepted("Bearer", f"localhost:{tokens.port}")
        equal([request.method for request in tokens.requests], ["GET"])
        check("scope" not in tokens.requests[0].target, "a check asks for no scope")
        equal(
            [request.header("authorization") for request in front.requests],
            [None, f"Bearer {TOKEN}"],
        )

    with_token_server(body)


@case("Bearer: access_token in place of token")
def _():
    with_token_server(
        lambda front, tokens, run: run().accepted("Bearer", f"localhost:{tokens.port}"),
        reply={"access_token": TOKEN, "token_type": "Bearer", "expires_in": "300"},
    )


@case("Bearer: where the server has no GET, the POST form")
def _():
    def body(front, tokens, run):
        run().accepted("Bearer", f"localhost:{tokens.port}")
        equal([request.method for request in tokens.requests], ["GET", "POST"])

    with_token_server(body, get=False)


@case("Bearer: a user name with a colon goes with the POST form")
def _():
    def body(front, tokens, run):
        run(user="a:b").accepted("Bearer", f"localhost:{tokens.port}")
        equal([request.method for request in tokens.requests], ["POST"])

    with_token_server(body)
    with_token_server(
        lambda front, tokens, run: run(user="a:b").failed("invalid", "user name holds a colon"),
        post=False,
    )


@case("Bearer: the wrong password is denied, and not tried a second way")
def _():
    def body(front, tokens, run):
        run(secret="MARKER-wrong").failed(
            "denied", "refuses this user name and password", f"localhost:{tokens.port}"
        )
        equal(len(tokens.requests), 1)
        equal(len(front.requests), 1)

    for status in (400, 401, 403):
        with_token_server(body, refuses_with=status)


@case("Bearer: a server without either form says nothing about the credential")
def _():
    with_token_server(
        lambda front, tokens, run: run().failed("invalid", "404"), get=False, post=False
    )


@case("Bearer: a token server that takes anything proves nothing; the registry decides")
def _():
    def body(front, tokens, run):
        run(secret="MARKER-wrong").failed("denied", "the token that its own token server gave")
        equal(len(front.requests), 2)

    with_token_server(body, accepts_all=True, reply={"token": "anonymous"})


@case("Bearer: a token server that takes anybody, whose tokens the registry takes, proves nothing")
def _():
    def body(front, tokens, run):
        for user, secret in ((USER, SECRET), ("<token>", IDENTITY)):
            result = run(user=user, secret=secret)
            equal(result.answer["verdict"], "open")
            equal(result.answer["scheme"], "Bearer")

    with_token_server(body, accepts_all=True)
    with_token_server(body, accepts_all=True, get=False)


@case("Bearer: a good credential is followed by one that nobody has, and only then")
def _():
    def good(front, tokens, run):
        run().accepted("Bearer", f"localhost:{tokens.port}")
        equal(tokens.handle.controls, 1)

    def bad(front, tokens, run):
        run(secret="MARKER-wrong").failed("denied")
        equal(tokens.handle.controls, 0)

    with_token_server(good)
    with_token_server(bad)


@case("identity token: POST to the token server only, as refresh_token")
def _():
    def body(front, tokens, run):
        run(user="<token>", secret=IDENTITY).accepted("Bearer", f"localhost:{tokens.port}")
        equal([request.method for request in tokens.requests], ["POST"])

    with_token_server(body)


@case("identity token: refused, and not understood")
def _():
    def refused(front, tokens, run):
        run(user="<token>", secret="MARKER-wrong").failed("denied", "refuses this identity token")

    def unknown(front, tokens, run):
        run(user="<token>", secret=IDENTITY).failed("unsupported", "takes no identity tokens")
        equal([request.method for request in tokens.requests], ["POST"])

    with_token_server(refused, refuses_with=400)
    with_token_server(unknown, post=False)


@case("token replies that are none: each is one clear error")
def _():
    for reply, words in (
        ("<html>MARKER</html>", "proper JSON"),
        ("", "proper JSON"),
        ('{"token": "a", "token": "b"}', "proper JSON"),
        ('{"token": "a"} {}', "proper JSON"),
        ('{"MARKER": "x"}', "no token"),
        ('{"token": ""}', "no token"),
        ('{"token": ["a"]}', "no token"),
        ("[]", "no token"),
        ("null", "no token"),
        ('{"token": "a b"}', "bytes that no token may have"),
        ('{"token": "a\\r\\nX-Injected: MARKER"}', "bytes that no token may have"),
        ('{"token": "%s"}' % ("x" * 65537), "too long"),
        (b'{"token": "\xff"}', "proper JSON"),
    ):
        with_token_server(lambda front, tokens, run: run().failed("invalid", words), reply=reply)


@case("a realm with a query of its own keeps it")
def _():
    with token_server(LOCALHOST) as tokens:
        challenge = f'Bearer {realm_of(tokens, "/token?tenant=a%20b")},{SERVICE}'
        with bearer_registry(LOCALHOST, challenge) as front:
            run_check(
                front.port,
                options={"ca_file": AUTHORITY.file, "realms": [f"localhost:{tokens.port}"]},
                servers=[front, tokens],
            ).accepted("Bearer", f"localhost:{tokens.port}")
            check(
                tokens.requests[0].target.startswith(
                    "/token?tenant=a%20b&service=fake%20service%2C"
                ),
                tokens.requests[0].target,
            )


@case("several challenges, in one header and in many: Bearer where it is offered, else Basic")
def _():
    with token_server(LOCALHOST) as tokens:
        bearer = f"bEaReR {realm_of(tokens)} , {SERVICE}"
        options = {"ca_file": AUTHORITY.file, "realms": [f"localhost:{tokens.port}"]}
        for challenges in (
            [f'Negotiate, Digest realm="a, b", nonce="x\\"y", {bearer}, BASIC realm="z"'],
            ["Negotiate abc==", 'Basic realm="z"', bearer],
            ['broken "', bearer],
        ):
            with bearer_registry(LOCALHOST, *challenges) as front:
                run_check(front.port, options=options, servers=[front, tokens]).accepted(
                    "Bearer", f"localhost:{tokens.port}"
                )
    for challenges in (
        ["Negotiate", "basic"],
        ['NTLM, Basic realm="a", charset="UTF-8"'],
        ["Bearer", 'Basic realm="x"'],
    ):
        with basic_registry(LOCALHOST, challenges) as front:
            run_check(front.port, servers=[front]).accepted("Basic")


@case("challenges that cannot be met")
def _():
    for challenges, kind, words in (
        (['Digest realm="a", nonce="b"'], "unsupported", "neither Basic nor Bearer"),
        (['Bearer realm="'], "invalid", "malformed WWW-Authenticate"),
        ([""], "invalid", "without a WWW-Authenticate"),
        (['Bearer service="x"'], "invalid", "names no token server"),
    ):
        with basic_registry(LOCALHOST, challenges) as front:
            run_check(front.port, servers=[front]).failed(kind, words)
            equal(len(front.requests), 1)
    with serve_status(401) as front:
        run_check(front.port, servers=[front]).failed(
            "invalid", "without a WWW-Authenticate header"
        )


def serve_status(status, headers=(), body="MARKER"):
    return Server(lambda request: Reply(status, headers, body), LOCALHOST)


@case("other first answers: no registry, forbidden, teapot")
def _():
    for status, words in (
        (404, "not a container registry"),
        (403, "403"),
        (418, "418"),
        (204, "204"),
        (501, "501"),
    ):
        with serve_status(status) as front:
            run_check(front.port, servers=[front]).failed("invalid", words)


@case("Docker Hub is asked at its API's name, and its token server at that one's")
def _():
    with token_server(
        AUTHORITY.issue("hub-auth", "DNS:auth.docker.io"), service="registry.docker.io"
    ) as tokens:
        challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
        with bearer_registry(
            AUTHORITY.issue("hub", "DNS:registry-1.docker.io"), challenge
        ) as front:
            run_check(
                0,
                host="docker.io",
                servers=[front, tokens],
                hosts={"registry-1.docker.io": "198.51.100.1", "auth.docker.io": "198.51.100.2"},
                routes={"198.51.100.1:443": front.port, "198.51.100.2:443": tokens.port},
            ).accepted("Bearer", "auth.docker.io")
            equal(tokens.requests[0].header("host"), "auth.docker.io")
            equal(front.requests[0].header("host"), "registry-1.docker.io")


@case("another endpoint can be named")
def _():
    with basic_registry(LOCALHOST) as server:
        options = {"ca_file": AUTHORITY.file, "endpoint": f"https://localhost:{server.port}"}
        run_check(0, host="registry.example.com", options=options, servers=[server]).accepted(
            "Basic"
        )


@case("plain http only where the key says http, and only on this machine")
def _():
    with basic_registry(None) as server:
        run_check(server.port, http=True, servers=[server]).accepted("Basic")
        run_check(server.port, host="127.0.0.1", http=True, servers=[server]).accepted("Basic")
        seen = server.connections
        run_check(
            server.port, host="registry.test", http=True, hosts={"registry.test": "127.0.0.1"}
        ).failed("denied", "clear text")
        equal(server.connections, seen)
        requests = len(server.requests)
        run_check(server.port).failed("invalid", "does not speak TLS", "--plain-http")
        equal(len(server.requests), requests, "https never becomes http")
    # No name server is asked where "localhost" is.
    run_check(1, http=True, hosts={"localhost": "198.51.100.7"}).failed(
        "unreachable", "Connection refused"
    )


@case("options that are not understood are errors")
def _():
    for options, words in (
        ('{"skip_verify": true}', "no such option"),
        ('{"ca_file": "relative.pem"}', "absolute path"),
        ('{"ca_file": 1}', "must be a text"),
        ('{"realms": "x"}', "must be a list"),
        ('{"realms": ["https://x"]}', "realms[0]"),
        ('{"realms": ["user@x"]}', "realms[0]"),
        ('{"endpoint": "https://x/path"}', "without a path"),
        ('{"endpoint": "ftp://x"}', "does not begin with https://"),
        ("[]", "JSON object"),
        ('{"realms": [', "options:1"),
    ):
        run_check(1, options=options).failed("invalid", words)
    with open_registry(LOCALHOST) as server:
        for file in ("/dev/null", "/nonexistent/ca.pem"):
            run_check(server.port, options={"ca_file": file}).failed("invalid", file, "PEM")


@case("keys that name no registry")
def _():
    run_check(0, host="").failed("unsupported", "does not name a registry")


@case("a user name beyond ASCII, with quotes and a tab, arrives as it is")
def _():
    user = 'Ünï "quoted"\tcode, \\'
    front = Registry(['Basic realm="x"'], [registry.basic_header(user)])
    front.expects = "Basic"
    with serve(front, LOCALHOST) as server:
        run_check(server.port, user=user, servers=[server]).accepted("Basic")
    check(SECRET not in str(server.requests), "Basic carries base64")


if __name__ == "__main__":
    raise SystemExit(tap.run())
