# SPDX-License-Identifier: Apache-2.0
"""Group C: store, and what of its JSON is accepted."""

import json

from tap import Difference, case
from target import NO_SERVER, NO_USERNAME, check, name_run, refusal_fault


def refused_and_absent(target, payload, server="c.test"):
    """The payload is refused and leaves nothing behind."""
    target.refused("store", payload)
    target.miss(server)
    target.lists({})


@case("C1 the bytes of docker's client: silent, exit 0, and get answers it")
def canonical(target):
    target.silent("store", b'{"ServerURL":"c1.test","Username":"someone","Secret":"hush, hush"}\n')
    target.remember("c1.test", "hush, hush")
    target.hit("c1.test", "someone", "hush, hush")
    target.lists({"c1.test": "someone"})


@case("C2 with and without line ends after the object")
def line_ends(target):
    for number, end in enumerate((b"", b"\n", b"\r\n", b"\n\n", b" \t\n")):
        server = f"c2-{number}.test"
        target.silent("store", target.payload(server).rstrip(b"\n") + end)
        target.hit(server)


@case("C3 pretty-printed, keys in any order")
def pretty(target):
    entry = {"Secret": "open-sesame", "Username": "user", "ServerURL": "c3.test"}
    for text in (json.dumps(entry, indent=4), json.dumps(entry, indent="\t").replace("\n", "\r\n")):
        target.remember("c3.test", "open-sesame")
        target.silent("store", "\n " + text + "\n")
        target.hit("c3.test")
        target.erase("c3.test")


@case("C3 a raw line end inside a string is refused, never joined")
def raw_line_end(target):
    for line_end in ("\n", "\r\n", "\t"):
        server = f'{{"ServerURL":"c{line_end}.test","Username":"user","Secret":"open-sesame"}}\n'
        secret = f'{{"ServerURL":"c.test","Username":"user","Secret":"open{line_end}sesame"}}\n'
        refused_and_absent(target, server)
        refused_and_absent(target, secret)


@case("C4 <token> as user name, escaped or not")
def token_user(target):
    target.store("c4.test", "<token>", "an <identity> & refresh token")
    target.hit("c4.test", "<token>", "an <identity> & refresh token")
    target.silent("store", b'{"ServerURL":"c4.test","Username":"<token>","Secret":"raw <token>"}')
    target.hit("c4.test", "<token>", "raw <token>")


@case("C5 keys in any case")
def key_case(target):
    target.remember("c5.test")
    for number, keys in enumerate(
        (("serverurl", "username", "secret"), ("SERVERURL", "USERNAME", "SECRET"))
    ):
        values = ("c5.test", f"user{number}", f"open-sesame {number}")
        target.silent("store", json.dumps(dict(zip(keys, values))))
        target.hit("c5.test", *values[1:])


@case("C6 duplicate keys are refused, in any case")
def duplicate_keys(target):
    target.remember("c.test", "open-sesame")
    for extra in (
        b'"ServerURL":"c.test",',
        b'"Username":"user",',
        b'"Secret":"another one",',
        b'"secret":"another one",',
        b'"serverURL":"d.test",',
        b'"x":1,"x":2,',
    ):
        refused_and_absent(target, b"{" + extra + target.payload("c.test")[1:])


@case("C7 unknown keys and nested values are ignored")
def unknown_keys(target):
    extra = b'{"x":{"Secret":["wrong"],"y":{"ServerURL":"wrong"}},"z":null,"n":-1.5e3,"t":true,'
    target.silent("store", extra + target.payload("c7.test")[1:])
    target.hit("c7.test")
    target.lists({"c7.test": "user"})


@case("C8 anything but blanks after the object is refused")
def trailing_bytes(target):
    for tail in (b"x", b"{}", b",", b"}", b"\0", b"\xff", target.payload("d.test")):
        refused_and_absent(target, target.payload("c.test") + tail)


@case("C9 no server URL: missing, empty or null")
def no_server(target):
    for start in ("", '"ServerURL":"",', '"ServerURL":null,'):
        payload = f'{{{start}"Username":"user","Secret":"open-sesame"}}\n'
        target.fails("store", payload, NO_SERVER)
    target.lists({})


@case("C10 no user name: missing, empty or null")
def no_username(target):
    for start in ("", '"Username":"",', '"Username":null,'):
        payload = f'{{"ServerURL":"c.test",{start}"Secret":"open-sesame"}}\n'
        target.fails("store", payload, NO_USERNAME)
    target.lists({})


@case("C11 both missing: the server URL is named")
def nothing_given(target):
    target.fails("store", '{"Secret":"open-sesame"}\n', NO_SERVER)
    target.fails("store", '{"ServerURL":"","Username":"","Secret":"open-sesame"}\n', NO_SERVER)
    target.fails("store", "{}\n", NO_SERVER)
    target.lists({})


