/*
 * In a program's own event loop: watches the connection and standard input with poll. Each line that is typed is
 * published; what is published by anybody is printed. Nothing here waits anywhere but in poll.
 *
 *     event_loop dormouse://127.0.0.1:3673/main chat.room
 */
#include <dormouse.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has_ended;

static void on_events(void *context, dormouse_subscription *subscription,
                      const dormouse_batch *batch)
{
    (void)context;
    for (size_t i = 0; i < batch->event_count; i++)
        printf("> %.*s\n", (int)batch->events[i].payload.size,
               (const char *)batch->events[i].payload.data);
    fflush(stdout);
    dormouse_acknowledge(subscription, batch->upto);
}

static void on_end(void *context, dormouse_subscription *subscription, dormouse_status status,
                   const char *error)
{
    (void)context;
    (void)subscription;
    fprintf(stderr, "the subscription ended (%s): %s\n", dormouse_status_text(status), error);
    has_ended = true;
}

static void on_published(void *context, const dormouse_published *result)
{
    (void)context;
    if (result->status != DORMOUSE_OK)
        fprintf(stderr, "not published: %s\n", result->error);
}

static void publish_line(dormouse *client, const char *key, const char *line, size_t size)
{
    dormouse_event event = {0};
    event.key = dormouse_text(key);
    event.payload.data = line;
    event.payload.size = size;
    /* Copied; sent by dormouse_process. */
    if (dormouse_publish_async(client, &event, 1, 0, on_published, NULL) != DORMOUSE_OK)
        fprintf(stderr, "not queued: %s\n", dormouse_error(client));
}

/* False at the end of the input. */
static bool read_lines(dormouse *client, const char *key)
{
    static char text[4096];
    static size_t used;
    ssize_t count = read(STDIN_FILENO, text + used, sizeof(text) - used);
    if (count <= 0)
        return false;
    used += (size_t)count;
    size_t start = 0;
    for (size_t i = 0; i < used; i++)
        if (text[i] == '\n') {
            publish_line(client, key, text + start, i - start);
            start = i + 1;
        }
    if (start == 0 && used == sizeof(text)) { /* a long line, in pieces */
        publish_line(client, key, text, used);
        start = used;
    }
    memmove(text, text + start, used - start);
    used -= start;
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: event_loop URI KEY\n");
        return 64;
    }
    dormouse *client = dormouse_new();
    if (client == NULL || dormouse_set_uri(client, argv[1]) != DORMOUSE_OK) {
        fprintf(stderr, "%s\n", dormouse_error(client));
        return 64;
    }
    /* Timeout 0 begins; the loop goes on with it. */
    dormouse_connect(client, 0);
    const char *patterns[] = {argv[2]};
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.patterns = patterns;
    options.pattern_count = 1;
    options.on_events = on_events;
    options.on_end = on_end;
    dormouse_subscription *subscription;
    if (dormouse_subscribe(client, &options, 0, &subscription) != DORMOUSE_OK) {
        fprintf(stderr, "%s\n", dormouse_error(client));
        return 1;
    }

    bool is_input_open = true;
    while (!has_ended && (is_input_open || dormouse_pending_events(client) > 0)) {
        /* All three change from turn to turn. */
        unsigned wants = dormouse_wants(client);
        struct pollfd watched[2] = {
            {dormouse_fd(client), 0, 0},
            /* Lines are taken as soon as there is somewhere to send them. */
            {is_input_open && dormouse_is_live(subscription) ? STDIN_FILENO : -1, POLLIN, 0},
        };
        if (wants & DORMOUSE_READABLE)
            watched[0].events |= POLLIN;
        if (wants & DORMOUSE_WRITABLE)
            watched[0].events |= POLLOUT;
        poll(watched, 2, dormouse_next_timeout(client));
        if (watched[1].revents != 0)
            is_input_open = read_lines(client, argv[2]);
        if (dormouse_process(client) != DORMOUSE_OK) {
            fprintf(stderr, "%s\n", dormouse_error(client));
            return 1;
        }
    }
    dormouse_unsubscribe(subscription);
    dormouse_close(client, 1000);
    dormouse_free(client);
    return 0;
}
