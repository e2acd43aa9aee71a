#include "client.h"

#include <stdlib.h>

/* As many as the server allows; what is beyond is not shown. */
#define CREDENTIALS_MAX 16
#define GRANTS_MAX 64

static dormouse_status check(dormouse *client, const char *name, bool has_callback)
{
    dormouse_status status = dm_check_listing(client, has_callback);
    if (status != DORMOUSE_OK)
        return status;
    return name == NULL ? dm_bad(client, "the name is NULL") : DORMOUSE_OK;
}

static bool tell(const Dormouse__V1__PrincipalInfo *each, dormouse_bytes token,
                 dormouse_principal_callback callback, void *context)
{
    dormouse_credential_info credentials[CREDENTIALS_MAX];
    dormouse_grant_info grants[GRANTS_MAX];
    dormouse_principal_info info;
    memset(&info, 0, sizeof(info));
    info.token = token;
    info.credentials = credentials;
    info.grants = grants;
    if (each == NULL)
        return callback(context, &info);
    info.name = dm_lent(each->name);
    info.revoked = each->revoked != 0;
    info.created_at = each->created_at;
    info.connections = each->connections;
    while (info.credential_count < each->n_credentials && info.credential_count < CREDENTIALS_MAX) {
        const Dormouse__V1__CredentialInfo *credential = each->credentials[info.credential_count];
        dormouse_credential_info *target = &credentials[info.credential_count++];
        target->id = dm_lent(credential->id);
        target->kind = (dormouse_credential_kind)credential->kind;
        target->subject = dm_lent(credential->subject);
        target->created_at = credential->created_at;
        target->ends_at = credential->ends_at;
    }
    while (info.grant_count < each->n_grants && info.grant_count < GRANTS_MAX) {
        const Dormouse__V1__PrincipalGrant *grant = each->grants[info.grant_count];
        dormouse_grant_info *target = &grants[info.grant_count++];
        target->right = (dormouse_right)grant->right;
        target->exchange = dm_lent(grant->exchange);
        target->pattern = dm_lent(grant->pattern);
        target->name_prefix = dm_lent(grant->name_prefix);
    }
    return callback(context, &info);
}

