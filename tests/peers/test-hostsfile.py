# SPDX-License-Identifier: Apache-2.0
"""What containerd's own code makes of hosts directories: the facts that ours are written by."""

import os
import sys
from contextlib import contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from home import Home
from hosts import PEERS, HostsFile, table, write_hosts
from registry import find_program
from tap import check, equal, run

HOST = "registry.example:5000"
ALL = ["pull", "resolve", "push"]
MIRROR = "https://mirror.example"
SECRET = "Basic czpz"


class Place:
    """A directory, and a parser to ask about it."""

    def __init__(self, home, parser, version):
        self.home, self.parser, self.version = home, parser, version
        self.directory = home.directory("certs.d")
        self.all = [*ALL, "referrers"] if version == "2.3" else ALL

    def ask(self, host=HOST):
        return self.parser.ask(self.directory, host)

    def ask_about(self, text):
        """What a file with this text says, of which nothing is logged."""
        self.home.write(f"certs.d/{HOST}/hosts.toml", text)
        answer = self.ask()
        equal((answer["log"], answer.get("error")), ([], None), "log and error")
        equal(answer["directory"], os.path.join(self.directory, HOST), "the directory")
        return answer["hosts"]

    def expect_upstream(self, answer):
        """The registry itself, with nothing of a file."""
        host = {"scheme": "https", "host": HOST, "path": "/v2", "capabilities": self.all}
        host |= {"header": {}, "skip_verify": False, "ca": [], "client": []}
        equal(answer["hosts"], [host | {"http_fallback": False}], "hosts")


@contextmanager
def place(version):
    with Home() as home, HostsFile(version) as parser:
        yield Place(home, parser, version)


def addresses(hosts):
    return [f"{host['scheme']}://{host['host']}{host['path']}" for host in hosts]


def order(version):
    with place(version) as it:
        write_hosts(
            it.directory,
            HOST,
            table("https://z.example", capabilities=["pull"], helper="pass"),
            table("https://a.example/project", authorization=SECRET),
            table("http://b.example/v2/project", override_path=True),
            server="registry.example",
        )
        hosts = it.ask()["hosts"]
        expected = ["https://z.example/v2", "https://a.example/project/v2"]
        expected += ["http://b.example/v2/project", "https://registry.example/v2"]
        equal(addresses(hosts), expected, "hosts")
        capabilities = [host["capabilities"] for host in hosts]
        equal(capabilities, [["pull"], it.all, it.all, it.all], "capabilities")
        headers = [host["header"] for host in hosts]
        equal(headers, [{}, {"Authorization": [SECRET]}, {}, {}], "headers")


def directories(version):
    """host_port_, then host:port, then _default; each may be a link, but not to nowhere."""
    with place(version) as it:
        it.expect_upstream(it.ask())
        equal(it.ask()["directory"], "", "the directory")
        for name in ("_default", HOST, "registry.example_5000_"):
            write_hosts(it.directory, name, table(f"https://{name.strip('_:').replace(':', '.')}"))
            found = it.ask()
            equal(found["directory"], os.path.join(it.directory, name), "the directory")
        moved = os.path.join(it.home.path, "moved")
        os.rename(found["directory"], moved)
        os.symlink(moved, found["directory"])
        equal(it.ask(), found, "what is found by way of a link")
        os.rename(moved, moved + "-again")
        equal(it.ask()["directory"], os.path.join(it.directory, HOST), "the directory")


def no_file(version):
    """A directory without a file hides _default."""
    with place(version) as it:
        write_hosts(it.directory, "_default", table(MIRROR))
        os.makedirs(os.path.join(it.directory, HOST))
        it.expect_upstream(it.ask())
        it.home.write(f"certs.d/{HOST}/hosts.toml", "")
        it.expect_upstream(it.ask())


