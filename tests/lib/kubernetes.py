# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes API for tests: kube-apiserver with the node authorizer, RBAC and an audit log.

    with Kubernetes() as cluster:
        cluster.admin.get("secrets", "default", "pull")     a user's requests; Refused if refused
        cluster.admin.kubeconfig()                          the path of one, written anew
        node = cluster.node("node-1")                       the same of a node
        cluster.add_namespace("team")
        cluster.add_pull_secret("team", "pull", {"registry.example": ("user", "password")})
        cluster.add_service_account("team", "builder")
        pod = cluster.add_pod("team", "app", "node-1", "builder", pull_secrets=["pull"])
        cluster.token(pod, "audience")                      of TokenRequest, bound to the pod
        cluster.kubectl("get", "secrets")                   Debian's
        cluster.clear(), cluster.calls(verb="get", resource="secrets")    of the audit log
        cluster.server.stop(), .start(), .kill(), .restart(), .rotate(), .paused()

    cluster = shared()              one for all cases of a test: a start takes seconds

There is no scheduler, no controller and no kubelet: pods are bound by the test, and stay pending;
a namespace has the service accounts that the test makes, and is never gone once it is deleted.
"""

import atexit
import json
import os
from base64 import b64encode, urlsafe_b64decode
from functools import cache
from subprocess import run
from typing import NamedTuple

from kubeserver import Server
from program import die_with_parent, find_program, wait_for

NODES = "system:nodes"
RBAC = "rbac.authorization.k8s.io"
GROUPS = {
    name: f"/apis/{group}/v1"
    for group, names in {
        RBAC: ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
        "authentication.k8s.io": ("tokenreviews",),
        "authorization.k8s.io": ("subjectaccessreviews", "selfsubjectaccessreviews"),
    }.items()
    for name in names
}
IMAGE = "registry.example/app"

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: https://{address}
    certificate-authority-data: {authority}
users:
- name: {user}
  user:
    {credential}
contexts:
- name: {user}@test
  context:
    cluster: test
    user: {user}
current-context: {user}@test
"""


class Refused(Exception):
    """The API server's answer when it is no success; `status` is the HTTP status."""

    def __init__(self, status, answer):
        super().__init__(f"{status} {answer.get('reason')}: {answer.get('message')}")
        self.status = status
        self.reason = answer.get("reason")
        self.message = answer.get("message")


class Pod(NamedTuple):
    namespace: str
    name: str
    uid: str
    node: str
    service_account: str


class Call(NamedTuple):
    """What the audit log has of a request; no name for a list or a creation."""

    user: str
    verb: str
    resource: str  # with the subresource, as in "serviceaccounts/token"
    namespace: str
    name: str
    status: int
    agent: str


