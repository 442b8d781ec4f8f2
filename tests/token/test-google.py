# SPDX-License-Identifier: Apache-2.0
"""Registries of Google: from each identity to the credential, through the installed helper. The fakes verify what they
are sent and object to everything else.
"""

import json
import os
import sys
import time

from google_scene import *
from fake_google import ACCOUNT_PATH, CLOUD, IAM, POOL, TOKEN_URL, answer
from tap import case, check, equal, run
from wire import Reply

READ = "https://www.googleapis.com/auth/devstorage.read_only"
UNKNOWN = "Unable to generate access token; IAM returned 404 Not Found: Not found; Gaia id not found for email a@b.test"


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


@case("the metadata service: at its name and its address, never through a proxy, and it must say that it is Google's")
def metadata():
    with google_scene() as it, unasked_proxy(it):
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
            (Reply(404, flavor, UNKNOWN), "check the annotation iam.gke.io/gcp-service-account"),
            (Reply(403, flavor), "(403)"),
            (answer(200, flavor, expires_in=60), "no access_token"),
        ):
            it.google.replies[ACCOUNT_PATH + "token"] = [reply]
            uncached(it)
            refused(it, said)
        # Who has no account is nobody; one that IAM does not know is one.
        it.use("gcp", optional=True)
        it.google.replies[ACCOUNT_PATH + "token"] = [Reply(404, flavor)]
        it.home.env["GCE_METADATA_HOST"] = "169.254.169.254"
        equal(it.get(HOST), None)
        it.google.replies[ACCOUNT_PATH + "token"] = [Reply(404, flavor, UNKNOWN)] * 2
        uncached(it)
        refused(it, "IAM does not know the service account")
        config = it.home.env.pop("PULLKEY_CONFIG")
        refused(it, "IAM does not know the service account")
        it.home.env["PULLKEY_CONFIG"] = config
        asked(it)
        it.google.replies[ACCOUNT_PATH + "token"] = [Reply(503, [*flavor, *AGAIN])]
        uncached(it)
        equal(scopes_of(it, it.get(HOST)), [CLOUD])
        equal(it.server.connections, 0)
        it.home.env["GCE_METADATA_HOST"] = "evil.test"
        it.use("gcp")
        check("GCE_METADATA_HOST must be" in error(it), "another host")
        it.home.env["GCE_METADATA_IP"] = it.home.env.pop("GCE_METADATA_HOST")
        check("GCE_METADATA_IP must be" in error(it), "another address")
        equal(it.server.connections, 0)


@case("Cloud Run, which shows no firmware: K_SERVICE and CLOUD_RUN_JOB lead to the metadata service; GCE_METADATA_IP too")
def cloud_run():
    with google_scene() as it, unasked_proxy(it):
        found = [f"GET metadata{ACCOUNT_PATH}token"]
        del it.home.env["PULLKEY_CONFIG"]
        equal(it.get(HOST), None)
        it.use("gcp")
        for name, value in (("K_SERVICE", "service"), ("CLOUD_RUN_JOB", "job")):
            refused(it, "this is no machine of Google's")
            it.home.env[name] = value
            equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], ["GET metadata/", *found]))
            it.home.env["NO_GCE_CHECK"] = "true"
            refused(it, "NO_GCE_CHECK keeps from asking the machine")
            del it.home.env["NO_GCE_CHECK"], it.home.env[name]
        it.home.env["GCE_METADATA_IP"] = "169.254.169.254"
        equal((scopes_of(it, it.get(HOST)), asked(it)), ([CLOUD], found))


@case("Knative on machines of others, where something else or nobody has that address: public images need nothing")
def knative():
    with google_scene() as it:
        nowhere = it.home.env["NET_ROUTES"].replace("169.254.169.254", "198.51.100.9")
        config = it.home.env["PULLKEY_CONFIG"]
        for name, said in (("K_SERVICE", None), ("CLOUD_RUN_JOB", "no metadata service of Google's")):
            it.home.env[name] = "another"
            for replies in ([Reply(404)], [Reply(503, AGAIN)] * 3):
                it.google.replies = {"/": [Reply(200)] * 2, ACCOUNT_PATH + "token": replies * 2}
                elsewhere(it, config, said if replies[0].status == 404 else said and "503")
            it.google.replies.clear()
            del it.home.env[name]
        it.home.env.update(NET_ROUTES=nowhere, K_SERVICE="another")
        start = time.monotonic()
        elsewhere(it, config, None)
        check(time.monotonic() - start < 10, "somebody was waited for")
        del it.home.env["K_SERVICE"]
        it.home.env["CLOUD_RUN_JOB"] = "another"
        elsewhere(it, config, "the metadata service of this machine does not answer")


def elsewhere(it, config, said):
    """Without a configuration, and with one that asks for it; an error in both if `said`."""
    for path in (None, config):
        uncached(it)
        it.home.env.pop("PULLKEY_CONFIG", None)
        it.home.env.update({"PULLKEY_CONFIG": path} if path else {})
        if said or path:
            refused(it, said or "this is no machine of Google's", host="gcr.io")
        else:
            equal(it.get("gcr.io"), None)


@case("nothing configured: no identity is not found, at once and without a request; named it is an error")
def implicit():
    with google_scene() as it:
        config = unconfigured(it, HOST, "gcr.io")
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
        no_registries(
            it,
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
        )
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
