/*
 * test_tls_threads — contexts, tickets, keys and certificates are shared by threads; streams move
 * from one to another
 */
#include "tests/support/run.h"
#include "tests/support/tls_pipe.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"

#include <fleetmux/private/assert.h>

#include <pthread.h>
#include <stdlib.h>

#define THREADS 4u
#define ROUNDS  40u

static struct fmx_tls_context *server_context;
static struct fmx_tls_context *client_contexts[2];
static struct fmx_tls_cert *cert;

static void *connect_often(void *failures)
{
    struct fmx_tls_session *sessions[2] = {NULL, NULL};

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct fmx_tls_session **session = &sessions[round % 2];
        const struct fmx_tls_dial dial = {
            .server_name = "localhost", .cert = cert, .session = *session};
        struct tls_pipe *pipe = tls_pipe_open(client_contexts[round % 2], server_context, &dial);
        struct fmx_tls_facts facts = {0};
        if (!tls_pipe_talks(pipe)) {
            ++*(unsigned *)failures;
        } else {
            fmx_tls_stream_facts(pipe->server.stream, &facts);
            *(unsigned *)failures += facts.resumed != (round >= 2);
        }
        fmx_tls_session_drop(*session);
        *session = fmx_tls_stream_session(pipe->client.stream);
        tls_pipe_free(pipe);
    }
    fmx_tls_session_drop(sessions[0]);
    fmx_tls_session_drop(sessions[1]);
    return NULL;
}

static void threads_share_contexts(void)
{
    struct fmx_tls_tickets *tickets = tls_tickets_new();
    struct fmx_tls_server server = tls_ecdsa_options();
    struct fmx_tls_client client = tls_client_options();
    unsigned failures[THREADS] = {0};
    pthread_t threads[THREADS];
    char line[512];
    unsigned lines = 0;

    server.key_log = client.key_log = tls_pki_path("keys");
    server_context = tls_server_of(&server, tickets);
    for (unsigned i = 0; i < 2; i++) {
        client.max = i == 0 ? FMX_TLS_12 : FMX_TLS_13;
        client_contexts[i] = tls_client_of(&client);
    }
    cert = tls_cert_of("client");
    for (unsigned i = 0; i < THREADS; i++) {
        FMX_ASSERT(pthread_create(&threads[i], NULL, connect_often, &failures[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        FMX_ASSERT(pthread_join(threads[i], NULL) == 0);
        CU_ASSERT_EQUAL(failures[i], 0);
    }
    FILE *log = fopen(server.key_log, "r");
    while (fgets(line, sizeof line, log) != NULL) {
        lines++;
        CU_ASSERT(strncmp(line, "CLIENT_", 7) == 0 || strncmp(line, "SERVER_", 7) == 0 ||
                  strncmp(line, "EXPORTER_", 9) == 0);
    }
    fclose(log);
    CU_ASSERT_EQUAL(lines, THREADS * ROUNDS / 2 * (2 + 10));
    fmx_tls_cert_drop(cert);
    fmx_tls_context_drop(server_context);
    fmx_tls_context_drop(client_contexts[0]);
    fmx_tls_context_drop(client_contexts[1]);
    fmx_tls_tickets_close(tickets);
}

static void *run_pipe(void *pipe)
{
    tls_pipe_run(pipe);
    return NULL;
}

/* As with workers: the handshake in one thread, the rest in another. */
static void stream_goes_on_in_another_thread(void)
{
    const struct fmx_tls_server server = tls_ecdsa_options();
    const struct fmx_tls_client client = tls_client_options();

    server_context = tls_server_of(&server, NULL);
    client_contexts[0] = tls_client_of(&client);
    struct tls_pipe *pipe = tls_pipe_new(client_contexts[0], server_context, NULL);
    pthread_t thread;
    FMX_ASSERT(pthread_create(&thread, NULL, run_pipe, pipe) == 0);
    FMX_ASSERT(pthread_join(thread, NULL) == 0);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    fmx_tls_context_drop(server_context);
    fmx_tls_context_drop(client_contexts[0]);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(threads_share_contexts),
    FMX_TEST_CASE(stream_goes_on_in_another_thread),
};

int main(int argc, char **argv)
{
    tls_pki_standard();
    return fmx_test_main("tls_threads", cases, sizeof cases / sizeof cases[0], argc, argv);
}
