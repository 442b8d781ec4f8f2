# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens with RS256, signed and verified by the openssl program."""

import base64
import json
import os
import subprocess


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    if "=" in text or "+" in text or "/" in text:
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True)


class Key:
    """An RSA key in a directory of the test's; `pem` is the private one, made unless it is given."""

    def __init__(self, directory, name, bits=2048, pem=None):
        self.private = os.path.join(directory, f"{name}.key")
        self.public = os.path.join(directory, f"{name}.pub")
        self.pem = pem or self._run("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")
        with open(self.private, "w", encoding="ascii", opener=lambda *more: os.open(*more, mode=0o600)) as file:
            file.write(self.pem)
        self._run("pkey", "-in", self.private, "-pubout", "-out", self.public)

    @staticmethod
    def _run(*arguments):
        done = openssl(*arguments)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        return done.stdout.decode()

    def sign(self, claims, **header):
        text = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "RS256", **header}, claims))
        done = openssl("dgst", "-sha256", "-sign", self.private, data=text.encode())
        return f"{text}.{encode(done.stdout)}"

    def jwk(self):
        """The public key (RFC 7517), which is called like its file."""
        done = openssl("rsa", "-pubin", "-in", self.public, "-noout", "-modulus")
        number = bytes.fromhex(done.stdout.decode().strip().partition("=")[2])
        name = os.path.basename(self.private).removesuffix(".key")
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name}
        return {**key, "n": encode(number), "e": encode(b"\1\0\1")}

    def verify(self, token):
        """(header, claims); raises ValueError for what this key has not signed."""
        head, payload, signature = token.split(".")
        path = f"{self.public}.signature"
        with open(path, "wb") as file:
            file.write(decode(signature))
        done = openssl(
            "dgst", "-sha256", "-verify", self.public, "-signature", path, data=f"{head}.{payload}".encode()
        )
        if done.returncode != 0:
            raise ValueError("the signature is wrong")
        return json.loads(decode(head)), json.loads(decode(payload))
