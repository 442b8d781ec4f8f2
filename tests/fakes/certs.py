# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one test run, made by the openssl program."""

import os
import subprocess


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")


def openssl(*arguments, directory):
    done = subprocess.run(
        ["openssl", *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr}")


class Authority:
    """`file` is the CA's certificate; issue() makes the files of a server, or of a client."""

    def __init__(self, directory, name="ca"):
        self.directory = directory
        self.name = name
        self.file = os.path.join(directory, f"{name}.pem")
        openssl(
            "req",
            "-x509",
            *EC,
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            "-days",
            "3",
            "-subj",
            f"/CN=test authority {name}",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            directory=directory,
        )

    def issue(
        self, name, alternatives, days=2, subject="/CN=test server", usage="serverAuth", key=EC
    ):
        """(certificate, key); `alternatives` as in "DNS:a,IP:127.0.0.1"; days < 0: expired."""
        path = os.path.join(self.directory, name)
        with open(f"{path}.ext", "w", encoding="ascii") as extensions:
            extensions.write(f"subjectAltName={alternatives}\nextendedKeyUsage={usage}\n")
        openssl(
            "req",
            "-new",
            *key,
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            subject,
            directory=self.directory,
        )
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{self.name}.pem",
            "-CAkey",
            f"{self.name}.key",
            "-CAcreateserial",
            "-days",
            str(days),
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.pem",
            directory=self.directory,
        )
        return f"{path}.pem", f"{path}.key"

    def self_signed(self, name, alternatives):
        path = os.path.join(self.directory, name)
        openssl(
            "req",
            "-x509",
            *EC,
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            "-days",
            "2",
            "-subj",
            "/CN=test server",
            "-addext",
            f"subjectAltName={alternatives}",
            directory=self.directory,
        )
        return f"{path}.pem", f"{path}.key"


def lock(key, passphrase="MARKER-passphrase"):
    """The same key, encrypted."""
    directory, name = os.path.split(key)
    openssl(
        "pkey", "-in", name, "-aes256", "-passout", f"pass:{passphrase}", "-out", f"{name}.locked",
        directory=directory,
    )
    return f"{key}.locked"
