# SPDX-License-Identifier: Apache-2.0
"""Registries of Google: from each identity to the credential, through the installed helper. The fakes verify what they
are sent and object to everything else.
"""

import json
import os
import ssl
import sys
import time
from contextlib import contextmanager

from scene import MARKER, certs, scene
from fake_google import ACCOUNT_PATH, AWS_REQUEST, CLOUD, IAM, POOL, STS_URL, TOKEN_URL, TYPE, Google, answer
from tap import case, check, equal, run
from wire import Reply, Server

HOST = "europe-west1-docker.pkg.dev"
OTHERS = ("evil.test", "oauth2.googleapis.com.evil.test", "evilgoogleapis.com", "issuer.test", "actions.test")
READ = "https://www.googleapis.com/auth/devstorage.read_only"
AGAIN = [("Retry-After", "0")]


@contextmanager
def google_scene(*names):
    """A home without any identity, and Google's services, with a metadata service at its address."""
    google = []
    handle = lambda request: google[0].handle(request)
    metadata = lambda request: google[0].handle_metadata(request)
    with scene(handle, *Google.HOSTS, *OTHERS, *names, headers=("x-job",)) as it:
        google.append(Google(it.home.directory("google"), MARKER))
        it.google = google[0]
        with Server(metadata, headers=("metadata-flavor",)) as it.machine:
            it.home.env["NET_ROUTES"] += f",169.254.169.254:80={it.machine.port}"
            it.use("gcp")
            yield it
            equal(it.google.objections + it.machine.objections, [], "objections")
            check(MARKER not in it.home.read("log"), "a secret in the log")
            check("PRIVATE KEY" not in it.home.read("log"), "a key in the log")


def error(it, host=HOST):
    line = it.error(host)
    for secret in (MARKER, "PRIVATE KEY", "eyJ"):
        check(secret not in line, f"{secret} in {line}")
    return line


def refused(it, said):
    line = error(it)
    check(said in line, f"{said!r} is not in {line!r}")


def asked(it):
    found, it.google.asked[:] = list(it.google.asked), []
    return found


def account(it, **more):
    key = {
        "type": "service_account",
        "client_email": it.google.email,
        "private_key": it.google.key.pem,
        "private_key_id": "key-1",
        "token_uri": TOKEN_URL,
    }
    return {**key, **more}


def external(**more):
    return {
        "type": "external_account",
        "audience": POOL,
        "subject_token_type": TYPE + "jwt",
        "token_url": STS_URL,
        **more,
    }


def put(it, content, name="credentials.json"):
    """A file with credentials that the environment names."""
    path = os.path.join(it.home.path, name)
    if os.path.exists(path):
        os.chmod(path, 0o600)
    it.home.write(name, json.dumps(content))
    os.chmod(path, 0o600)
    it.home.env["GOOGLE_APPLICATION_CREDENTIALS"] = path
    return path


def scopes_of(it, found):
    user, _, token = found.partition(":")
    equal(user, "oauth2accesstoken")
    return it.google.tokens[token]


def uncached(it):
    """The next get asks again."""
    it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory(f"cache-{time.monotonic_ns()}")


@case("a service account's key: a JWT that is verified; scopes; one exchange for two calls; any case of the host")
def service_account():
    with google_scene() as it:
        put(it, account(it))
        found = it.get(HOST)
        equal((scopes_of(it, found), asked(it)), ([CLOUD], ["POST oauth2.googleapis.com/token"]))
        equal((it.get(HOST.upper()), asked(it)), (found, []))
        for host in ("gcr.io", "eu.gcr.io", "docker.us-east1.rep.pkg.dev"):
            equal(scopes_of(it, it.get(host)), [CLOUD])
        path = it.home.env.pop("GOOGLE_APPLICATION_CREDENTIALS")
        it.use("gcp", google={"credentials": path, "scopes": [READ, CLOUD]})
        equal(scopes_of(it, it.get(HOST)), [READ, CLOUD])


