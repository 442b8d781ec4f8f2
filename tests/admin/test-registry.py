# SPDX-License-Identifier: Apache-2.0
"""pullkey login against a real registry, over TLS with a CA of its own."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
import certs
import fake_registry
from home import Home
from registry import Registry
from tap import Skip, case, check, equal, run
from terminal import Terminal

MARKER = "marker-55e0b8"


def installed():
    module = os.path.join(os.environ["PULLKEY_MODULES"], "net.so")
    return os.path.exists(module)


def login(home, registry, password, *options, ca=True, text=None):
    arguments = [home.pullkey, "login", registry.address, "-ualice", "--password-stdin", *options]
    if ca:
        arguments += ["--ca-file", registry.ca]
    return home.run(arguments, text if text is not None else password)


def needs_probe():
    if not installed():
        raise Skip("the module that asks registries is not built")


@case("a good password is checked, then stored")
def good():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        done = login(home, registry, MARKER)
        equal(done.returncode, 0, done.stderr)
        equal(
            done.stdout,
            f"Login to {registry.address} as alice succeeded; stored in file (encrypted)\n",
        )
        check(registry.requests(part="/v2/"), "the registry was asked")
        equal(home.get(registry.address)["Secret"], MARKER)
        check(json.loads(login(home, registry, MARKER, "--json").stdout)["verified"], "verified")


@case("a wrong password is refused, and what is stored stays")
def wrong():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        for _ in range(2):
            done = login(home, registry, "wrong-" + MARKER)
            equal((done.returncode, done.stdout), (1, ""))
            equal(done.stderr.count("\n"), 1, done.stderr)
            check("nothing was stored" in done.stderr, done.stderr)
            check(MARKER not in done.stderr, done.stderr)
            if home.list():
                break
            equal(login(home, registry, MARKER).returncode, 0)
        equal(home.get(registry.address)["Secret"], MARKER)


@case("a registry whose certificate nobody vouches for is not trusted")
def untrusted():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        done = login(home, registry, MARKER, ca=False)
        equal((done.returncode, done.stdout), (1, ""))
        check("certificate" in done.stderr.lower(), done.stderr)
        equal(registry.requests(), [])
        equal(home.list(), {})


@case("a CA file that is not there or is none")
def bad_ca():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        for path in ("/nowhere/ca.crt", home.write("ca.crt", "rubbish")):
            done = login(home, registry, MARKER, "--ca-file", path, ca=False)
            equal((done.returncode, done.stdout), (1, ""), path)
            equal(done.stderr.count("\n"), 1, done.stderr)
        equal(home.list(), {})


@case("a registry that does not answer")
def absent():
    needs_probe()
    with Home() as home:
        done = home.run(
            [home.pullkey, "login", "127.0.0.1:1", "-ualice", "--password-stdin"], MARKER
        )
        equal((done.returncode, done.stdout), (1, ""))
        check("127.0.0.1:1" in done.stderr and "nothing was stored" in done.stderr, done.stderr)
        equal(home.list(), {})


@case("on a terminal: says whom it asks, and not the password")
def terminal_login():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        arguments = [home.pullkey, "login", registry.address, "--ca-file", registry.ca]
        with Terminal(arguments, home.env) as terminal:
            terminal.expect("User name")
            terminal.type("alice\n")
            terminal.expect("Password of alice: ")
            terminal.type(MARKER + "\n")
            terminal.expect(f"Checking with {registry.address} ...")
            equal(terminal.wait(), 0, terminal.output)
            check("succeeded" in terminal.output, terminal.output)
            check(MARKER not in terminal.output, terminal.output)


@case("what asks over TLS does so after the encrypted store has been read, too")
def after_store():
    needs_probe()
    with Registry({"alice": MARKER}) as registry, Home() as home:
        server = {"type": "kubernetes", "server": f"https://{registry.address}", "secret": "a/b"}
        server |= {"token_file": home.write("token", "x"), "ca_file": registry.ca}
        home.write(
            ".config/pullkey/config.json",
            json.dumps({"version": 1, "backends": {"api": server}, "default": ["file", "api"]}),
        )
        for other in ("", "registry.example.com"):
            if other:
                equal(home.login(other, "alice", MARKER, "--no-verify").returncode, 0)
            done = home.run([home.helper, "get"], registry.address)
            # It is no API server, and who it is has been checked.
            check("answers 404" in done.stdout, f"{other}: {done.stdout}")


# The module directory is seen empty by one process alone: other tests use it meanwhile.
HIDE = 'mount -t tmpfs -o mode=0755 none "$PULLKEY_MODULES" || exit 77; exec "$@"'


@case("a token server at another address is asked only if --realm names it")
def realm():
    needs_probe()
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        certificate = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1")
        with fake_registry.token_server(certificate) as tokens, fake_registry.bearer_registry(
            certificate,
            f'Bearer realm="https://127.0.0.1:{tokens.port}/token",service="fake service, with comma"',
        ) as front:
            server = f"localhost:{front.port}"
            arguments = [home.pullkey, "login", server, "-u", fake_registry.USER, "--password-stdin"]
            arguments += ["--ca-file", authority.file]
            done = home.run(arguments, fake_registry.SECRET)
            equal((done.returncode, tokens.connections), (1, 0), done.stderr)
            check("--realm" in done.stderr, done.stderr)
            done = home.run([*arguments, "--realm", f"127.0.0.1:{tokens.port}"], fake_registry.SECRET)
            equal(done.returncode, 0, done.stderr)
            equal(tokens.objections + front.objections, [])
            equal(home.get(server)["Secret"], fake_registry.SECRET)


@case("--plain-http is for registries on this machine")
def plain():
    needs_probe()
    with Home() as home, fake_registry.basic_registry(None) as front:
        server = f"localhost:{front.port}"
        arguments = ["-u", fake_registry.USER, "--password-stdin", "--plain-http"]
        done = home.run([home.pullkey, "login", server, *arguments], fake_registry.SECRET)
        equal(done.returncode, 0, done.stderr)
        equal(home.get(server)["Secret"], fake_registry.SECRET)
        done = home.run([home.pullkey, "login", "registry.example.com", *arguments], "x")
        equal((done.returncode, done.stdout), (1, ""))
        check("clear text" in done.stderr, done.stderr)


@case("without the module: an error that names --no-verify")
def no_module():
    with Home() as home:
        home.env["PULLKEY_MODULES"] = os.environ["PULLKEY_MODULES"]
        done = home.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", HIDE, "sh"]
            + [home.pullkey, "login", "-ualice", "--password-stdin"],
            MARKER,
        )
        if done.returncode == 77 or "unshare" in done.stderr:
            raise Skip(f"no mount namespace: {done.stderr}")
        equal((done.returncode, done.stdout), (1, ""), done.stderr)
        check("not installed" in done.stderr and "--no-verify" in done.stderr, done.stderr)
        equal(home.list(), {})


if __name__ == "__main__":
    sys.exit(run())
