# SPDX-License-Identifier: Apache-2.0
"""The API server that other tests are about, and what it lets nodes do: our own code has no part.

What a node may read, and which tokens it gets, is what pullkey's rules on a node rest upon.
"""

import json
import os
import socket
import ssl
import sys
import time
from base64 import b64decode
from functools import cache
from itertools import count

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

from certs import Authority
from kubernetes import BASIC_AUTH, DOCKERCFG, DOCKERCONFIGJSON, Refused, claims, other_signature, shared
from kubeserver import HOST, ISSUER
from registry import wait_for
from tap import case, check, comment, equal, run

AUDIENCE = "registry.example"
AUTHS = {"registry.example": ("robot", "secret-1")}
NUMBERS = count(1)


@cache
def cluster():
    start = time.monotonic()
    started = shared()
    comment(f"started in {time.monotonic() - start:.1f} s")
    for name in ("one", "two"):
        started.node(name)
    return started


def namespace(*accounts):
    """A new one with these service accounts."""
    name = f"team-{next(NUMBERS)}"
    cluster().add_namespace(name)
    for account in accounts:
        cluster().add_service_account(name, account)
    return name


def refused(function, *arguments, status=403, text="", **more):
    try:
        function(*arguments, **more)
    except Refused as error:
        equal(error.status, status, str(error))
        check(text in error.message, str(error))
        return error
    raise AssertionError(f"this was not refused: {function.__name__}{arguments}")


@case("a node reads the pull secrets of its own pods and no others")
def own_secret():
    place = namespace("builder")
    one, two = cluster().node("one"), cluster().node("two")
    for name in ("pull", "other"):
        cluster().add_pull_secret(place, name, AUTHS)
    refused(one.get, "secrets", place, "pull", text="no relationship found")
    cluster().add_pod(place, "app", "one", "builder", pull_secrets=["pull"])
    cluster().add_pod(place, "app-2", "two", "builder", pull_secrets=["other"])
    equal(one.get("secrets", place, "pull")["type"], DOCKERCONFIGJSON)
    equal(two.get("secrets", place, "other")["type"], DOCKERCONFIGJSON)
    refused(one.get, "secrets", place, "other", text="no relationship found")
    refused(two.get, "secrets", place, "pull", text="no relationship found")
    refused(one.get, "secrets", place, "")
    refused(one.get, "secrets", place, "", query="?fieldSelector=type%3Dkubernetes.io/dockercfg")
    secret = cluster().admin.get("secrets", place, "pull")
    refused(one.replace, "secrets", place, "pull", secret)


@case("a node reads its own pods and their service accounts and no others")
def own_pod():
    place = namespace("builder", "cleaner", "nobody")
    one, two = cluster().node("one"), cluster().node("two")
    pod = cluster().add_pod(place, "app", "one", "builder")
    cluster().add_pod(place, "app-2", "two", "cleaner")
    equal(one.get("pods", place, "app")["metadata"]["uid"], pod.uid)
    refused(two.get, "pods", place, "app")
    equal(one.get("serviceaccounts", place, "builder")["metadata"]["name"], "builder")
    refused(two.get, "serviceaccounts", place, "builder")
    refused(one.get, "serviceaccounts", place, "nobody")


@case("a node loses a secret with the last pod that has it")
def pod_deleted():
    place = namespace("builder")
    one = cluster().node("one")
    cluster().add_pull_secret(place, "pull", AUTHS)
    pods = [cluster().add_pod(place, f"app-{i}", "one", "builder", ["pull"]) for i in range(2)]
    question = (one.name, ["system:nodes"], "get", "secrets", place, "pull")
    for pod in pods:
        one.get("secrets", place, "pull")
        cluster().admin.delete("pods", place, pod.name)
    cluster().wait_allowed(*question, allowed=False)
    refused(one.get, "secrets", place, "pull")


@case("a pod that lists no pull secrets has those of its service account, as they were")
def admission():
    place = namespace()
    cluster().add_service_account(place, "builder", pull_secrets=["first"])
    cluster().add_pod(place, "app", "one", "builder")
    cluster().add_pod(place, "app-2", "one", "builder", pull_secrets=["own"])
    account = cluster().admin.get("serviceaccounts", place, "builder")
    account["imagePullSecrets"] = [{"name": "second"}]
    cluster().admin.replace("serviceaccounts", place, "builder", account)
    for pod, expected in (("app", "first"), ("app-2", "own")):
        spec = cluster().admin.get("pods", place, pod)["spec"]
        equal(spec["imagePullSecrets"], [{"name": expected}], pod)


@case("a role with the name of a secret lets all nodes get that one")
def central_secret():
    place = namespace()
    for name in ("central", "other"):
        cluster().add_pull_secret(place, name, AUTHS)
    rule = {"verbs": ["get"], "resources": ["secrets"], "resourceNames": ["central"]}
    for node in ("one", "two"):
        refused(cluster().node(node).get, "secrets", place, "central")
    cluster().grant(place, "nodes-pull", rule)
    for node in ("one", "two"):
        user = cluster().node(node)
        equal(user.get("secrets", place, "central")["metadata"]["name"], "central")
        refused(user.get, "secrets", place, "other")
        refused(user.get, "secrets", place, "")
    cluster().revoke(place, "nodes-pull", rule)
    refused(cluster().node("one").get, "secrets", place, "central")


