# SPDX-License-Identifier: Apache-2.0
"""Registries of Azure: from each identity to the credential, through the installed helper. The fakes verify what they
are sent and object to everything else.
"""

import json
import sys
import time

from azure_scene import *
from scene import MARKER, form_of
from fake_azure import CLIENT, CORRELATION, EXCHANGE_PATH, LEARNING_PATH, MACHINE_PATH
from fake_azure import SERVICE_PATH, SHELL_PATH, TENANT, answer
from tap import case, check, equal, run
from wire import Reply

NOBODY = "00000000-0000-0000-0000-000000000000"
TOKEN_PATH = f"/{TENANT}/oauth2/v2.0/token"
AGAIN = [("Retry-After", "0")]
OAUTH = {"token_url": "https://login.corp.test/token", "grant": "jwt-bearer", "username": "job"}
BOTH = [f"POST {ENTRA}{TOKEN_PATH}", f"POST {HOST}{EXCHANGE_PATH}"]


def fine(it, host=HOST, user=NOBODY):
    equal(it.get(host), f"{user}:{it.azure.refresh}", host)


def be_application(it):
    it.home.env.update(AZURE_TENANT_ID=TENANT, AZURE_CLIENT_ID=CLIENT)


def be_workload(it, **claims):
    be_application(it)
    it.home.env["AZURE_FEDERATED_TOKEN_FILE"] = it.home.write("token", it.azure.federated(**claims) + "\n")


def be_principal(it):
    be_application(it)
    it.home.env["AZURE_CLIENT_SECRET"] = it.azure.secret


@case("workload identity: assertion, token, exchange; one exchange for two calls; any case; a token that rotates")
def workload():
    with azure_scene() as it:
        be_workload(it)
        fine(it)
        equal(asked(it), BOTH)
        fine(it, HOST.upper())
        equal(asked(it), [])
        uncached(it)
        be_workload(it, sub="another")
        fine(it)
        equal(asked(it), BOTH)
        del it.home.env["AZURE_FEDERATED_TOKEN_FILE"]
        it.home.env["AZURE_FEDERATED_TOKEN"] = it.azure.federated()
        fine(it)


@case("the option identity, with the application of the options; the identity token where it is asked for")
def configured():
    with azure_scene() as it:
        path = it.home.write("token", it.azure.federated())
        azure = {"tenant": TENANT, "client_id": CLIENT}
        it.use("acr", identity={"file": path}, azure=azure)
        fine(it)
        it.use("acr", identity={"file": path}, azure={**azure, "identity_token": True})
        fine(it, user="<token>")
        it.use("acr", identity={"file": path}, azure={**azure, "identity_token": False})
        fine(it)
        it.home.env["AZURE_CLIENT_SECRET"] = "another's"
        fine(it)
        it.use("acr", identity={"file": path}, azure={"tenant": TENANT})
        check("but not its application: set AZURE_CLIENT_ID" in error(it), "no application")
        it.use("acr", identity={"file": path}, azure={"client_id": CLIENT})
        check("but not its tenant: set AZURE_TENANT_ID" in error(it), "no tenant")
        it.use("acr", identity={"file": path + "-gone"}, azure=azure)
        check("is missing" in error(it), "no token")


@case("a service principal; half of one is an error that names the other half")
def principal():
    with azure_scene() as it:
        be_principal(it)
        fine(it)
        equal(asked(it), BOTH)
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
            value = it.home.env.pop(name)
            check(f"set {name}" in error(it), f"without {name}")
            it.home.env[name] = value
        it.home.env["AZURE_TENANT_ID"] = "a/../b"
        check("must be a UUID or a domain" in error(it), "a tenant that is a path")
        it.home.env["AZURE_TENANT_ID"] = TENANT
        it.home.env["AZURE_FEDERATED_TOKEN_FILE"] = "/nowhere/token"
        check("/nowhere/token is missing" in error(it), "a workload without its token is nobody else")
        equal(asked(it), [])