@case("a file with a secret that others may read or write is refused; one without a secret is not")
def modes():
    with google_scene() as it:
        user = {"type": "authorized_user", **it.google.user}
        url = f"{IAM}{it.google.email}:generateAccessToken"
        acting = {"type": "impersonated_service_account", "service_account_impersonation_url": url}
        leading = external(credential_source={"file": it.home.write("token", it.google.subject())})
        for content in (account(it), user, {**acting, "source_credentials": user}, {**leading, "client_id": "i", "client_secret": "s"}):
            path = put(it, content)
            for mode in (0o604, 0o640, 0o644, 0o440):
                os.chmod(path, mode)
                uncached(it)
                refused(it, f"others than its owner may use the secret in {path}: run chmod 600 on it")
        equal(it.server.connections, 0)
        for content, mode in ((account(it), 0o400), (user, 0o600), (leading, 0o644)):
            os.chmod(put(it, content), mode)
            uncached(it)
            equal(scopes_of(it, it.get(HOST)), [CLOUD])
            os.chmod(path, 0o600)


@case("a key that is none, one that is too short, a file that is missing or no JSON: named, and nobody is asked")
def bad_files():
    with google_scene() as it:
        for content, said in (
            (account(it, private_key="no key"), "must be an RSA key of at least 2048 bits"),
            (account(it, private_key=""), 'has no "private_key"'),
            ({"type": "service_account"}, 'has no "client_email"'),
            ({"type": "gdch_service_account"}, "credentials of this type are not known here"),
            ({}, 'has no "type"'),
            ([], 'has no "type"'),
            (external(), 'has no "credential_source"'),
            (external(credential_source={}), "exactly one of"),
            (external(credential_source={"file": "/a", "url": "https://b.test"}), "exactly one of"),
            (external(credential_source={"file": "a"}), "must be an absolute path"),
            (external(credential_source={"environment_id": "aws1"}), "regional_cred_verification_url"),
            (external(credential_source={"environment_id": "aws2"}), "must be aws1"),
            (external(credential_source={"certificate": {}}), "must have either"),
            (external(credential_source={"certificate": {"certificate_config_location": "c"}}), "absolute path"),
            (external(credential_source={"executable": {"command": "x y"}}), "absolute path"),
            (external(credential_source={"file": "/nowhere"}), "/nowhere is missing"),
            ({"type": "impersonated_service_account", "service_account_impersonation_url": "x"}, "source_credentials"),
            (account(it, universe_domain="evil.test"), "universe_domain"),
        ):
            put(it, content)
            refused(it, said)
        it.home.env["GOOGLE_APPLICATION_CREDENTIALS"] = "/nowhere/else"
        check("/nowhere/else do not exist" in error(it), "a missing file")
        put(it, {})
        it.home.write("credentials.json", "{" + MARKER)
        check("credentials.json" in error(it), "no JSON")
        equal((it.server.connections, it.machine.connections), (0, 0))


@case("a file of a kind that is not known here is an error that names it, also where nothing is configured")
def unknown_kinds():
    with google_scene() as it:
        del it.home.env["PULLKEY_CONFIG"]
        for kind in ("external_account_authorized_user", "gdch_service_account"):
            path = put(it, {"type": kind})
            refused(it, f"{path}: credentials of this type are not known here")
        equal((it.server.connections, it.machine.connections), (0, 0))


