# SPDX-License-Identifier: Apache-2.0
"""The contract suite against the module kubernetes, whose secret is one of a fake API server.

usage: contract.py CONTRACT
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "fakes"), os.path.join(HERE, "..", "lib")]
from fake_kubernetes import Kubernetes

SETS = {"name": {"secret": "registry/robot"}, "namespace": {"secret": "robot", "namespace": "registry"}}


def main():
    contract, which = sys.argv[1:]
    with Kubernetes() as api, tempfile.TemporaryDirectory() as directory:
        token = os.path.join(directory, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write(api.token + "\n")
        # The new directory of each behaviour is a cluster of its own.
        options = {"server": f"{api.url}@ROOT@", "token_file": token, **SETS[which]}
        bad = ["--bad-options", json.dumps({**options, "namespace": "a/b"})]
        done = subprocess.run(
            [contract, "--module", "kubernetes", "--options", json.dumps(options), *bad], check=False
        )
        writes = [request for request in api.requests if request.method in ("PUT", "POST")]
        for objection in api.objections:
            print(f"# {objection}")
        return done.returncode or (1 if api.objections or not writes else 0)


sys.exit(main())
