#include "options.h"

#include <stdlib.h>
#include <string.h>

enum option_type { TEXT, NUMBER, SEQUENCE, YES_NO, TLS_MODE };

/* The table that dormouse.h documents. */
struct option {
    const char *name;
    enum option_type type;
    size_t offset;
    uint32_t least;
    uint32_t most;
};

#define AT(member) offsetof(struct dm_options, member)

static const struct option options_known[] = {
    {"client", TEXT, AT(client), 0, 256},
    {"token", TEXT, AT(token), 0, DM_TOKEN_BYTES_MAX},
    {"token_file", TEXT, AT(token_file), 0, 4096},
    {"insecure_token", YES_NO, AT(insecure_token), 0, 0},
    {"compression", YES_NO, AT(compression), 0, 0},
    {"exchange", TEXT, AT(exchange), 0, 128},
    {"producer", TEXT, AT(producer), 0, 128},
    {"sequence", SEQUENCE, AT(sequence), 0, 0},
    {"tls", TLS_MODE, AT(tls), 0, 0},
    {"ca_file", TEXT, AT(ca_file), 0, 4096},
    {"cert_file", TEXT, AT(cert_file), 0, 4096},
    {"key_file", TEXT, AT(key_file), 0, 4096},
    {"tls_name", TEXT, AT(tls_name), 0, 255},
    {"connect_timeout_ms", NUMBER, AT(connect_timeout_ms), 1, 3600000},
    {"heartbeat_ms", NUMBER, AT(heartbeat_ms), 100, 3600000},
    {"reconnect", YES_NO, AT(reconnect), 0, 0},
    {"reconnect_min_ms", NUMBER, AT(reconnect_min_ms), 1, 3600000},
    {"reconnect_max_ms", NUMBER, AT(reconnect_max_ms), 1, 3600000},
    {"window_events", NUMBER, AT(window_events), 1, 100000000},
    {"window_bytes", NUMBER, AT(window_bytes), 65536, 1 << 30},
};

void dm_options_init(struct dm_options *options)
{
    memset(options, 0, sizeof(*options));
    options->reconnect = true;
    options->connect_timeout_ms = 10000;
    options->reconnect_min_ms = 50;
    options->reconnect_max_ms = 5000;
    /* A commit of some 10 ms under way at a million events a second, several times over. */
    options->window_events = 131072;
    options->window_bytes = 16 << 20;
}

static void free_hosts(struct dm_options *options)
{
    for (size_t i = 0; i < options->host_count; i++) {
        free(options->hosts[i].name);
        free(options->hosts[i].port);
    }
    options->host_count = 0;
}

void dm_options_free(struct dm_options *options)
{
    free_hosts(options);
    for (size_t i = 0; i < sizeof(options_known) / sizeof(options_known[0]); i++)
        if (options_known[i].type == TEXT)
            free(*(char **)(void *)((char *)options + options_known[i].offset));
    memset(options, 0, sizeof(*options));
}

char *dm_text_duplicate(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = 0;
    }
    return copy;
}

