# SPDX-License-Identifier: Apache-2.0
"""Groups K and V: which texts name the same registry, which do not, and which name none.

K are the spellings under which real clients store and ask, and the pairs that must never be
mixed up. V are the texts by which other programs were fooled: each is refused or misses, and no
byte in any position makes a helper answer for another host.
"""

from concurrent.futures import ThreadPoolExecutor

from tap import Difference, case
from target import NOT_FOUND, refusal_fault, shorten

HUB = "https://index.docker.io/v1/"
HUB_NAMES = (
    HUB,
    "https://index.docker.io/v1",
    "https://index.docker.io",
    "index.docker.io",
    "index.docker.io:443",
    "docker.io",
    "https://docker.io/",
    "registry-1.docker.io:443",
    "https://registry-1.docker.io:443",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    "https://registry.hub.docker.com/v1/",
)
HOST_NAMES = (
    "k.test",
    "https://k.test",
    "https://k.test/",
    "k.test:443",
    "https://k.test:443",
    "https://k.test/v1/",
    "https://k.test/v2/",
    "https://k.test/v2",
    "k.test/",
    "K.Test",
)


def verdict(result, secrets=()):
    """hit, miss, refusal, or what is wrong with an answer that is none of them."""
    if result.code == 0 and b'"Username":"","Secret":""' in result.out:
        return "an empty answer"
    if result.code == 0 and result.out.startswith(b"{"):
        for name, secret in secrets:
            if secret.encode() in result.out:
                return f"hit of {name}"
        return "hit"
    if result.code == 1 and result.out == NOT_FOUND and not result.err:
        return "miss"
    fault = refusal_fault(result)
    return "refusal" if fault is None else f"{result} ({fault})"


def ask_all(target, requests, verb="get", secrets=()):
    """Asks for each of many requests, a few at a time; the verdicts in their order."""

    def ask(request):
        return verdict(target.run(verb, request), secrets)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, requests))


def compare(what, rows):
    """rows: (request, acceptable verdicts, verdict). One difference names all the wrong ones."""
    wrong = [(request, accept, got) for request, accept, got in rows if got not in accept]
    if wrong:
        texts = [f"{request!r}: {got}" for request, _, got in wrong]
        expected = sorted({" or ".join(accept) for _, accept, _ in wrong})
        got = shorten(f"{len(wrong)}: " + ", ".join(texts), 900)
        raise Difference(what, "; ".join(expected), got)


def expect_verdicts(target, what, table, secrets=()):
    """table: (request, acceptable verdicts)."""
    got = ask_all(target, [request for request, _ in table], secrets=secrets)
    compare(what, [(*row, answer) for row, answer in zip(table, got)])


@case("K1 Docker Hub is one registry under all its names")
def hub_names(target):
    for stored in (HUB, "docker.io", "registry-1.docker.io:443"):
        target.store(stored, secret="of the Hub")
        secrets = (("the Hub", "of the Hub"),)
        expect_verdicts(
            target,
            f"stored as {stored}",
            [(name, ("hit of the Hub",)) for name in HUB_NAMES],
            secrets,
        )
        target.hit("index.docker.io/library/alpine", secret="of the Hub")
        target.erase("docker.io")
        target.miss(stored)


@case("K2 https://, :443, a slash, /v1/ and /v2/ make no difference for any other host")
def host_names(target):
    for stored in ("k.test", "https://k.test", "k.test:443", "https://k.test/v2/"):
        target.store(stored, secret="of the host")
        secrets = (("the host", "of the host"),)
        expect_verdicts(
            target,
            f"stored as {stored}",
            [(name, ("hit of the host",)) for name in HOST_NAMES],
            secrets,
        )
        target.erase("https://k.test")
        target.miss(stored)


@case("K3 the answer of an alias echoes the request")
def alias_echo(target):
    target.store(HUB)
    target.hit("docker.io\n", echo="docker.io")
    target.store("K3.test")
    target.hit("https://k3.test/v2/", echo="https://k3.test/v2/")


@case("K4 store replaces every spelling of the same key")
def store_replaces_aliases(target):
    target.store(HUB, "first", "the first secret")
    target.store("docker.io", "second", "the second secret")
    for name in (HUB, "docker.io", "registry-1.docker.io:443"):
        target.hit(name, "second", "the second secret")
    target.lists({"docker.io": "second"})
    target.store("k4.test:443", "first", "the first secret")  # what nerdctl login does: both
    target.store("k4.test", "second", "the second secret")
    target.hit("k4.test:443", "second", "the second secret")
    target.lists({"docker.io": "second", "k4.test": "second"})


