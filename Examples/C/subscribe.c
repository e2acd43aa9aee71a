/*
 * Prints the events of a named subscription, and acknowledges what it printed. Run it again, and it goes on where
 * it was; run it with COUNT to end after so many events.
 *
 *     subscribe dormouse://127.0.0.1:3673/main mailer 'order.*' [COUNT]
 */
#include <dormouse.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(dormouse *client, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, dormouse_error(client));
    dormouse_free(client);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: subscribe URI NAME PATTERN [COUNT]\n");
        return 64;
    }
    long left = argc == 5 ? strtol(argv[4], NULL, 10) : -1;
    dormouse *client = dormouse_new();
    if (client == NULL)
        return 70;
    if (dormouse_set_uri(client, argv[1]) != DORMOUSE_OK
        || dormouse_connect(client, 5000) != DORMOUSE_OK)
        return fail(client, "cannot connect");

    const char *patterns[] = {argv[3]};
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = argv[2];
    options.patterns = patterns;
    options.pattern_count = 1;
    options.start = DORMOUSE_FIRST; /* only for a new name; a known one goes on where it was */
    dormouse_subscription *subscription;
    if (dormouse_subscribe(client, &options, 5000, &subscription) != DORMOUSE_OK)
        return fail(client, "cannot subscribe");

    const dormouse_event *event;
    dormouse_status status = DORMOUSE_OK;
    while (left != 0 && (status = dormouse_next(subscription, &event, -1)) == DORMOUSE_OK) {
        printf("%llu %.*s %.*s\n", (unsigned long long)event->position, (int)event->key.size,
               (const char *)event->key.data, (int)event->payload.size,
               (const char *)event->payload.data);
        fflush(stdout);
        /* Now it is processed, and will not come again. */
        dormouse_acknowledge(subscription, event->position);
        if (left > 0)
            left--;
    }
    if (status != DORMOUSE_OK)
        fprintf(stderr, "the subscription ended: %s\n", dormouse_end_error(subscription));

    dormouse_unsubscribe(subscription);
    dormouse_close(client, 1000); /* the acknowledgements leave */
    dormouse_free(client);
    return status == DORMOUSE_OK ? 0 : 1;
}
