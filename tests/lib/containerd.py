# SPDX-License-Identifier: Apache-2.0
"""A real containerd of a test's own, with the clients that pull through it.

    with Home(registry.ca) as home, Containerd(home, "2.3", config_path) as daemon:
        daemon.crictl_pull("127.0.0.1:5000/team/hello:test")     a finished process, like the others
        daemon.ctr_pull(reference, hosts_directory)
        daemon.nerdctl_pull(reference, hosts_directory)
        daemon.images()        what was pulled, of all clients: {"crictl": {reference: digest}, ...}
        daemon.forget()        all of it is gone, so that the next pull fetches every blob again
        daemon.log()

Everything of it is below the home. An ordinary user's runs in a user namespace, as rootless ones
do. Only pulling is set up: no container could be started.
"""

import json
import os
import platform
import re
import subprocess

import peers
from program import Program, Started, find_program, wait_for
from tap import Skip, equal

ROOT = os.geteuid() == 0
# The peer that each version is; "system" is what the distribution packages (Debian 12: 1.6).
PEERS = {"2.3": "containerd", "2.0": "containerd-2-0", "system": None}
# What differs between releases does not differ between users: one is enough for them.
VERSIONS = tuple(PEERS) if ROOT else tuple(PEERS)[:1]
# nerdctl from 2.3 on lets containerd itself pull, of which 2.0 sends no header to a token server.
NERDCTL = {"2.3": "nerdctl-2-3"}
STOP_SECONDS = 30
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

COMMON = """\
imports = []
root = "{home}/containerd/root"
state = "{home}/run/containerd"
disabled_plugins = [{disabled}]
[grpc]
  address = "{socket}"
[debug]
  level = "{level}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/containerd/opt"
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "isolated"
"""

VERSION_3 = """\
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  {settings}
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{config_path}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{home}/containerd/cni"
"""

# The transfer service unpacks what it pulls only with a snapshotter that it has an entry for.
FROM_2_0 = """\
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "{home}/containerd/verifiers"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/{architecture}"
  snapshotter = "native"
"""

VERSION_2 = """\
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  {settings}
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{config_path}"
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "{home}/containerd/cni"
"""

# What no pull needs: each would look at, or write to, the machine's own directories.
UNWANTED = {
    2: ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs"]
    + ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
    + ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"],
    3: ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile"]
    + ["io.containerd.snapshotter.v1.erofs"],
}