@case("each cloud has its own Entra; AZURE_AUTHORITY_HOST, and the option above it")
def clouds():
    with azure_scene() as it:
        be_principal(it)
        it.azure.registries += [HOSTS[1], "team.azurecr.us", "team.azurecr.cn"]
        for host, authority in (
            (HOSTS[1], ENTRA),
            ("team.azurecr.us", "login.microsoftonline.us"),
            ("team.azurecr.cn", "login.chinacloudapi.cn"),
        ):
            it.azure.authority = authority
            fine(it, host)
            equal(asked(it), [f"POST {authority}{TOKEN_PATH}", f"POST {host}{EXCHANGE_PATH}"])
        it.azure.authority = "login.corp.test"
        for value in ("https://login.corp.test", "https://login.corp.test/"):
            it.home.env["AZURE_AUTHORITY_HOST"] = value
            fine(it)
        it.home.env["AZURE_AUTHORITY_HOST"] = "https://evil.test"
        it.use("acr", azure={"authority": "https://login.corp.test/"})
        fine(it)
        it.use("acr")
        it.home.env["AZURE_AUTHORITY_HOST"] = "http://evil.test"
        check("AZURE_AUTHORITY_HOST" in error(it) and "https://" in error(it), "plain http")


@case("another audience, as a scope and as a resource")
def audience():
    with azure_scene() as it:
        be_principal(it)
        for given, it.azure.audience in (
            ("https://management.azure.com/", "https://management.azure.com/"),
            ("https://other.test/.default", "https://other.test"),
        ):
            it.use("acr", azure={"audience": given})
            fine(it)
            it.use("acr", azure={"audience": given}, endpoints={"azure_metadata": "http://169.254.169.254"})
            secret = it.home.env.pop("AZURE_CLIENT_SECRET")
            it.azure.client = CLIENT
            fine(it)
            it.home.env["AZURE_CLIENT_SECRET"] = secret


@case("the managed identity of a machine: the only one, and one of several; never through a proxy")
def machine():
    with azure_scene() as it, unasked_proxy(it, HOST):
        it.use("acr", endpoints={"azure_metadata": "http://169.254.169.254"})
        it.azure.tenant_known = False
        fine(it)
        equal(asked(it), [f"GET machine{MACHINE_PATH}", f"POST {HOST}{EXCHANGE_PATH}"])
        it.azure.client = it.home.env["AZURE_CLIENT_ID"] = CLIENT
        fine(it)
        it.azure.client = "another"
        it.use("acr", azure={"client_id": "another"}, endpoints={"azure_metadata": "http://169.254.169.254"})
        fine(it)
        it.azure.tenant_known = True
        it.home.env["AZURE_TENANT_ID"] = TENANT
        uncached(it)
        fine(it)