@case("a person's file, where gcloud puts it: the refresh token; CLOUDSDK_CONFIG; invalid_rapt says what to do")
def authorized_user():
    with google_scene() as it:
        content = json.dumps({"type": "authorized_user", **it.google.user})
        os.chmod(it.home.write(".config/gcloud/application_default_credentials.json", content), 0o600)
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        it.home.env["CLOUDSDK_CONFIG"] = it.home.directory("cloudsdk")
        check("no machine of Google's" in error(it), "an empty directory")
        os.chmod(it.home.write("cloudsdk/application_default_credentials.json", content), 0o600)
        uncached(it)
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        refusals = it.google.replies["/token"] = []
        for body, said in (
            (
                {"error": "invalid_grant", "error_subtype": "invalid_rapt", "error_description": f"reauth {MARKER}"},
                "invalid_rapt (its organisation wants a new sign-in: run gcloud auth application-default login)",
            ),
            ({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, "invalid_grant"),
            ({"error": "invalid_client"}, "invalid_client"),
            ({"error": "unauthorized_client"}, "unauthorized_client"),
            ({"error": "invalid_scope"}, "invalid_scope"),
        ):
            uncached(it)
            asked(it)
            refusals.append(answer(400, **body))
            line = error(it)
            check(said in line and "the user in" in line and "oauth2.googleapis.com" in line, line)
            equal(len(asked(it)), 1, "such a refusal is final")


@case("what passes is tried again: 503, and internal_failure in a 400")
def again():
    with google_scene() as it:
        put(it, account(it))
        it.google.replies["/token"] = [
            Reply(503, AGAIN),
            answer(400, AGAIN, error="internal_failure"),
        ]
        equal((scopes_of(it, it.get(HOST)), len(asked(it))), ([CLOUD], 3))


@case("an external account: the token in a file (text and JSON), read anew; STS gets exactly its parameters")
def federation():
    with google_scene() as it:
        path = it.home.write("token", it.google.subject() + "\n")
        put(it, external(credential_source={"file": path}))
        equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["POST sts.googleapis.com/v1/token"]))
        it.home.write("token", json.dumps({"value": it.google.subject()}))
        source = {"file": path, "format": {"type": "json", "subject_token_field_name": "value"}}
        it.google.client, it.google.project = ("id+", f"s/{MARKER}"), None
        put(it, external(credential_source=source, client_id="id+", client_secret=f"s/{MARKER}"))
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        it.google.client, it.google.project = None, "bill-me"
        put(it, external(credential_source=source, workforce_pool_user_project="bill-me"))
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        it.google.project = None
        for content, said in (
            ("no JSON", "it is not the JSON that its format says"),
            ('{"other": "x"}', 'it has no member "value"'),
            ('{"value": "a b"}', "bytes that no token may have"),
            (json.dumps({"value": it.google.subject(aud="https://other")}), "audience in ID Token does not match"),
        ):
            it.home.write("token", content)
            uncached(it)
            put(it, external(credential_source=source))
            refused(it, said)


@case("each refusal of STS: its code and what to do")
def sts_errors():
    with google_scene() as it:
        path = it.home.write("token", it.google.subject())
        put(it, external(credential_source={"file": path}))
        for code, said in (
            ("invalid_request", "a parameter is missing"),
            ("invalid_target", "audience"),
            ("invalid_grant", "has expired"),
            ("invalid_scope", "scope"),
            ("unauthorized_client", "allow this grant"),
            ("unsupported_grant_type", "does not know this grant"),
            ("access_denied", "does not trust"),
        ):
            it.google.replies["/v1/token"] = [answer(400, error=code)]
            line = error(it)
            check(f"sts.googleapis.com refuses the external account in" in line and code in line and said in line, line)
        it.google.replies["/v1/token"] = [Reply(404, body="<html>")]
        check("not as an OAuth server would" in error(it), "no OAuth")


