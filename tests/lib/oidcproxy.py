# SPDX-License-Identifier: Apache-2.0
"""A registry that takes identity tokens as passwords: Apache's httpd with mod_auth_openidc, which
verifies them by the keys that their issuer publishes, before a registry whose user it is.

    with OidcProxy(registry, user, keycloak, "corp", "registry") as proxy:
        proxy.address     who has a token of the realm corp for the audience "registry" may pull
"""

import os
import re
import shutil
import tempfile
from base64 import b64encode

from program import Program, Started, find_program
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


class OidcProxy(Started):
    def __init__(self, registry, user, keycloak, realm, audience):
        self.registry, self.keycloak = registry, keycloak
        self.user, self.realm, self.audience = user, realm, audience
        self.host = "127.0.0.1"
        self.directory = tempfile.mkdtemp(prefix="pullkey-httpd-")
        self.port = None
        self._program = Program("httpd", os.path.join(self.directory, "log"))

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
        self.port = self._program.start_at_free_port(
            lambda port: [program, "-f", self._configure(port), "-D", "FOREGROUND"],
            {"PATH": "/usr/bin:/bin"},
            lambda _: "resuming normal operations" in self.log(),
            self.host,
        )

    def _configure(self, port):
        path = os.path.join(self.directory, "httpd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._configuration(port))
        return path

    def _configuration(self, port):
        basic = f"{self.user}:{self.registry.users[self.user]}".encode()
        certificate, key = self.registry.certificate
        load = lambda name: f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        return CONFIGURATION.format(
            directory=self.directory,
            modules="\n".join(map(load, NEEDED.split())),
            host=self.host,
            port=port,
            certificate=certificate,
            key=key,
            authority=self.registry.ca,
            issuer=self.keycloak.url(self.realm),
            audience=self.audience,
            registry=self.registry.port,
            basic=b64encode(basic).decode(),
        )

    def stop(self):
        self._program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        return self._program.log()

    def statuses(self):
        """Of the requests so far."""
        return [int(each) for each in re.findall(r": (\d+)$", self._read("requests"), re.M)]

    def _read(self, name):
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