@case("a node gets tokens for its own pods only, and for audiences that it may ask for")
def audiences():
    place = namespace("builder", "cleaner")
    one, two = cluster().node("one"), cluster().node("two")
    pod = cluster().add_pod(place, "app", "one", "builder")
    audience = f"{place}.example"
    unauthorized = f'not authorized to request tokens for audience "{audience}"'
    refused(cluster().token, pod, audience, one, text=unauthorized)
    rule = {"verbs": ["request-serviceaccounts-token-audience"], "resources": [audience]}
    cluster().grant(None, place, {**rule, "resourceNames": ["builder"]})
    equal(claims(cluster().token(pod, audience, one))["aud"], [audience])
    refused(cluster().token, pod, f"other-{audience}", one, text="not authorized to request")
    refused(cluster().token, pod, audience, two)
    gone = pod._replace(uid="00000000-0000-0000-0000-000000000000")
    refused(cluster().token, gone, audience, one, text="does not match the UID in record")
    refused(cluster().token, gone, audience, status=409, text="does not match the UID in record")
    cleaner = cluster().add_pod(place, "app-2", "one", "cleaner")
    refused(cluster().token, cleaner, audience, one, text=unauthorized)
    cluster().revoke(None, place, {**rule, "resourceNames": ["builder"]})
    refused(cluster().token, pod, audience, one, text=unauthorized)
    # What a pod's own spec has, its node may ask for.
    projecting = cluster().add_pod(place, "app-3", "one", "cleaner", audiences=[audience])
    equal(claims(cluster().token(projecting, audience, one))["aud"], [audience])


@case("a token tells its pod, node and service account, each with its uid")
def token_claims():
    place = namespace()
    account = cluster().add_service_account(place, "builder")
    pod = cluster().add_pod(place, "app", "one", "builder")
    node = cluster().admin.get("nodes", None, "one")
    token = cluster().token(pod, AUDIENCE, seconds=900)
    said = claims(token)
    expected = {
        "namespace": place,
        "node": {"name": "one", "uid": node["metadata"]["uid"]},
        "pod": {"name": "app", "uid": pod.uid},
        "serviceaccount": {"name": "builder", "uid": account},
    }
    equal(said["kubernetes.io"], expected)
    equal(said["iss"], ISSUER)
    equal(said["aud"], [AUDIENCE])
    equal(said["sub"], f"system:serviceaccount:{place}:builder")
    equal(said["exp"] - said["iat"], 900, "lifetime")
    # The API server itself takes one for itself, and no other.
    bearer = cluster().bearer("pod", token)
    refused(bearer.get, "pods", place, "app", status=401, text="Unauthorized")
    bearer.token = cluster().token(pod, ISSUER)
    refused(bearer.get, "pods", place, "app", text=said["sub"])


@case("a node has tokens reviewed, of its own pods and of others, and nobody without a role has")
def reviews():
    place = namespace("builder")
    one, two = cluster().node("one"), cluster().node("two")
    pod = cluster().add_pod(place, "app", "one", "builder")
    token = cluster().token(pod, AUDIENCE)
    said = claims(token)["kubernetes.io"]
    for node in (one, two):
        status = review(node, token, AUDIENCE)
        equal((status["authenticated"], status["audiences"]), (True, [AUDIENCE]))
        user = status["user"]
        equal((user["username"], user["uid"]), (f"system:serviceaccount:{place}:builder", said["serviceaccount"]["uid"]))
        extra = {key.partition("/")[2]: value for key, value in user["extra"].items()}
        equal((extra["pod-name"], extra["pod-uid"]), (["app"], [pod.uid]))
        equal(extra["node-name"], ["one"])
    for wrong in (other_signature(token), "no-token"):
        status = review(one, wrong, AUDIENCE)
        check(not status.get("authenticated") and status["error"], str(status))
    check(not review(one, token, "another").get("authenticated"), "an audience that the token is not for")
    body = {"spec": {"token": token, "audiences": [AUDIENCE]}}
    text = 'cannot create resource "tokenreviews"'
    own = cluster().bearer("pod", cluster().token(pod, ISSUER))
    refused(own.create, "tokenreviews", None, body, text=text)
    cluster().admin.delete("pods", place, "app")
    # What was reviewed a moment ago may be answered so again, for some seconds.
    wait_for(lambda: not review(one, token, AUDIENCE).get("authenticated"), "the token to be no more")


def review(user, token, audience):
    """The status of a TokenReview."""
    body = {"spec": {"token": token, "audiences": [audience]}}
    return user.create("tokenreviews", None, body)["status"]