/* Calls a method that changes a principal, and tells what it is then. */
static dormouse_status change(dormouse *client, enum dm_method method, const ProtobufCMessage *request,
                              int timeout_ms, dormouse_principal_callback callback, void *context)
{
    struct dm_lent_reply reply;
    dormouse_status status = dm_call_lent(client, method, request, &dormouse__v1__principal_reply__descriptor,
                                          true, timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    const Dormouse__V1__PrincipalReply *changed = (const Dormouse__V1__PrincipalReply *)reply.message;
    tell(changed->principal, dm_lent(changed->token), callback, context);
    dormouse_arena_free(reply.arena);
    return DORMOUSE_OK;
}

/* The grants as messages. The caller frees what is returned, which is NULL without memory. */
struct sent_grants {
    Dormouse__V1__PrincipalGrant *list[GRANTS_MAX];
    Dormouse__V1__PrincipalGrant grants[GRANTS_MAX];
};

static dormouse_status send_grants(dormouse *client, const dormouse_grant *grants, size_t count,
                                   struct sent_grants **sent)
{
    *sent = NULL;
    if (count > GRANTS_MAX || (count > 0 && grants == NULL))
        return dm_bad(client, "the grants are NULL, or more than a principal may have");
    *sent = calloc(1, sizeof(**sent));
    if (*sent == NULL)
        return dm_fail_memory(&client->failure);
    for (size_t i = 0; i < count; i++) {
        Dormouse__V1__PrincipalGrant *target = (*sent)->list[i] = &(*sent)->grants[i];
        dormouse__v1__principal_grant__init(target);
        target->right = (Dormouse__V1__Right)grants[i].right;
        target->exchange = dm_binary(dm_exchange(client, grants[i].exchange));
        target->pattern = dm_binary(grants[i].pattern);
        target->name_prefix = dm_binary(grants[i].name_prefix);
    }
    return DORMOUSE_OK;
}

dormouse_status dormouse_add_principal(dormouse *client, const char *name, dormouse_credential_kind kind,
                                       const char *subject, const dormouse_grant *grants,
                                       size_t grant_count, int timeout_ms,
                                       dormouse_principal_callback callback, void *context)
{
    dormouse_status status = check(client, name, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    struct sent_grants *sent;
    status = send_grants(client, grants, grant_count, &sent);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__AddPrincipalRequest request = DORMOUSE__V1__ADD_PRINCIPAL_REQUEST__INIT;
    request.name = dm_binary(name);
    request.credential = (Dormouse__V1__CredentialKind)kind;
    request.subject = dm_binary(subject);
    request.grants = sent->list;
    request.n_grants = grant_count;
    status = change(client, DM_ADD_PRINCIPAL, &request.base, timeout_ms, callback, context);
    free(sent);
    return status;
}

dormouse_status dormouse_grant_principal(dormouse *client, const char *name, const dormouse_grant *grants,
                                         size_t grant_count, int timeout_ms,
                                         dormouse_principal_callback callback, void *context)
{
    dormouse_status status = check(client, name, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    struct sent_grants *sent;
    status = send_grants(client, grants, grant_count, &sent);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__GrantPrincipalRequest request = DORMOUSE__V1__GRANT_PRINCIPAL_REQUEST__INIT;
    request.name = dm_binary(name);
    request.grants = sent->list;
    request.n_grants = grant_count;
    status = change(client, DM_GRANT_PRINCIPAL, &request.base, timeout_ms, callback, context);
    free(sent);
    return status;
}

dormouse_status dormouse_revoke_principal(dormouse *client, const char *name, const dormouse_grant *grants,
                                          size_t grant_count, const char *const *credentials,
                                          size_t credential_count, int timeout_ms,
                                          dormouse_principal_callback callback, void *context)
{
    dormouse_status status = check(client, name, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    ProtobufCBinaryData ids[CREDENTIALS_MAX];
    if (credential_count > CREDENTIALS_MAX || (credential_count > 0 && credentials == NULL))
        return dm_bad(client, "the credentials are NULL, or more than a principal may have");
    for (size_t i = 0; i < credential_count; i++)
        ids[i] = dm_binary(credentials[i]);
    struct sent_grants *sent;
    status = send_grants(client, grants, grant_count, &sent);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__RevokePrincipalRequest request = DORMOUSE__V1__REVOKE_PRINCIPAL_REQUEST__INIT;
    request.name = dm_binary(name);
    request.grants = sent->list;
    request.n_grants = grant_count;
    request.credentials = ids;
    request.n_credentials = credential_count;
    status = change(client, DM_REVOKE_PRINCIPAL, &request.base, timeout_ms, callback, context);
    free(sent);
    return status;
}

dormouse_status dormouse_rotate_principal(dormouse *client, const char *name,
                                          dormouse_credential_kind kind, const char *subject,
                                          uint64_t grace_ms, int timeout_ms,
                                          dormouse_principal_callback callback, void *context)
{
    dormouse_status status = check(client, name, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__RotatePrincipalRequest request = DORMOUSE__V1__ROTATE_PRINCIPAL_REQUEST__INIT;
    request.name = dm_binary(name);
    request.credential = (Dormouse__V1__CredentialKind)kind;
    request.subject = dm_binary(subject);
    request.grace_ms = grace_ms;
    return change(client, DM_ROTATE_PRINCIPAL, &request.base, timeout_ms, callback, context);
}

dormouse_status dormouse_list_principals(dormouse *client, const char *prefix, int timeout_ms,
                                         dormouse_principal_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    static const dormouse_bytes none;
    struct dm_page_token token;
    Dormouse__V1__ListPrincipalsRequest request = DORMOUSE__V1__LIST_PRINCIPALS_REQUEST__INIT;
    request.name_prefix = dm_binary(prefix);
    bool goes_on = true;
    while (goes_on) {
        struct dm_lent_reply reply;
        status = dm_call_lent(client, DM_LIST_PRINCIPALS, &request.base,
                              &dormouse__v1__list_principals_reply__descriptor, true, timeout_ms, &reply);
        if (status != DORMOUSE_OK)
            return status;
        const Dormouse__V1__ListPrincipalsReply *list =
            (const Dormouse__V1__ListPrincipalsReply *)reply.message;
        for (size_t i = 0; goes_on && i < list->n_principals; i++)
            goes_on = tell(list->principals[i], none, callback, context);
        goes_on = goes_on
                  && dm_take_token(&token, list->next_page_token, list->n_principals, &request.page_token);
        dormouse_arena_free(reply.arena);
    }
    return DORMOUSE_OK;
}