@case("K5 an exact key comes before its aliases and shorter paths")
def exact_first(target):
    target.store("k5.test/v2/team", "team", "of the team")
    target.store("k5.test", "host", "of the host")
    target.hit("k5.test/v2/team", "team", "of the team")
    target.hit("k5.test/team", "team", "of the team")
    target.hit("k5.test/v2/", "host", "of the host")


@case("K6 nerdctl's questions find what docker login stored")
def nerdctl_questions(target):
    target.store("k6.test")
    for request in ("k6.test:443", "https://k6.test:443", "k6.test", "https://k6.test"):
        target.hit(request)
    target.miss("http://k6.test:443")
    target.miss("http://k6.test")
    for request in ("k6.test:443", "https://k6.test:443", "http://k6.test:443", "k6.test"):
        target.erase(request)
    target.miss("k6.test")


@case("K7 http:// is a key of its own")
def plain_http(target):
    target.store("k7.test", secret="for https only")
    target.miss("http://k7.test")
    target.miss("http://k7.test:80")
    target.miss("k7.test:80")
    target.store("http://k7.test", "plain", "for plain http")
    target.hit("http://k7.test", "plain", "for plain http")
    target.hit("k7.test", secret="for https only")
    target.erase("k7.test")
    target.miss("https://k7.test")
    target.hit("http://k7.test", "plain", "for plain http")


@case("K8 another port is another registry")
def ports(target):
    target.store("k8.test:5000")
    target.hit("https://k8.test:5000/v2/")
    for request in ("k8.test", "k8.test:443", "k8.test:5001", "k8.test:50000", "k8.test:500"):
        target.miss(request)
    target.store("k8.test")
    target.erase("k8.test")
    target.hit("k8.test:5000")


@case("K9 no suffix, prefix, parent or look-alike ever matches")
def look_alikes(target):
    target.store("registry.example.test")
    target.store("example.org/team")
    target.store("docker.io")
    for request in (
        "registry.example.test.evil",
        "registry.example.test-x",
        "registry.example.tes",
        "registry.example.testing",
        "xregistry.example.test",
        "x-registry.example.test",
        "example.test",
        "test",
        "a.registry.example.test",
        "registry-example.test",
        "evil.test/registry.example.test",
        "example.org",
        "example.org/team-x",
        "example.org/tea",
        "example.org/Team/app",
        "example.org/x/team",
        "docker.io.evil.test",
        "xdocker.io",
        "hub.docker.io",
        "auth.docker.io",
        "docker.com",
        "registry-2.docker.io",
        "docker.io:5000",
        "http://docker.io",
    ):
        target.miss(request)


GOOD, EVIL = ("good", "secret of the good"), ("evil", "secret of evil")
NO_HIT = ("miss", "refusal")
VECTORS = (
    ("https://u:p@good/", ("refusal",)),
    ("u:p@good", ("refusal",)),
    ("good@evil", ("refusal",)),
    ("https://good@evil/", ("refusal",)),
    ("https://good\\@evil/", ("refusal",)),
    ("https://good\\evil/", ("refusal",)),
    ("https://good%00.evil/", ("refusal",)),
    ("https://good%2eevil/", ("refusal",)),
    ("good%2Ftest", ("refusal",)),
    ("https:///good/", ("refusal",)),
    ("https://", ("refusal",)),
    ("https:good", ("refusal",)),
    ("//good", NO_HIT),
    ("/good", ("refusal",)),
    (":443", ("refusal",)),
    ("good:5000/team", ("miss",)),
    ("GOOD:443", ("hit of good",)),
    ("good.", ("refusal",)),
    ("good.:443", ("refusal",)),
    ("https://good./v2/", ("refusal",)),
    ("good:", ("refusal",)),
    ("good:0443", ("refusal",)),
    ("good:0", ("refusal",)),
    ("good:99999", ("refusal",)),
    ("good:65536", ("refusal",)),
    ("good:4294967739", ("refusal",)),
    ("good:18446744073709552059", ("refusal",)),
    ("good:+443", ("refusal",)),
    ("good:-1", ("refusal",)),
    ("good:443x", ("refusal",)),
    ("good:443:443", ("refusal",)),
    ("good..test", NO_HIT),
    (".good", NO_HIT),
    ("good?x", NO_HIT),
    ("good#x", NO_HIT),
    ("https://good?@evil/", ("refusal",)),
    ("https://evil#@good/", ("refusal",)),
    ("HTTPS://good", NO_HIT + ("hit of good",)),
    ("ftp://good", NO_HIT),
    ("https://https://good", NO_HIT),
    ("https://evil.test/https://good/", NO_HIT),
    ("good/../evil", NO_HIT + ("hit of good",)),
    ("127.1", NO_HIT),
    ("0x7f000001", NO_HIT),
    ("2130706433", NO_HIT),
    ("0177.0.0.1", NO_HIT),
    ("127.0.0.1", ("hit of loopback",)),
    ("[::ffff:169.254.169.254]", NO_HIT),
    ("[::ffff:127.0.0.1]", NO_HIT),
    ("[fe80::1%25eth0]", ("refusal",)),
    ("[fe80::1%eth0]", ("refusal",)),
    ("[::1", ("refusal",)),
    ("::1", ("refusal",)),
    ("[]", ("refusal",)),
    ("[good]", ("refusal",)),
    ("[::1]good", ("refusal",)),
    ("\uff11\uff12\uff17.0.0.1", ("refusal",)),
    ("g\u043eod", ("refusal",)),
    ("good\u2024evil", ("refusal",)),
    ("good\u3002", ("refusal",)),
    ("xn--gd-jlca", ("miss",)),
    ("good\r\nevil", ("refusal",)),
    ("good\tevil", ("refusal",)),
    ("good\0.evil", ("refusal",)),
    ("good\0", ("refusal",)),
    ("\0good", ("refusal",)),
)


