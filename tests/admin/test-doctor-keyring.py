# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor and GNOME's keyring."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
import account
from doctor import docker_config, finds, step
from fake_registry import SECRET, USER, basic_registry
from keyring_home import SSH, keyring_home, store
from tap import case, check, run

PLAIN = "--plain-http"


@case("a keyring that is locked, and one that is not")
def locked():
    with keyring_home() as (home, keyring), basic_registry(None) as server:
        name = f"localhost:{server.port}"
        store(home, name, USER, SECRET)
        docker_config(home, credsStore="pullkey")
        caller = finds(home, "works", ["takes the credential"], name, PLAIN)
        check("keyring has a secret of" in step(caller, "keyring"), caller)
        keyring.lock()
        finds(home, "locked", ["locked", "pullkey unlock"], name, PLAIN, env=SSH)
        check(keyring.is_locked(), "doctor has unlocked it")
        keyring.unlock()
        finds(home, "works", ["takes the credential"], name, PLAIN, env=SSH)


@case("a keyring that nobody needs may be locked")
def unneeded():
    with keyring_home() as (home, keyring), basic_registry(None) as server:
        keyring.lock()
        finds(home, "no-credential", ["pullkey login"], f"localhost:{server.port}", PLAIN, env=SSH)


if __name__ == "__main__":
    account.become()
    sys.exit(run())
