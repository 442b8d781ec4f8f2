# SPDX-License-Identifier: Apache-2.0
"""The encrypted store and the openssl command: each reads what the other writes, and nothing but
the one form of CMS that pullkey writes is let in, whoever made it and with whatever key."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import Skip, case, check, equal, run

STORE = ".config/pullkey/auth.cms"
KEY = ".local/state/pullkey/store.key"
KEY_ID = "70756c6c6b6579"
SERVER = "registry.example.com"
MARKER = "marker-c7d20e"
AUTH = b64encode(b"alice:" + MARKER.encode()).decode()
DOCUMENT = json.dumps({"auths": {SERVER: {"auth": AUTH}}})
GATE = "not an encrypted store as pullkey writes it"


def openssl(home, *arguments, data=b""):
    """Runs openssl in the home; its output as bytes."""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    done = subprocess.run(
        ["openssl", *arguments], input=data, capture_output=True, cwd=home.path, timeout=60
    )
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def encrypt(home, *options, text=DOCUMENT, cipher="-aes-256-gcm"):
    arguments = ["cms", "-encrypt", "-binary", cipher, "-outform", "DER", *options]
    return openssl(home, *arguments, data=text.encode())


def our_key(home):
    return ["-secretkey", read_bytes(home, KEY).hex(), "-secretkeyid", KEY_ID]


def read_bytes(home, name):
    with open(os.path.join(home.path, name), "rb") as file:
        return file.read()


def put(home, sealed):
    path = os.path.join(home.path, STORE)
    with open(path, "wb") as file:
        file.write(sealed)
    os.chmod(path, 0o600)


def helper(home, verb, text):
    return home.run([home.helper, verb], text)


def stored(secret=MARKER):
    """A home with one credential in its encrypted store."""
    home = Home()
    request = {"ServerURL": SERVER, "Username": "alice", "Secret": secret}
    done = helper(home, "store", json.dumps(request))
    equal((done.returncode, done.stdout), (0, ""), "store")
    return home


def refused(home, sealed, part=GATE):
    """No verb answers or changes such a store, and the error is one line."""
    put(home, sealed)
    for verb, text in (
        ("get", SERVER),
        ("list", ""),
        ("store", json.dumps({"ServerURL": SERVER, "Username": "a", "Secret": MARKER})),
        ("erase", SERVER),
    ):
        done = helper(home, verb, text)
        equal(done.returncode, 1, verb)
        equal(done.stdout.count("\n"), 1, f"{verb}: {done.stdout!r}")
        check(part in done.stdout, f"{verb}: {done.stdout!r} does not say {part!r}")
        check(MARKER not in done.stdout + done.stderr, f"{verb}: the secret is in the output")
        equal(read_bytes(home, STORE), sealed, f"{verb}: the store")


@case("openssl decrypts a store of pullkey's")
def decrypts():
    with stored() as home:
        key = read_bytes(home, KEY).hex()
        arguments = ["cms", "-decrypt", "-binary", "-inform", "DER", "-secretkey", key]
        document = json.loads(openssl(home, *arguments, data=read_bytes(home, STORE)))
        equal(document, json.loads(DOCUMENT))


@case("openssl decrypts a large store of pullkey's")
def decrypts_large():
    with stored("x" * 65536) as home:
        key = read_bytes(home, KEY).hex()
        arguments = ["cms", "-decrypt", "-binary", "-inform", "DER", "-secretkey", key]
        document = json.loads(openssl(home, *arguments, data=read_bytes(home, STORE)))
        equal(
            document["auths"][SERVER]["auth"], b64encode(b"alice:" + b"x" * 65536).decode(), "auth"
        )


@case("pullkey reads a store that openssl encrypted, and writes to it")
def reads():
    with stored() as home:
        for size in (0, 100, 300, 70000):
            document = {**json.loads(DOCUMENT), "kept": "k" * size}
            put(home, encrypt(home, *our_key(home), text=json.dumps(document)))
            equal(home.get(SERVER)["Secret"], MARKER, "secret")
            other = {"ServerURL": "other.example.com", "Username": "b", "Secret": "c"}
            helper(home, "store", json.dumps(other)).check_returncode()
            equal(home.get(SERVER)["Secret"], MARKER, "secret after store")
            equal(home.get("other.example.com")["Secret"], "c", "the other secret")


@case("refused: other ciphers, with our key")
def ciphers():
    with stored() as home:
        for cipher in ("-aes-256-cbc", "-aes-128-cbc", "-des3"):
            key = our_key(home)
            size = {"-aes-256-cbc": 32, "-aes-128-cbc": 16, "-des3": 24}[cipher]
            if size != 32:
                key = ["-secretkey", key[1][: 2 * size], "-secretkeyid", KEY_ID]
            try:
                sealed = encrypt(home, *key, cipher=cipher)
            except AssertionError:
                if size == 32:
                    raise
                continue  # no key wrap of this size in this OpenSSL
            refused(home, sealed)
        short = our_key(home)[1][:32]
        refused(
            home, encrypt(home, "-secretkey", short, "-secretkeyid", KEY_ID, cipher="-aes-128-gcm")
        )
        refused(home, encrypt(home, *our_key(home), cipher="-aes-128-gcm"))


@case("refused: indefinite lengths, PEM, S/MIME")
def encodings():
    with stored() as home:
        refused(home, encrypt(home, "-stream", *our_key(home)))
        refused(home, encrypt(home, "-outform", "PEM", *our_key(home)))
        refused(home, encrypt(home, "-outform", "SMIME", *our_key(home)))


@case("refused: another key identifier, a second recipient")
def recipients():
    with stored() as home:
        key = our_key(home)
        for identifier in ("70756c6c6b6578", "70756c6c", "70756c6c6b657900", "00"):
            refused(home, encrypt(home, *key[:2], "-secretkeyid", identifier))
        certificate(home, "ec")
        refused(home, encrypt(home, *key, "-recip", "ec.crt"))
        refused(home, encrypt(home, *key, "-pwri_password", "x", cipher="-aes-256-cbc"))


def certificate(home, kind):
    new = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    arguments = ["-nodes", "-subj", "/CN=node", "-keyout", f"{kind}.key", "-out", f"{kind}.crt"]
    openssl(home, "req", "-x509", "-newkey", *new, *arguments)


@case("refused: RSA, EC and password recipients")
def asymmetric():
    with stored() as home:
        for kind in ("rsa", "ec"):
            certificate(home, kind)
            refused(home, encrypt(home, f"{kind}.crt"))
        refused(home, encrypt(home, "-pwri_password", "x", cipher="-aes-256-cbc"))


@case("refused: signed and compressed data, certificates, text")
def other_types():
    with stored() as home:
        certificate(home, "ec")
        sign = ["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"]
        refused(
            home, openssl(home, *sign, "-signer", "ec.crt", "-inkey", "ec.key", data=b"{}")
        )
        refused(home, openssl(home, "cms", "-data_create", "-outform", "DER", data=b"{}"))
        refused(home, openssl(home, "x509", "-in", "ec.crt", "-outform", "DER"))
        refused(home, b"\x00" * 300)
        refused(home, b"age-encryption.org/v1\n")


@case("refused: a tag of 4 bytes, cut from a good one")
def short_tag():
    with stored() as home:
        good = encrypt(home, *our_key(home))
        length = len(good) - 12
        check(good[:2] == b"\x30\x81" and good[-18:-16] == b"\x04\x10", "an unexpected form")
        bad = bytearray(good[:-18] + b"\x04\x04" + good[-16:-12])
        bad[2] -= 12
        bad[18] -= 12  # [0]
        bad[21] -= 12  # AuthEnvelopedData
        at = bad.index(b"\x02\x01\x10")
        bad[at + 2] = 4
        equal(len(bad), length)
        equal(bad[2] + 3, len(bad), "the outer length")
        # The form is right, or openssl could not read it; some versions even decrypt it.
        openssl(home, "cms", "-cmsout", "-noout", "-inform", "DER", data=bytes(bad))
        refused(home, bytes(bad))


@case("refused: bytes after the end, a file that is cut, one that is too large")
def sizes():
    with stored() as home:
        good = read_bytes(home, STORE)
        refused(home, good + b"\n")
        refused(home, good + good)
        for size in (0, 1, 2, 3, len(good) // 2, len(good) - 1):
            refused(home, good[:size])
        refused(home, good + b"\0" * (1024 * 1024), "larger than 1048576 bytes")
        put(home, good)
        equal(home.get(SERVER)["Secret"], MARKER, "secret")


@case("refused: another key; the error names both files")
def another_key():
    with stored() as home:
        other = ["-secretkey", "00" * 32, "-secretkeyid", KEY_ID]
        refused(home, encrypt(home, *other), "the key is not the one it was made with")
        done = helper(home, "get", SERVER)
        check(STORE in done.stdout and KEY in done.stdout, done.stdout)


@case("refused: a store that decrypts to something else than JSON")
def not_json():
    with stored() as home:
        for text in ("", "text", "[]", '{"auths":[]}', "{}{}"):
            refused(home, encrypt(home, *our_key(home), text=text), "auth.cms")


if __name__ == "__main__":
    sys.exit(run())