@case("the token at a URL: of the GitHub job, with its headers; any other host must be named by the configuration")
def source_url():
    def handle(request):
        seen.append(request)
        return Reply(200, body=json.dumps({"value": it.google.subject()}))

    seen = []
    with google_scene() as it:
        it.google.others["/id"] = handle
        source = {
            "url": "https://actions.test/id?audience=x",
            "headers": {"Authorization": f"Bearer {MARKER}", "X-Job": "7"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }
        put(it, external(credential_source=source))
        line = error(it)
        check("leads to actions.test, which the configuration does not name" in line, line)
        it.home.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "https://actions.test.evil.test/id"
        error(it)
        equal(it.server.connections, 0)
        it.home.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "https://actions.test/id?v=1"
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        equal((seen[0].target, seen[0].header("authorization")), ("/id?audience=x", f"Bearer {MARKER}"))
        equal(seen[0].header("x-job"), "7")
        del it.home.env["ACTIONS_ID_TOKEN_REQUEST_URL"]
        it.use("gcp", endpoints={"credential_source": "https://issuer.test/id"})
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        equal((seen[1].header("host"), seen[1].target), ("issuer.test", "/id"))
        it.google.others["/id"] = lambda request: Reply(403)
        uncached(it)
        check("issuer.test gives no identity token" in error(it), "a refusal")
        put(it, external(credential_source={**source, "headers": {"X-Job": "a\nb: c"}}))
        check("bytes that none may have" in error(it), "two lines in a header")


@case("the token of a program: only where the environment allows it; what it is told, and each way to fail")
def executable():
    with google_scene() as it:
        token = it.google.subject()
        program = it.home.write("issuer", "")
        os.chmod(program, 0o700)
        put(it, external(credential_source={"executable": {"command": f"{program}  one two", "timeout_millis": 5000}}))

        def prints(text, status=0):
            script = f'#!/bin/sh\nenv > {it.home.path}/told; echo "$*" >> {it.home.path}/told\n'
            it.home.write("issuer", script + f"cat <<'END'\n{text}\nEND\nexit {status}\n")

        good = {"version": 1, "success": True, "token_type": TYPE + "jwt", "id_token": token}
        prints(json.dumps(good))
        check("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1" in error(it), "not allowed")
        it.home.env["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "yes"
        error(it)
        equal(it.home.read("told"), "", "it was run")
        it.home.env["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "1"
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        told = it.home.read("told").splitlines()
        equal(told[-1], "one two")
        for line in (
            f"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE={POOL}",
            f"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE={TYPE}jwt",
            "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
            "PULLKEY_DEPTH=1",
        ):
            check(line in told, f"{line} is not in {told}")
        for text, status, said in (
            (json.dumps({"version": 1, "success": False, "code": "401", "message": MARKER}), 1, "no token (401)"),
            (json.dumps({**good, "version": 2}), 0, "not of version 1"),
            (json.dumps({**good, "expiration_time": 1000}), 0, "has expired"),
            (json.dumps({"version": 1, "success": True}), 0, "no id_token"),
            ("no JSON", 0, "does not answer in JSON"),
        ):
            prints(text, status)
            uncached(it)
            refused(it, said)
        it.home.write("issuer", "#!/bin/sh\nexit 3\n")
        check("ends with status 3" in error(it), "silence")
        os.unlink(program)
        check("no such program" in error(it), "no program")


AWS_SOURCE = {
    "environment_id": "aws1",
    "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
}


@case("keys of AWS: a question to STS that is signed for the pool, and sent by Google; whose address is another's is not")
def keys_of_aws():
    with google_scene() as it:
        content = external(credential_source=AWS_SOURCE, subject_token_type=AWS_REQUEST)
        put(it, content)
        refused(it, "AWS_ACCESS_KEY_ID is not set")
        it.google.keys["AKIDEXAMPLE"] = (f"{MARKER}/+", None)
        it.home.env.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=f"{MARKER}/+")
        equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["POST sts.googleapis.com/v1/token"]))
        it.google.keys["ASIAEXAMPLE"] = (MARKER, f"session+/={MARKER}")
        it.home.env.update(AWS_ACCESS_KEY_ID="ASIAEXAMPLE", AWS_SECRET_ACCESS_KEY=MARKER, AWS_REGION="eu-central-2")
        it.home.env["AWS_SESSION_TOKEN"] = f"session+/={MARKER}"
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        # As the option of ecr has it.
        it.home.write("aws", f"[work]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {MARKER}/+\n")
        it.home.env["AWS_SHARED_CREDENTIALS_FILE"] = os.path.join(it.home.path, "aws")
        it.use("gcp", aws={"profile": "work"})
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        it.use("gcp", aws={"profil": "work"})
        refused(it, "there is no such option")
        it.use("gcp")
        asked(it)
        for url in (
            "http://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            "https://sts.{region}.amazonaws.com.evil.test?Action=GetCallerIdentity&Version=2011-06-15",
            "https://sts.{region}.amazonaws.com:8443?Action=GetCallerIdentity&Version=2011-06-15",
            "https://ec2.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            "https://evil.test/sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        ):
            put(it, {**content, "credential_source": {**AWS_SOURCE, "regional_cred_verification_url": url}})
            refused(it, "which is not STS of AWS over https://")
        it.home.env["AWS_REGION"] = "evil.test/"
        put(it, content)
        uncached(it)
        refused(it, "AWS_REGION must be a region")
        del it.home.env["AWS_ACCESS_KEY_ID"], it.home.env["AWS_REGION"]
        uncached(it)
        refused(it, "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not")
        equal(asked(it), [])


@case("AWS_CA_BUNDLE is about servers of AWS alone: Google's are not trusted because of it, nor distrusted")
def bundle_of_aws():
    with google_scene() as it:
        put(it, external(credential_source=AWS_SOURCE, subject_token_type=AWS_REQUEST))
        it.google.keys["AKIDEXAMPLE"] = (MARKER, None)
        it.home.env.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=MARKER)
        it.home.env["AWS_CA_BUNDLE"] = certs.Authority(it.home.directory("other")).file
        equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["POST sts.googleapis.com/v1/token"]))
        # Without an option the system's authorities count, which do not know the fake server.
        with open(it.home.env["PULLKEY_CONFIG"], encoding="utf-8") as file:
            config = json.load(file)
        del config["rules"][0]["use"][0]["ca_file"]
        it.home.env["PULLKEY_CONFIG"] = it.home.write("system.json", json.dumps(config))
        it.home.env["AWS_CA_BUNDLE"] = it.authority
        uncached(it)
        refused(it, "sts.googleapis.com")
        equal(asked(it), [])


