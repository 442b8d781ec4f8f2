# SPDX-License-Identifier: Apache-2.0
"""The processes of a Kubernetes control plane: etcd and kube-apiserver on loopback.

The ports are the server's own for as long as the object lives, also while nothing listens. Both
processes die with the test, also when the test is killed.
"""

import http.client
import os
import shutil
import signal
import socket
import ssl
import tempfile
from contextlib import contextmanager

import peers
from certs import Authority, openssl
from program import Program, wait_for

HOST = "127.0.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
NAMES = "IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc,DNS:kubernetes.default"
STOP_SECONDS = 20
START_SECONDS = 60  # a few, on an idle machine

# What tests count; the server's own work is none of it.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  users: ["system:apiserver"]
- level: Metadata
  resources:
  - resources: ["secrets", "pods", "serviceaccounts", "serviceaccounts/token"]
  - group: authentication.k8s.io
    resources: ["tokenreviews"]
- level: None
"""


def is_stopped(pid):
    """All threads of it; a signal takes a moment to reach each (proc(5), stat)."""
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


class Server:
    """`authority` signs the server's certificate, `clients` those of its users."""

    def __init__(self):
        self.programs = {name: peers.program(name) for name in ("etcd", "kube-apiserver")}
        self.directory = tempfile.mkdtemp(prefix="pullkey-kubernetes-")
        self.audit_log = os.path.join(self.directory, "audit.log")
        self._ports = {name: reserve_port() for name in ("api", "etcd", "peer")}
        self._running = {}
        self._write("audit.yaml", AUDIT_POLICY)
        self.authority = Authority(self.directory, "server-ca")
        self.clients = Authority(self.directory, "client-ca")
        key = ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key")
        openssl(*key, directory=self.directory)
        self._certify()
        self.checker = self.clients.issue(
            "checker", "DNS:checker", subject="/O=system:masters/CN=checker", usage="clientAuth"
        )

    @property
    def port(self):
        return self._ports["api"].getsockname()[1]

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def start(self):
        """Returns when all of it is ready, the roles that every cluster has among it."""
        if "etcd" not in self._running:
            self._run("etcd", self._etcd_options())
        self._run("kube-apiserver", self._api_options())
        wait_for(self._is_ready, "the API server to be ready", START_SECONDS)

    def stop(self):
        """Ends the API server alone: connections are refused."""
        self._running.pop("kube-apiserver").stop(STOP_SECONDS)

    def kill(self):
        self._running.pop("kube-apiserver").kill()

    @contextmanager
    def paused(self):
        """Connections are accepted meanwhile, and nothing is answered."""
        server = self._running["kube-apiserver"]
        server.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: is_stopped(server.process_id), "the server to stop")
            yield
        finally:
            server.send_signal(signal.SIGCONT)

    def connections(self):
        """How many there are to the server, its own among them (proc(5), /proc/net/tcp)."""
        address = f"0100007F:{int(self.address.rpartition(':')[2]):04X}"
        with open("/proc/net/tcp", encoding="ascii") as lines:
            return sum(line.split()[2] == address for line in lines)

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        for program in self._running.values():
            program.kill()  # nothing is to be kept
        self._running.clear()
        for held in self._ports.values():
            held.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def rotate(self, authority=None):
        """A new certificate, of another authority if one is given; returns when it is served."""
        self.authority = authority or self.authority
        self._certify()
        with open(os.path.join(self.directory, "serving.pem"), encoding="ascii") as file:
            expected = ssl.PEM_cert_to_DER_cert(file.read())

        def is_served():
            served = ssl.get_server_certificate((HOST, self.port))
            return ssl.PEM_cert_to_DER_cert(served) == expected

        wait_for(is_served, "the new certificate to be served", START_SECONDS)

    def connect(self, certificate=None):
        context = ssl.create_default_context(cafile=self.authority.file)
        if certificate:
            context.load_cert_chain(*certificate)
        return http.client.HTTPSConnection(HOST, self.port, timeout=30, context=context)

    def log(self, name="kube-apiserver"):
        path = os.path.join(self.directory, f"{name}.log")
        with open(path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _etcd_options(self):
        urls = {
            name: f"http://{HOST}:{self._ports[name].getsockname()[1]}" for name in ("etcd", "peer")
        }
        return [
            f"--data-dir={self.directory}/etcd",
            f"--listen-client-urls={urls['etcd']}",
            f"--advertise-client-urls={urls['etcd']}",
            f"--listen-peer-urls={urls['peer']}",
            f"--initial-advertise-peer-urls={urls['peer']}",
            f"--initial-cluster=default={urls['peer']}",
            "--socket-reuse-port",
            "--unsafe-no-fsync",
        ]

    def _api_options(self):
        return [
            f"--etcd-servers=http://{HOST}:{self._ports['etcd'].getsockname()[1]}",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={self.port}",
            "--permit-port-sharing",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--tls-cert-file=serving.pem",
            "--tls-private-key-file=serving.key",
            f"--client-ca-file={self.clients.file}",
            f"--service-account-issuer={ISSUER}",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-key-file=accounts.key",
            "--audit-policy-file=audit.yaml",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        ]

    def _run(self, name, options):
        self._running[name] = Program(name, os.path.join(self.directory, f"{name}.log"))
        self._running[name].start(
            [self.programs[name], *options],
            {"PATH": "/usr/bin:/bin", "HOME": self.directory, "LC_ALL": "C.UTF-8"},
            self.directory,
            # Neither would end soon on SIGTERM once the other is gone.
            at_death=signal.SIGKILL,
        )

    def _is_ready(self):
        for program in self._running.values():
            program.check_running()
        connection = self.connect(self.checker)
        try:
            # The namespaces that every cluster has are made after the server says that it is ready.
            for path in ("/readyz", "/api/v1/namespaces/default"):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    return False
            return True
        except OSError:
            return False
        finally:
            connection.close()

    def _certify(self):
        """Puts a certificate and its key in the place where the server looks again and again."""
        files = self.authority.issue("new", NAMES)
        for path, kind in zip(files, ("pem", "key")):
            shutil.copy(path, os.path.join(self.directory, f".{kind}"))
            os.rename(
                os.path.join(self.directory, f".{kind}"),
                os.path.join(self.directory, f"serving.{kind}"),
            )

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            file.write(text)


def reserve_port():
    """A socket with a port that nobody else gets; a server that shares ports listens on it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((HOST, 0))
    return held
