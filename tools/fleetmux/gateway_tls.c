/*
 * gateway_tls — says what listeners take, and has files read again
 *
 * Why it is so:   two threads may want a reload, the one that hears SIGHUP and the control
 *                 socket's, and the library takes one at a time
 * Threads:        any but shards
 * Not here:       how listeners are written: gateway_listen.c; reading files: the library
 */
#include "tools/fleetmux/gateway_tls.h"

#include <stdio.h>
#include <string.h>

/* Listeners ----------------------------------------------------------------------------------- */

struct gateway_listener gateway_tls_listener(const struct fmx_gateway_options *options,
                                             size_t index)
{
    const char *text = options->listen[index];
    bool is_plain = strncmp(text, "mqtt://", 7) == 0, is_tls = strncmp(text, "mqtts://", 8) == 0;

    text += is_plain ? 7 : is_tls ? 8 : 0;
    return (struct gateway_listener){
        .address = {(const uint8_t *)text, strcspn(text, "#")},
        .takes_plain = !is_tls,
        .takes_tls = is_tls || (!is_plain && options->tls_count > 0),
    };
}

const char *gateway_tls_takes(const struct gateway_listener *listener)
{
    return !listener->takes_tls ? "mqtt" : listener->takes_plain ? "mqtt+mqtts" : "mqtts";
}

/* Files --------------------------------------------------------------------------------------- */

#define FILES_OF_SERVER 7
#define FILES_OF_NAME   4

/* NULL for those that there are not. */
static void list_server(const struct fmx_tls_server *server, const char *out_files[FILES_OF_SERVER])
{
    out_files[0] = server->cert;
    out_files[1] = server->key;
    out_files[2] = server->cert_rsa;
    out_files[3] = server->key_rsa;
    out_files[4] = server->client_ca;
    out_files[5] = server->psk_file;
    out_files[6] = server->tickets ? server->ticket_keys : NULL;
}

static void list_name(const struct fmx_tls_server_name *name, const char *out_files[FILES_OF_NAME])
{
    out_files[0] = name->cert;
    out_files[1] = name->key;
    out_files[2] = name->cert_rsa;
    out_files[3] = name->key_rsa;
}

/* The files of all settings as one list: counts from 0, NULL behind the last; "": none there. */
static const char *file_at(const struct fmx_gateway_options *options, size_t place)
{
    const char *files[FILES_OF_SERVER];

    for (size_t index = 0; index < options->tls_count; index++) {
        const struct fmx_tls_server *server = &options->tls[index];
        size_t names_files = server->server_names_count * FILES_OF_NAME;
        if (place < FILES_OF_SERVER) {
            list_server(server, files);
            return files[place] != NULL ? files[place] : "";
        }
        place -= FILES_OF_SERVER;
        if (place < names_files) {
            list_name(&server->server_names[place / FILES_OF_NAME], files);
            const char *file = files[place % FILES_OF_NAME];
            return file != NULL ? file : "";
        }
        place -= names_files;
    }
    return NULL;
}

void gateway_tls_files(const struct fmx_gateway_options *options,
                       void (*file)(void *user, const char *path), void *user)
{
    const char *path = NULL;

    for (size_t place = 0; (path = file_at(options, place)) != NULL; place++) {
        size_t earlier = 0;
        while (earlier < place && strcmp(file_at(options, earlier), path) != 0) {
            earlier++;
        }
        if (*path != '\0' && earlier == place) {
            file(user, path);
        }
    }
}

/* Reading again ------------------------------------------------------------------------------- */

void gateway_reload_init(struct gateway_reload *reload)
{
    *reload = (struct gateway_reload){0};
    pthread_mutex_init(&reload->mutex, NULL);
}

void gateway_reload_wipe(struct gateway_reload *reload)
{
    pthread_mutex_destroy(&reload->mutex);
}

enum fmx_status gateway_reload_files(struct gateway_reload *reload, char *error, size_t error_bytes)
{
    char words[512] = "";

    pthread_mutex_lock(&reload->mutex);
    enum fmx_status status = fmx_gateway_reload(reload->gateway, words, sizeof(words));
    pthread_mutex_unlock(&reload->mutex);
    if (status == FMX_E_STATE) {
        snprintf(error, error_bytes,
                 "there is no TLS here, so there is nothing to read again; start the gateway with "
                 "--tls-cert and --tls-key, or with --tls-psk");
    } else if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s%.400s",
                 status == FMX_FULL ? "" : "nothing has changed, the old files are in force: ",
                 words[0] != '\0' ? words : fmx_status_text(status));
    }
    return status;
}
