# SPDX-License-Identifier: Apache-2.0
"""What the module does not do: ask without end, write over what others wrote, say yes to what it
cannot, and answer one caller with what another one read.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("fakes", "lib")]

from fake_kubernetes import encode
from scene import scene
from tap import case, check, equal, run

A = "a.example.com"
MOST = 32  # pull secrets of one pod or service account


@case("an erase that the type of a secret does not allow is an error, and nothing is written")
def erase_pair():
    with scene() as it:
        it.use(secret="registry/robot")
        data = {"username": encode("dave"), "password": encode("four")}
        it.api.put("secrets", "registry", "robot", type="kubernetes.io/basic-auth", data=data)
        done = it.home.run([it.home.helper, "erase"], A)
        equal(done.returncode, 1, done.stdout)
        check("delete it with kubectl" in done.stdout, done.stdout)
        equal(it.get(A), "dave:four")
        equal([line for line in it.asked() if not line.startswith("GET ")], [])


@case(f"of pull secrets each is read once, and {MOST} at most")
def many():
    with scene() as it:
        it.use(service_account="ci/builder")
        it.api.put_config("ci", "robot", **{A: "alice:one"})
        names = ["missing"] * 100 + [f"missing-{number}" for number in range(MOST - 2)] + ["robot"]
        entries = [{"name": name} for name in names]
        it.api.put("serviceaccounts", "ci", "builder", imagePullSecrets=entries)
        equal(it.get(A), "alice:one")
        equal(len(it.asked()), 1 + MOST)
        entries.insert(0, {"name": "missing-too"})
        it.api.put("serviceaccounts", "ci", "builder", imagePullSecrets=entries)
        equal(it.get(A), None)
        equal(len(it.asked()), 1 + MOST)
        check(f"more than {MOST} pull secrets" in it.home.read("log"), "the log")


@case("a secret without a resourceVersion is not written")
def without_version():
    with scene() as it:
        it.use(secret="registry/robot")
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        del it.api.objects["", "secrets", "registry", "robot"]["metadata"]["resourceVersion"]
        done = it.home.run([it.home.helper, "erase"], A)
        check("resourceVersion" in done.stdout, done.stdout)
        equal(it.asked(), ["GET registry/secrets/robot"])


@case("what a user's helper read is not the kubelet's answer")
def two_callers():
    with scene() as it:
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        instance = it.instance(secret="registry/robot", coalesce=60)
        it.configure(instance, when={"caller": ["docker", "kubelet"]})
        for _ in range(2):
            equal(it.get(A), "alice:one")
        equal(len(it.asked()), 1)
        for _ in range(2):
            status, said = it.kubelet(f"{A}/team/app", None)
            equal((status, said["auth"][A]["password"]), (0, "one"))
        equal(len(it.asked()), 1)


sys.exit(run())