def broken(version):
    with place(version) as it:
        for text, reason in [
            ("server = ", "incomplete|EOF|expect"),
            ('[host."https://a.example"]\ncapabilities = ["pull", "fly"]\n', "unknown capability"),
            ('[host."https://a.example".header]\nAuthorization = 1\n', "invalid type"),
            ('[host."https://a.example"]\n[host."https://a.example"]\n', "exist|defined|duplicated"),
        ]:
            path = it.home.write(f"certs.d/{HOST}/hosts.toml", text)
            answer = it.ask()
            it.expect_upstream(answer)
            equal(len(answer["log"]), 1, f"lines logged for {text!r}")
            line = answer["log"][0]
            name = os.path.basename(path) if version == "1.7" else path
            check(line.startswith(f"error: failed to decode {name}"), line)
            check(any(word in line for word in reason.split("|")), line)


def unreadable(version):
    """Then a pull fails, and is not sent elsewhere."""
    with place(version) as it:
        os.makedirs(os.path.join(it.directory, HOST, "hosts.toml"))
        check("is a directory" in it.ask().get("error", ""), "no error for a directory")
        write_hosts(it.directory, "other.example", table(MIRROR, ca="missing.crt"))
        check("unable to read CA cert" in it.ask("other.example").get("error", ""), "no error")


def unknown(version):
    """Unknown keys and tables are ignored wherever they are."""
    with place(version) as it:
        hosts = it.ask_about(
            'credHelper = "a"\n[auth]\ncredHelper = "b"\n'
            f'[host."{MIRROR}"]\ncredHelper = "c"\nassumeLifetime = "5m"\n'
            f'[host."{MIRROR}".auth]\ncredHelper = "d"\nallowInsecure = true\n'
        )
        equal(addresses(hosts), [f"{MIRROR}/v2", f"https://{HOST}/v2"], "hosts")
        equal([host["header"] for host in hosts], [{}, {}], "headers")


def inline(version):
    """Only tables in brackets are hosts, except for 1.7; headers may be written in every way."""
    with place(version) as it:
        for text in (
            f'host = {{"{MIRROR}" = {{}}}}\n',
            f'[host]\n"{MIRROR}" = {{}}\n',
            f'host."{MIRROR}".ca = []\n',
        ):
            expected = [f"{MIRROR}/v2"] if version == "1.7" else []
            equal(addresses(it.ask_about(text)), [*expected, f"https://{HOST}/v2"], "hosts")
        for text in (
            f'[host."{MIRROR}".header]\nAuthorization = "{SECRET}"\n',
            f'[host."{MIRROR}"]\nheader.Authorization = "{SECRET}"\n',
            f'[host."{MIRROR}"]\nheader = {{Authorization = "{SECRET}"}}\n',
            f'[host."{MIRROR}"]\n[host."{MIRROR}".header]\nAuthorization = ["{SECRET}"]\n',
            f"[ host . '{MIRROR}' ]\r\n\"header\".'Authorization' = '''\r\n{SECRET}'''\r\n",
        ):
            hosts = it.ask_about(text)
            equal(hosts[0]["header"], {"Authorization": [SECRET]}, f"the header of {text!r}")


def repeated(version):
    """A host is there twice if another one's table stands between its own; not for 1.7."""
    with place(version) as it:
        first, other = f'[host."{MIRROR}"]\n', '[host."https://a.example"]\n'
        header = f'[host."{MIRROR}".header]\nAuthorization = "{SECRET}"\n'
        equal(len(it.ask_about(first + header + other)), 3, "hosts")
        hosts = it.ask_about(first + other + header)
        again = [] if version == "1.7" else [f"{MIRROR}/v2"]
        expected = [f"{MIRROR}/v2", "https://a.example/v2", *again, f"https://{HOST}/v2"]
        equal(addresses(hosts), expected, "hosts")
        seen = ["Authorization" in host["header"] for host in hosts]
        equal(seen, [True, False, *(True for _ in again), False], "hosts with the header")