@case("keys of AWS of the machine itself: where the file names its metadata they are asked, and else not")
def machine_of_aws():
    def handle(request):
        equal(request.header("x-aws-ec2-metadata-token"), None if request.method == "PUT" else "t")
        if request.method == "PUT":
            return Reply(200, body="t")
        if request.path.endswith("/"):
            return Reply(200, body="role")
        keys = {"Code": "Success", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": MARKER, "Token": "t+="}
        return answer(200, **keys, Expiration="2099-01-01T00:00:00Z")

    with google_scene() as it:
        headers = ("x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds")
        with Server(handle, headers=headers) as imds:
            it.google.keys["ASIAEXAMPLE"] = (MARKER, "t+=")
            it.use("gcp", endpoints={"imds": f"http://127.0.0.1:{imds.port}"})
            address = "http://169.254.169.254/latest/meta-data/iam/security-credentials"
            more = {"subject_token_type": AWS_REQUEST}
            put(it, external(credential_source={**AWS_SOURCE, "url": address}, **more))
            equal(scopes_of(it, it.get(HOST)), [CLOUD])
            equal([request.method for request in imds.requests], ["PUT", "GET", "GET"])
            it.use("gcp", endpoints={"imds": f"http://127.0.0.1:{imds.port}"}, aws={"imds": False})
            refused(it, "are not to be asked")
            equal((len(imds.requests), imds.objections), (3, []))


@case("a certificate of the machine: STS is asked with it, and shown the chain; whatever is missing is named")
def certificate():
    with google_scene() as it:
        pool = certs.Authority(it.home.directory("pool"))
        leaf, key = pool.issue("machine", "DNS:machine.test", usage="clientAuth")
        one = lambda path: "".join(open(path, encoding="ascii").read().split("-----")[2].split())

        def verify(context):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pool.file)

        pair = {"cert_path": leaf, "key_path": key}
        config = it.home.write("certificate_config.json", json.dumps({"cert_configs": {"workload": pair}}))
        source = {"certificate": {"certificate_config_location": config, "trust_chain_path": pool.file}}
        more = {"subject_token_type": TYPE + "mtls", "token_url": "https://sts.mtls.googleapis.com/v1/token"}
        with Server(it.google.handle_mtls, it.certificate, tls=verify) as mtls:
            hosts = it.home.env["NET_HOSTS"].replace("sts.mtls.googleapis.com=198.51.100.1", "sts.mtls.googleapis.com=198.51.100.2")
            it.home.env["NET_HOSTS"] = hosts
            it.home.env["NET_ROUTES"] += f",198.51.100.2:443={mtls.port}"
            it.google.chain = [one(leaf), one(pool.file)]
            put(it, external(credential_source=source, **more))
            equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["POST sts.mtls.googleapis.com/v1/token"]))
            # A chain that begins with the certificate itself, which is not there twice.
            it.home.write("chain.pem", open(leaf).read() + open(pool.file).read())
            source["certificate"]["trust_chain_path"] = os.path.join(it.home.path, "chain.pem")
            put(it, external(credential_source=source, **more))
            equal(scopes_of(it, it.get(HOST)), [CLOUD])
            it.google.chain = [one(leaf)]
            it.home.env["GOOGLE_API_CERTIFICATE_CONFIG"] = config
            put(it, external(credential_source={"certificate": {"use_default_certificate_config": True}}, **more))
            equal(scopes_of(it, it.get(HOST)), [CLOUD])
            it.home.write("chain.pem", open(pool.file).read() + open(leaf).read())
            put(it, external(credential_source=source, **more))
            uncached(it)
            refused(it, "not as the first")
            del source["certificate"]["trust_chain_path"]
            put(it, external(credential_source=source, **more))
            for text, said in (
                ("{", "certificate_config.json"),
                ('{"cert_configs": {}}', 'no absolute "cert_path"'),
                (json.dumps({"cert_configs": {"workload": {**pair, "key_path": "/nowhere"}}}), "/nowhere is missing"),
                (json.dumps({"cert_configs": {"workload": {**pair, "cert_path": key}}}), "is no PEM"),
            ):
                it.home.write("certificate_config.json", text)
                uncached(it)
                refused(it, said)
            equal(mtls.objections, [])


