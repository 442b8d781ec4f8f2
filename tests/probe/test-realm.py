# SPDX-License-Identifier: Apache-2.0
"""Where a credential may go: the realm that a registry names, and redirects. In each case that is
refused, a real server stands at the forbidden place, and nothing may connect to it.
"""

from checks import AUTHORITY, LOCALHOST, run_check, untouched
import tap
from fake_registry import (
    IDENTITY,
    TOKEN,
    Registry,
    TokenServer,
    basic_registry,
    bearer_registry,
    refuse_everything,
    serve,
    token_server,
)
from tap import case, check, equal
from wire import Reply, Server

SERVICE = 'service="fake service, with comma"'
CREDENTIALS = ({}, {"user": "<token>", "secret": IDENTITY})


def trap(certificate=LOCALHOST):
    return Server(refuse_everything, certificate)


def refused(realm, *words, kind="denied", **more):
    """The registry that names the realm gets no credential, and the check fails."""
    for credential in CREDENTIALS:
        with bearer_registry(LOCALHOST, f'Bearer realm="{realm}",{SERVICE}') as front:
            run_check(front.port, servers=[front], **credential, **more).failed(kind, *words)
            equal(len(front.requests), 1, realm)
            equal(front.requests[0].header("authorization"), None)


class Combined:
    """Registry and token server on one host and port."""

    def __init__(self):
        self.tokens = TokenServer()
        self.front = None
        self.server = None

    def __call__(self, request):
        part = self.front if request.path == "/v2/" else self.tokens
        part.server = self.server
        return part(request)


@case("without a credential the registry is asked once, and its token server is only named")
def _():
    with trap() as bad:
        for realm, named in (
            (f"https://localhost:{bad.port}/token", f"localhost:{bad.port}"),
            (f"http://127.0.0.1:{bad.port}/token", f"127.0.0.1:{bad.port}"),
            ("nonsense", ""),
        ):
            with bearer_registry(LOCALHOST, f'Bearer realm="{realm}",{SERVICE}') as front:
                answer = run_check(front.port, servers=[front], anonymous=True).answer
                equal(answer, {"verdict": "asks", "scheme": "Bearer", "realm_host": named})
                equal(len(front.requests), 1, realm)
                equal(front.requests[0].header("authorization"), None)
        untouched(bad)
    with basic_registry(LOCALHOST) as front:
        answer = run_check(front.port, servers=[front], anonymous=True).answer
        equal(answer, {"verdict": "asks", "scheme": "Basic", "realm_host": ""})


@case("the registry's own host and port may be anywhere")
def _():
    both = Combined()
    with serve(both, LOCALHOST) as server:
        both.front = Registry(
            [f'Bearer realm="https://LocalHost:{server.port}/service/token",{SERVICE}'],
            ["Bearer " + TOKEN],
        )
        both.front.expects = "Bearer"
        run_check(server.port, servers=[server]).accepted("Bearer")
        equal([request.path for request in server.requests], ["/v2/", "/service/token", "/v2/"])


@case("plain http is refused, at any host, also one on the list")
def _():
    with trap(certificate=None) as bad:
        options = {"ca_file": AUTHORITY.file, "realms": [f"localhost:{bad.port}"]}
        for host in ("localhost", "127.0.0.1", "token.localhost"):
            refused(f"http://{host}:{bad.port}/token", "plain http")
        refused(f"http://localhost:{bad.port}/token", "plain http", options=options)
        refused("http://198.51.100.9/token", "plain http", routes={"198.51.100.9:80": bad.port})
        untouched(bad)


@case(
    "bare addresses are refused: loopback at another port, metadata, mapped, private, public"
)
def _():
    with trap() as bad:
        routes = {
            f"{address}:443": bad.port
            for address in ("169.254.169.254", "10.0.0.1", "192.168.1.1", "0.0.0.0", "198.51.100.9")
        }
        for literal in (
            f"localhost:{bad.port}",
            f"127.0.0.1:{bad.port}",
            f"127.8.9.10:{bad.port}",
            f"[::1]:{bad.port}",
            "169.254.169.254",
            "10.0.0.1",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[fe80::1]",
            "[::]",
            "0.0.0.0",
            "192.168.1.1",
            "198.51.100.9",
        ):
            refused(f"https://{literal}/token", "not the registry's own port", routes=routes)
        untouched(bad)


