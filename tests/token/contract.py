# SPDX-License-Identifier: Apache-2.0
"""The contract suite against the module token, with a token server that answers, or one that refuses
and repeats what it was sent.

usage: contract.py CONTRACT answers|refuses
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "fakes"), os.path.join(HERE, "..", "lib")]
from fake_oauth import OAuth, Refused
from wire import Server

MARKER = "m4rk3r"  # of the suite: no error has it


def main():
    contract, which = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        oauth = OAuth(directory, MARKER)
        oauth.auth = "post"

        def refuse(form):
            raise Refused("invalid_client", f"{oauth.client_secret} is wrong", 401)

        if which == "refuses":
            oauth._client_credentials = refuse
        with Server(oauth.handle) as server:
            client = {"client_id": oauth.client_id, "client_secret": {"env": "CLIENT_SECRET"}, "client_auth": "post"}
            asked = {"token_url": f"http://127.0.0.1:{server.port}/token", "grant": "client-credentials"}
            options = {"recipe": "oauth", "oauth": {**asked, **client}}
            bad = {"recipe": "oauth", "oauth": {**asked, **client, "grant": "token-exchange"}}
            words = ["--options", json.dumps(options), "--bad-options", json.dumps(bad)]
            environment = {**os.environ, "CLIENT_SECRET": oauth.client_secret}
            done = subprocess.run([contract, "--module", "token", *words], env=environment, check=False)
            for objection in oauth.objections + server.objections:
                print(f"# {objection}")
            is_asked = bool(oauth.forms) and bool(oauth.issued) == (which == "answers")
        return done.returncode or (1 if oauth.objections or server.objections or not is_asked else 0)


sys.exit(main())