@case("C12 an empty secret is kept as it is, or is not found, or is refused; never anything else")
def empty_secret(target):
    line = target.profile.no_secret
    start = b'{"ServerURL":"c12.test","Username":"user"'
    for payload in (target.payload("c12.test", secret=""), start + b"}", start + b',"Secret":null}'):
        if line is not None:
            target.fails("store", payload, line)
            target.miss("c12.test")
            continue
        stored = target.run("store", payload)
        got = target.run("get", b"c12.test")
        if stored.code == 0 and got.code == 0:
            target.hit("c12.test", secret="")
        else:
            fault = refusal_fault(stored) if stored.code else None
            if fault:
                raise Difference("store, empty secret", "exit 1 and one clear line", stored)
            target.miss("c12.test")
    if line is not None:
        target.store("c12.test", secret="the old secret")
        target.fails("store", payload, line)
        target.hit("c12.test", secret="the old secret")


SECRETS = (
    'quotes " and \' and `',
    "back\\slash, \\n, \\u0041, \\",
    "line\nend, \r\n, and tab \t",
    "control \x01\x08\x0c\x1b\x1f\x7f",
    "separators \u2028 \u2029 \u0085 \ufeff",
    "letters \u00e9\u00df \u0416 \u4e2d \u0627",
    "outside the first plane \U0001f512\U0010ffff",
    "<script>&amp;</script> ${HOME} $(id) %s %n",
    "  blanks around  ",
    "colon:colon::",
    "-rf",
    "{}[],:",
)


@case("C13 secrets of any characters come back exactly")
def odd_secrets(target):
    for number, secret in enumerate(SECRETS):
        target.store(f"c13-{number}.test", secret=secret)
    for number, secret in enumerate(SECRETS):
        target.hit(f"c13-{number}.test", secret=secret)


@case("C13 escapes and raw UTF-8 mean the same; a surrogate pair is one character")
def surrogates(target):
    target.remember("c13.test")
    for secret in (b'"a\\ud83d\\ude00 secret"', '"a\U0001f600 secret"'.encode()):
        target.silent(
            "store", b'{"ServerURL":"c13.test","Username":"user","Secret":' + secret + b"}\n"
        )
        target.hit("c13.test", secret="a\U0001f600 secret")
        target.erase("c13.test")
    escaped = b'{"ServerURL":"\\u0063\\u00313.test","Username":"us\\u0065r","Secret":"\\/\\b\\f"}'
    target.silent("store", escaped)
    target.hit("c13.test", secret="/\b\f")


@case("C13 half a surrogate pair is refused or replaced, never a broken answer")
def lone_surrogate(target):
    for half in (b"\\ud83d", b"\\ude00", b"\\ud83d\\u0041", b"\\ud83dx"):
        payload = b'{"ServerURL":"c13.test","Username":"user","Secret":"half ' + half + b'."}'
        target.remember("c13.test")
        stored = target.run("store", payload)
        if stored.code == 0:
            got = target.run("get", b"c13.test")
            check(got.code == 0, f"get after {half!r}: {got}")
            secret = json.loads(got.out)["Secret"]
            check(secret.startswith("half \ufffd") and secret.endswith("."), f"{secret!r}")
            target.erase("c13.test")
        elif refusal_fault(stored):
            raise Difference(f"store {half!r}", "exit 1 and one clear line", stored)


INVALID_UTF8 = (
    b"\xff",
    b"\x80",  # a continuation of nothing
    b"\xc3",  # cut short
    b"\xe2\x82",
    b"\xc0\xaf",  # longer than needed
    b"\xed\xa0\x80",  # half a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond the last character
)


@case("C14 bytes that are not UTF-8 are refused")
def invalid_utf8(target):
    for bad in INVALID_UTF8:
        for place in (b'"Secret":"open-', b'"Username":"', b'"x":"'):
            payload = b'{"x":"",' + target.payload("c.test")[1:] if place == b'"x":"' else None
            payload = payload or target.payload("c.test")
            refused_and_absent(target, payload.replace(place, place + bad, 1))


@case("C15 NUL, raw or escaped, is refused in every field")
def nul(target):
    for place in (b'"ServerURL":"c', b'"Username":"us', b'"Secret":"open-'):
        for form in (b"\\u0000", b"\0"):
            refused_and_absent(target, target.payload("c.test").replace(place, place + form, 1))
    refused_and_absent(target, target.payload("c.test").replace(b'"S', b'"\\u0000":1,"S', 1))


