# SPDX-License-Identifier: Apache-2.0
"""Broken set-ups whose credential is in a Kubernetes, of a real API server: a right is missing."""

from contextlib import contextmanager
from itertools import count

from doctor import MARKER, config
from kubernetes import shared
from kubeserver import ISSUER
from setups import setup
from setups_docker import USER, real

NUMBERS = count(1)
ACCOUNT, SECRET = "builder", "pull"
RIGHTS = {
    "read-pull-secret": {"verbs": ["get"], "resources": ["secrets"], "resourceNames": [SECRET]},
    "read-builder": {"verbs": ["get"], "resources": ["serviceaccounts"], "resourceNames": [ACCOUNT]},
}


class Place:
    """A namespace, whose service account has the RIGHTS."""

    def __init__(self, server):
        self.api, self.name = shared(), f"ci-{next(NUMBERS)}"
        self.group = f"system:serviceaccounts:{self.name}"
        self.api.add_namespace(self.name)
        self.api.add_service_account(self.name, ACCOUNT, [SECRET])
        self.api.add_pull_secret(self.name, SECRET, {server: (USER, MARKER)})
        for right, rule in RIGHTS.items():
            self.api.grant(self.name, right, rule, self.group)
        pod = self.api.add_pod(self.name, "app", "", ACCOUNT)
        self.user = self.api.bearer(f"{self.name}-{ACCOUNT}", self.api.token(pod, ISSUER))

    def revoke(self, right):
        self.api.revoke(self.name, right, RIGHTS[right], self.group)


def in_cluster(**where):
    """The registry's only credential is a pull secret; the options of the backend say which."""

    @contextmanager
    def scene():
        with real() as there:
            there.home.succeed([there.home.pullkey, "logout", there.name])
            there.namespace = Place(there.name)
            own = {"type": "kubernetes", "kubeconfig": there.namespace.user.kubeconfig(), "coalesce": 0}
            own |= {"namespace": there.namespace.name, **where}
            config(there.home, rules=[{"match": there.name, "use": [own]}])
            yield there

    return scene


def needs(resource, name):
    """What the last line says: who may not do what, and the Role that makes it right."""
    return (
        f':{ACCOUNT}" may not get {resource} {name} in the namespace ci-',
        f'a Role there with apiGroups [""], resources ["{resource}"], resourceNames ["{name}"], verbs ["get"]',
        "RoleBinding",
    )


@setup("no right to read a pull secret", "docker", in_cluster(secret=SECRET), "backend-denied",
       *needs("secrets", SECRET))
def no_secret(there):
    there.namespace.revoke("read-pull-secret")


@setup("no right to read a service account", "docker", in_cluster(service_account=ACCOUNT), "backend-denied",
       *needs("serviceaccounts", ACCOUNT))
def no_account(there):
    there.namespace.revoke("read-builder")
