# SPDX-License-Identifier: Apache-2.0
"""What a helper program needs around it, and the few things the protocol cannot ask of it.

A case starts with directories of its own for HOME and the XDG variables, and with no other
variable but PATH and LANG. A profile adds to that in prepare(). Its hooks (lock, add_foreign,
add_bad) reach behind the program where the protocol has no verb for it; a case whose hook is
missing is left out of the plan, not skipped: it does not apply.
"""

import json
import os
import shutil
import subprocess

import keyring
from tap import Skip

# The cases that need a hook, by the start of their names.
NEEDS = {
    "D8": "lock",
    "F10 a locked": "lock",
    "E5": "add_foreign",
    "E6": "add_bad",
}


class Profile:
    """Any program: fresh directories are all it gets."""

    persistent = False  # the store outlives a case, so the case empties it by erase
    plain_text = False  # the store's own files hold secrets readable by anyone with the file

    # What the protocol leaves to the helper. None: any honest answer will do.
    no_secret = None  # the line that refuses an empty secret
    secret_max = None  # bytes: up to here kept, above refused
    username_max = None
    colon_username = None  # True: a colon in it is kept

    def prepare(self, target):
        pass

    def finish(self, target):
        pass

    def log(self, target):
        """Turns on the program's log, if it has one, inside target.root."""

    def plain_files(self, target):
        """The files of the store that may hold a secret in plain text, besides no others."""
        return ()

    def applies(self, name):
        hooks = [hook for start, hook in NEEDS.items() if name.startswith(start)]
        return all(hasattr(self, hook) for hook in hooks)


class Pullkey(Profile):
    """docker-credential-pullkey on its default store, the encrypted file.

    The hooks edit the document of the store, which openssl decrypts and encrypts.
    """

    no_secret = b"no credentials secret\n"
    secret_max = 65_536
    username_max = 4_096
    colon_username = True

    def __init__(self, config=None):
        self.config = config

    def prepare(self, target):
        if self.config:
            os.mkdir(target.path("config", "pullkey"), 0o700)
            copy = target.path("config", "pullkey", "config.json")
            shutil.copyfile(self.config, copy)
            os.chmod(copy, 0o600)

    def log(self, target):
        target.environment["PULLKEY_LOG"] = target.path("pullkey.log")

    def key_file(self, target):
        return target.path("state", "pullkey", "store.key")

    def store_file(self, target):
        return target.path("config", "pullkey", "auth.cms")

    def lock(self, target):
        os.rename(self.key_file(target), target.path("key taken away"))

    def unlock(self, target):
        os.rename(target.path("key taken away"), self.key_file(target))

    def convert(self, target, data, *arguments):
        """The store's bytes through openssl, with the store's key."""
        if not shutil.which("openssl"):
            raise Skip("openssl is not installed")
        with open(self.key_file(target), "rb") as file:
            key = file.read().hex()
        command = ["openssl", "cms", *arguments, "-binary", "-secretkey", key]
        return subprocess.run(
            [*command, "-secretkeyid", b"pullkey".hex()], input=data, stdout=subprocess.PIPE, check=True
        ).stdout

    def decode(self, target, data):
        return self.convert(target, data, "-decrypt", "-inform", "DER")

    def encode(self, target, data):
        return self.convert(target, data, "-encrypt", "-aes-256-gcm", "-outform", "DER")

    def document(self, target):
        with open(self.store_file(target), "rb") as file:
            return json.loads(self.decode(target, file.read()))

    def edit(self, target, change):
        content = self.document(target)
        change(content)
        data = self.encode(target, json.dumps(content).encode())
        with open(self.store_file(target), "r+b") as file:
            file.truncate()
            file.write(data)

    def add_foreign(self, target):
        """What docker and podman keep in a file of this format besides credentials."""
        extra = {"credHelpers": {"c.test": "pass"}, "psFormat": "table", "x": [1, {"y": None}]}

        def change(content):
            content.update(extra)
            content["auths"]["marker.test"] = {}  # docker's note that a helper has the secret

        def survived():
            content = self.document(target)
            return content["auths"].get("marker.test") == {} and all(
                content.get(key) == value for key, value in extra.items()
            )

        self.edit(target, change)
        return survived

    def add_bad(self, target):
        def change(content):
            content["auths"]["bad.test"] = {"auth": "%%% no base64"}

        self.edit(target, change)
        return "bad.test"


