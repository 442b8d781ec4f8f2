# SPDX-License-Identifier: Apache-2.0
"""docker-credential-pass, as Debian has it, with a key and a password store of its own.

    with PasswordStore(home) as store:
        store.store("registry.example", "alice", "secret")
        store.erase("registry.example")

They are an ordinary user's in his home. Root has an account of the test for them, store.account,
that only those know who see the file store.accounts as /etc/passwd: store.with_account(command).
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile

from daemon import ROOT
from program import die_with_parent, find_program

ACCOUNT, NUMBER = "pullkey-test-pass", 64123
KEY = "pass@example.test"


class PasswordStore:
    def __init__(self, home):
        self.account = ACCOUNT if ROOT else None
        self._home = home
        for name, package in (("pass", "pass"), ("gpg", "gnupg"), ("gpgconf", "gnupg")):
            find_program(name, package)
        package = "golang-docker-credential-helpers"
        self._program = find_program("docker-credential-pass", package)
        # Short, for the sockets of the agent.
        self.path = tempfile.mkdtemp(prefix="pk-pass-") if ROOT else home.path
        self.env = {**home.env, "HOME": self.path}
        for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
            self.env.pop(name)

    def __enter__(self):
        if ROOT:
            os.chown(self.path, NUMBER, NUMBER)
        try:
            parameters = ["default", "default", "never"]
            self._run(["gpg", "--batch", "--passphrase=", "--quick-generate-key", KEY, *parameters])
            self._run(["pass", "init", KEY])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._run(["gpgconf", "--kill", "all"])
        if ROOT:
            shutil.rmtree(self.path)

    def with_account(self, command):
        """The words that run a command where the account is known."""
        if not ROOT:
            return command
        with open("/etc/passwd", encoding="utf-8") as file:
            accounts = file.read()
        accounts += f"{ACCOUNT}:x:{NUMBER}:{NUMBER}::{self.path}:/usr/sbin/nologin\n"
        path = self._home.write("passwd", accounts)
        script = f'mount --bind {shlex.quote(path)} /etc/passwd && exec "$0" "$@"'
        return ["unshare", "--mount", "/bin/sh", "-c", script, *command]

    def store(self, server, user, secret):
        text = json.dumps({"ServerURL": server, "Username": user, "Secret": secret})
        self._run([self._program, "store"], text)

    def erase(self, server):
        self._run([self._program, "erase"], server)

    def _run(self, command, text=""):
        if ROOT:
            user = [f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups"]
            command = ["setpriv", *user, *command]
        done = subprocess.run(
            command,
            input=text,
            env=self.env,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=die_with_parent,
        )
        if done.returncode != 0:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
