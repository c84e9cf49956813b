/*
 * answer_uplinks — a service that answers devices: each message that says where its answer is to
 * go gets one there
 *
 *     answer_uplinks 127.0.0.1:1883 registry.db
 *
 * Why it is so:   what a service needs for an answer is at hand in on_message, and the caller
 *                 handle that stands there queues it without waiting. So it is answered on the
 *                 spot, on the shard that has the device's session, with no thread between.
 * Threads:        on_message runs on every shard, at the same time; main waits for a signal
 * Limits:         an answer that finds a queue full is counted and left out: on_message may not
 *                 wait
 */
#include <fleetmux/fleetmux.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

struct service {
    atomic_ullong answered; /* answers that were queued */
    atomic_ullong refused;  /* not: a full queue, or a topic that is none of the device's */
    atomic_ullong arrived;  /* at QoS 0 sent, at QoS 1 acknowledged or stored */
};

/* What became of an answer; on a shard. */
static void on_delivered(void *user, enum fmx_delivery delivery)
{
    struct service *service = user;

    if (delivery <= FMX_DELIVERY_STORED) {
        atomic_fetch_add_explicit(&service->arrived, 1, memory_order_relaxed);
    }
}

/* Slices live until this returns; the publication copies what it is given before that. */
static void on_message(void *user, const struct fmx_gateway_message *message)
{
    struct service *service = user;
    struct fmx_gateway_publication answer = {
        .topic = message->response_topic,
        .payload = message->payload, /* a service of yours has something to say here */
        .qos = message->qos,
        .payload_is_text = message->payload_is_text,
        .has_correlation_data = message->has_correlation_data,
        .correlation_data = message->correlation_data,
        .content_type = message->content_type,
    };

    if (message->response_topic.bytes == 0) {
        return; /* it asks for nothing */
    }
    enum fmx_status status =
        fmx_gateway_publish_to(message->caller, message->product_key, message->device_name, &answer,
                               on_delivered, service);
    atomic_fetch_add_explicit(status == FMX_OK ? &service->answered : &service->refused, 1,
                              memory_order_relaxed);
}

/* Blocks SIGINT and SIGTERM, here and in the threads that are made later. */
static sigset_t hold_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

int main(int argc, char **argv)
{
    struct service service = {0};
    struct fmx_gateway *gateway = NULL;
    struct fmx_gateway_options options;
    char error[512] = "";
    int signo = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: answer_uplinks ADDRESS:PORT REGISTRY\n");
        return 1;
    }
    sigset_t signals = hold_signals();
    fmx_gateway_options_init(&options, FMX_PROFILE_PLATFORM);
    options.listen = (const char *const[]){argv[1]};
    options.listen_count = 1;
    options.registry = argv[2];
    options.callbacks.on_message = on_message;
    options.user = &service;
    if (fmx_gateway_open(&options, &gateway, error, sizeof(error)) != FMX_OK) {
        fprintf(stderr, "answer_uplinks: %s\n", error);
        return 1;
    }
    if (fmx_gateway_start(gateway, error, sizeof(error)) != FMX_OK) {
        fprintf(stderr, "answer_uplinks: %s\n", error);
        fmx_gateway_close(gateway);
        return 1;
    }
    printf("listening on port %u\n", (unsigned)fmx_gateway_port(gateway, 0));
    fflush(stdout);
    sigwait(&signals, &signo);
    fmx_gateway_stop(gateway, 5000); /* after this no callback runs, and each has completed */
    fmx_gateway_close(gateway);
    printf("answered %llu refused %llu arrived %llu\n", atomic_load(&service.answered),
           atomic_load(&service.refused), atomic_load(&service.arrived));
    return 0;
}
