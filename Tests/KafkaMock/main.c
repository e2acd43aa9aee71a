/*
 * A Kafka cluster for tests: librdkafka's mock brokers, or with arguments (brokers, then NAME=VALUE settings of librdkafka) one
 * that runs elsewhere, and a producer and a consumer of it. Reads commands from standard input, one a line, and says
 * when each is done.
 *
 *     topic NAME PARTITIONS
 *     produce TOPIC PARTITION FIRST COUNT [BYTES]   payloads "PARTITION:NUMBER", filled with blanks up to BYTES
 *     numbers TOPIC FIRST LAST                       every second number, with a header, into partition 0
 *     special TOPIC PARTITION                        a key, headers, a message without value, one with too many headers
 *     consume TOPIC COUNT                            prints so many messages from the beginning on
 *     down BROKER | up BROKER                        of mock brokers
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a payload. */
#define SHOWN_BYTES 64

static rd_kafka_t *producer;
static const char *bootstraps;
static char **settings;
static int setting_count;

static void die(const char *what)
{
    fprintf(stderr, "kafka-mock: %s\n", what);
    exit(70);
}

static rd_kafka_t *new_client(rd_kafka_type_t kind, const char *group)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstraps, text, sizeof(text));
    rd_kafka_conf_set(conf, "linger.ms", "1", text, sizeof(text));
    for (int i = 0; i < setting_count; i++) {
        char name[128];
        const char *sign = strchr(settings[i], '=');
        if (sign == NULL || (size_t)(sign - settings[i]) >= sizeof(name))
            die("expected NAME=VALUE");
        snprintf(name, sizeof(name), "%.*s", (int)(sign - settings[i]), settings[i]);
        if (rd_kafka_conf_set(conf, name, sign + 1, text, sizeof(text)) != RD_KAFKA_CONF_OK)
            die(text);
    }
    if (kind == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set(conf, "message.max.bytes", "4000000", text, sizeof(text));
    } else {
        rd_kafka_conf_set(conf, "group.id", group, text, sizeof(text));
        rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", text, sizeof(text));
    }
    rd_kafka_t *client = rd_kafka_new(kind, conf, text, sizeof(text));
    if (client == NULL)
        die(text);
    return client;
}

static void flush(void)
{
    if (rd_kafka_flush(producer, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("the brokers did not take everything");
}

static void check(rd_kafka_resp_err_t code)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        die(rd_kafka_err2str(code));
}

static void create_topic(const char *name, int partitions)
{
    char text[512];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, text, sizeof(text));
    if (topic == NULL)
        die(text);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(producer);
    rd_kafka_CreateTopics(producer, &topic, 1, NULL, answers);
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, 30000);
    if (event == NULL)
        die("the broker does not make topics");
    check(rd_kafka_event_error(event));
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++)
        check(rd_kafka_topic_result_error(results[i]));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(answers);
    rd_kafka_NewTopic_destroy(topic);
}

static void produce(const char *topic, int partition, int first, int count, int bytes)
{
    size_t size = bytes > 64 ? (size_t)bytes : 64;
    char *payload = malloc(size);
    if (payload == NULL)
        die("no memory");
    for (int number = first; number < first + count; number++) {
        size_t length = (size_t)snprintf(payload, size, "%d:%d", partition, number);
        if (bytes > (int)length) {
            memset(payload + length, ' ', (size_t)bytes - length);
            length = (size_t)bytes;
        }
        rd_kafka_resp_err_t code;
        while ((code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
                                         RD_KAFKA_V_PARTITION(partition),
                                         RD_KAFKA_V_VALUE(payload, length),
                                         RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END))
               == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer, 10);
        check(code);
    }
    free(payload);
    flush();
}

static void numbers(const char *topic, int first, int last)
{
    char payload[16];
    for (int number = first; number <= last; number += 2) {
        int length = snprintf(payload, sizeof(payload), "%d", number);
        check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                RD_KAFKA_V_VALUE(payload, (size_t)length),
                                RD_KAFKA_V_HEADER("tenant", "acme", -1),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    }
    flush();
}