@case("addresses that parsers disagree about are refused")
def _():
    with trap() as bad:
        for realm in (
            f"https://127.1:{bad.port}/",
            f"https://0x7f000001:{bad.port}/",
            f"https://2130706433:{bad.port}/",
            f"https://localhost.:{bad.port}/",
            f"https://good@localhost:{bad.port}/",
            f"https://good\\\\@localhost:{bad.port}/",
            f"https://localhost%00.example.com:{bad.port}/",
            f"https://local%68ost:{bad.port}/",
            "https:///token",
            "https://",
            "token",
            "/token",
            "//localhost/token",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://localhost:0443/",
            "https://localhost:99999/",
            f"https://[fe80::1%25eth0]:{bad.port}/",
            "https://lоcalhost/",
            f"https://localhost:{bad.port}/#x",
            f"https://localhost:{bad.port}/a b",
            "https://[::1/",
            "https://a..b/",
            "https://-a/",
            "https://a_b/",
            " https://a/",
        ):
            refused(realm.encode().decode("latin-1"), "token server", kind="invalid")
        untouched(bad)


@case("a name that leads to an address that is not public gets no connection")
def _():
    with trap() as bad:
        refused(f"https://token.localhost:{bad.port}/token", "not public")
        for address in (
            "127.0.0.1",
            "169.254.169.254",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.100.100.200",
            "0.0.0.0",
            "::1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "::",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ):
            refused(
                f"https://auth.test:{bad.port}/token",
                "not public",
                hosts={"auth.test": address},
                routes={f"{address}:{bad.port}": bad.port},
            )
        untouched(bad)


@case("a name that leads to a public address is fine")
def _():
    with token_server(LOCALHOST) as tokens:
        with bearer_registry(
            LOCALHOST, f'Bearer realm="https://auth.test/token",{SERVICE}'
        ) as front:
            run_check(
                front.port,
                servers=[front, tokens],
                hosts={"auth.test": "198.51.100.9"},
                routes={"198.51.100.9:443": tokens.port},
            ).accepted("Bearer", "auth.test")


@case("the registry's own name with another port may be private")
def _():
    with token_server(LOCALHOST) as tokens:
        with bearer_registry(
            LOCALHOST, f'Bearer realm="https://registry.test:{tokens.port}/jwt/auth",{SERVICE}'
        ) as front:
            run_check(
                front.port,
                host="registry.test",
                servers=[front, tokens],
                hosts={"registry.test": "127.0.0.1"},
            ).accepted("Bearer", f"registry.test:{tokens.port}")
            run_check(
                front.port,
                host="auth.test",
                servers=[front],
                hosts={"registry.test": "127.0.0.1", "auth.test": "127.0.0.1"},
            ).failed("denied", "not public")
            equal(len(tokens.requests), 1)


@case("a listed token server may be private; the list names a port")
def _():
    with token_server(LOCALHOST) as tokens, trap() as bad:
        for host in ("localhost", "127.0.0.1", "auth.test"):
            options = {
                "ca_file": AUTHORITY.file,
                "realms": ["other.example", f"{host.upper()}:{tokens.port}"],
            }
            with bearer_registry(
                LOCALHOST, f'Bearer realm="https://{host}:{tokens.port}/token",{SERVICE}'
            ) as front:
                run_check(
                    front.port,
                    options=options,
                    hosts={"auth.test": "127.0.0.1"},
                    servers=[front, tokens],
                ).accepted("Bearer", f"{host}:{tokens.port}")
            refused(
                f"https://{host}:{bad.port}/token",
                options=options,
                hosts={"auth.test": "127.0.0.1"},
            )
        untouched(bad)


@case("a registry on plain http here may name its own host and port")
def _():
    both = Combined()
    with serve(both, None) as server, trap(certificate=None) as bad:
        both.front = Registry(
            [f'Bearer realm="http://localhost:{server.port}/token",{SERVICE}'], ["Bearer " + TOKEN]
        )
        both.front.expects = "Bearer"
        run_check(server.port, http=True, servers=[server]).accepted("Bearer")
        both.front.challenges = [f'Bearer realm="http://localhost:{bad.port}/token",{SERVICE}']
        run_check(server.port, http=True, servers=[server]).failed("denied", "plain http")
        untouched(bad)


@case("where Basic is offered too, an unsafe realm is passed over; an identity token goes nowhere")
def _():
    with trap() as bad:
        challenges = [
            f'Bearer realm="https://127.0.0.1:{bad.port}/token",{SERVICE}',
            'Basic realm="x"',
        ]
        with basic_registry(LOCALHOST, challenges) as front:
            run_check(front.port, servers=[front]).accepted("Basic")
            count = len(front.requests)
            run_check(front.port, user="<token>", secret=IDENTITY, servers=[front]).failed(
                "denied", "not the registry's own port"
            )
            equal(len(front.requests), count + 1)
        untouched(bad)


@case("redirects are errors, and nothing arrives where they point")
def _():
    with trap() as tls, trap(certificate=None) as plain:
        for status in (301, 302, 303, 307, 308):
            for target in (
                f"https://localhost:{tls.port}/v2/",
                f"https://token.localhost:{tls.port}/",
                f"http://localhost:{plain.port}/v2/",
                f"http://127.0.0.1:{plain.port}/",
                "/v2",
                "//localhost/v2/",
            ):
                moved = Server(lambda request: Reply(status, [("Location", target)]), LOCALHOST)
                with moved:
                    run_check(moved.port, servers=[moved]).failed(
                        "invalid", f"localhost:{moved.port}", f"redirect ({status})"
                    )
                    equal(len(moved.requests), 1)
        untouched(tls)
        untouched(plain)


@case("redirects after a credential was sent: nothing arrives, and the target is not repeated")
def _():
    def moving(status, target):
        def answer(request):
            if (
                request.header("authorization")
                or request.method == "POST"
                or request.path == "/token"
            ):
                return Reply(status, [("Location", target)])
            return Reply(401, [("WWW-Authenticate", moving.challenge)])

        return Server(answer, LOCALHOST)

    with trap() as tls, trap(certificate=None) as plain:
        for status in (301, 302, 307, 308):
            for target in (
                f"https://localhost:{tls.port}/?MARKER",
                f"http://localhost:{plain.port}/",
                f"https://marker.localhost:{tls.port}/",
            ):
                for bearer in (False, True):
                    with moving(status, target) as moved:
                        moving.challenge = (
                            f'Bearer realm="https://localhost:{moved.port}/token"'
                            if bearer
                            else 'Basic realm="x"'
                        )
                        for credential in CREDENTIALS if bearer else CREDENTIALS[:1]:
                            moved.requests.clear()
                            result = run_check(moved.port, servers=[moved], **credential)
                            result.failed("invalid", "redirect")
                            equal(len(moved.requests), 2)
                            check("marker" not in result.text.lower(), result.text)
        untouched(tls)
        untouched(plain)


@case("a proxy is for https to other machines, and no_proxy is honoured")
def _():
    def answer(request, connection):
        proxied.append(request)
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    proxied = []
    with Server(answer, takes_socket=True) as proxy, basic_registry(LOCALHOST) as front:
        through = {
            "https_proxy": f"http://puser:MARKER-proxy@127.0.0.1:{proxy.port}",
            "all_proxy": "",
            "HTTPS_PROXY": "x",
        }
        run_check(front.port, servers=[front], environment=through).accepted("Basic")
        equal(proxied, [], "the loopback needs no proxy")
        hosts = {"registry.test": "198.51.100.3"}
        routes = {f"198.51.100.3:{front.port}": front.port}
        result = run_check(
            front.port, host="registry.test", hosts=hosts, routes=routes, environment=through
        )
        result.failed("unreachable", "proxy refuses", f"registry.test:{front.port}")
        equal(
            [(request.method, request.target) for request in proxied],
            [("CONNECT", f"registry.test:{front.port}")],
        )
        check(proxied[0].header("authorization") is None, proxied)
        for excluded in ("registry.test", ".test", f"x, test:{front.port}", "*"):
            run_check(
                front.port,
                host="registry.test",
                hosts=hosts,
                routes=routes,
                servers=[front],
                environment={**through, "no_proxy": excluded},
            ).accepted("Basic")
        count = len(proxied)
        for excluded in ("try.test", "registry.test:1", "est", "registry.test.example"):
            run_check(
                front.port,
                host="registry.test",
                hosts=hosts,
                routes=routes,
                environment={**through, "no_proxy": excluded},
            ).failed("unreachable", "proxy")
        equal(len(proxied), count + 4)


@case("a token server excluded from the proxy is still looked at")
def _():
    with trap() as bad:
        refused(
            f"https://auth.test:{bad.port}/token",
            "not public",
            hosts={"auth.test": "10.9.9.9"},
            routes={f"10.9.9.9:{bad.port}": bad.port},
            environment={"https_proxy": "http://127.0.0.1:1", "no_proxy": "auth.test"},
        )
        untouched(bad)


@case("files in the home directory are not read")
def _():
    import os
    from checks import SCRATCH

    with open(os.path.join(SCRATCH, ".netrc"), "w", encoding="ascii") as netrc:
        netrc.write("machine localhost login netrc password MARKER-netrc\n")
    with basic_registry(LOCALHOST) as front:
        run_check(
            front.port, secret="MARKER-wrong", servers=[front], environment={"HOME": SCRATCH}
        ).failed("denied")
        check(front.requests[0].header("authorization") is None, front.requests)


if __name__ == "__main__":
    raise SystemExit(tap.run())
