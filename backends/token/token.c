/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from what a machine or job already is: a provider turns its identity into a
 * credential that soon expires. Nothing is stored here; the host caches what get yields.
 */
#include <pullkey/backend.h>

#include "base/error.h"
#include "base/secret.h"
#include "exchange.h"
#include "settings.h"

struct token {
    const struct pullkey_host *host;
    struct settings settings;
};

static int token_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                      void **ret, struct pullkey_error *error)
{
    struct token *token = secret_alloc(sizeof(*token));
    int r;

    if (!token)
        return error_memory(error);
    token->host = host;
    r = settings_read(instance, &token->settings, error);
    if (r < 0) {
        secret_release(token);
        return r;
    }
    *ret = token;
    return 0;
}

static void token_close(void *state)
{
    struct token *token = state;

    settings_release(&token->settings);
    secret_release(token);
}

static int token_get(void *state, const struct pullkey_request *request,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct token *token = state;
    cleanup_exchange struct exchange exchange;
    int r = exchange_open(token->host, &token->settings, request, &exchange, error);

    if (r == 0)
        r = token->settings.provider->get(&exchange, ret, error);
    if (r == 0 && !token->settings.recipe.uses_path)
        ret->scope = PULLKEY_SCOPE_REGISTRY;
    return r;
}