static bool parse_digits(const char *text, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;
    if (*text == 0)
        return false;
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

static bool parse_number(const char *text, uint32_t *number)
{
    uint64_t value;
    if (!parse_digits(text, UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool parse_tls(const char *text, enum dm_tls *tls)
{
    if (strcmp(text, "off") == 0)
        *tls = DM_TLS_OFF;
    else if (strcmp(text, "require") == 0)
        *tls = DM_TLS_REQUIRE;
    else if (strcmp(text, "verify-full") == 0)
        *tls = DM_TLS_VERIFY;
    else
        return false;
    return true;
}

static dormouse_status set_text(const struct option *option, char **target, const char *value,
                                struct dm_failure *failure)
{
    size_t size = strlen(value);
    if (size > option->most)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "the option %s has %zu bytes; expected at most %u",
                       option->name, size, option->most);
    char *copy = dm_text_duplicate(value, size);
    if (copy == NULL)
        return dm_fail_memory(failure);
    free(*target);
    *target = copy;
    return DORMOUSE_OK;
}

static dormouse_status set_known(struct dm_options *options, const struct option *option,
                                 const char *value, struct dm_failure *failure)
{
    void *target = (char *)options + option->offset;
    uint32_t number;
    switch (option->type) {
    case TEXT:
        return set_text(option, target, value, failure);
    case NUMBER:
        if (!parse_number(value, &number) || number < option->least || number > option->most)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                           "the option %s is '%s'; expected a number from %u to %u", option->name,
                           value, option->least, option->most);
        *(uint32_t *)target = number;
        return DORMOUSE_OK;
    case SEQUENCE: {
        uint64_t sequence;
        if (!parse_digits(value, INT64_MAX, &sequence) || sequence == 0)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                           "the option %s is '%s'; expected a number from 1 to %lld", option->name,
                           value, (long long)INT64_MAX);
        *(uint64_t *)target = sequence;
        return DORMOUSE_OK;
    }
    case YES_NO:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "the option %s is '%s'; expected yes or no",
                           option->name, value);
        *(bool *)target = strcmp(value, "yes") == 0;
        return DORMOUSE_OK;
    case TLS_MODE:
        if (!parse_tls(value, target))
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                           "the option %s is '%s'; expected off, require or verify-full",
                           option->name, value);
        return DORMOUSE_OK;
    }
    return DORMOUSE_OK;
}

dormouse_status dm_options_set(struct dm_options *options, const char *name, const char *value,
                               struct dm_failure *failure)
{
    for (size_t i = 0; i < sizeof(options_known) / sizeof(options_known[0]); i++)
        if (strcmp(options_known[i].name, name) == 0)
            return set_known(options, &options_known[i], value, failure);
    return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                   "there is no option '%s'; dormouse_set(3) and dormouse.h list them", name);
}

/* ---- URI ---- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* A part of the URI with %XX replaced; NULL, with the failure set, when that is not possible. */
static char *decoded(const char *text, size_t size, struct dm_failure *failure)
{
    char *result = malloc(size + 1);
    if (result == NULL) {
        dm_fail_memory(failure);
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            result[used++] = text[i];
            continue;
        }
        int high = i + 2 < size ? hex_value(text[i + 1]) : -1;
        int low = i + 2 < size ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            free(result);
            dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                    "the URI has a %% that two hexadecimal digits do not follow; write a percent sign as %%25");
            return NULL;
        }
        result[used++] = (char)(high * 16 + low);
        i += 2;
    }
    result[used] = 0;
    return result;
}

static dormouse_status set_part(struct dm_options *options, const char *name, const char *text,
                                size_t size, struct dm_failure *failure)
{
    char *value = decoded(text, size, failure);
    if (value == NULL)
        return failure->status;
    dormouse_status status = dm_options_set(options, name, value, failure);
    free(value);
    return status;
}

static dormouse_status add_host(struct dm_options *options, const char *name, size_t name_size,
                                const char *port, size_t port_size, struct dm_failure *failure)
{
    if (options->host_count == DM_HOSTS_MAX)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "the URI has more than %d hosts", DM_HOSTS_MAX);
    struct dm_host host = {decoded(name, name_size, failure), NULL};
    if (host.name == NULL)
        return failure->status;
    if (port != NULL && (host.port = dm_text_duplicate(port, port_size)) == NULL) {
        free(host.name);
        return dm_fail_memory(failure);
    }
    options->hosts[options->host_count++] = host;
    return DORMOUSE_OK;
}

