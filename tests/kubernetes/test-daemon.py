# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts with a secret of Kubernetes: a boot without the API server is served what is kept.

The process that asks is confined: it may write what is kept, and its key, and nothing else there.
"""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("fakes", "lib")]

from daemon import Hosts
from hosts import basic, table, write_hosts
from scene import MARKER, scene
from tap import case, check, equal, run

HOST = "a.example.com"
URL = f"https://{HOST}"


class Node:
    def __init__(self, it, keep=None):
        self.it = it
        self.source = it.home.directory("certs.d")
        write_hosts(self.source, HOST, table(URL, helper="pullkey"))
        self.hosts = Hosts(it.home, self.source)
        it.api.put_config("registry", "robot", **{HOST: "alice:" + MARKER})
        options = {"keep": {"max_age": 3600, "path": keep}} if keep else {}
        robot = it.instance(secret="registry/robot", **options)
        self.hosts.configure({}, backends={"robot": robot}, rules=[{"match": HOST, "use": ["robot"]}])

    def boot(self, failure=None):
        """What lies on a tmpfs is gone; then the header that containerd finds, or None. With
        `failure` that is what the status says.
        """
        for name in ("run", "cache"):
            shutil.rmtree(os.path.join(self.it.home.path, name), ignore_errors=True)
            self.it.home.directory(name)
        self.it.home.directory("run/pullkey")
        with self.hosts:
            if failure:
                self.hosts.wait_failure(URL, failure)
            else:
                self.hosts.wait_header(URL)
            text = self.it.home.read(f"run/pullkey/hosts/{HOST}/hosts.toml")
        shutil.rmtree(os.path.join(self.it.home.path, "run"))
        shutil.rmtree(os.path.join(self.it.home.path, "cache"), ignore_errors=True)
        lines = [line for line in text.splitlines() if line.startswith("header.Authorization")]
        return lines[0].split('"')[1] if lines else None


HEADER = basic("alice", MARKER)


@case("after a boot the daemon serves what is kept while the API server is down")
def kept():
    with scene() as it:
        directory = it.home.path + "/state/keep"
        node = Node(it, directory + "/")
        equal(node.boot(), HEADER)
        check(os.listdir(directory + "-key"), "the key is made in the confinement")
        it.api.server.__exit__()
        equal([node.boot(), node.boot()], [HEADER] * 2)
        names = [name for name in os.listdir(directory) if name.endswith(".cms")]
        os.unlink(os.path.join(directory, names[0]))
        equal(node.boot("127.0.0.1"), None)


@case("without keep a boot without the API server has no header")
def not_kept():
    with scene() as it:
        node = Node(it)
        equal(node.boot(), HEADER)
        it.api.server.__exit__()
        equal(node.boot("127.0.0.1"), None)


if __name__ == "__main__":
    sys.exit(run())