/* What chooses an identity besides the options; token.inputs is the same text. */
static const char inputs[] = "env @identity.env\n"
                             "file @identity.file\n"
                             "file @identity.kubernetes.kubeconfig\n"
                             "file @identity.kubernetes.token_file\n"
                             "unless @recipe=acr @recipe=ecr @recipe=gcp @recipe=oauth\n"
                             "file @recipe\n"
                             "file DATADIR/recipes/{@recipe}.json\n"
                             "file SYSCONFDIR/recipes/{@recipe}.json\n"
                             "for @recipe=acr @recipe=ecr @recipe=gcp @recipe=oauth\n"
                             "registry\n"
                             "for @identity.kubelet @oauth.actor.kubelet "
                             "@oauth.client_assertion.kubelet @oauth.client_secret.kubelet\n"
                             "workload\n"
                             "unless @recipe=acr @recipe=ecr @recipe=gcp @recipe=oauth @identity\n"
                             "env ACTIONS_ID_TOKEN_REQUEST_TOKEN\n"
                             "env ACTIONS_ID_TOKEN_REQUEST_URL\n"
                             "env CI_JOB_TOKEN\n"
                             "workload\n"
                             "for @identity.github @oauth.actor.github "
                             "@oauth.client_assertion.github @oauth.client_secret.github\n"
                             "env ACTIONS_ID_TOKEN_REQUEST_TOKEN\n"
                             "env ACTIONS_ID_TOKEN_REQUEST_URL\n"
                             "for @oauth\n"
                             "env @oauth.actor.env\n"
                             "env @oauth.client_assertion.env\n"
                             "env @oauth.client_secret.env\n"
                             "rotated @oauth.refresh_token_file\n"
                             "file @oauth.actor.file\n"
                             "file @oauth.assertion.key\n"
                             "file @oauth.client_assertion.file\n"
                             "file @oauth.client_key\n"
                             "file @oauth.client_secret.file\n"
                             "file @oauth.actor.kubernetes.kubeconfig\n"
                             "file @oauth.actor.kubernetes.token_file\n"
                             "file @oauth.client_assertion.kubernetes.kubeconfig\n"
                             "file @oauth.client_assertion.kubernetes.token_file\n"
                             "file @oauth.client_secret.kubernetes.kubeconfig\n"
                             "file @oauth.client_secret.kubernetes.token_file\n"
                             "for @identity.kubernetes @oauth.actor.kubernetes "
                             "@oauth.client_assertion.kubernetes @oauth.client_secret.kubernetes\n"
                             "env KUBECONFIG\n"
                             "env KUBERNETES_SERVICE_HOST\n"
                             "env KUBERNETES_SERVICE_PORT\n"
                             "file /etc/kubernetes/kubeconfig-kubelet\n"
                             "file /etc/kubernetes/kubelet.conf\n"
                             "file /var/lib/k0s/kubelet.conf\n"
                             "file /var/lib/kubelet/kubeconfig\n"
                             "file /var/lib/rancher/k3s/agent/kubelet.kubeconfig\n"
                             "file /var/lib/rancher/rke2/agent/kubelet.kubeconfig\n"
                             "file /var/snap/microk8s/current/credentials/kubelet.config\n"
                             "file /var/run/secrets/kubernetes.io/serviceaccount\n"
                             "file $KUBECONFIG\n"
                             "file ~/.kube/config\n"
                             "for @recipe=acr @identity.azure @oauth.actor.azure "
                             "@oauth.client_assertion.azure @oauth.client_secret.azure\n"
                             "env AZURE_AUTHORITY_HOST\n"
                             "env AZURE_CLIENT_ID\n"
                             "env AZURE_CLIENT_SECRET\n"
                             "env AZURE_FEDERATED_TOKEN\n"
                             "env AZURE_FEDERATED_TOKEN_FILE\n"
                             "env AZURE_TENANT_ID\n"
                             "env DEFAULT_IDENTITY_CLIENT_ID\n"
                             "env IDENTITY_ENDPOINT\n"
                             "env IDENTITY_HEADER\n"
                             "env IDENTITY_SERVER_THUMBPRINT\n"
                             "env IMDS_ENDPOINT\n"
                             "env MSI_ENDPOINT\n"
                             "env MSI_SECRET\n"
                             "file $AZURE_FEDERATED_TOKEN_FILE\n"
                             "for @recipe=ecr @recipe=gcp @identity.aws @oauth.actor.aws "
                             "@oauth.client_assertion.aws @oauth.client_secret.aws\n"
                             "env AWS_ACCESS_KEY_ID\n"
                             "env AWS_CONFIG_FILE\n"
                             "env AWS_CONTAINER_AUTHORIZATION_TOKEN\n"
                             "env AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\n"
                             "env AWS_CONTAINER_CREDENTIALS_FULL_URI\n"
                             "env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI\n"
                             "env AWS_DEFAULT_PROFILE\n"
                             "env AWS_EC2_METADATA_DISABLED\n"
                             "env AWS_EC2_METADATA_SERVICE_ENDPOINT\n"
                             "env AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE\n"
                             "env AWS_ENDPOINT_URL\n"
                             "env AWS_ENDPOINT_URL_ECR\n"
                             "env AWS_ENDPOINT_URL_ECR_PUBLIC\n"
                             "env AWS_ENDPOINT_URL_SSO\n"
                             "env AWS_ENDPOINT_URL_SSO_OIDC\n"
                             "env AWS_ENDPOINT_URL_STS\n"
                             "env AWS_IGNORE_CONFIGURED_ENDPOINT_URLS\n"
                             "env AWS_LOGIN_CACHE_DIRECTORY\n"
                             "env AWS_PROFILE\n"
                             "env AWS_ROLE_ARN\n"
                             "env AWS_ROLE_SESSION_NAME\n"
                             "env AWS_SECRET_ACCESS_KEY\n"
                             "env AWS_SECURITY_TOKEN\n"
                             "env AWS_SESSION_TOKEN\n"
                             "env AWS_SHARED_CREDENTIALS_FILE\n"
                             "env AWS_USE_DUALSTACK_ENDPOINT\n"
                             "env AWS_USE_FIPS_ENDPOINT\n"
                             "env AWS_WEB_IDENTITY_TOKEN_FILE\n"
                             "file $AWS_CONFIG_FILE\n"
                             "file $AWS_SHARED_CREDENTIALS_FILE\n"
                             "file $AWS_WEB_IDENTITY_TOKEN_FILE\n"
                             "file ~/.aws/config\n"
                             "file ~/.aws/credentials\n"
                             "for @recipe=gcp @identity.gcp @oauth.actor.gcp "
                             "@oauth.client_assertion.gcp @oauth.client_secret.gcp\n"
                             "env CLOUDSDK_CONFIG\n"
                             "env CLOUD_RUN_JOB\n"
                             "env GCE_METADATA_HOST\n"
                             "env GCE_METADATA_IP\n"
                             "env GCE_METADATA_ROOT\n"
                             "env GOOGLE_API_CERTIFICATE_CONFIG\n"
                             "env GOOGLE_APPLICATION_CREDENTIALS\n"
                             "env GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES\n"
                             "env K_SERVICE\n"
                             "env NO_GCE_CHECK\n"
                             "file $CLOUDSDK_CONFIG/application_default_credentials.json\n"
                             "file $GOOGLE_APPLICATION_CREDENTIALS\n"
                             "file @google.credentials\n"
                             "file ~/.config/gcloud/application_default_credentials.json\n";

extern const struct pullkey_backend token_backend;
const struct pullkey_backend token_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(token_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "token",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_EXPIRES,
        .options = settings_table,
        .inputs = inputs,
    },
    .open = token_open,
    .get = token_get,
    .close = token_close,
};

PULLKEY_EXPORT_MODULE(token_backend);
