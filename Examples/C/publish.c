/*
 * Publishes one event and waits for its commit.
 *
 *     publish dormouse://127.0.0.1:3673/main order.created '{"id":1}'
 */
#include <dormouse.h>

#include <stdio.h>

static int fail(dormouse *client, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, dormouse_error(client));
    dormouse_free(client);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: publish URI KEY PAYLOAD\n");
        return 64;
    }
    dormouse *client = dormouse_new();
    if (client == NULL)
        return 70;
    if (dormouse_set_uri(client, argv[1]) != DORMOUSE_OK
        || dormouse_connect(client, 5000) != DORMOUSE_OK)
        return fail(client, "cannot connect");

    dormouse_event event = {0};
    event.key = dormouse_text(argv[2]);
    event.payload = dormouse_text(argv[3]);
    dormouse_published published;
    if (dormouse_publish(client, &event, 1, 5000, &published) != DORMOUSE_OK)
        return fail(client, "cannot publish");
    printf("stored at position %llu\n", (unsigned long long)published.first_position);

    dormouse_close(client, 1000);
    dormouse_free(client);
    return 0;
}
