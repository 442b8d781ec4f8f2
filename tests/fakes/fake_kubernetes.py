# SPDX-License-Identifier: Apache-2.0
"""An API server of Kubernetes for tests: secrets, service accounts and pods, as far as pullkey asks
for them. It objects to whatever a real one would not, and to what it would let pass: a query that
nobody should send, an Accept or a Content-Type of another kind, a body where none belongs.

    with Kubernetes() as api:
        api.put("secrets", "ns", "name", type=..., data=...)
        api.token                       what it takes as Bearer
        api.url                         without TLS, on the loopback
        api.change_review = function    of the status of a TokenReview, before it is answered
    api.issue = function            of the claims of a token that is requested; as sign()

A path in front of /api/v1 is another cluster, with objects of its own.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import threading
import time
import uuid

from wire import Reply, Server

PATH = re.compile(r"(.*)/api/v1/namespaces/([a-z0-9.-]+)/(secrets|serviceaccounts|pods)(?:/([a-z0-9.-]+))?")
TOKENS = re.compile(r"/api/v1/namespaces/([a-z0-9.-]+)/serviceaccounts/([a-z0-9.-]+)/token")
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
TYPES = {
    "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
    "kubernetes.io/dockercfg": [".dockercfg"],
    "kubernetes.io/basic-auth": ["username", "password"],
}
REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    415: "UnsupportedMediaType",
    422: "Invalid",
    503: "ServiceUnavailable",
}
MANAGED = [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {}}}]


class Refusal(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


def encode(text):
    return base64.b64encode(text.encode()).decode()


def docker_config(**auths):
    """The data of a secret: {"a.example": "user:password"} as a dockerconfigjson."""
    entries = {key: {"auth": encode(pair)} for key, pair in auths.items()}
    return {".dockerconfigjson": encode(json.dumps({"auths": entries}))}


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims):
    """A service account token, as this API server issues it."""
    head, payload = (part(json.dumps(thing).encode()) for thing in ({"alg": "RS256", "kid": "k"}, claims))
    return f"{head}.{payload}.{signature(head, payload)}"


def signature(head, payload):
    return part(hmac.digest(b"key of the API server", f"{head}.{payload}".encode(), hashlib.sha512))


class Kubernetes:
    def __init__(self, certificate=None, tls=None):
        self.token = "t0ken-of-the-node"
        self.user = "system:node:node-a"
        self.objects = {}  # (cluster, resource, namespace, name): object
        self.version = 9007199254740993  # more than a double holds
        self.denied = set()  # (verb, resource, name or None)
        self.replies = []  # sent in place of answers, the first first
        self.change_review = lambda status: status
        self.issue = sign
        self.conflicts = 0  # writes that somebody else is faster than
        self.writing = threading.Lock()
        self.server = Server(self._handle, certificate, tls)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.port}"

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.server.__exit__(*arguments)

    @property
    def requests(self):
        return self.server.requests

    @property
    def objections(self):
        return self.server.objections

    def put(self, resource, namespace, name, cluster="", **content):
        """Makes or replaces an object, as kubectl would."""
        old = self.objects.get((cluster, resource, namespace, name), {"metadata": {}})
        self.version += 1
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": old["metadata"].get("uid", str(uuid.uuid4())),
            "resourceVersion": str(self.version),
            "managedFields": MANAGED,
            **content.pop("metadata", {}),
        }
        kind = {"secrets": "Secret", "serviceaccounts": "ServiceAccount", "pods": "Pod"}[resource]
        made = {"kind": kind, "apiVersion": "v1", "metadata": metadata, **content}
        self.objects[cluster, resource, namespace, name] = made
        return made

    def put_config(self, namespace, name, _metadata=None, **auths):
        kind = "kubernetes.io/dockerconfigjson"
        more = {"metadata": _metadata} if _metadata else {}
        return self.put("secrets", namespace, name, type=kind, data=docker_config(**auths), **more)

    def secret(self, namespace, name):
        """What is in it, decoded; None if it is not there."""
        found = self.objects.get(("", "secrets", namespace, name))
        return found and {k: base64.b64decode(v).decode() for k, v in found["data"].items()}

    def _handle(self, request):
        if self.replies:
            return self.replies.pop(0)
        try:
            status, body = self._answer(request)
        except Refusal as refusal:
            status = refusal.status
            body = {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": refusal.message,
                "reason": REASONS[status],
                "code": status,
            }
        headers = [("Content-Type", "application/json"), ("Audit-Id", str(uuid.uuid4()))]
        return Reply(status, headers, json.dumps(body))

    def _object(self, text):
        self.server.objections.append(text)
        raise Refusal(400, "objection")

    def _answer(self, request):
        if request.path == REVIEWS:
            return self._review(request)
        found = TOKENS.fullmatch(request.path)
        if found:
            return self._issue(request, *found.groups())
        found = PATH.fullmatch(request.path)
        if not found:
            self._object(f"no path of an API: {request}")
        if request.header("accept") != "application/json":
            self._object(f"Accept: {request}")
        if request.header("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized")
        cluster, namespace, resource, name = found.groups()
        if request.method == "GET":
            if request.body or request.header("content-type"):
                self._object(f"a body of a GET: {request}")
            verb = "get" if name else "list"
        elif (request.method, bool(name)) in (("PUT", True), ("POST", False)):
            verb = "update" if name else "create"
        else:
            self._object(f"method: {request}")
        if {(verb, resource, name), (verb, resource, None)} & self.denied:
            raise Refusal(403, self._forbidden(verb, resource, namespace, name))
        key = (cluster, resource, namespace, name)
        if verb == "list":
            return 200, self._list(request, key)
        if request.query:
            self._object(f"a query: {request}")
        if verb == "get":
            if key not in self.objects:
                raise Refusal(404, f'{resource} "{name}" not found')
            return 200, self.objects[key]
        return self._write(request, key)

    def _review(self, request):
        if (request.method, request.query) != ("POST", "") or request.header("accept") != "application/json":
            self._object(f"no review of a token: {request}")
        if request.header("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized")
        if ("create", "tokenreviews", None) in self.denied:
            raise Refusal(
                403,
                f'tokenreviews.authentication.k8s.io is forbidden: User "{self.user}" cannot create resource '
                '"tokenreviews" in API group "authentication.k8s.io" at the cluster scope',
            )
        if request.header("content-type") != "application/json":
            raise Refusal(415, "the body of the request was in an unknown format")
        body = json.loads(request.body)
        spec = body.get("spec", {})
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        if body != {**kind, "spec": spec} or set(spec) != {"token", "audiences"} or not spec["audiences"]:
            self._object(f"no TokenReview for audiences: {sorted(body)} {sorted(spec)}")
        try:
            status = self._authenticate(spec["token"], spec["audiences"])
        except Refusal as refusal:
            status = {"user": {}, "error": f"[invalid bearer token, {refusal.message}]"}
        return 201, {**body, "metadata": {"managedFields": MANAGED}, "status": self.change_review(status)}

    def _issue(self, request, namespace, name):
        """A token for a service account: TokenRequest."""
        if (request.method, request.query) != ("POST", "") or request.header("accept") != "application/json":
            self._object(f"no request of a token: {request}")
        if request.header("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized")
        if {("create", "serviceaccounts/token", name), ("create", "serviceaccounts/token", None)} & self.denied:
            raise Refusal(403, self._forbidden("create", "serviceaccounts/token", namespace, name))
        if request.header("content-type") != "application/json":
            raise Refusal(415, "the body of the request was in an unknown format")
        body = json.loads(request.body)
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        spec = body.get("spec", {})
        if body != {**kind, "spec": spec} or set(spec) != {"audiences", "expirationSeconds"}:
            self._object(f"no TokenRequest: {body}")
        if not spec["audiences"] or not all(spec["audiences"]) or not 600 <= spec["expirationSeconds"] <= 1 << 32:
            raise Refusal(422, "spec: Invalid value")
        if ("", "serviceaccounts", namespace, name) not in self.objects:
            raise Refusal(404, f'serviceaccounts "{name}" not found')
        now = int(time.time())
        end = now + spec["expirationSeconds"]
        subject = f"system:serviceaccount:{namespace}:{name}"
        claims = {"aud": spec["audiences"], "sub": subject, "iat": now, "nbf": now, "exp": end}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        return 201, {**body, "status": {"token": self.issue(claims), "expirationTimestamp": stamp}}

    def _authenticate(self, token, audiences):
        """The status of a token whose signature, time, audience and objects are as they should be; it
        is not compared whether pod and service account belong together.
        """
        head, payload, end = token.split(".")
        if end != signature(head, payload):
            raise Refusal(401, "error in cryptographic primitive")
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        granted = [one for one in said["aud"] if one in audiences]
        if not granted or not said["nbf"] <= time.time() < said["exp"]:
            raise Refusal(401, "token is for another audience or time")
        names = said["kubernetes.io"]
        for resource, one in (("serviceaccounts", names["serviceaccount"]), ("pods", names["pod"])):
            found = self.objects.get(("", resource, names["namespace"], one["name"]))
            if not found or found["metadata"]["uid"] != one["uid"]:
                raise Refusal(401, "service account token has been invalidated")
        pairs = {f"pod-{key}": value for key, value in names["pod"].items()}
        pairs.update({f"node-{key}": value for key, value in names.get("node", {}).items()})
        user = {
            "username": said["sub"],
            "uid": names["serviceaccount"]["uid"],
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {f"authentication.kubernetes.io/{key}": [value] for key, value in pairs.items()},
        }
        return {"authenticated": True, "user": user, "audiences": granted}

    def _forbidden(self, verb, resource, namespace, name):
        return (
            f'{resource} {json.dumps(name or "")} is forbidden: User "{self.user}" cannot {verb} '
            f'resource "{resource}" in API group "" in the namespace "{namespace}"'
        )

    def _list(self, request, key):
        found = re.fullmatch(r"labelSelector=([A-Za-z0-9._~%-]+)", request.query)
        if not found:
            self._object(f"a list without a selector: {request}")
        label, _, value = bytes.fromhex(
            "".join(
                part[1:3] + part[3:].encode().hex() if part.startswith("%") else part.encode().hex()
                for part in re.split(r"(?=%)", found[1])
            )
        ).decode().partition("=")
        items = [
            thing
            for (*place, _), thing in sorted(self.objects.items(), key=lambda item: item[0])
            if tuple(place) == key[:3] and thing["metadata"].get("labels", {}).get(label) == value
        ]
        return {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": items}

    def _write(self, request, key):
        with self.writing:  # what is compared is what is replaced
            return self._compare_and_write(request, key)

    def _compare_and_write(self, request, key):
        cluster, resource, namespace, name = key
        if request.header("content-type") != "application/json":
            raise Refusal(415, "the body of the request was in an unknown format")
        body = json.loads(request.body)
        metadata = body.get("metadata", {})
        if (body.get("kind"), body.get("apiVersion")) != ("Secret", "v1") or resource != "secrets":
            raise Refusal(400, "the object provided is unrecognized")
        if metadata.get("namespace") != namespace or metadata.get("name") != (name or metadata.get("name")):
            raise Refusal(400, "the namespace or name of the object does not match the URL")
        self._check_data(body)
        old = self.objects.get((cluster, resource, namespace, metadata["name"]))
        if name is None:
            if old:
                raise Refusal(409, f'secrets "{metadata["name"]}" already exists')
            if "resourceVersion" in metadata or "uid" in metadata:
                raise Refusal(422, "resourceVersion should not be set on objects to be created")
            status = 201
        else:
            if not old:
                raise Refusal(404, f'secrets "{name}" not found')
            if "resourceVersion" not in metadata:
                self._object(f"an update of whatever is there: {request}")
            if self.conflicts > 0:
                self.conflicts -= 1
                self.version += 1
                old["metadata"]["resourceVersion"] = str(self.version)
                old["metadata"].setdefault("annotations", {})["by"] = f"another {self.version}"
            if metadata["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise Refusal(409, "the object has been modified; please apply your changes to it")
            if body["type"] != old["type"] or metadata.get("uid", "") != old["metadata"]["uid"]:
                raise Refusal(422, "field is immutable")
            missing = set(old["metadata"]) - set(metadata)
            if missing or set(old) - set(body):
                self._object(f"what is not pullkey's was dropped: {missing} {set(old) - set(body)}")
            status = 200
        content = {k: v for k, v in body.items() if k not in ("kind", "apiVersion", "metadata")}
        kept = {k: v for k, v in metadata.items() if k in ("annotations", "labels")}
        return status, self.put(resource, namespace, metadata["name"], cluster, metadata=kept, **content)

    def _check_data(self, body):
        for key, value in body.get("data", {}).items():
            try:
                text = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError) as reason:
                raise Refusal(400, f"illegal base64 data in {key}") from reason
            if key.startswith(".docker") and not isinstance(json.loads(text), dict):
                raise Refusal(422, f"data[{key}]: Invalid value")
        wanted = TYPES.get(body.get("type"), [])
        if wanted and not set(wanted) & set(body.get("data", {})):
            raise Refusal(422, f"data[{wanted[0]}]: Required value")