@case("V1 the vectors by which other programs were fooled")
def vectors(target):
    target.store("good", *GOOD)
    target.store("evil", *EVIL)
    target.store("127.0.0.1", "loopback", "secret of the loopback")
    target.store("169.254.169.254", "metadata", "secret of the metadata")
    secrets = (GOOD, EVIL, ("loopback", "secret of the loopback"))
    expect_verdicts(target, "vectors", VECTORS, secrets)
    target.store("xn--bcher-kva.test", "idn", "secret of the books")
    target.hit("XN--bcher-kva.test", "idn", "secret of the books")


def accepted(byte, position):
    """The verdicts that are right for mid.test with this byte at its start, middle or end."""
    character = chr(byte)
    if position != "middle" and character in " \t":
        return ("hit of mid.test",)
    if position == "end" and character == "\n":
        return ("hit of mid.test",)
    if position != "middle" and character in "\r\n\x0b\x0c":
        return ("hit of mid.test", "refusal")  # a second reading of "outer blanks and one line end"
    if byte <= 0x20 or byte >= 0x7F or character in "%\\@":
        return ("refusal",)
    if character == ":":
        return ("refusal",)
    if character == "/":
        return {
            "start": ("refusal",),
            "middle": ("hit of mid", "refusal"),  # a path
            "end": ("hit of mid.test",),
        }[position]
    if character == "." and position == "end":
        return ("refusal",)
    if character.isalnum():
        return ("miss",)
    return NO_HIT


def place(byte, position):
    parts = {"start": (b"", b"mid.test"), "middle": (b"mid", b".test"), "end": (b"mid.test", b"")}
    before, after = parts[position]
    return before + bytes([byte]) + after


def all_bytes(target):
    """All 256, or one of each kind where a helper is slow and only looked at."""
    few = b"\0\t\n\r \x0b\x1b\x7f\x80\xff%\\@:/.-_?#A5"
    return list(few) if target.session.quick else range(256)


MID = (("mid.test", "secret of the whole"), ("mid", "secret of a part"))


def byte_table(target, position):
    """"mid" is stored too: it is what is left where a byte cuts the key short."""
    for server, secret in MID:
        target.store(server, secret=secret)
    table = [(place(byte, position), accepted(byte, position)) for byte in all_bytes(target)]
    expect_verdicts(target, f"at the {position}", table, MID)


@case("V2 every byte at the start of a key")
def bytes_at_start(target):
    byte_table(target, "start")


@case("V3 every byte in the middle of a key")
def bytes_in_the_middle(target):
    byte_table(target, "middle")


@case("V4 every byte at the end of a key")
def bytes_at_end(target):
    byte_table(target, "end")


@case("V5 store refuses the bytes that get refuses, and keeps nothing of them")
def bytes_in_store(target):
    refused = [b for b in all_bytes(target) if accepted(b, "middle") == ("refusal",)]
    payloads = [target.payload(place(byte, "middle").decode("latin-1")) for byte in refused]
    got = ask_all(target, payloads, "store")
    keys = [place(byte, "middle") for byte in refused]
    compare("store", [(key, ("refusal",), answer) for key, answer in zip(keys, got)])
    target.lists({})