def brackets(version):
    """A bracket in the name of a table, as addresses of IPv6 have it, is too much for 1.7."""
    with place(version) as it:
        it.home.write(f"certs.d/{HOST}/hosts.toml", '[host."https://[::1]:5000"]\n')
        answer = it.ask()
        if version == "1.7":
            it.expect_upstream(answer)
            check("table key cannot contain ']'" in answer["log"][0], answer["log"])
        else:
            expected = ["https://[::1]:5000/v2", f"https://{HOST}/v2"]
            equal(addresses(answer["hosts"]), expected, "hosts")
        hosts = it.ask_about(f'server = "https://[::1]:5000"\nheader.Authorization = "{SECRET}"\n')
        equal(addresses(hosts), ["https://[::1]:5000/v2"], "hosts")
        equal(hosts[0]["header"], {"Authorization": [SECRET]}, "the header")


def names_of_headers(version):
    """They are taken as they are written."""
    with place(version) as it:
        text = f'[host."{MIRROR}".header]\nauthorization = "a"\nX-Many = ["b", "c"]\n'
        hosts = it.ask_about(text)
        equal(hosts[0]["header"], {"authorization": ["a"], "X-Many": ["b", "c"]}, "the header")


def root_header(version):
    """Without `server` it goes to whatever registry the file is found for."""
    with place(version) as it:
        text = f'[header]\nAuthorization = "{SECRET}"\n'
        it.home.write("certs.d/_default/hosts.toml", text)
        for host in ("anywhere.example", "docker.io"):
            answer = it.ask(host)["hosts"]
            equal(answer[0]["header"], {"Authorization": [SECRET]}, f"the header for {host}")
        equal(answer[0]["host"], "registry-1.docker.io", "the host of Docker Hub")


def tls(version):
    """Names of files are relative to the directory that was found, which may be another's."""
    with place(version) as it:
        pair = [os.path.join(it.directory, HOST, name) for name in ("a.crt", "a.key")]
        os.makedirs(os.path.dirname(pair[0]))
        new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        new += ["-subj", "/CN=test", "-out", pair[0], "-keyout", pair[1]]
        it.home.succeed([find_program("openssl"), "req", *new])
        values = {"ca": "a.crt", "client": [["a.crt", "a.key"]], "skip_verify": True}
        write_hosts(it.directory, HOST, table(MIRROR, **values), table("https://a.example"))
        seen = [(h["ca"], h["client"], h["skip_verify"]) for h in it.ask()["hosts"]]
        equal(seen, [(["CN=test"], ["CN=test"], True), ([], [], False), ([], [], False)], "TLS")
        os.unlink(os.path.join(it.directory, HOST, "hosts.toml"))
        equal(it.ask()["hosts"][0]["ca"], ["CN=test"], "authorities where only *.crt is there")


def plain(version):
    """A host of http:// with anything about TLS is tried with TLS first."""
    with place(version) as it:
        text = '[host."http://a.example"]\n[host."http://b.example"]\nskip_verify = true\n'
        it.home.write(f"certs.d/{HOST}/hosts.toml", text)
        hosts = it.ask()["hosts"]
        schemes = [(host["scheme"], host["http_fallback"]) for host in hosts]
        equal(schemes, [("http", False), ("https", True), ("https", False)], "schemes")


NAMES = [
    ("hosts, paths and capabilities, in the order of the file", order),
    ("which directory is chosen", directories),
    ("a directory without a file, or with an empty one", no_file),
    ("a file that is broken leads upstream", broken),
    ("a file that cannot be read is an error", unreadable),
    ("unknown keys", unknown),
    ("ways to write a host, and a header", inline),
    ("tables of a host that do not stand together", repeated),
    ("an address of IPv6 as the name of a table", brackets),
    ("names of headers", names_of_headers),
    ("a header of the whole file", root_header),
    ("certificates", tls),
    ("plain HTTP", plain),
]

sys.exit(
    run(
        [
            (f"containerd {version}: {name}", partial(function, version))
            for version in PEERS
            for name, function in NAMES
        ]
    )
)
