# SPDX-License-Identifier: Apache-2.0
"""Azure Arc: who asks for the machine's identity must show that it can read a file of a certain directory, and is made
to read no other.
"""

import os
import sys
from contextlib import contextmanager

from azure_scene import *
from scene import MARKER

import namespace
from fake_azure import EXCHANGE_PATH, MACHINE_PATH
from tap import case, equal, run
from wire import Reply

PLACE = "/var/opt/azcmagent/tokens"
KEY = f"{PLACE}/11111111.key"
PROOF = f"{MARKER}+/="


@contextmanager
def arc_scene():
    with azure_scene() as it:
        it.azure.tenant_known = False
        it.azure.arc = (KEY, PROOF)
        it.home.env["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}{MACHINE_PATH}"
        it.home.env["IMDS_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}"
        yield it


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@case("the file that Arc names is its own proof")
def proof():
    with arc_scene() as it:
        write(KEY, PROOF)
        equal(it.get(HOST).partition(":")[2], it.azure.refresh)
        equal(it.azure.asked, [f"GET machine{MACHINE_PATH}"] * 2 + [f"POST {HOST}{EXCHANGE_PATH}"])
        it.home.env["AZURE_CLIENT_ID"] = "x"
        refused(it, "Azure Arc has one identity and no others")


@case("where its program is installed, Arc is at its own address")
def installed():
    with arc_scene() as it:
        write(KEY, PROOF)
        os.makedirs("/opt/azcmagent/bin")
        write("/opt/azcmagent/bin/himds", "")
        del it.home.env["IDENTITY_ENDPOINT"], it.home.env["IMDS_ENDPOINT"]
        it.home.env["NET_ROUTES"] += f",127.0.0.1:40342={it.machine.port}"
        equal(it.get(HOST).partition(":")[2], it.azure.refresh)
        os.unlink("/opt/azcmagent/bin/himds")


@case("a file elsewhere, of another kind, too large or missing is not read, and nothing is sent")
def others():
    with arc_scene() as it:
        other = it.home.write("other.key", PROOF)
        os.makedirs(f"{PLACE}/deeper", exist_ok=True)
        for path in (f"{PLACE}/deeper/a.key", f"{PLACE}/a.pem", f"{PLACE}/.key"):
            write(path, PROOF)
        write(f"{PLACE}/large.key", "x" * 5000)
        for path, said in (
            (other, "no key in"),
            ("/etc/shadow", "no key in"),
            (f"{PLACE}/../../../../{other}", "no key in"),
            (f"{PLACE}/deeper/a.key", "no key in"),
            (f"{PLACE}/a.pem", "no key in"),
            (f"{PLACE}/.key", "no key in"),
            (f"{PLACE}/none.key", "none.key, which is missing"),
            (f"{PLACE}/large.key", "4096"),
            (f"{PLACE}/{'x' * 300}.key", "asks for no file"),
        ):
            it.azure.arc = (path, PROOF)
            before = len(it.machine.requests)
            refused(it, said)
            equal(len(it.machine.requests), before + 1, path)
        it.azure.replies[MACHINE_PATH] = [Reply(401), Reply(401, [("WWW-Authenticate", f'Bearer realm="{KEY}"')])]
        refused(it, "asks for no file")
        refused(it, "asks for no file")
        it.azure.arc = (KEY, PROOF)
        write(KEY, PROOF)
        it.azure.replies[MACHINE_PATH] = [Reply(401, [("WWW-Authenticate", f"Basic realm={KEY}")]), Reply(403)]
        refused(it, "Azure Arc 127.0.0.1")


if __name__ == "__main__":
    namespace.enter(map_root=True)
    for directory in ("/var/opt", "/opt"):
        namespace.mount("-t", "tmpfs", "none", directory)
    os.makedirs(PLACE)
    sys.exit(run())