@case("impersonation: by the file, by the option, through delegates; the last scopes are those that were asked for")
def impersonation():
    with google_scene() as it:
        url = f"{IAM}{it.google.email}:generateAccessToken"
        it.home.write("token", it.google.subject())
        source = {"file": os.path.join(it.home.path, "token")}
        content = external(credential_source=source, service_account_impersonation_url=url)
        put(it, {**content, "service_account_impersonation": {"token_lifetime_seconds": 1200}})
        it.use("gcp", google={"scopes": [READ]})
        it.google.lifetime = "1200s"
        equal(scopes_of(it, it.get(HOST)), [READ])
        exchanged, _ = it.google.tokens.values()
        equal(exchanged, [CLOUD], "scope of the exchange")
        it.google.lifetime, it.google.fraction = "3600s", ""
        it.google.delegates = ["projects/-/serviceAccounts/between"]
        user = {"type": "authorized_user", **it.google.user}
        put(
            it,
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": url,
                "delegates": it.google.delegates,
                "source_credentials": user,
            },
        )
        equal(scopes_of(it, it.get(HOST)), [READ])
        it.google.delegates = None
        put(it, account(it))
        it.use("gcp", google={"scopes": [READ], "impersonate": it.google.email})
        equal(scopes_of(it, it.get(HOST)), [READ])
        it.use("gcp", google={"impersonate": "other@project.iam.gserviceaccount.com"})
        line = error(it)
        check("act as other@project.iam.gserviceaccount.com: NOT_FOUND" in line and it.google.email in line, line)
        chain = {"type": "impersonated_service_account", "service_account_impersonation_url": url}
        put(it, {**chain, "source_credentials": {**chain, "source_credentials": user}})
        check("not the source of others" in error(it), "a chain of impersonations")


@case("each refusal of IAM: its status and what to do; an answer that is none")
def iam_errors():
    with google_scene() as it:
        put(it, account(it))
        it.use("gcp", google={"impersonate": it.google.email})
        place = f"/v1/projects/-/serviceAccounts/{it.google.email}:generateAccessToken"
        for status, code, said in (
            (403, "PERMISSION_DENIED", "roles/iam.serviceAccountTokenCreator"),
            (401, "UNAUTHENTICATED", "is not accepted"),
            (404, "NOT_FOUND", "check its name"),
            (400, "INVALID_ARGUMENT", "scopes"),
            (400, "FAILED_PRECONDITION", "disabled"),
            (400, "OUT_OF_RANGE", "documentation"),
        ):
            it.google.replies[place] = [answer(status, error={"code": status, "status": code, "message": MARKER})]
            line = error(it)
            check(code in line and said in line and "iamcredentials.googleapis.com" in line, line)
        for reply, said in (
            (Reply(403, body="no"), "not as IAM would"),
            (Reply(200, body="no"), "no proper JSON"),
            (answer(expireTime="2999-01-01T00:00:00Z"), "no accessToken"),
            (answer(accessToken="a"), "no expireTime"),
            (answer(accessToken="a", expireTime="soon"), "no date"),
            (answer(accessToken="a", expireTime="2001-01-01T00:00:00Z"), "has expired already"),
        ):
            it.google.replies[place] = [reply]
            refused(it, said)


