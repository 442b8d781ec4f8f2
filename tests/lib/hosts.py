# SPDX-License-Identifier: Apache-2.0
"""Hosts directories of containerd: writing them, and asking containerd what it makes of them.

    write_hosts(directory, "registry.example", table("https://mirror.example", helper="pass"))
    with HostsFile("2.3") as parser:
        parser.ask(directory, "registry.example")   {"directory", "hosts", "log", maybe "error"}
"""

import json
import os
import subprocess
from base64 import b64encode, urlsafe_b64encode

import peers
from registry import die_with_parent

PEERS = {"2.3": "hostsfile", "2.0": "hostsfile-2-0", "1.7": "hostsfile-1-7"}


def basic(user, password):
    """The value of an Authorization header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def jwt(expiry):
    """A secret that tells when it ends."""

    def part(value):
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': expiry})}.x"


def quoted(value):
    """A value as TOML, which has JSON's strings, booleans and arrays."""
    return json.dumps(value)


def table(url, helper=None, authorization=None, auth=None, **values):
    """One [host."URL"], with a credHelper and what else stands beside it (`auth`), with a header,
    and with more `values` of its own.
    """
    lines = [f"[host.{quoted(url)}]"]
    lines += [f"  {key} = {quoted(value)}" for key, value in values.items()]
    if authorization is not None:
        lines += [f"[host.{quoted(url)}.header]", f"  Authorization = {quoted(authorization)}"]
    if helper is not None:
        auth = {"credHelper": helper, **(auth or {})}
        lines.append(f"[host.{quoted(url)}.auth]")
        lines += [f"  {key} = {quoted(value)}" for key, value in auth.items()]
    return "\n".join(lines) + "\n"


def write_hosts(directory, host, *tables, server=None):
    """Writes the file of a registry's host below a directory; returns its path."""
    path = os.path.join(directory, host, "hosts.toml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        if server is not None:
            file.write(f"server = {quoted(server)}\n")
        file.write("".join(tables))
    return path


class HostsFile:
    """tests/peers/hostsfile, asked again and again; its main.go says what an answer holds. No
    certificate is trusted there but the ones that a file names.
    """

    def __init__(self, version="2.3"):
        self._program = peers.program(PEERS[version])
        self._process = None

    def __enter__(self):
        self._process = subprocess.Popen(
            [self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": "/nonexistent"},
            preexec_fn=die_with_parent,
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def ask(self, directory, host):
        self._process.stdin.write(json.dumps([directory, host]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"hostsfile ended at the question {[directory, host]!r}")
        return json.loads(line)