static void special(const char *topic, int partition)
{
    check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                            RD_KAFKA_V_KEY("customer 7", 10), RD_KAFKA_V_VALUE("{}", 2),
                            RD_KAFKA_V_TIMESTAMP(1600000000123),
                            RD_KAFKA_V_HEADER("content-type", "application/json", -1),
                            RD_KAFKA_V_HEADER("traceparent", "00-01", -1),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                            RD_KAFKA_V_KEY("gone", 4), RD_KAFKA_V_VALUE(NULL, 0),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    rd_kafka_headers_t *many = rd_kafka_headers_new(70);
    for (int i = 0; i < 70; i++)
        rd_kafka_header_add(many, "h", -1, "v", 1);
    check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                            RD_KAFKA_V_VALUE("poison", 6), RD_KAFKA_V_HEADERS(many),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    flush();
}

static void print_header(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR
        && rd_kafka_header_get_last(headers, name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        printf(" %s=%.*s", name, (int)size, (const char *)value);
}

static void consume(const char *topic, int count)
{
    static int groups;
    char group[32];
    snprintf(group, sizeof(group), "reader-%d", groups++);
    rd_kafka_t *consumer = new_client(RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    check(rd_kafka_subscribe(consumer, list));
    rd_kafka_topic_partition_list_destroy(list);
    for (int polls = 0; count > 0 && polls < 1200; polls++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            int length = message->len < SHOWN_BYTES ? (int)message->len : SHOWN_BYTES;
            printf("got %d %.*s=%.*s", (int)message->partition, (int)message->key_len,
                   (const char *)message->key, length,
                   message->payload == NULL ? "" : (const char *)message->payload);
            if (message->payload == NULL)
                printf("nothing");
            print_header(message, "dormouse-position");
            print_header(message, "dormouse-id");
            print_header(message, "tenant");
            printf("\n");
            count--;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    if (count > 0)
        die("fewer messages came than were asked for");
}

static rd_kafka_mock_cluster_t *new_cluster(void)
{
    char text[512];
    rd_kafka_t *host =
        rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    if (host == NULL)
        die(text);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 3);
    if (cluster == NULL)
        die("cannot make brokers");
    return cluster;
}

int main(int argc, char **argv)
{
    rd_kafka_mock_cluster_t *cluster = argc > 1 ? NULL : new_cluster();
    bootstraps = cluster == NULL ? argv[1] : rd_kafka_mock_cluster_bootstraps(cluster);
    settings = argv + 2;
    setting_count = argc - 2;
    producer = new_client(RD_KAFKA_PRODUCER, NULL);
    printf("brokers %s\n", bootstraps);
    fflush(stdout);
    char line[256], name[128];
    int one, two, three, four;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        four = 0;
        if (sscanf(line, "topic %127s %d", name, &one) == 2)
            cluster == NULL ? create_topic(name, one)
                            : check(rd_kafka_mock_topic_create(cluster, name, one, 1));
        else if (sscanf(line, "produce %127s %d %d %d %d", name, &one, &two, &three, &four) >= 4)
            produce(name, one, two, three, four);
        else if (sscanf(line, "numbers %127s %d %d", name, &one, &two) == 3)
            numbers(name, one, two);
        else if (sscanf(line, "special %127s %d", name, &one) == 2)
            special(name, one);
        else if (sscanf(line, "consume %127s %d", name, &one) == 2)
            consume(name, one);
        else if (cluster != NULL && sscanf(line, "down %d", &one) == 1)
            check(rd_kafka_mock_broker_set_down(cluster, one));
        else if (cluster != NULL && sscanf(line, "up %d", &one) == 1)
            check(rd_kafka_mock_broker_set_up(cluster, one));
        else
            die("there is no such command");
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
