# SPDX-License-Identifier: Apache-2.0
"""nerdctl with our helper, against a real registry.

As root with a real containerd of the test's own. An ordinary user can run none; then nerdctl only
logs in and out.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import peers
from registry import die_with_parent, find_program, wait_for
from scenario import Client, cases, login_again, use_as_docker
from tap import equal, run

ROOT = os.geteuid() == 0

CONTAINERD = """\
version = 2
root = "{home}/containerd"
state = "{home}/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""

HOSTS = """\
server = "https://{address}"
[host."https://{address}"]
  capabilities = ["pull", "resolve", "push"]
  ca = "{ca}"
"""


class Nerdctl(Client):
    name = "nerdctl" if ROOT else "nerdctl without containerd"
    can_push = can_pull = ROOT
    daemon = None

    def configure(self):
        self.program = peers.program("nerdctl")
        use_as_docker(self.home)
        address = self.registry.address
        self.home.write(f"certs.d/{address}/hosts.toml", HOSTS.format(address=address, ca=self.home.ca))
        self.socket = os.path.join(self.home.directory("run"), "containerd.sock")
        self.options = ["--address", self.socket, "--snapshotter", "native"]
        self.options += ["--data-root", self.home.directory("nerdctl")]
        self.options += ["--hosts-dir", os.path.join(self.home.path, "certs.d")]
        if ROOT:
            self.start_containerd()

    def start_containerd(self):
        text = CONTAINERD.format(home=self.home.path, socket=self.socket)
        configuration = self.home.write("containerd.toml", text)
        with open(os.path.join(self.home.path, "containerd.log"), "wb") as log:
            self.daemon = subprocess.Popen(
                [find_program("containerd"), "--config", configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.home.env,
                preexec_fn=die_with_parent,
            )
        wait_for(self.answers, "containerd to answer")

    def answers(self):
        if self.daemon.poll() is not None:
            log = self.home.read("containerd.log")[-2000:]
            raise AssertionError(f"containerd ended at once:\n{log}")
        return self.nerdctl("images").returncode == 0

    def close(self):
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(30)

    def nerdctl(self, *arguments, text=""):
        return self.home.run([self.program, *self.options, *arguments], text)

    def push(self):
        archive = os.path.join(self.home.path, "image.tar")
        if not os.path.exists(archive):
            self.image.archive(archive, self.reference)
        self.home.succeed([self.program, *self.options, "load", "--input", archive])
        return self.nerdctl("push", self.reference)

    def pull(self):
        self.nerdctl("rmi", "--force", self.reference)
        return self.nerdctl("pull", "--quiet", self.reference)

    def check_pulled(self):
        arguments = ["images", "--digests", "--format", "{{.Digest}}", self.reference]
        found = self.home.succeed([self.program, *self.options, *arguments])
        equal(found.strip(), self.image.manifest, "manifest")

    def login(self, user, password):
        arguments = ["--username", user, "--password-stdin", self.registry.address]
        return self.nerdctl("login", *arguments, text=password)

    def login_again(self):
        return self.nerdctl("login", self.registry.address)

    def logout(self):
        return self.nerdctl("logout", self.registry.address)


AGAIN = ("login without a user name takes the stored credential", login_again)

sys.exit(run(cases(Nerdctl, [AGAIN])))
