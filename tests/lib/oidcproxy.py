# SPDX-License-Identifier: Apache-2.0
"""A registry that takes identity tokens as passwords: Apache's httpd with mod_auth_openidc, which
verifies them by the keys that their issuer publishes, before a registry whose user it is.

    with OidcProxy(registry, user, keycloak, "corp", "registry") as proxy:
        proxy.address     who has a token of the realm corp for the audience "registry" may pull
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from base64 import b64encode

from registry import die_with_parent, find_program, wait_for
from tap import Skip

MODULES = "/usr/lib/apache2/modules"
NEEDED = "authn_core authz_core authz_user auth_openidc headers mpm_event proxy proxy_http ssl"
CONFIGURATION = """\
ServerRoot {directory}
ServerName {host}
PidFile {directory}/pid
Mutex pthread
User nobody
Group nogroup
ErrorLog {directory}/log
LogLevel error auth_openidc:info mpm_event:notice
LogFormat "%u %r: %>s" short
CustomLog {directory}/requests short
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
{modules}
Listen {host}:{port}
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}

OIDCOAuthVerifyJwksUri {issuer}/protocol/openid-connect/certs
OIDCCABundlePath {directory}/ca.crt
OIDCCryptoPassphrase not-used

SSLProxyEngine on
SSLProxyVerify require
SSLProxyCACertificateFile {authority}
ProxyPreserveHost off
ProxyPass / https://localhost:{registry}/
<Location />
  AuthType oauth20
  OIDCOAuthAcceptTokenAs basic
  RequestHeader set Authorization "Basic {basic}"
  <RequireAll>
    Require claim iss:{issuer}
    Require claim aud:{audience}
  </RequireAll>
</Location>
"""


class OidcProxy:
    def __init__(self, registry, user, keycloak, realm, audience):
        self.registry, self.keycloak = registry, keycloak
        self.user, self.realm, self.audience = user, realm, audience
        self.host = "127.0.0.1"
        self.directory = tempfile.mkdtemp(prefix="pullkey-httpd-")
        self.port = None
        self._process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        program = find_program("apache2", "apache2-bin")
        if not os.path.exists(f"{MODULES}/mod_auth_openidc.so"):
            raise Skip("mod_auth_openidc is missing (Debian package libapache2-mod-auth-openidc)")
        # Its children read the authority as nobody.
        os.chmod(self.directory, 0o755)
        shutil.copy(self.registry.ca, os.path.join(self.directory, "ca.crt"))
        for _ in range(20):  # it takes no port that the kernel chooses
            self.port = free_port(self.host)
            if self._start(program):
                return
        raise AssertionError(f"httpd does not start:\n{self.log()}")

    def _start(self, program):
        configuration = os.path.join(self.directory, "httpd.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(self._configuration())
        self._process = subprocess.Popen(
            [program, "-f", configuration, "-D", "FOREGROUND"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin"},
            preexec_fn=die_with_parent,
        )
        started = lambda: "resuming normal operations" in self.log()
        wait_for(lambda: started() or self._process.poll() is not None, "httpd to listen", 60)
        return started()

    def _configuration(self):
        basic = f"{self.user}:{self.registry.users[self.user]}".encode()
        certificate, key = self.registry.certificate
        load = lambda name: f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        return CONFIGURATION.format(
            directory=self.directory,
            modules="\n".join(map(load, NEEDED.split())),
            host=self.host,
            port=self.port,
            certificate=certificate,
            key=key,
            authority=self.registry.ca,
            issuer=self.keycloak.url(self.realm),
            audience=self.audience,
            registry=self.registry.port,
            basic=b64encode(basic).decode(),
        )

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        return self._read("log")

    def statuses(self):
        """Of the requests so far."""
        return [int(each) for each in re.findall(r": (\d+)$", self._read("requests"), re.M)]

    def _read(self, name):
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""


def free_port(host):
    with socket.create_server((host, 0)) as listener:
        return listener.getsockname()[1]