@case("a machine's token as the identity of others: of the client_id of the options, else of the environment")
def machine_identity():
    with azure_scene() as it:
        place = {"azure_metadata": "http://169.254.169.254"}
        it.home.env["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}{SERVICE_PATH}"
        it.home.env["IDENTITY_HEADER"] = it.azure.header
        it.azure.managed = "https://registry.corp.test"

        def exchanged(client, **options):
            """What the token server at login.corp.test is given is the machine's."""
            it.azure.client = client
            it.azure.replies["/token"] = [answer(access_token="a-token", expires_in=600)]
            it.use("oauth", oauth=OAUTH, identity={"azure": it.azure.managed}, **options)
            uncached(it)
            equal(it.get("mirror.corp.test"), "job:a-token")
            equal(asked(it), [f"GET machine{SERVICE_PATH}", "POST login.corp.test/token"])
            _, claims = it.azure.issuer.verify(form_of(it.server.requests[-1])["assertion"])
            equal(claims["aud"], it.azure.managed)

        exchanged(None)
        it.home.env["AZURE_CLIENT_ID"] = CLIENT
        exchanged(CLIENT)
        exchanged("another", azure={"client_id": "another"})
        for wrong in ({"tenant": TENANT}, {"client_id": 1}):
            it.use("oauth", oauth=OAUTH, identity={"azure": it.azure.managed}, azure=wrong)
            check(f"azure.{next(iter(wrong))}" in it.error("mirror.corp.test"), f"{wrong} is taken")
        # The application of the options takes the machine's token as its assertion.
        del it.home.env["IDENTITY_ENDPOINT"], it.home.env["AZURE_CLIENT_ID"]
        it.azure.managed, it.azure.client = "api://AzureADTokenExchange", None
        azure = {"tenant": TENANT, "client_id": CLIENT}
        it.use("acr", identity={"azure": it.azure.managed}, azure=azure, endpoints=place)
        fine(it)
        equal(asked(it), [f"GET machine{MACHINE_PATH}", *BOTH])


@case("what a metadata service refuses, and what passes: 404 and 503 are tried again")
def machine_errors():
    with azure_scene() as it:
        it.azure.tenant_known = False
        it.use("acr", endpoints={"azure_metadata": "http://169.254.169.254"})
        unknown = answer(400, error="invalid_request", error_description="Identity not found")
        several = answer(400, error="invalid_request", error_description=f"Multiple identities exist {MARKER}")
        for replies, said in (
            ([unknown], "has no managed identity: give it one"),
            ([several], "(400: invalid_request): is the resource right? Where there are several"),
            ([answer(400, error="invalid_resource", error_description=MARKER)], "(400: invalid_resource)"),
            ([answer(400, error=MARKER)], "(400: no code)"),
            ([Reply(400, body="<html>")], "(400: no code)"),
            ([Reply(403)], "(403)"),
            ([Reply(410)] * 3, "is being set up"),
            ([Reply(429, AGAIN)] * 3, "429"),
            ([answer(expires_in="60")], "no access_token"),
            ([answer(access_token="a", expires_in="-1")], "no number of seconds"),
        ):
            it.azure.replies[MACHINE_PATH] = list(replies)
            uncached(it)
            refused(it, said)
        it.home.env["AZURE_CLIENT_ID"] = CLIENT
        it.azure.client = CLIENT
        it.azure.replies[MACHINE_PATH] = [unknown]
        check(f"does not know the managed identity {CLIENT}" in error(it), "one that is not assigned")
        it.azure.replies[MACHINE_PATH] = [several]
        uncached(it)
        refused(it, "(400: invalid_request): is it assigned to this machine")
        it.azure.replies[MACHINE_PATH] = [Reply(404), Reply(503, AGAIN)]
        fine(it)


@case("a refusal by 400 is an error, and only \"Identity not found\" is nobody: not found, where nothing is configured")
def refused_by_400():
    with azure_scene() as it:
        del it.home.env["PULLKEY_CONFIG"]
        it.home.env["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}{SERVICE_PATH}"
        it.home.env["IDENTITY_HEADER"] = it.azure.header
        for more in ({"error": "invalid_resource"}, {"error_description": "Multiple identities"}, {}):
            it.azure.replies[SERVICE_PATH] = [answer(400, **more)]
            refused(it, "refuses the managed identity of this machine (400: ")
        it.azure.replies[SERVICE_PATH] = [answer(400, error="invalid_request", error_description="Identity not found")]
        equal(it.get(HOST), None)


@case("the managed identity of an App Service, with its own header")
def app_service():
    with azure_scene() as it:
        it.azure.tenant_known = False
        it.home.env["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}{SERVICE_PATH}"
        check("no machine of Azure's" in error(it), "without the header it is something else")
        it.home.env["IDENTITY_HEADER"] = it.azure.header
        fine(it)
        equal(asked(it), [f"GET machine{SERVICE_PATH}", f"POST {HOST}{EXCHANGE_PATH}"])
        for address in ("evil.test", "metadata.google.internal", "198.51.100.1"):
            it.home.env["IDENTITY_ENDPOINT"] = f"http://{address}{SERVICE_PATH}"
            check("IDENTITY_ENDPOINT: it must be of this machine" in error(it), address)
        equal(asked(it), [])


@case("the App Service at an address of its platform's: link-local or private, over http, and never through a proxy")
def app_service_platform():
    with azure_scene() as it, unasked_proxy(it, HOST):
        it.home.env["IDENTITY_HEADER"] = it.azure.header
        it.azure.tenant_known = False
        for address in ("169.254.129.3", "169.254.130.3", "172.16.1.2"):
            it.home.env["NET_ROUTES"] += f",{address}:8081={it.machine.port}"
            it.home.env["IDENTITY_ENDPOINT"] = f"http://{address}:8081{SERVICE_PATH}"
            fine(it)
            equal(asked(it), [f"GET machine{SERVICE_PATH}", f"POST {HOST}{EXCHANGE_PATH}"])
        it.azure.replies[SERVICE_PATH] = [Reply(302, [("Location", f"http://169.254.129.3:8081{SERVICE_PATH}")])]
        uncached(it)
        refused(it, "redirects are not followed")
        equal(len(asked(it)), 1)
        # The same address is nobody's to ask without the platform's header.
        it.home.env["MSI_ENDPOINT"] = it.home.env.pop("IDENTITY_ENDPOINT")
        refused(it, "MSI_ENDPOINT: it must be of this machine")


@case("the managed identities of Machine Learning, one of several too, and of Cloud Shell, which has one alone")
def older():
    with azure_scene() as it:
        it.azure.tenant_known = False
        place = f"http://127.0.0.1:{it.machine.port}"
        it.home.env.update(MSI_ENDPOINT=place + LEARNING_PATH, MSI_SECRET=it.azure.header)
        fine(it)
        equal(asked(it), [f"GET machine{LEARNING_PATH}", f"POST {HOST}{EXCHANGE_PATH}"])
        it.home.env["DEFAULT_IDENTITY_CLIENT_ID"] = it.azure.client = CLIENT
        fine(it)
        it.azure.client = "another"
        it.use("acr", azure={"client_id": "another"})
        fine(it)
        it.use("acr")
        it.azure.client = None
        del it.home.env["MSI_SECRET"], it.home.env["DEFAULT_IDENTITY_CLIENT_ID"]
        it.home.env["MSI_ENDPOINT"] = place + SHELL_PATH
        asked(it)
        fine(it)
        equal(asked(it), [f"POST machine{SHELL_PATH}", f"POST {HOST}{EXCHANGE_PATH}"])
        it.use("acr", azure={"client_id": CLIENT})
        refused(it, "Cloud Shell has one identity and no others")
        it.use("acr")
        it.home.env["MSI_ENDPOINT"] = "http://evil.test" + SHELL_PATH
        refused(it, "MSI_ENDPOINT: it must be of this machine")
        equal(asked(it), [])


@case("Service Fabric is named as what is not known")
def fabric():
    with azure_scene() as it:
        it.home.env["IDENTITY_ENDPOINT"] = f"https://127.0.0.1:{it.machine.port}/"
        it.home.env.update(IDENTITY_HEADER=it.azure.header, IDENTITY_SERVER_THUMBPRINT="AB")
        refused(it, "Service Fabric are not known here")
        equal(it.machine.connections, 0)


@case("the end of a managed identity's token: a number, text, a time, the token's own; a life that is none is refused")
def ends():
    with azure_scene() as it:
        it.azure.tenant_known = False
        it.home.env["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}{SERVICE_PATH}"
        it.home.env["IDENTITY_HEADER"] = it.azure.header
        for life in ({"expires_on": "expires"}, {"expires_in": "600"}, {}, {"expires_on": "11/30/2026 9:00:00 AM +00:00"}):
            it.azure.life = life
            uncached(it)
            fine(it)
        for life in ({"expires_in": "-1"}, {"expires_in": "soon"}):
            it.azure.life = life
            uncached(it)
            refused(it, "expires_in")
        it.azure.replies[SERVICE_PATH] = [answer(access_token=""), Reply(200, body="<html>")]
        for said in ("no access_token", "no proper JSON"):
            uncached(it)
            refused(it, said)


@case("each refusal of Entra: its code, the correlation id and what to do; nothing of what it says beside them")
def entra_errors():
    with azure_scene() as it:
        be_workload(it)
        for error_code, number, said in (
            ("invalid_client", 700024, "outside its validity"),
            ("invalid_client", 70025, "has no federated credential"),
            ("invalid_request", 70021, "issuer, subject and audience"),
            ("invalid_client", 700211, "this issuer"),
            ("invalid_client", 700212, "this audience"),
            ("invalid_client", 700213, "this subject"),
            ("unauthorized_client", 700016, "client_id and tenant"),
            ("invalid_client", 7000215, "not its id"),
            ("invalid_client", 7000222, "make a new one"),
            ("invalid_request", 90002, "no such tenant"),
            ("invalid_resource", 500011, "audience"),
            ("invalid_scope", 70011, "sign-in logs"),
        ):
            body = {
                "error": error_code,
                "error_description": f"AADSTS{number}: {MARKER} '{CLIENT}'",
                "error_codes": [number],
                "trace_id": MARKER,
                "correlation_id": CORRELATION,
            }
            it.azure.replies[TOKEN_PATH] = [answer(401, **body)]
            line = error(it)
            for part in (
                ENTRA,
                error_code,
                f"AADSTS{number}",
                f"correlation id {CORRELATION}",
                said,
                "the token in",
                CLIENT,
            ):
                check(part in line, f"{part!r} is not in {line!r}")
        for reply, said in (
            (answer(400, error="invalid_request"), "invalid_request (the sign-in logs"),
            (answer(400, error="x", error_codes=["1"], correlation_id=MARKER), "refuses the token in"),
            (Reply(404, body="<html>"), "not as Entra would"),
            (answer(200, token_type="Bearer"), "no access_token"),
            (Reply(302, [("Location", "https://evil.test/")]), "redirect"),
        ):
            it.azure.replies[TOKEN_PATH] = [reply]
            refused(it, said)
        equal([line for line in asked(it) if EXCHANGE_PATH in line], [], "exchanges")
        it.azure.replies[TOKEN_PATH] = [Reply(503, AGAIN), Reply(429, AGAIN)]
        fine(it)


@case("each refusal of the registry; an answer that is none; the end of what it issues")
def registry_errors():
    with azure_scene() as it:
        be_principal(it)
        headers = [("x-ms-correlation-request-id", CORRELATION)]
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": MARKER}]})
        denied = body.replace("UNAUTHORIZED", "DENIED")
        for reply, said in (
            (Reply(401, headers, body), f"{HOST} refuses the secret in AZURE_CLIENT_SECRET as application {CLIENT}: 401"),
            (Reply(401, headers, body), f"401, UNAUTHORIZED, correlation id {CORRELATION} (is it of the registry's tenant"),
            (Reply(403, headers, denied), f"403, DENIED, correlation id {CORRELATION} (give it the role AcrPull"),
            (Reply(403, [("x-ms-correlation-request-id", MARKER)], MARKER), "403, no code (give it the role AcrPull"),
            (Reply(404), "404, no code (is it a registry of Azure's?)"),
            (Reply(200, body="no"), "no proper JSON"),
            (answer(200), "no refresh_token"),
            (answer(200, refresh_token=it.azure.registry.sign({"exp": int(time.time()) - 5})), "has expired already"),
            (Reply(307, [("Location", "https://evil.test/")]), "redirect"),
        ):
            it.azure.replies[EXCHANGE_PATH] = [reply]
            refused(it, said)
        it.azure.replies[EXCHANGE_PATH] = [Reply(429, AGAIN)]
        fine(it)
        # Not kept longer than it lives.
        asked(it)
        uncached(it)
        it.azure.refresh_life = 30
        fine(it)
        fine(it)
        equal(asked(it), BOTH * 2)
        # One that does not say is not kept for long either, and given out.
        it.azure.replies[EXCHANGE_PATH] = [answer(refresh_token="opaque")]
        equal(it.get(HOST), f"{NOBODY}:opaque")


@case("nothing configured: no identity is not found, at once and without a request; a refused one is an error")
def implicit():
    with azure_scene() as it:
        config = unconfigured(it, HOST, "team.azurecr.us")
        be_application(it)
        it.home.env["AZURE_CLIENT_SECRET"] = it.azure.secret
        it.home.env["AZURE_AUTHORITY_HOST"] = f"http://127.0.0.1:{it.machine.port}"
        it.azure.replies[TOKEN_PATH] = [answer(401, error="invalid_client", error_codes=[7000215])]
        check("AADSTS7000215" in error(it), "an identity that is refused is an error")
        for name in ("AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
            del it.home.env[name]
        it.home.env["PULLKEY_CONFIG"] = config
        line = error(it)
        check("AZURE_FEDERATED_TOKEN_FILE" in line and "AZURE_CLIENT_SECRET" in line, line)


@case("a registry that looks like one of Azure's gets nothing, and nobody is asked; the option \"hosts\" adds one")
def look_alikes():
    with azure_scene() as it:
        be_workload(it)
        no_registries(
            it,
            "x.azurecr.io.evil.test",
            "X.AzureCR.io.evil.test",
            "xazurecr.io",
            "azurecr.io",
            "team.azurecr.iou.test",
            "team.azurecr.de",
            "team.westeurope.data.azurecr.io",
            "a.b.azurecr.io",
            "team.azurecr.io:5000",
            "http://team.azurecr.io",
            "mcr.microsoft.com",
            "evil.test",
        )
        it.use("acr", hosts={"mirror.corp.test": True})
        it.azure.registries.append("mirror.corp.test")
        fine(it, "mirror.corp.test")
        equal(asked(it), [BOTH[0], f"POST mirror.corp.test{EXCHANGE_PATH}"])


@case("options that are wrong are named")
def options():
    with azure_scene() as it:
        for more, said in (
            ({"azure": {"tenent": "x"}}, "azure.tenent: there is no such option"),
            ({"azure": {"tenant": 1}}, "azure.tenant: must be text"),
            ({"azure": {"identity_token": "yes"}}, "must be true or false"),
            ({"azure": {"authority": "http://a.test"}}, "must be an https:// address"),
            ({"endpoints": {"exchange": "https://a.test"}}, "no such option"),
            ({"hosts": {"a.test": "yes"}}, "must be true"),
            ({"identity": {"files": "/a"}}, "no such source"),
        ):
            it.use("acr", **more)
            refused(it, said)


if __name__ == "__main__":
    sys.exit(run())
