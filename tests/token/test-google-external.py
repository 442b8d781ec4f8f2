# SPDX-License-Identifier: Apache-2.0
"""Registries of Google for who is known elsewhere: tokens of others in files, at URLs and from programs, keys of AWS, a
certificate, and the identity of the configuration. STS exchanges each of them.
"""

import json
import os
import ssl
import sys

from google_scene import *
from scene import certs
from fake_google import AWS_REQUEST, CLOUD, POOL, TYPE, answer
from tap import case, check, equal, run
from wire import Reply, Server

AWS_SOURCE = {
    "environment_id": "aws1",
    "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
}


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


if __name__ == "__main__":
    sys.exit(run())