/* HOST, HOST:PORT or [ADDRESS]:PORT */
static dormouse_status parse_host(struct dm_options *options, const char *text, size_t size,
                                  struct dm_failure *failure)
{
    const char *end = text + size;
    const char *name = text;
    const char *name_end = end;
    const char *port = memchr(text, ':', size);
    if (size > 0 && text[0] == '[') {
        name++;
        name_end = memchr(text, ']', size);
        if (name_end == NULL)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "the URI has a [ without a ]");
        port = name_end + 1 < end ? name_end + 1 : NULL;
    } else if (port != NULL) {
        name_end = port;
    }
    if (name == name_end)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the URI has no host; expected dormouse://HOST:PORT/EXCHANGE");
    if (port == NULL)
        return add_host(options, name, (size_t)(name_end - name), DM_PORT_DEFAULT,
                        strlen(DM_PORT_DEFAULT), failure);
    char digits[6] = "";
    uint32_t number;
    size_t port_size = (size_t)(end - port) - 1;
    if (port_size < sizeof(digits))
        memcpy(digits, port + 1, port_size);
    if (*port != ':' || !parse_number(digits, &number) || number == 0 || number > 65535)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the URI has a port that is not a number from 1 to 65535");
    return add_host(options, name, (size_t)(name_end - name), port + 1, port_size, failure);
}

static dormouse_status parse_authority(struct dm_options *options, const char *text,
                                       const char *end, struct dm_failure *failure)
{
    const char *at = memchr(text, '@', (size_t)(end - text));
    if (at != NULL) {
        dormouse_status status = set_part(options, "token", text, (size_t)(at - text), failure);
        if (status != DORMOUSE_OK)
            return status;
        text = at + 1;
    }
    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *host_end = comma == NULL ? end : comma;
        dormouse_status status = parse_host(options, text, (size_t)(host_end - text), failure);
        if (status != DORMOUSE_OK || comma == NULL)
            return status;
        text = comma + 1;
    }
}

static dormouse_status parse_query(struct dm_options *options, const char *text,
                                   struct dm_failure *failure)
{
    while (*text != 0) {
        size_t size = strcspn(text, "&");
        const char *equals = memchr(text, '=', size);
        char name[32];
        size_t name_size = equals == NULL ? size : (size_t)(equals - text);
        if (equals == NULL || name_size >= sizeof(name))
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                           "the URI's options are not OPTION=VALUE with & between them");
        memcpy(name, text, name_size);
        name[name_size] = 0;
        dormouse_status status =
            set_part(options, name, equals + 1, size - name_size - 1, failure);
        if (status != DORMOUSE_OK)
            return status;
        text += size;
        if (*text == '&')
            text++;
    }
    return DORMOUSE_OK;
}

static dormouse_status parse_tcp(struct dm_options *options, const char *rest, size_t size,
                                 struct dm_failure *failure)
{
    const char *slash = memchr(rest, '/', size);
    const char *end = rest + size;
    dormouse_status status =
        parse_authority(options, rest, slash == NULL ? end : slash, failure);
    if (status == DORMOUSE_OK && slash != NULL && slash + 1 < end)
        status = set_part(options, "exchange", slash + 1, (size_t)(end - slash) - 1, failure);
    return status;
}

dormouse_status dm_options_set_uri(struct dm_options *options, const char *uri,
                                   struct dm_failure *failure)
{
    const char *question = strchr(uri, '?');
    size_t size = question == NULL ? strlen(uri) : (size_t)(question - uri);
    dormouse_status status;
    free_hosts(options);
    if (strncmp(uri, "dormouse://", 11) == 0) {
        status = parse_tcp(options, uri + 11, size - 11, failure);
    } else if (strncmp(uri, "dormouses://", 12) == 0) {
        options->tls = DM_TLS_VERIFY;
        status = parse_tcp(options, uri + 12, size - 12, failure);
    } else if (strncmp(uri, "unix:", 5) == 0) {
        /* unix:///run/x has an empty host. */
        size_t skipped = strncmp(uri + 5, "//", 2) == 0 ? 7 : 5;
        if (size <= skipped)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "the URI has no path; expected unix:/PATH");
        status = add_host(options, uri + skipped, size - skipped, NULL, 0, failure);
    } else {
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the URI does not begin with dormouse://, dormouses:// or unix:; expected for example "
                       "dormouse://127.0.0.1:3673/main");
    }
    if (status == DORMOUSE_OK && question != NULL)
        status = parse_query(options, question + 1, failure);
    return status;
}