@case("an identity of the configuration is exchanged as \"audience\" says; also the machine's own token")
def configured():
    with google_scene() as it:
        path = it.home.write("token", it.google.subject())
        it.use("gcp", identity={"file": path}, google={"audience": POOL})
        equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["POST sts.googleapis.com/v1/token"]))
        it.use("gcp", identity={"gcp": f"https:{POOL}"}, google={"audience": POOL, "impersonate": it.google.email})
        check("no machine of Google's" in error(it), "not on such a machine")
        it.home.env["GCE_METADATA_HOST"] = "metadata.google.internal"
        it.home.env["NET_HOSTS"] += ",metadata.google.internal=169.254.169.254"
        uncached(it)
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        check(any("metadata" in line and "identity" in line for line in asked(it)), "the machine was not asked")
        it.use("gcp", identity={"file": path})
        check("audience" in error(it), "no audience")


@case("the metadata service: at its name and its address, never through a proxy, and it must say that it is Google's")
def metadata():
    with google_scene() as it, Server(lambda request: Reply(500)) as proxy:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            it.home.env[name] = f"http://127.0.0.1:{proxy.port}"
        it.home.env["NET_HOSTS"] += ",metadata.google.internal=169.254.169.254"
        for host in ("169.254.169.254", "metadata.google.internal", f"127.0.0.1:{it.machine.port}"):
            it.home.env["GCE_METADATA_HOST"] = host
            equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], [f"GET metadata{ACCOUNT_PATH}token"]))
        it.google.scopes = f"{READ},{CLOUD}"
        it.use("gcp", google={"scopes": [READ, CLOUD]})
        equal(scopes_of(it, it.get(HOST)), [READ, CLOUD])
        it.google.scopes = None
        it.use("gcp", endpoints={"google_metadata": "http://169.254.169.254"})
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        flavor = [("Metadata-Flavor", "Google")]
        for reply, said in (
            (answer(200, access_token="a", expires_in=60), "no metadata service of Google's"),
            (Reply(404, flavor), "has no service account"),
            (Reply(403, flavor), "(403)"),
            (answer(200, flavor, expires_in=60), "no access_token"),
        ):
            it.google.replies[ACCOUNT_PATH + "token"] = [reply]
            uncached(it)
            refused(it, said)
        it.google.replies[ACCOUNT_PATH + "token"] = [Reply(503, [*flavor, *AGAIN])]
        uncached(it)
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        equal((proxy.connections, it.server.connections), (0, 0))
        it.home.env["GCE_METADATA_HOST"] = "evil.test"
        it.use("gcp")
        check("GCE_METADATA_HOST must be" in error(it), "another host")
        equal(it.server.connections, 0)


@case("nothing configured: no identity is not found, at once and without a request; named it is an error")
def implicit():
    with google_scene() as it:
        config = it.home.env.pop("PULLKEY_CONFIG")
        start = time.monotonic()
        equal((it.get(HOST), it.get("gcr.io")), (None, None))
        check(time.monotonic() - start < 5, "somebody was waited for")
        equal((it.server.connections, it.machine.connections), (0, 0))
        it.home.env["GCE_METADATA_HOST"] = "169.254.169.254"
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        del it.home.env["GCE_METADATA_HOST"]
        it.home.env["PULLKEY_CONFIG"] = config
        check("set GOOGLE_APPLICATION_CREDENTIALS" in error(it), "named")
        it.home.env["NO_GCE_CHECK"] = "TRUE"
        check("NO_GCE_CHECK" in error(it), "never")


@case("a person's file is not the machine's: the kubelet's program does not look for it")
def system():
    with google_scene() as it:
        content = json.dumps({"type": "authorized_user", **it.google.user})
        os.chmod(it.home.write(".config/gcloud/application_default_credentials.json", content), 0o600)
        it.use("gcp", when={"caller": ["kubelet", "docker"]})
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        asked(it)
        question = {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "kind": "CredentialProviderRequest",
            "image": f"{HOST}/project/repository/image",
        }
        program = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
        done = it.home.run([program], json.dumps(question) + "\n")
        check(done.returncode != 0 and "no machine of Google's" in done.stderr, done.stdout + done.stderr)
        equal(asked(it), [])
        put(it, account(it))
        done = it.home.run([program], json.dumps(question) + "\n")
        check(done.returncode == 0 and "oauth2accesstoken" in done.stdout, done.stderr)
        equal(asked(it), ["POST oauth2.googleapis.com/token"])


