# SPDX-License-Identifier: Apache-2.0
"""The daemon `pullkey-hosts watch` of a test's own, which a notify socket tells about.

    with Hosts(home, source) as hosts:      returns when the daemon says that it is ready
        hosts.link                          what containerd's config_path names
        hosts.host("https://127.0.0.1:5000")    what status.json has of a host
        hosts.wait_header(url), hosts.wait_no_header(url)
        hosts.stop(), hosts.kill(), hosts.start()

Its configuration is the user's own, in the home, also where the caller is root.
"""

import json
import os
import signal
import socket
import subprocess

from program import Started, die_with_parent, wait_for
from tap import check

ROOT = os.geteuid() == 0
STOP_SECONDS = 30
TIMEOUT = 3  # seconds, of a helper


class Hosts(Started):
    def __init__(self, home, source, containerd=None, program=None, store=None):
        """`containerd` is that object of the configuration; `program` another copy of the daemon;
        `store` another directory for pullkey's own store.
        """
        self.home = home
        self.source = source
        self.program = program or program_path()
        self.directory = home.directory("run/pullkey")
        self.target = os.path.join(self.directory, "hosts")
        self.link = os.path.join(self.directory, "certs.d")
        self.log_path = os.path.join(home.path, "pullkey-hosts.log")  # PULLKEY_LOG
        self.output_path = os.path.join(home.path, "pullkey-hosts.output")  # of the daemon
        self.options = []  # more of the command line
        self.process = None
        self.notified = []
        self._socket = None
        self._store = store or os.path.join(home.path, ".config/pullkey")
        self.configure(containerd or {})

    def configure(self, containerd, **more):
        """Writes the configuration anew, by rename as editors do."""
        settings = {"helper_timeout": TIMEOUT, **containerd}
        config = {"version": 1, "containerd": settings, **more}
        # Where it is for users by itself; root has the machine's own.
        key = os.path.join(self.home.path, ".local/state/pullkey/store.key")
        file = {"type": "file", "path": os.path.join(self._store, "auth.cms"), "key": key}
        config["backends"] = {"file": file, **more.get("backends", {})}
        if ROOT:
            settings.setdefault("helper_user", helper_user())
            self.home.env["PULLKEY_CONFIG"] = os.path.join(self.home.path, CONFIGURATION)
            self.home.env["PULLKEY_CACHE_DIR"] = self.home.directory("cache")
        os.rename(self.home.write(f"{CONFIGURATION}.new", json.dumps(config)), self._config_path)

    @property
    def _config_path(self):
        return os.path.join(self.home.path, CONFIGURATION)

    def start(self, wait=True):
        self._listen()
        arguments = ["--source", self.source, "--target", self.target, "--link", self.link]
        env = {"NOTIFY_SOCKET": self._socket.getsockname(), "PULLKEY_LOG": self.log_path}
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(
                [self.program, "watch", *arguments, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.home.env, **env},
                preexec_fn=die_with_parent,
            )
        if wait:
            wait_for(self.is_ready, "the daemon to be ready")

    def is_ready(self):
        check(self.process.poll() is None, f"the daemon ended:\n{self.output()}")
        self._receive()
        return "READY=1" in self.notified

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def output(self):
        with open(self.output_path, encoding="utf-8", errors="replace") as output:
            return output.read()

    def metrics(self):
        return self.home.read("run/pullkey/metrics.prom")

    def status(self):
        """What status.json holds."""
        return json.loads(self.home.read("run/pullkey/status.json") or '{"entries": []}')

    def host(self, url, registry=None):
        """The status of a host, of the first registry that has it (or the one that is named); an
        empty one where it has none.
        """
        for entry in self.status()["entries"]:
            for host in entry["hosts"]:
                if host["host"] == url and registry in (None, entry["registry"]):
                    return host
        return {}

    def problem(self, registry):
        """What is wrong with a registry's file."""
        problems = [e["problem"] for e in self.status()["entries"] if e["registry"] == registry]
        return problems[0] if problems else None

    def wait_header(self, url):
        """Until a pull would have a header that came from a good answer."""
        self._wait(url, lambda host: host.get("header") and not host["message"], "a header")

    def wait_no_header(self, url):
        self._wait(url, lambda host: host and not host["header"], "no header")

    def wait_failure(self, url, text):
        """Until the last answer was an error that says this; the status that tells it."""
        self._wait(url, lambda host: text in (host.get("message") or ""), f"the error {text!r}")
        return self.host(url)

    def wait_next_failure(self, url):
        """The same, for whatever it says; asks all helpers again."""
        count = self.host(url)["failures"]
        self.reload()
        self._wait(url, lambda host: host["failures"] > count, "another error")
        return self.host(url)

    def wait_asked(self, url, count):
        """Until a helper was started so often; it may not have answered yet."""
        self._wait(url, lambda host: host and host["asked"] >= count, f"question {count}")

    def wait_problem(self, registry, text):
        wait_for(lambda: text in (self.problem(registry) or ""), f"{registry} to have a problem")

    def wait_scanned(self, *registries):
        """Until the target has all of the source's registries."""
        names = registries or os.listdir(self.source)
        wait_for(lambda: set(names) <= set(os.listdir(self.target)), "the target to be complete")

    def command(self, *arguments):
        """`pullkey hosts COMMAND` for this target; a finished process."""
        return self.home.run([self.home.pullkey, "hosts", *arguments, "--target", self.target])

    def _wait(self, url, condition, what):
        try:
            wait_for(lambda: condition(self.host(url)), f"{url} to have {what}")
        except AssertionError as error:
            error.add_note(f"status: {json.dumps(self.status(), indent=1)}\n{self.output()}")
            raise

    def _listen(self):
        self._close()
        path = os.path.join(self.home.directory("run"), "notify")
        if os.path.exists(path):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        self.notified = []

    def _receive(self):
        while True:
            try:
                self.notified += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return

    def _end(self, number):
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the daemon does not end") from None
            self.process = None
        self._close()

    def _close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None


CONFIGURATION = ".config/pullkey/config.json"


def program_path():
    return os.path.join(os.environ["PULLKEY_PREFIX"], "libexec", "pullkey", "pullkey-hosts")


def helper_user():
    """Whom root lets run helpers: nobody, where the prefix is open to him."""
    path = os.environ["PULLKEY_BINDIR"]
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return "root"
        path = os.path.dirname(path)
    return "nobody"
