# SPDX-License-Identifier: Apache-2.0
"""docker with our helper, against a real registry.

As root with a real docker daemon of the test's own: login, push, pull, logout. An ordinary user
can run no daemon; then the client works alone: it logs in and out by itself, and reads a manifest
instead of pulling.
"""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from image import DOCKER
from program import Program, find_program
from scenario import REFUSED, Client, cases, login_again, set_up
from tap import equal, run

ROOT = os.geteuid() == 0


class Docker(Client):
    program = "docker"
    # docker takes loopback for insecure: after a refusal it tries again without TLS, and reports
    # what became of that.
    refused = re.compile(
        REFUSED.pattern + "|connection reset|HTTP request to an HTTPS|400 Bad Request", re.IGNORECASE
    )

    def configure(self):
        self.program = find_program(self.program, "docker.io")
        set_up(self.home, "docker")
        self.home.env["DOCKER_HOST"] = "unix://" + os.path.join(self.home.path, "run/docker.sock")

    def docker(self, *arguments, text=""):
        return self.home.run([self.program, *arguments], text)

    def login(self, user, password):
        arguments = ["--username", user, "--password-stdin", self.registry.address]
        return self.docker("login", *arguments, text=password)

    def login_again(self):
        return self.docker("login", self.registry.address)

    def logout(self):
        return self.docker("logout", self.registry.address)


class DockerAlone(Docker):
    image_types = DOCKER
    can_push = False

    def pull(self):
        self.pulled = self.docker("manifest", "inspect", self.reference)
        return self.pulled

    def check_pulled(self):
        manifest = json.loads(self.pulled.stdout)
        equal(manifest["config"]["digest"], self.image.config, "image ID")


class DockerDaemon(Docker):
    daemon = None

    def configure(self):
        super().configure()
        arguments = ["--host", self.home.env["DOCKER_HOST"], "--storage-driver", "vfs"]
        arguments += ["--data-root", self.home.directory("data"), "--bridge", "none"]
        arguments += ["--exec-root", self.home.directory("run/docker"), "--iptables=false"]
        arguments += ["--pidfile", os.path.join(self.home.path, "docker.pid"), "--ip6tables=false"]
        program = find_program("dockerd", "docker.io")
        self.daemon = Program("dockerd", os.path.join(self.home.path, "dockerd.log"))
        self.daemon.start([program, *arguments], self.home.env)
        self.daemon.wait(lambda: self.docker("version").returncode == 0, "to answer")

    def close(self):
        if self.daemon is not None:
            self.daemon.stop()

    def push(self):
        archive = os.path.join(self.home.path, "image.tar")
        if not os.path.exists(archive):
            source = f"oci:{self.image.directory}:{self.image.tag}"
            target = f"docker-archive:{archive}:{self.reference}"
            skopeo = [find_program("skopeo"), "--insecure-policy", "copy"]
            self.home.succeed([*skopeo, source, target])
        self.home.succeed([self.program, "load", "--input", archive])
        return self.docker("push", self.reference)

    def pull(self):
        self.docker("rmi", "--force", self.reference)
        return self.docker("pull", self.reference)

    def check_pulled(self):
        arguments = ["image", "inspect", "--format", "{{.Id}}", self.reference]
        found = self.home.succeed([self.program, *arguments])
        equal(found.strip(), self.image.config, "image ID")


def clients():
    """Debian's docker, and the one that comes first in PATH where that is another."""
    base = DockerDaemon if ROOT else DockerAlone
    kind = "docker" if ROOT else "docker without a daemon"
    programs = {os.path.realpath(p): p for p in (shutil.which("docker"), "/usr/bin/docker") if p}
    for program in programs.values():
        other = f" ({program})" if program != "/usr/bin/docker" else ""
        yield type("Docker", (base,), {"name": kind + other, "program": program})


# This login asks the daemon, and nothing else when there is none.
AGAIN = [("login without a user name takes the stored credential", login_again)] * ROOT

sys.exit(run([case for client in clients() for case in cases(client, AGAIN)]))
