# SPDX-License-Identifier: Apache-2.0
"""What pullkey accepts as a server name, libcurl and Python must read in the same way.

The other direction is free: pullkey refuses much that they accept. A text that two parsers read in
two ways is how a credential reaches the wrong host.
"""

import os
import random
import subprocess
import sys
from urllib.parse import urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import case, check, comment, run  # noqa: E402

PROGRAM = sys.argv.pop(1)
SEED = 20261123
ROUNDS = 30000

VECTORS = """https://u:p@good/ https://good@evil/ https://good\\@evil/ https://good%00.evil/
https://good%2eevil/ https:///good/ https:good //good good:5000/team GOOD:443 good. good: good:0443
good:99999 127.1 0x7f000001 2130706433 127.0.0.1 127.0.0.1:5000 [::ffff:169.254.169.254]
[fe80::1%25eth0] [::1]:5000 [::1] [::1]x [0:0::1]:443 https://good:5000/v2/ http://good http://good:80
good/team/app registry-1.docker.io:443x xn--e1afmkfd.example 1.2.3 1.2.3.4.5 0177.0.0.1 good.1 good?x@evil
good#@evil good;evil good,evil good=evil good&evil good$evil good!evil good'evil good(evil) good*evil""".split()
VECTORS += ["\uff11\uff12.example", "\u0435xample.com", "good\u3002evil", "good\nevil", "a b", "good\tevil"]

PARTS = ["good", "evil", "example.com", "127.0.0.1", "[::1]", "::1", "localhost", "a-b", "xn--a", "0x7f", "1"]
GLUE = [":", "/", "@", ".", "-", "%", "\\", "?", "#", "//", "://", "https://", "http://", ":443", ":5000",
        ":0", "[", "]", "..", ";", ",", "_", "*", "%2e", "\u00e9", "/v2/", "443", "%25", " ", "\t"]


def random_texts():
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        pieces = [chance.choice(PARTS + GLUE) for _ in range(chance.randint(1, 7))]
        yield "".join(pieces)


def python_reads(text):
    url = text.strip(" \t\r\n")
    if not url.lower().startswith(("https://", "http://")):
        url = "https://" + url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        return "refused"
    if ":" in host:
        host = f"[{host}]"
    return f"{host} {port}"


def normal(answer, http):
    """The default port of https is none; names have no case; IPv6 has one spelling."""
    if answer == "refused":
        return answer
    host, port = answer.rsplit(" ", 1)
    host = host.lower()
    if host.startswith("["):
        import ipaddress

        host = str(ipaddress.IPv6Address(host[1:-1]))
    return f"{host} {'0' if port == '443' and not http else port}"


def compare(texts):
    texts = list(texts)
    lines = "".join(text.strip(" \t\r\n").encode().hex() + "\n" for text in texts)
    answer = subprocess.run([PROGRAM], input=lines, text=True, capture_output=True, timeout=120, check=True)
    rows = answer.stdout.splitlines()
    check(len(rows) == len(texts), f"{len(rows)} answers to {len(texts)} texts")
    accepted = 0
    for text, row in zip(texts, rows):
        ours, curl = row.split("\t")
        if ours == "refused" or ours.startswith("docker.io "):
            continue
        accepted += 1
        http = text.strip(" \t\r\n").lower().startswith("http://")
        for name, other in (("libcurl", curl), ("Python", python_reads(text))):
            check(normal(ours, http) == normal(other, http), f"{text!r}: pullkey {ours!r}, {name} {other!r}")
    return accepted


@case("the vectors of known attacks are read alike or refused")
def vectors():
    check(compare(VECTORS) >= 5, "too few vectors were accepted to prove anything")


@case("random texts are read alike or refused")
def mutations():
    accepted = compare(random_texts())
    comment(f"{accepted} of {ROUNDS} texts were accepted")
    check(accepted >= ROUNDS // 100, "too few texts were accepted to prove anything")


sys.exit(run())