@case("a registry that looks like one of Google's gets nothing, and nobody is asked; the option \"hosts\" adds one")
def look_alikes():
    with google_scene() as it:
        put(it, account(it))
        for host in (
            "gcr.io.evil.test",
            "evilgcr.io",
            "a.b.gcr.io",
            "x.us-docker.pkg.dev",
            "us-docker.pkg.dev.evil.test",
            "us-docker.pkg.devil.test",
            "US-Docker.PKG.dev.evil.test",
            "docker.pkg.dev",
            "docker.a.b.rep.pkg.dev",
            "gcr.io:5000",
            "http://gcr.io",
            "registry.evil.test",
        ):
            equal(it.get(host), None, host)
        equal(it.server.connections, 0)
        it.use("gcp", hosts={"mirror.corp.test": True, "other.corp.test:5000": True})
        equal(scopes_of(it, it.get("mirror.corp.test")), [CLOUD])
        equal(scopes_of(it, it.get("other.corp.test:5000")), [CLOUD])
        equal((it.get("other.corp.test"), it.get("x.mirror.corp.test")), (None, None))


@case("an address in a file: only https and the universe domain, whole labels; the options may name another")
def addresses():
    with google_scene("universe.test", "oauth2.universe.test") as it:
        path = it.home.write("token", it.google.subject())
        for url in (
            "https://evil.test/token",
            "https://oauth2.googleapis.com.evil.test/token",
            "https://evilgoogleapis.com/token",
            "http://oauth2.googleapis.com/token",
            "https://127.0.0.1/token",
            "http://127.0.0.1/token",
            "https://169.254.169.254/token",
            "https://oauth2.googleapis.com@evil.test/token",
            "https://oauth2.googleapis.com%2eevil.test/token",
            "file:///etc/passwd",
        ):
            put(it, account(it, token_uri=url))
            check("the token_uri of the service account" in error(it), url)
            put(it, external(credential_source={"file": path}, token_url=url))
            check("the token_url of the external account" in error(it), url)
        for url in ("https://evil.test/x", "http://169.254.169.255/x", "https://oauth2.googleapis.com.evil.test/x"):
            put(it, external(credential_source={"url": url}))
            check("credential_source" in error(it), url)
        equal((it.server.connections, it.machine.connections), (0, 0))
        put(it, account(it, token_uri=TOKEN_URL))
        it.google.replies["/elsewhere"] = [answer(access_token="a", expires_in=60)]
        it.use("gcp", endpoints={"token": "https://evil.test/elsewhere"})
        equal((it.get(HOST), asked(it)), ("oauth2accesstoken:a", ["POST evil.test/elsewhere"]))
        # Who acts as somebody else sends the first token on.
        it.use("gcp")
        put(it, external(credential_source={"file": path}, service_account_impersonation_url="https://evil.test/iam"))
        check("the service_account_impersonation_url of" in error(it), "impersonation")
        equal(asked(it), ["POST sts.googleapis.com/v1/token"])
        # Another universe.
        it.google.replies["/token"] = [answer(access_token="b", expires_in=600)]
        put(it, account(it, universe_domain="universe.test", token_uri="https://oauth2.universe.test/token"))
        check("universe_domain" in error(it), "the file chooses its universe")
        it.use("gcp", google={"universe_domain": "universe.test"})
        equal((it.get(HOST), asked(it)), ("oauth2accesstoken:b", ["POST oauth2.universe.test/token"]))


@case("options that are wrong are named")
def options():
    with google_scene() as it:
        for more, said in (
            ({"google": {"scope": "x"}}, "google.scope: there is no such option"),
            ({"google": {"scopes": "x"}}, "google.scopes: must be a list"),
            ({"google": {"scopes": ["a b"]}}, "must be one scope"),
            ({"google": {"credentials": "a"}}, "google.credentials: must be an absolute path"),
            ({"google": {"universe_domain": "https://x"}}, "must be a domain"),
            ({"google": {"impersonate": "me"}}, "e-mail address"),
            ({"google": {"audience": "x"}}, 'needs an "identity"'),
            ({"endpoints": {"stss": "https://a.test"}}, "no such option"),
            ({"endpoints": {"sts": "http://a.test"}}, "must be https://"),
            ({"hosts": {"a.test": "yes"}}, "must be true"),
        ):
            it.use("gcp", **more)
            refused(it, said)


if __name__ == "__main__":
    sys.exit(run())