@case("the audit log counts the calls of each user")
def audit():
    place = namespace("builder")
    one = cluster().node("one")
    cluster().add_pull_secret(place, "pull", AUTHS)
    cluster().clear()
    equal(cluster().calls(), [], "calls when nobody called")
    pod = cluster().add_pod(place, "app", "one", "builder", pull_secrets=["pull"])
    for _ in range(3):
        one.get("secrets", place, "pull")
    refused(one.get, "secrets", place, "absent")
    cluster().token(pod, AUDIENCE)
    cluster().kubectl("get", "--namespace", place, "secrets")
    gets = cluster().calls(user=one.name)
    seen = [(c.verb, c.resource, c.namespace, c.name, c.status) for c in gets]
    expected = [("get", "secrets", place, "pull", 200)] * 3
    equal(seen, [*expected, ("get", "secrets", place, "absent", 403)])
    equal(len(cluster().calls(user="admin", resource="serviceaccounts/token")), 1, "tokens")
    equal(len(cluster().calls(verb="create", resource="pods", status=201)), 1, "pods")
    (listed,) = cluster().calls(verb="list", resource="secrets")
    check(listed.agent.startswith("kubectl/"), f"user agent {listed.agent}")
    cluster().clear()
    equal(cluster().calls(), [])


@case("secrets of the three types, from the API and from kubectl, changed and deleted")
def secret_types():
    place = namespace()
    cluster().add_pull_secret(place, "pull", AUTHS)
    cluster().add_old_pull_secret(place, "old", AUTHS)
    cluster().add_basic_secret(place, "basic", "robot", "secret-1")
    create = ["create", "secret", "docker-registry", "made", "--docker-server=registry.example"]
    login = ["--docker-username=robot", "--docker-password=secret-1"]
    cluster().kubectl(*create, *login, "--namespace", place)
    listed = cluster().admin.get("secrets", place)["items"]
    types = {one["metadata"]["name"]: one["type"] for one in listed}
    expected = {"pull": DOCKERCONFIGJSON, "old": DOCKERCFG, "basic": BASIC_AUTH}
    equal(types, {**expected, "made": DOCKERCONFIGJSON})
    data = [cluster().admin.get("secrets", place, name)["data"] for name in ("pull", "made")]
    equal(*[json.loads(b64decode(one[".dockerconfigjson"])) for one in data], "what kubectl makes")
    cluster().set_secret(place, "basic", {"username": "robot", "password": "secret-2"})
    changed = cluster().admin.get("secrets", place, "basic")
    equal(b64decode(changed["data"]["password"]), b"secret-2")
    cluster().admin.replace("secrets", place, "basic", changed)
    cluster().set_secret(place, "basic", {"username": "robot", "password": "secret-3"})
    refused(cluster().admin.replace, "secrets", place, "basic", changed, status=409)
    cluster().admin.delete("secrets", place, "basic")
    refused(cluster().admin.get, "secrets", place, "basic", status=404)
    # The server does not take what the type does not allow.
    for data in ({".dockercfg": "{}"}, {".dockerconfigjson": "{"}):
        refused(cluster().add_secret, place, "bad", DOCKERCONFIGJSON, data, status=422)


@case("a user without a certificate or with a foreign one is nobody")
def foreign():
    anonymous = cluster().bearer("anonymous", None)
    refused(anonymous.get, "secrets", "default", "pull", text="system:anonymous")
    other = Authority(cluster().server.directory, "foreign-ca")
    files = other.issue("foreign", "DNS:x", subject="/O=system:masters/CN=x", usage="clientAuth")
    anonymous.certificate = files
    refused(anonymous.get, "secrets", "default", "pull", status=401)


@case("stopped, killed and started again it has the same address and what it knew")
def restarts():
    place = namespace()
    cluster().add_basic_secret(place, "basic", "robot", "secret-1")
    address = cluster().server.address
    for end in (cluster().server.stop, cluster().server.kill):
        end()
        try:
            cluster().admin.get("secrets", place, "basic")
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("it was still there")
        cluster().server.start()
        equal(cluster().server.address, address)
        equal(cluster().admin.get("secrets", place, "basic")["type"], BASIC_AUTH)


@case("paused it accepts connections and answers nothing")
def paused():
    server = cluster().server
    with server.paused(), socket.create_connection((HOST, server.port), timeout=1) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")  # which it would refuse, without TLS
        try:
            connection.recv(1)
        except TimeoutError:
            pass
        else:
            raise AssertionError("it answered")
    equal(cluster().admin.get("namespaces", None, "default")["kind"], "Namespace")


@case("a new certificate is served without a restart, also one of another authority")
def rotation():
    server = cluster().server
    place = (HOST, server.port)
    before = ssl.get_server_certificate(place)
    server.rotate()
    check(ssl.get_server_certificate(place) != before, "the same certificate is served")
    names = ["get", "namespace", "default", "--output=name"]
    equal(cluster().kubectl(*names), "namespace/default\n")
    first, second = server.authority, Authority(server.directory, "second-ca")
    server.rotate(second)
    equal(cluster().kubectl(*names), "namespace/default\n", "with a new kubeconfig")
    server.authority = first
    try:
        cluster().admin.get("namespaces", None, "default")
    except ssl.SSLCertVerificationError:
        pass
    else:
        raise AssertionError("the first authority is still good")
    finally:
        server.rotate(first)


sys.exit(run())