class User:
    """Somebody who speaks to the API server, with a certificate (file, key) or a bearer token."""

    def __init__(self, server, name, certificate=None, token=None):
        self.server, self.name = server, name
        self.certificate, self.token = certificate, token

    def kubeconfig(self):
        """Writes one that trusts the server's present authority. As kubelets have it, certificate
        and key are both in one file.
        """
        if self.certificate:
            pem = os.path.join(self.server.directory, f"{self._file_name}.current.pem")
            write(pem, "".join(read(path) for path in self.certificate))
            credential = f"client-certificate: {pem}\n    client-key: {pem}"
        else:
            credential = f"token: {self.token}"
        path = os.path.join(self.server.directory, f"{self._file_name}.kubeconfig")
        text = KUBECONFIG.format(
            address=self.server.address,
            authority=b64encode(read(self.server.authority.file).encode()).decode(),
            user=self.name,
            credential=credential,
        )
        write(path, text)
        return path

    def get(self, resource, namespace=None, name="", query=""):
        """Without a name a list."""
        return self._ask("GET", resource, namespace, name, query=query)

    def create(self, resource, namespace, body, name=""):
        return self._ask("POST", resource, namespace, name, body)

    def replace(self, resource, namespace, name, body):
        return self._ask("PUT", resource, namespace, name, body)

    def delete(self, resource, namespace, name):
        options = {"gracePeriodSeconds": 0}  # no kubelet would end a pod
        return self._ask("DELETE", resource, namespace, name, options)

    @property
    def _file_name(self):
        return self.name.replace(":", "-")

    def _ask(self, method, resource, namespace, name="", body=None, query=""):
        group = GROUPS.get(resource, "/api/v1")
        place = f"/namespaces/{namespace}" if namespace else ""
        path = f"{group}{place}/{resource}" + (f"/{name}" if name else "") + query
        headers = {"Content-Type": "application/json", "User-Agent": "test"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = self.server.connect(self.certificate)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise Refused(response.status, answer)
        return answer


class Kubernetes:
    def __init__(self):
        self.server = Server()
        self.admin = self._user("admin", "system:masters")
        self._nodes = {}
        self._seen = 0  # of the audit log, by calls()

    def __enter__(self):
        try:
            self.server.start()
        except BaseException:
            self.server.close()
            raise
        return self

    def __exit__(self, *_):
        self.server.close()

    def node(self, name):
        """A node's user, which kubelets are; the node is made when it is first asked for."""
        if name not in self._nodes:
            self.admin.create("nodes", None, {"metadata": {"name": name}})
            self._nodes[name] = self._user(node_user(name), NODES)
        return self._nodes[name]

    def node_kubeconfig(self, name):
        return self.node(name).kubeconfig()

    def bearer(self, name, token):
        """Somebody with a token; the name is only for the kubeconfig."""
        return User(self.server, name, token=token)

    def add_namespace(self, name):
        self.admin.create("namespaces", None, {"metadata": {"name": name}})

    def add_service_account(self, namespace, name, pull_secrets=(), annotations=None):
        """Returns its uid."""
        account = {
            "metadata": {"name": name, "annotations": annotations or {}},
            "imagePullSecrets": references(pull_secrets),
        }
        return self.admin.create("serviceaccounts", namespace, account)["metadata"]["uid"]

    def add_pod(
        self, namespace, name, node, service_account, pull_secrets=(), audiences=(), wait=True
    ):
        """A pod that is bound to a node, with a volume that has a token for each of `audiences`.
        Unless `wait` is false the node authorizer knows it then, and else a moment later. Without a
        node it waits for bind().
        """
        tokens = [{"serviceAccountToken": {"audience": one, "path": one}} for one in audiences]
        spec = {
            "nodeName": node,
            "serviceAccountName": service_account,
            "imagePullSecrets": references(pull_secrets),
            "containers": [{"name": "app", "image": IMAGE}],
            "volumes": [{"name": "tokens", "projected": {"sources": tokens}}] if tokens else [],
        }
        pod = self.admin.create("pods", namespace, {"metadata": {"name": name}, "spec": spec})
        secrets = [entry["name"] for entry in pod["spec"].get("imagePullSecrets", [])]
        known = [("serviceaccounts", service_account), *(("secrets", one) for one in secrets)]
        for resource, one in known if wait and node else ():
            self.wait_allowed(node_user(node), [NODES], "get", resource, namespace, one)
        return Pod(namespace, name, pod["metadata"]["uid"], node, service_account)

    def bind(self, pod, node):
        """As a scheduler does it; the node authorizer knows it a moment later."""
        binding = {"metadata": {"name": pod.name}, "target": {"kind": "Node", "name": node}}
        self.admin.create("pods", pod.namespace, binding, f"{pod.name}/binding")

    def add_pull_secret(self, namespace, name, auths):
        """{registry: (user, password)} as docker has it since 1.7."""
        text = json.dumps({"auths": entries(auths)})
        return self.add_secret(namespace, name, DOCKERCONFIGJSON, {".dockerconfigjson": text})

    def add_old_pull_secret(self, namespace, name, auths):
        text = json.dumps(entries(auths))
        return self.add_secret(namespace, name, DOCKERCFG, {".dockercfg": text})

    def add_basic_secret(self, namespace, name, user, password):
        data = {"username": user, "password": password}
        return self.add_secret(namespace, name, BASIC_AUTH, data)

    def add_secret(self, namespace, name, kind, data, labels=None):
        """`data` as text; returns what the server made of it."""
        return self.admin.create("secrets", namespace, secret(name, kind, data, labels))

    def set_secret(self, namespace, name, data):
        """Other data in it, whoever changed it meanwhile."""
        kind = self.admin.get("secrets", namespace, name)["type"]
        return self.admin.replace("secrets", namespace, name, secret(name, kind, data))

    def token(self, pod, audience, user=None, seconds=3600):
        """One of TokenRequest, as the admin or as another user."""
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        spec = {"audiences": [audience], "expirationSeconds": seconds, "boundObjectRef": bound}
        path = f"{pod.service_account}/token"
        user = user or self.admin
        answer = user.create("serviceaccounts", pod.namespace, {"spec": spec}, path)
        return answer["status"]["token"]

    def grant(self, namespace, name, rule, group=NODES):
        """A role of one rule and its binding; in all namespaces if `namespace` is None. Returns
        when it holds.
        """
        kind = "Role" if namespace else "ClusterRole"
        role = {"metadata": {"name": name}, "rules": [{"apiGroups": [""], **rule}]}
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
        }
        self.admin.create(f"{kind.lower()}s", namespace, role)
        self.admin.create(f"{kind.lower()}bindings", namespace, binding)
        self._wait_rule(namespace, rule, group, True)

    def revoke(self, namespace, name, rule, group=NODES):
        """Takes back what grant() gave, with the same arguments."""
        role = "role" if namespace else "clusterrole"
        self.admin.delete(f"{role}bindings", namespace, name)
        self.admin.delete(f"{role}s", namespace, name)
        self._wait_rule(namespace, rule, group, False)

    def is_allowed(self, user, groups, verb, resource, namespace=None, name=""):
        """What the server's authorizers say; no call of the user's own."""
        asked = {"verb": verb, "resource": resource, "namespace": namespace or "", "name": name}
        spec = {"user": user, "groups": groups, "resourceAttributes": asked}
        review = self.admin.create("subjectaccessreviews", None, {"spec": spec})
        return review["status"]["allowed"]

    def wait_allowed(self, user, groups, verb, resource, namespace=None, name="", allowed=True):
        question = (user, groups, verb, resource, namespace, name)
        now = "be" if allowed else "be no longer"
        what = f"{user} to {now} allowed to {verb} {resource} {name}"
        wait_for(lambda: self.is_allowed(*question) == allowed, what)

    def kubectl(self, *arguments, user=None, text=""):
        """Its output; the test fails if it does."""
        result = run(
            [find_program("kubectl", "kubernetes-client"), *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=self.server.directory,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": self.server.directory,
                "KUBECONFIG": (user or self.admin).kubeconfig(),
            },
            timeout=60,
            preexec_fn=die_with_parent,
        )
        if result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments[:2])}: {result.stderr}")
        return result.stdout

    def clear(self):
        """Forgets the calls so far."""
        self._seen += len(self._events())

    def calls(self, **wanted):
        """The calls since clear() that have these values, in order: Call(user, verb, ...)."""
        found = [as_call(event) for event in self._events()]
        return [
            call
            for call in found
            if all(getattr(call, key) == value for key, value in wanted.items())
        ]

    def _events(self):
        """The last event of each call. What was received is in the log before it is answered, and
        how it ended a moment after that: this waits until no call is without its end.
        """

        def ended():
            events = {}
            whole, _, _ = read(self.server.audit_log).rpartition("\n")
            for line in whole.splitlines():
                event = json.loads(line)
                events[event["auditID"]] = event
            return not any(e["stage"] == "RequestReceived" for e in events.values()) and [events]

        events = wait_for(ended, "the audit log to have the end of each call")[0]
        return list(events.values())[self._seen :]

    def _user(self, name, group):
        file = name.replace(":", "-")
        certificate = self.server.clients.issue(
            file, "DNS:client", subject=f"/O={group}/CN={name}", usage="clientAuth"
        )
        return User(self.server, name, certificate)

    def _wait_rule(self, namespace, rule, group, allowed):
        for verb in rule["verbs"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    question = (verb, resource, namespace, name)
                    self.wait_allowed("somebody", [group], *question, allowed=allowed)


def shared():
    """The cluster of all cases of a test: the first that asks starts it, and it ends with the test.
    What kept it from starting is raised for each that asks.
    """
    cluster, error = _shared()
    if error:
        raise error
    return cluster


@cache
def _shared():
    try:
        cluster = Kubernetes().__enter__()
    except Exception as error:
        return None, error
    atexit.register(cluster.server.close)
    return cluster, None


DOCKERCONFIGJSON = "kubernetes.io/dockerconfigjson"
DOCKERCFG = "kubernetes.io/dockercfg"
BASIC_AUTH = "kubernetes.io/basic-auth"


def node_user(name):
    return f"system:node:{name}"


def references(names):
    return [{"name": name} for name in names]


def entries(auths):
    """As docker and kubectl write them."""
    return {
        registry: {
            "username": user,
            "password": password,
            "auth": b64encode(f"{user}:{password}".encode()).decode(),
        }
        for registry, (user, password) in auths.items()
    }


def secret(name, kind, data, labels=None):
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "type": kind,
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items()},
    }


def claims(token):
    """What a token says, whether that is true or not."""
    part = token.split(".")[1]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def other_signature(token):
    """The same with one character of its signature changed."""
    rest, _, signature = token.rpartition(".")
    return f"{rest}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def as_call(event):
    target = event.get("objectRef", {})
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return Call(
        user=event.get("user", {}).get("username", ""),
        verb=event["verb"],
        resource=resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        status=event.get("responseStatus", {}).get("code", 0),
        agent=event.get("userAgent", ""),
    )


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    """By rename, for a reader meanwhile; for nobody else's eyes."""
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(new, path)
