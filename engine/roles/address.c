/*
 * address — "HOST:PORT" as text and as a socket address
 *
 * Why it is so:   names are resolved once, before anything runs: a shard never waits for a resolver
 * Threads:        any
 * Limits:         a host is at most 255 bytes
 */
#include "engine/roles/address.h"

#include <netdb.h>
#include <netinet/in.h>

#define HOST_BYTES 256u

static enum fmx_status refuse(const char *field, const char *text, const char *fix, char *error,
                              size_t error_bytes)
{
    snprintf(error, error_bytes, "%s is '%s': %s", field, text == NULL ? "" : text, fix);
    return FMX_E_OPTION;
}

/* Where the port begins; copies the host without brackets. NULL: not of the form HOST:PORT. */
static const char *split(const char *text, char *host)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text;
    const char *end = colon;

    if (colon == NULL) {
        return NULL;
    }
    if (*text == '[') {
        if (colon == text || colon[-1] != ']') {
            return NULL;
        }
        begin = text + 1;
        end = colon - 1;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return NULL; /* IPv6 without brackets: where would its port be */
    }
    if ((size_t)(end - begin) >= HOST_BYTES) {
        return NULL;
    }
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return colon + 1;
}

static bool is_port(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    return *text >= '0' && *text <= '9' && *end == '\0' && port <= 65535;
}

static int look_up(const char *host, const char *port, bool resolve,
                   struct fmx_address *out_address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags =
                                 AI_NUMERICSERV | AI_PASSIVE | (resolve ? 0 : AI_NUMERICHOST)};
    struct addrinfo *found = NULL;

    if (*host == '\0') {
        hints.ai_family = AF_INET;
    }
    int result = getaddrinfo(*host == '\0' ? NULL : host, port, &hints, &found);
    if (result == 0) {
        *out_address = (struct fmx_address){.bytes = found->ai_addrlen};
        memcpy(&out_address->storage, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
    }
    return result;
}

/* Splits as above; NULL with words if it cannot be. */
static const char *split_checked(const char *field, const char *text, char *host, char *error,
                                 size_t error_bytes)
{
    const char *port = text == NULL ? NULL : split(text, host);
    const char *fix = port == NULL ? "write ADDRESS:PORT, such as 127.0.0.1:1883 or [::1]:1883"
                                   : "write a port up to 65535, such as 1883";

    if (port == NULL || !is_port(port)) {
        (void)!refuse(field, text, fix, error, error_bytes);
        return NULL;
    }
    return port;
}

enum fmx_status fmx_address_check(const char *field, const char *text, char *error,
                                  size_t error_bytes)
{
    char host[HOST_BYTES];

    return split_checked(field, text, host, error, error_bytes) != NULL ? FMX_OK : FMX_E_OPTION;
}

enum fmx_status fmx_address_parse(const char *field, const char *text, bool resolve,
                                  struct fmx_address *out_address, char *error, size_t error_bytes)
{
    char host[HOST_BYTES];
    const char *port = split_checked(field, text, host, error, error_bytes);

    if (port == NULL) {
        return FMX_E_OPTION;
    }
    int result = look_up(host, port, resolve, out_address);
    if (result != 0) {
        char fix[160];
        snprintf(fix, sizeof(fix), "%s; write an address, or a name that 'getent hosts' finds",
                 gai_strerror(result));
        return refuse(field, text, resolve ? fix : "the address must be a numeric one", error,
                      error_bytes);
    }
    return FMX_OK;
}

enum fmx_status fmx_address_parse_host(const char *field, const char *text,
                                       struct fmx_address *out_address, char *error,
                                       size_t error_bytes)
{
    if (text == NULL || *text == '\0' || look_up(text, "0", false, out_address) != 0) {
        return refuse(field, text, "write a numeric address of this machine, such as 127.0.0.2",
                      error, error_bytes);
    }
    return FMX_OK;
}

bool fmx_address_is_loopback4(const struct fmx_address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;

    return address->storage.ss_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

struct fmx_address fmx_address_loopback(uint32_t n)
{
    struct fmx_address address = {.bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;

    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(0x7f000001u + n);
    return address;
}
