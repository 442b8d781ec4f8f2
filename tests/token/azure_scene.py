# SPDX-License-Identifier: Apache-2.0
"""A home without any identity, the services of Azure by their names, and a metadata service at its address."""

from contextlib import contextmanager

from cloud_scene import *
from fake_azure import Azure

HOST = "team.azurecr.io"
ENTRA = "login.microsoftonline.com"
HOSTS = (
    HOST,
    "team-a1b2.westeurope.geo.azurecr.io",
    "team.azurecr.us",
    "team.azurecr.cn",
    "mirror.corp.test",
    ENTRA,
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.corp.test",
    "evil.test",
)


@contextmanager
def azure_scene():
    headers = ("metadata", "x-identity-header", "secret")
    with cloud_scene("acr", Azure, HOST, HOSTS, machine_headers=headers) as it:
        it.azure = it.cloud
        yield it
