/*
 * uplink_consumer — bench_consumer_mosquitto, a service as a client of its broker: libmosquitto and
 * a callback
 *
 * Why it is so:   beside a broker a service is a client of it. This is the plainest one there is:
 *                 one thread, the library's own loop, the same work in the callback as in
 *                 bench_uplink's
 * Limits:         uplink_consumer PORT DESCRIPTOR QOS, started by bench_uplink
 */
#include "bench/uplink.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LOOP_MS     100
#define PACKETS_MAX 1
#define KEEPALIVE_S 60

static void on_connect(struct mosquitto *client, void *user, int refused)
{
    const int *qos = user;

    if (refused != 0 || mosquitto_subscribe(client, NULL, "#", *qos) != MOSQ_ERR_SUCCESS) {
        (void)fprintf(stderr, "bench_consumer_mosquitto: the broker refuses (%d)\n", refused);
        exit(2);
    }
}

static struct uplink_shared *shared;

static void on_subscribe(struct mosquitto *client, void *user, int id, int count,
                         const int *granted)
{
    (void)client;
    (void)user;
    (void)id;
    (void)count;
    (void)granted;
    atomic_store(&shared->is_hearing, true);
}

static void on_message(struct mosquitto *client, void *user,
                       const struct mosquitto_message *message)
{
    (void)client;
    (void)user;
    uplink_hear(shared, message->payload, (size_t)message->payloadlen);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: bench_consumer_mosquitto PORT DESCRIPTOR QOS\n");
        return 2;
    }
    int port = (int)strtol(argv[1], NULL, 10);
    int memory = (int)strtol(argv[2], NULL, 10);
    int qos = (int)strtol(argv[3], NULL, 10);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    (void)mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("consumer", true, &qos);
    if (shared == MAP_FAILED || client == NULL) {
        (void)fprintf(stderr, "bench_consumer_mosquitto: %s\n", strerror(errno));
        return 2;
    }
    (void)mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    if (mosquitto_connect(client, "127.0.0.1", port, KEEPALIVE_S) != MOSQ_ERR_SUCCESS) {
        (void)fprintf(stderr, "bench_consumer_mosquitto: no broker at port %d\n", port);
        return 2;
    }
    while (!atomic_load(&shared->has_ended) &&
           mosquitto_loop(client, LOOP_MS, PACKETS_MAX) == MOSQ_ERR_SUCCESS) {
    }
    mosquitto_destroy(client);
    (void)mosquitto_lib_cleanup();
    return 0;
}
