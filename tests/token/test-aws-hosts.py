# SPDX-License-Identifier: Apache-2.0
"""Which hosts are registries of AWS, where each of them is asked, who is nobody, and whom nobody asks."""

import sys
import time

from aws_scene import *
from tap import case, check, equal, run
from wire import Reply, Server


@case("each kind of host is asked where its region and partition are; a host of a VPC endpoint by its region")
def hosts():
    rows = (
        (HOST, "ecr", "eu-west-1", ECR),
        ("{}.dkr.ecr-fips.us-east-1.amazonaws.com", "ecr", "us-east-1", "ecr-fips.us-east-1.amazonaws.com"),
        ("{}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr", "us-gov-west-1", "ecr-fips.us-gov-west-1.amazonaws.com"),
        ("{}.dkr.ecr.us-gov-east-1.amazonaws.com", "ecr", "us-gov-east-1", "api.ecr.us-gov-east-1.amazonaws.com"),
        ("{}.dkr-ecr.eu-west-1.on.aws", "ecr", "eu-west-1", "ecr.eu-west-1.api.aws"),
        ("{}.dkr-ecr-fips.us-gov-west-1.on.aws", "ecr", "us-gov-west-1", "ecr-fips.us-gov-west-1.api.aws"),
        ("{}.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr", "cn-north-1", "api.ecr.cn-north-1.amazonaws.com.cn"),
        (
            "{}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
            "ecr",
            "cn-north-1",
            "ecr.cn-north-1.api.amazonwebservices.com.cn",
        ),
        ("{}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "ecr", "eusc-de-east-1", "api.ecr.eusc-de-east-1.amazonaws.eu"),
        ("{}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "ecr", "us-iso-east-1", "api.ecr.us-iso-east-1.c2s.ic.gov"),
        ("{}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "ecr", "us-isob-east-1", "api.ecr.us-isob-east-1.sc2s.sgov.gov"),
        ("{}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "ecr", "eu-isoe-west-1", "api.ecr.eu-isoe-west-1.cloud.adc-e.uk"),
        (
            "{}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
            "ecr",
            "us-isof-south-1",
            "api.ecr.us-isof-south-1.csp.hci.ic.gov",
        ),
        (PUBLIC, "ecr-public", "us-east-1", "api.ecr-public.us-east-1.amazonaws.com"),
        ("ecr-public.aws.com", "ecr-public", "us-east-1", "ecr-public.us-east-1.api.aws"),
    )
    with aws_scene() as it:
        be_user(it)
        it.home.env["AWS_REGION"] = "us-west-2"  # which the host decides, and nobody else
        for host, service, region, api in rows:
            host = host.format(ACCOUNT)
            for name in (host, host.upper(), f"https://{host}"):
                fine(it, "user/alice", name, service, region)
                equal(asked(it), [f"GetAuthorizationToken {api}"])
        it.use("ecr", hosts={"ecr.corp.test": "eu-west-1", "ecr.corp.test:5000": "cn-north-1"})
        fine(it, "user/alice", "ecr.corp.test")
        fine(it, "user/alice", "ecr.corp.test:5000", region="cn-north-1")
        it.home.env["AWS_USE_DUALSTACK_ENDPOINT"] = "true"
        asked(it)
        fine(it, "user/alice")
        equal(asked(it), ["GetAuthorizationToken ecr.eu-west-1.api.aws"])
        del it.home.env["AWS_USE_DUALSTACK_ENDPOINT"]
        it.home.env["AWS_USE_FIPS_ENDPOINT"] = "true"
        fine(it, "user/alice", f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", region="us-east-1")
        equal(asked(it), ["GetAuthorizationToken ecr-fips.us-east-1.amazonaws.com"])
        refused(it, "the service ecr-public has no FIPS endpoint", host=PUBLIC)


@case("what only looks like a registry of AWS is none, and nobody is asked for it")
def look_alikes():
    names = (
        f"{HOST}.evil.test",
        f"x.{HOST}",
        f"evil.test.{HOST}",
        "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
        "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.cn",
        f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.on.aws",
        f"{ACCOUNT}.dkr-ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}-dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1xamazonaws.com",
        f"{ACCOUNT}.dkr.ecr.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr-fips-x.eu-west-1.amazonaws.com",
        f"{HOST}:8443",
        f"http://{HOST}",
        "public.ecr.aws.evil.test",
        "xpublic.ecr.aws",
        "x.public.ecr.aws",
        "ecr.aws",
        "evil.test",
    )
    with aws_scene() as it:
        be_user(it)
        no_registries(it, *names)
        equal(asked(it), [])


@case("nobody: a private registry says why within two seconds, also unasked; a public one has nothing, and no error")
def no_identity():
    with aws_scene() as it:
        it.home.env["HOME"] = it.home.directory("empty")
        begin = time.monotonic()
        line = refused(it, f"{HOST} is private: no identity for AWS on this machine")
        for text in (
            "AWS_ACCESS_KEY_ID is not set",
            "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
            "~/.aws has no profile default",
            "no AWS_CONTAINER_CREDENTIALS_... is set",
        ):
            check(text in line, f"{text!r} is not in {line!r}")
        check(time.monotonic() - begin < 2, "it takes too long")
        line = refused(it, "token: no identity for AWS on this machine", host=PUBLIC)  # it is configured
        check("private" not in line, line)
        it.home.env["PULLKEY_CONFIG"] = it.home.write("empty.json", '{"version": 1}')
        refused(it, f"{HOST} is private: no identity for AWS on this machine")
        equal(it.get(PUBLIC), None)
        be_user(it)
        it.home.env["AWS_CA_BUNDLE"] = it.authority
        fine(it, "user/alice")
        fine(it, "user/alice", PUBLIC, "ecr-public", "us-east-1")


@case("the metadata service is nobody's to ask on a machine that is not Amazon's, and never through a proxy")
def gate():
    begins = {"/sys/class/dmi/id/sys_vendor": "Amazon EC2", "/sys/class/dmi/id/board_vendor": "Amazon"}
    is_amazon = False
    for path, begin in begins.items():
        try:
            with open(path, encoding="ascii") as file:
                is_amazon |= file.read().startswith(begin)
        except OSError:
            continue
    with aws_scene() as it:
        uncached(it)
        if is_amazon:
            fine(it, "machine:machine-role")
        else:
            refused(it, "this is no machine of EC2")
            equal(it.machine.connections, 0)
        with unasked_proxy(it, "amazonaws.com"):
            it.use("ecr", aws={"imds": True})
            fine(it, "machine:machine-role")
            it.home.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v2/credentials/uuid"
            fine(it, "container")


sys.exit(run())