@case("C16 long secrets: 5 KB, 60 KB, a line of 65,535 bytes, a secret of 64 KiB")
def long_secrets(target):
    line = 65_535 - len(target.payload("c16.test", secret=""))
    for size in (5_000, 60_000, line, 65_536):
        secret = ("0123456789abcdef" * (size // 16 + 1))[:size]
        target.store("c16.test", secret=secret)
        target.hit("c16.test", secret=secret)


def kept_or_refused(target, username, secret, must_keep):
    """Stores c16.test; whether it was kept. What must be done is None where both are right."""
    payload = target.payload("c16.test", username, secret)
    stored = target.run("store", payload)
    if stored.code != 0 and refusal_fault(stored):
        raise Difference(name_run("store", payload), "exit 1 and one clear line", stored)
    if must_keep not in (None, stored.code == 0):
        raise Difference(name_run("store", payload), "kept" if must_keep else "refused", stored)
    return stored.code == 0


@case("C16 a secret of 200 KB comes back whole or is refused, never cut")
def too_long_secret(target):
    target.store("c16.test", secret="the old secret")
    kept, limit = "the old secret", target.profile.secret_max
    for size in (65_537, 200_000, 700_000):
        secret = "0123456789abcdef" * (size // 16) + "x" * (size % 16)
        if kept_or_refused(target, "user", secret, limit and size <= limit):
            kept = secret
        target.hit("c16.test", secret=kept)


@case("C16 a very long user name comes back whole or is refused")
def long_username(target):
    kept, limit = "u", target.profile.username_max
    target.store("c16.test", kept)
    for size in (255, 2_000, 4_096, 4_097, 60_000):
        must_keep = size <= limit if limit else size <= 255 or None
        if kept_or_refused(target, "u" * size, "open-sesame", must_keep):
            kept = "u" * size
        target.hit("c16.test", kept)


@case("C17 no object, wrong types, empty, truncated: one clear line, nothing stored")
def not_an_entry(target):
    payload = target.payload("c.test").rstrip(b"\n")
    for text in (
        b"",
        b"\n",
        b"  ",
        b"[]",
        b"[" + payload + b"]",
        b'"c.test"',
        b"42",
        b"true",
        b"c.test",
        b'{"ServerURL":["c.test"],"Username":"user","Secret":"open-sesame"}',
        b'{"ServerURL":"c.test","Username":7,"Secret":"open-sesame"}',
        b'{"ServerURL":"c.test","Username":"user","Secret":{"open-sesame":1}}',
        b'{"ServerURL":"c.test","Username":"user","Secret":true}',
        b"{'ServerURL':'c.test','Username':'user','Secret':'open-sesame'}",
        b'{"ServerURL":"c.test","Username":"user","Secret":"open-sesame",}',
        b'{"ServerURL":"c.test","Username":"user","Secret":"open-\\xsesame"}',
        b'// a comment\n' + payload,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + payload[1:],
        b"[" * 500_000,
    ):
        refused_and_absent(target, text)
    for size in range(1, len(payload), 7):
        refused_and_absent(target, payload[:size])


@case("C18 storing again replaces the secret")
def overwrite(target):
    target.store("c18.test", secret="the first secret")
    target.store("c18.test", secret="the second secret")
    target.hit("c18.test", secret="the second secret")
    target.store("c18.test", secret="the second secret")
    target.hit("c18.test", secret="the second secret")
    target.lists({"c18.test": "user"})


@case("C19 another user of the same server replaces the first, every time")
def second_user(target):
    for username in ("alice", "bob", "zoe", "adam", "bob", "Bob", "7", "zoe"):
        target.store("c19.test", username, f"secret of {username}")
        target.hit("c19.test", username, f"secret of {username}")
        target.lists({"c19.test": username})
    target.erase("c19.test")
    target.miss("c19.test")


@case("C20 user names with slash, dots, blank, quotes come back exactly")
def odd_usernames(target):
    for username in (
        "team/robot",
        "robot$team+pull",
        "..",
        "../../../x",
        "/etc/x",
        "first last",
        " ",
        'quo"te\\d',
        "j\u00fcrgen",
        "-rf",
        "*",
    ):
        target.store("c20.test", username)
        target.hit("c20.test", username)
        target.lists({"c20.test": username})


@case("C20 a colon in the user name is kept or refused, never split")
def colon_username(target):
    for username in ("a:b", ":", "00000000-0000-0000-0000-000000000000:x"):
        stored = target.run("store", target.payload("c20.test", username))
        if target.profile.colon_username and stored.code != 0:
            raise Difference(f"store user {username}", "kept", stored)
        if stored.code == 0:
            target.hit("c20.test", username)
        elif refusal_fault(stored):
            raise Difference(f"store user {username}", "exit 1 and one clear line", stored)


@case("C21 a refused key is refused by store and leaves what is there")
def refused_key(target):
    target.store("c21.test")
    for server in ("c21.test\nx", "u@c21.test", "c21%2etest", "c21.test:99999", "/", "https://"):
        target.refused("store", target.payload(server, "wrong", "another one"))
    target.hit("c21.test")
    target.lists({"c21.test": "user"})