class PullkeyPlain(Pullkey):
    """docker-credential-pullkey on the plain file."""

    plain_text = True

    def store_file(self, target):
        return target.path("config", "pullkey", "auth.json")

    def plain_files(self, target):
        return (self.store_file(target),)

    def lock(self, target):
        """What does not parse can be neither read nor written."""
        shutil.copy2(self.store_file(target), target.path("kept.json"))
        with open(self.store_file(target), "r+", encoding="utf-8") as file:
            file.write("no json: ")

    def unlock(self, target):
        with open(self.store_file(target), encoding="utf-8") as file:
            if not file.read().startswith("no json: "):
                raise AssertionError("a store that does not parse was overwritten")
        shutil.copy2(target.path("kept.json"), self.store_file(target))

    def decode(self, target, data):
        return data

    def encode(self, target, data):
        return data


class PullkeyKeyring(Pullkey):
    """docker-credential-pullkey on the keyring whose bus the environment names."""

    persistent = True

    def __init__(self, config):
        super().__init__(config)
        self.keyring = keyring.found(os.environ["DBUS_SESSION_BUS_ADDRESS"])

    def prepare(self, target):
        super().prepare(target)
        target.environment["DBUS_SESSION_BUS_ADDRESS"] = self.keyring.address

    def finish(self, target):
        self.keyring.clear()

    def lock(self, target):
        self.keyring.lock()

    def unlock(self, target):
        self.keyring.unlock()

    def add_foreign(self, target):
        """The same attributes in another schema, and none of ours."""
        foreign = [
            {"xdg:schema": "org.example.Other", "docker_cli": "1", "server": "e5.test", "username": "x"},
            {"xdg:schema": "org.example.Other", "server": "e5.test"},
        ]
        for attributes in foreign:
            self.keyring.add(attributes, "foreign")

        def survived():
            items = [item.attributes for item in self.keyring.entries(server="e5.test")]
            return all(attributes in items for attributes in foreign)

        return survived

    def add_bad(self, target):
        self.keyring.add({"xdg:schema": keyring.SCHEMA, "docker_cli": "1", "server": "bad.test"}, "x")
        return "bad.test"


class Pass(Profile):
    """docker-credential-pass: one GnuPG key without passphrase, a new password store each case."""

    def __init__(self, gnupg_home, key):
        self.gnupg_home, self.key = gnupg_home, key

    def prepare(self, target):
        target.environment["GNUPGHOME"] = self.gnupg_home
        target.environment["PASSWORD_STORE_DIR"] = target.path("password-store")
        subprocess.run(
            ["pass", "init", self.key],
            env=target.environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


class SecretService(Profile):
    """docker-credential-secretservice on a keyring that the caller started."""

    persistent = True

    def __init__(self, keyring):
        self.keyring = keyring

    def prepare(self, target):
        target.environment["DBUS_SESSION_BUS_ADDRESS"] = self.keyring.address

    def finish(self, target):
        """What the helper itself failed to erase must not reach the next case."""
        self.keyring.clear()


def of_config(config):
    """The profile for what a configuration file has as the default store."""
    with open(config, encoding="utf-8") as file:
        content = json.load(file)
    if content["default"] == ["keyring"]:
        return PullkeyKeyring(config)
    backends = content.get("backends", {}).values()
    if any(b.get("type") == "file" and b.get("encryption") == "none" for b in backends):
        return PullkeyPlain(config)
    return Pullkey(config)


def choose(name, program, config):
    """The profile of this name; None means by the program's name."""
    if name is None:
        name = "pullkey" if os.path.basename(program) == "docker-credential-pullkey" else "any"
    if name == "any":
        if config:
            raise ValueError("--config needs --profile pullkey")
        return Profile()
    return of_config(config) if config else Pullkey()