class Containerd(Started):
    def __init__(self, home, version, config_path="", settings="", level="info"):
        """`config_path` is where the CRI plugin looks for hosts directories. `settings` are more
        lines for the table of the CRI plugin that has the settings of images.
        """
        self.home = home
        self.config_path = config_path
        self.settings = settings
        self.level = level
        self.program, self.ctr_program = programs(version)
        self.crictl_program = peers.program("crictl")
        self.version = version_of(self.program)
        self._nerdctl = NERDCTL.get(version, "nerdctl")
        self.socket = os.path.join(home.directory("run"), "containerd.sock")
        self.inside = [] if ROOT else user_namespace()
        self._program = Program("containerd", os.path.join(home.path, "containerd.log"))

    @property
    def sends_headers_for_tokens(self):
        """Do the headers of a host go to its token server too?"""
        return self.version >= (2, 1)

    @property
    def process_id(self):
        return self._program.process_id

    def start(self):
        configuration = self.home.write("containerd.toml", self.configuration())
        words = [*self.inside, self.program, "--config", configuration]
        self._program.start(words, self.home.env)
        self._program.wait(lambda: self.crictl("images").returncode == 0, "to answer")

    def stop(self):
        self._program.stop(STOP_SECONDS)

    def restart(self):
        """For what is only read at start: config.toml, and the environment."""
        self.stop()
        self.start()

    @property
    def newest_schema(self):
        return 3 if self.version >= (2, 0) else 2

    @property
    def schema(self):
        """Of config.toml."""
        return self.newest_schema

    def configuration(self):
        text = f"version = {self.schema}\n{COMMON}{VERSION_3 if self.schema == 3 else VERSION_2}"
        text += FROM_2_0 if self.newest_schema == 3 else ""
        return text.format(
            home=self.home.path,
            socket=self.socket,
            level=self.level,
            config_path=self.config_path,
            settings=self.settings.replace("\n", "\n  "),
            architecture=ARCHITECTURES.get(platform.machine(), platform.machine()),
            disabled=", ".join(f'"{name}"' for name in UNWANTED[self.newest_schema]),
        )

    def log(self):
        return self._program.log()

    def crictl_pull(self, reference, credentials=None, env=None):
        """`credentials` ("USER:PASSWORD") are the image's own, as a pod's imagePullSecrets are."""
        env = dict(env or {})
        if credentials is not None:
            env["CRICTL_CREDS"] = credentials
        return self.crictl("pull", reference, env=env)

    def ctr_pull(self, reference, hosts_directory=None, *options):
        where = ["--hosts-dir", hosts_directory] if hosts_directory else []
        snapshotter = ["--snapshotter", "native"]
        return self.ctr("images", "pull", *snapshotter, *where, *options, reference)

    def nerdctl_pull(self, reference, hosts_directory=None):
        where = ["--hosts-dir", hosts_directory] if hosts_directory else []
        return self.nerdctl(*where, "pull", "--quiet", reference)

    def images(self):
        """What is there, by client; each has a namespace of its own and sees no other's."""
        found = {}
        for client, namespace in NAMESPACES.items():
            output = succeed(self.ctr("images", "ls", namespace=namespace))
            rows = [line.split() for line in output.splitlines()[1:]]
            # The CRI plugin has more names for each: its ID, and the reference with its digest.
            tagged = [row for row in rows if not re.search("^sha256:|@sha256:", row[0])]
            found[client] = {row[0]: row[2] for row in tagged}
        return found

    def forget(self):
        """Removes all images with their content."""
        for namespace in NAMESPACES.values():
            names = succeed(self.ctr("images", "ls", "--quiet", namespace=namespace)).split()
            if names:
                succeed(self.ctr("images", "rm", "--sync", *names, namespace=namespace))
            left = succeed(self.ctr("content", "ls", "--quiet", namespace=namespace)).split()
            equal(left, [], "content that is left without an image")
        wait_for(self._has_no_image, "the CRI plugin to see that its images are gone")

    def crictl(self, *arguments, env=None):
        return self.home.run([self.crictl_program, *self.crictl_options(), *arguments], env=env)

    def crictl_options(self):
        endpoint = f"unix://{self.socket}"
        options = ["--config", self.home.write("crictl.yaml", "timeout: 60\n")]
        return options + ["--runtime-endpoint", endpoint, "--image-endpoint", endpoint]

    def ctr(self, *arguments, namespace="default"):
        options = ["--address", self.socket, "--namespace", namespace]
        return self.home.run([*self.inside, self.ctr_program, *options, *arguments])

    def nerdctl(self, *arguments):
        options = ["--address", self.socket, "--namespace", NAMESPACES["nerdctl"]]
        options += ["--data-root", self.home.directory("nerdctl"), "--snapshotter", "native"]
        env = {"NERDCTL_TOML": os.path.join(self.home.path, "nerdctl.toml")}
        program = peers.program(self._nerdctl)
        return self.home.run([*self.inside, program, *options, *arguments], env=env)

    def _has_no_image(self):
        return not json.loads(succeed(self.crictl("images", "--output", "json")))["images"]


NAMESPACES = {"crictl": "k8s.io", "ctr": "default", "nerdctl": "nerdctl"}


def programs(version):
    """The daemon and its ctr."""
    peer = PEERS[version]
    if peer is None:
        return find_program("containerd"), find_program("ctr", "containerd")
    return peers.program(peer, "containerd"), peers.program(peer, "ctr")


def user_namespace():
    """What starts a program so that it is root of files, mounts and nothing else."""
    command = [find_program("unshare", "util-linux"), "--user", "--map-root-user", "--mount", "--"]
    result = subprocess.run([*command, "true"], capture_output=True, text=True)
    if result.returncode != 0:
        raise Skip(f"an ordinary user gets no namespace of its own here: {result.stderr.strip()}")
    return command


def version_of(program):
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r" v?(\d+)\.(\d+)\.\d", text)
    if not found:
        raise Skip(f"{program} does not tell its version: {text.strip()}")
    return int(found[1]), int(found[2])


def succeed(result):
    if result.returncode != 0:
        raise AssertionError(
            f"{' '.join(result.args)}: exit status {result.returncode}\n{result.stderr[-4000:]}"
        )
    return result.stdout
