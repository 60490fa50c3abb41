/* A libusb-1.0 with emulated sticks behind it, for programs that know nothing of the emulation.
 *
 * Compiled to libusb-1.0.so.0 and found by LD_LIBRARY_PATH before the system's, it has the same functions and structures
 * (declared here anew, from the documentation of libusb 1.0), but the bus is a process: server.py at the unix stream socket
 * named by NCS_EMULATOR_SOCKET. All state is there: sticks, claims, faults. This file only carries calls over.
 *
 * The wire. Both ways go messages of one 24-byte head, in the machine's byte order, and `size` bytes of data after it:
 *
 *     u32 size   u32 id   u16 op   u16 endpoint   u32 target   i32 a   i32 b
 *
 * A call sends its op (enum op below) with an id of its choice; the answer has the same id and may come late and in any
 * order. `target` is the device (OPEN), the handle (the others) or the id of the transfer to cancel. An answer's `a` is a
 * libusb error (0 or negative) or, of SUBMIT, a transfer's status (0 and up) with the bytes done in `b` and IN data behind.
 * SUBMIT has the transfer's length in `a`, its time-out in ms in `b`, and OUT data (or setup packet and data) behind.
 * LIST answers with one record per device: struct record, then `config_size` bytes of raw configuration descriptor.
 * The server itself sends CHANGED (id 0) when a device has come or gone.
 *
 * Beside the socket lies a page of memory to share, SOCKET.page: word 0 counts the changes of the bus, so that the list is
 * asked for only when it is another one (vendors poll it thousands of times); word 1 is not 0 while a fault waits for a
 * list or a submission, so that only then the list is asked for each time, and libusb_submit_transfer() asks whether it may
 * (ASK, like SUBMIT, without data).
 *
 * A connection belongs to a context. A thread of the library reads it: blocking calls are woken by it directly; finished
 * asynchronous transfers are queued, a descriptor (libusb_get_pollfds) becomes readable, and their callbacks run inside
 * libusb_handle_events(), as with the real one. When the connection ends every device has gone: LIBUSB_ERROR_NO_DEVICE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

/* ---- libusb's own types, as its documentation has them ---- */

enum { SUCCESS = 0, IO = -1, INVALID_PARAM = -2, ACCESS = -3, NO_DEVICE = -4, NOT_FOUND = -5, BUSY = -6, TIMEOUT = -7,
       OVERFLOWED = -8, PIPE = -9, INTERRUPTED = -10, NO_MEM = -11, NOT_SUPPORTED = -12, OTHER = -99 };
enum { COMPLETED, FAILED, TIMED_OUT, CANCELLED, STALL, GONE, OVERFLOW_STATUS };
enum { FREE_BUFFER = 2, FREE_TRANSFER = 4 };
enum { ARRIVED = 1, LEFT = 2, ENUMERATE = 1, ANY = -1 };

typedef struct libusb_context libusb_context;
typedef struct libusb_device libusb_device;
typedef struct libusb_device_handle libusb_device_handle;
typedef int (*hotplug_callback)(libusb_context *, libusb_device *, int event, void *user_data);

struct libusb_device_descriptor {
    uint8_t bLength, bDescriptorType;
    uint16_t bcdUSB;
    uint8_t bDeviceClass, bDeviceSubClass, bDeviceProtocol, bMaxPacketSize0;
    uint16_t idVendor, idProduct, bcdDevice;
    uint8_t iManufacturer, iProduct, iSerialNumber, bNumConfigurations;
};
struct libusb_endpoint_descriptor {
    uint8_t bLength, bDescriptorType, bEndpointAddress, bmAttributes;
    uint16_t wMaxPacketSize;
    uint8_t bInterval, bRefresh, bSynchAddress;
    const unsigned char *extra;
    int extra_length;
};
struct libusb_interface_descriptor {
    uint8_t bLength, bDescriptorType, bInterfaceNumber, bAlternateSetting, bNumEndpoints;
    uint8_t bInterfaceClass, bInterfaceSubClass, bInterfaceProtocol, iInterface;
    const struct libusb_endpoint_descriptor *endpoint;
    const unsigned char *extra;
    int extra_length;
};
struct libusb_interface {
    const struct libusb_interface_descriptor *altsetting;
    int num_altsetting;
};
struct libusb_config_descriptor {
    uint8_t bLength, bDescriptorType;
    uint16_t wTotalLength;
    uint8_t bNumInterfaces, bConfigurationValue, iConfiguration, bmAttributes, MaxPower;
    const struct libusb_interface *interface;
    const unsigned char *extra;
    int extra_length;
};
struct libusb_iso_packet_descriptor {
    unsigned int length, actual_length;
    int status;
};
struct libusb_transfer;
typedef void (*transfer_callback)(struct libusb_transfer *);
struct libusb_transfer {
    libusb_device_handle *dev_handle;
    uint8_t flags;
    unsigned char endpoint, type;
    unsigned int timeout;
    int status, length, actual_length;
    transfer_callback callback;
    void *user_data;
    unsigned char *buffer;
    int num_iso_packets;
    struct libusb_iso_packet_descriptor iso_packet_desc[];
};
struct libusb_pollfd {
    int fd;
    short events;
};
struct libusb_version {
    const uint16_t major, minor, micro, nano;
    const char *rc, *describe;
};

/* ---- the wire ---- */

enum op { HELLO, LIST, OPEN, CLOSE, CLAIM, RELEASE, DETACH, SET_CONFIGURATION, GET_CONFIGURATION, RESET, CLEAR_HALT,
          SET_ALTERNATE, SUBMIT, CANCEL, ASK, CHANGED };
#define WIRE_VERSION 1
#define DATA_MAX (64u << 20) /* more than any transfer: a server that says so has lost its way */

struct head {
    uint32_t size, id;
    uint16_t op, endpoint;
    uint32_t target;
    int32_t a, b;
};
struct record {
    uint32_t id;
    uint8_t bus, address, speed, depth, ports[8];
    uint8_t descriptor[18];
    uint16_t config_size;
};
_Static_assert(sizeof(struct head) == 24 && sizeof(struct record) == 36, "the wire has no padding");

/* ---- what we hold ---- */

struct libusb_device {
    libusb_context *ctx;
    int refs;
    struct record record;
    unsigned char *config;
    struct libusb_device *next; /* among the context's, while it is on the bus */
};
struct libusb_device_handle {
    libusb_device *device;
    uint32_t id;
    int automatic_detach;
};

/* Who waits for an answer: a blocking call (on its stack) or an asynchronous transfer (before its public part). */
struct waiting {
    struct waiting *next;
    uint32_t id;
    libusb_device_handle *handle;
    struct libusb_transfer *transfer; /* NULL: a blocking call */
    unsigned char *into;              /* where the data of the answer goes */
    uint32_t room;
    unsigned char **grown;            /* or: a new block of memory for it */
    int status, done, finished, awaited, flying;
    pthread_cond_t answered;
};
#define BUCKETS 64

struct hotplug {
    struct hotplug *next;
    int handle, events, vendor, product, class, dead;
    hotplug_callback callback;
    void *user_data;
};

struct libusb_context {
    int socket, users;
    pthread_t reader;
    const volatile uint64_t *page;
    pthread_mutex_t lock;    /* of all below */
    pthread_mutex_t sending; /* one message at a time on the socket */
    pthread_mutex_t listing; /* one refresh of the list at a time */
    pthread_cond_t eventful;
    struct waiting *waiting[BUCKETS];
    struct waiting *receiving; /* whose data the reader takes in just now: it is in none of the lists */
    pthread_cond_t received;
    struct waiting *finished, **finished_end;
    uint32_t last_id;
    int dead, interrupted, changed, signalled, running, last_hotplug;
    pthread_t runner;
    int signal[2]; /* a pipe: readable while there is something for handle_events */
    libusb_device *devices;
    uint64_t seen;
    struct hotplug *hotplug;
    libusb_device **announced;
    size_t announced_count;
    unsigned char buffer[16384];
    size_t start, end;
};

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static libusb_context *default_context;

static libusb_context *context(libusb_context *ctx) { return ctx ? ctx : default_context; }

/* ---- sending and waiting ---- */

static int send_message(libusb_context *ctx, struct head *head, const void *data)
{
    struct iovec parts[2] = {{head, sizeof *head}, {(void *)data, head->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = head->size ? 2 : 1};
    int rc = SUCCESS;
    pthread_mutex_lock(&ctx->sending);
    while (message.msg_iovlen) {
        ssize_t sent = sendmsg(ctx->socket, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            rc = NO_DEVICE;
            break;
        }
        while (message.msg_iovlen && (size_t)sent >= message.msg_iov->iov_len) {
            sent -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
            message.msg_iov->iov_len -= (size_t)sent;
        }
    }
    pthread_mutex_unlock(&ctx->sending);
    return rc;
}

static int await_answer_to(libusb_context *ctx, struct waiting *w)
{
    int rc = SUCCESS;
    pthread_mutex_lock(&ctx->lock);
    if (ctx->dead) rc = NO_DEVICE;
    else {
        do ctx->last_id++; while (!ctx->last_id);
        w->id = ctx->last_id;
        w->finished = w->done = w->status = 0;
        w->flying = 1;
        w->next = ctx->waiting[w->id % BUCKETS];
        ctx->waiting[w->id % BUCKETS] = w;
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

static struct waiting *take_waiting(libusb_context *ctx, uint32_t id) /* lock held */
{
    for (struct waiting **at = &ctx->waiting[id % BUCKETS]; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct waiting *found = *at;
            *at = found->next;
            return found;
        }
    return NULL;
}

static void signal_events(libusb_context *ctx) /* lock held */
{
    if (!ctx->signalled) {
        ctx->signalled = 1;
        while (write(ctx->signal[1], "", 1) < 0 && errno == EINTR) {}
    }
    pthread_cond_broadcast(&ctx->eventful);
}

static void quiet_events(libusb_context *ctx) /* lock held */
{
    char byte;
    if (ctx->signalled && !ctx->finished && !ctx->interrupted && !(ctx->changed && ctx->hotplug)) {
        while (read(ctx->signal[0], &byte, 1) < 0 && errno == EINTR) {}
        ctx->signalled = 0;
    }
}

static void finish(libusb_context *ctx, struct waiting *w, int status, int done) /* lock held */
{
    w->status = status;
    w->done = done;
    w->flying = 0;
    if (w->transfer) {
        w->next = NULL;
        *ctx->finished_end = w;
        ctx->finished_end = &w->next;
        signal_events(ctx);
    } else {
        w->finished = 1;
        pthread_cond_signal(&w->answered);
    }
}

/* Sends a call and waits for its answer; its data goes to w->into or *w->grown. Returns the answer's `a`, or NO_DEVICE. */
static int call_into(libusb_context *ctx, struct waiting *w, struct head head, const void *data)
{
    int rc = await_answer_to(ctx, w);
    if (rc) return rc;
    pthread_cond_init(&w->answered, NULL);
    head.id = w->id;
    rc = send_message(ctx, &head, data);
    pthread_mutex_lock(&ctx->lock);
    /* one that could not be sent may be answered all the same: then the reader has it, and must be waited for */
    if (!rc || !take_waiting(ctx, w->id))
        while (!w->finished) pthread_cond_wait(&w->answered, &ctx->lock);
    pthread_mutex_unlock(&ctx->lock);
    pthread_cond_destroy(&w->answered);
    return rc ? rc : w->status;
}

static int call(libusb_context *ctx, enum op op, uint32_t target, int a, int b, int *answer)
{
    struct waiting w = {0};
    int rc = call_into(ctx, &w, (struct head){.op = op, .target = target, .a = a, .b = b}, NULL);
    if (answer) *answer = w.done;
    return rc > 0 ? OTHER : rc;
}

/* ---- the reader's thread ---- */

static int receive(libusb_context *ctx, unsigned char *into, size_t size)
{
    while (size) {
        size_t have = ctx->end - ctx->start;
        if (have) {
            size_t part = have < size ? have : size;
            memcpy(into, ctx->buffer + ctx->start, part);
            ctx->start += part;
            into += part;
            size -= part;
            continue;
        }
        int direct = size >= sizeof ctx->buffer;
        ssize_t got = recv(ctx->socket, direct ? into : ctx->buffer, direct ? size : sizeof ctx->buffer, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        if (direct) {
            into += got;
            size -= (size_t)got;
        } else {
            ctx->start = 0;
            ctx->end = (size_t)got;
        }
    }
    return 0;
}

static int skip(libusb_context *ctx, size_t size)
{
    unsigned char nowhere[4096];
    for (; size; size -= size < sizeof nowhere ? size : sizeof nowhere)
        if (receive(ctx, nowhere, size < sizeof nowhere ? size : sizeof nowhere)) return -1;
    return 0;
}

static void *read_answers(void *argument)
{
    libusb_context *ctx = argument;
    struct head head;
    while (!receive(ctx, (unsigned char *)&head, sizeof head) && head.size <= DATA_MAX) {
        pthread_mutex_lock(&ctx->lock);
        if (head.op == CHANGED) {
            ctx->changed = 1;
            if (ctx->hotplug) signal_events(ctx);
        }
        struct waiting *w = head.op == CHANGED ? NULL : take_waiting(ctx, head.id);
        ctx->receiving = w;
        pthread_mutex_unlock(&ctx->lock);
        int lost = 0;
        uint32_t wanted = head.size;
        if (w && w->grown && head.size) {
            *w->grown = malloc(head.size);
            w->into = *w->grown;
            w->room = *w->grown ? head.size : 0;
        }
        if (w && wanted > w->room) wanted = w->room;
        if (w && wanted) lost = receive(ctx, w->into, wanted);
        if (!lost) lost = skip(ctx, head.size - (w ? wanted : 0));
        if (w) {
            pthread_mutex_lock(&ctx->lock);
            finish(ctx, w, lost ? (w->transfer ? GONE : NO_DEVICE) : head.a, lost ? 0 : head.b);
            ctx->receiving = NULL;
            pthread_cond_broadcast(&ctx->received);
            pthread_mutex_unlock(&ctx->lock);
        }
        if (lost) break;
    }
    pthread_mutex_lock(&ctx->lock);
    ctx->dead = ctx->changed = 1;
    for (int i = 0; i < BUCKETS; i++)
        while (ctx->waiting[i]) {
            struct waiting *w = take_waiting(ctx, ctx->waiting[i]->id);
            finish(ctx, w, w->transfer ? GONE : NO_DEVICE, 0);
        }
    signal_events(ctx);
    pthread_mutex_unlock(&ctx->lock);
    shutdown(ctx->socket, SHUT_RDWR); /* a server that lost its way hears of it */
    return NULL;
}

/* ---- contexts ---- */

API int libusb_set_option(libusb_context *ctx, int option, ...) { (void)ctx; (void)option; return SUCCESS; }
API void libusb_set_debug(libusb_context *ctx, int level) { (void)ctx; (void)level; }
API void libusb_set_log_cb(libusb_context *ctx, void *callback, int mode) { (void)ctx; (void)callback; (void)mode; }

static libusb_context *connect_to_server(void)
{
    const char *path = getenv("NCS_EMULATOR_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "emulated libusb: NCS_EMULATOR_SOCKET does not name the emulator's socket\n");
        return NULL;
    }
    strcpy(address.sun_path, path);
    libusb_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx) return NULL;
    ctx->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ctx->socket < 0 || connect(ctx->socket, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "emulated libusb: no emulator at %s: %s\n", path, strerror(errno));
        if (ctx->socket >= 0) close(ctx->socket);
        free(ctx);
        return NULL;
    }
    int space = 4 << 20;
    setsockopt(ctx->socket, SOL_SOCKET, SO_SNDBUF, &space, sizeof space);
    char page[sizeof address.sun_path + 8];
    snprintf(page, sizeof page, "%s.page", path);
    int fd = open(page, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (fd >= 0 && !fstat(fd, &about) && about.st_size >= 4096) {
        void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        ctx->page = memory == MAP_FAILED ? NULL : memory;
    }
    if (fd >= 0) close(fd);
    return ctx;
}

API void libusb_exit(libusb_context *ctx);

API int libusb_init(libusb_context **out)
{
    pthread_mutex_lock(&default_lock);
    if (!out && default_context) {
        default_context->users++;
        pthread_mutex_unlock(&default_lock);
        return SUCCESS;
    }
    libusb_context *ctx = connect_to_server();
    if (!ctx) {
        pthread_mutex_unlock(&default_lock);
        return OTHER;
    }
    ctx->users = 1;
    ctx->seen = UINT64_MAX;
    ctx->finished_end = &ctx->finished;
    pthread_mutex_init(&ctx->lock, NULL);
    pthread_mutex_init(&ctx->sending, NULL);
    pthread_mutex_init(&ctx->listing, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ctx->eventful, &monotonic);
    pthread_cond_init(&ctx->received, NULL);
    pthread_condattr_destroy(&monotonic);
    if (pipe2(ctx->signal, O_CLOEXEC | O_NONBLOCK) || pthread_create(&ctx->reader, NULL, read_answers, ctx)) {
        close(ctx->socket);
        free(ctx);
        pthread_mutex_unlock(&default_lock);
        return NO_MEM;
    }
    int rc = call(ctx, HELLO, 0, WIRE_VERSION, (int)getpid(), NULL);
    if (rc) fprintf(stderr, "emulated libusb: the emulator speaks another version of the wire, or none\n");
    if (out) *out = ctx;
    if (!default_context) default_context = ctx;
    pthread_mutex_unlock(&default_lock);
    if (rc) {
        libusb_exit(ctx);
        if (out) *out = NULL;
        return OTHER;
    }
    return SUCCESS;
}

API int libusb_init_context(libusb_context **out, const void *options, int count)
{
    (void)options;
    (void)count;
    return libusb_init(out);
}

API void libusb_unref_device(libusb_device *device);

API void libusb_exit(libusb_context *ctx)
{
    pthread_mutex_lock(&default_lock);
    ctx = context(ctx);
    if (!ctx || --ctx->users > 0) {
        pthread_mutex_unlock(&default_lock);
        return;
    }
    if (default_context == ctx) default_context = NULL;
    pthread_mutex_unlock(&default_lock);
    shutdown(ctx->socket, SHUT_RDWR);
    pthread_join(ctx->reader, NULL);
    close(ctx->socket);
    close(ctx->signal[0]);
    close(ctx->signal[1]);
    if (ctx->page) munmap((void *)ctx->page, 4096);
    while (ctx->devices) {
        libusb_device *device = ctx->devices;
        ctx->devices = device->next;
        device->ctx = NULL;
        libusb_unref_device(device);
    }
    for (size_t i = 0; i < ctx->announced_count; i++) libusb_unref_device(ctx->announced[i]);
    free(ctx->announced);
    while (ctx->hotplug) {
        struct hotplug *next = ctx->hotplug->next;
        free(ctx->hotplug);
        ctx->hotplug = next;
    }
    free(ctx);
}

/* ---- devices ---- */

API libusb_device *libusb_ref_device(libusb_device *device)
{
    __atomic_add_fetch(&device->refs, 1, __ATOMIC_SEQ_CST);
    return device;
}

API void libusb_unref_device(libusb_device *device)
{
    if (!device || __atomic_sub_fetch(&device->refs, 1, __ATOMIC_SEQ_CST)) return;
    free(device->config);
    free(device);
}

/* Asks for the list if it has changed. The listing lock is held. */
static int refresh(libusb_context *ctx)
{
    uint64_t now = ctx->page ? ctx->page[0] : 0;
    if (ctx->page && !ctx->page[1] && !ctx->dead && now == ctx->seen) return SUCCESS;
    unsigned char *data = NULL;
    struct waiting w = {.grown = &data};
    int rc = call_into(ctx, &w, (struct head){.op = LIST}, NULL);
    if (rc && !ctx->dead) {
        free(data);
        return rc < 0 ? rc : OTHER;
    }
    libusb_device *old = ctx->devices, *list = NULL, **end = &list;
    size_t at = 0, size = rc ? 0 : w.room;
    struct record record;
    while (size - at >= sizeof record) {
        memcpy(&record, data + at, sizeof record);
        at += sizeof record;
        if (size - at < record.config_size) break;
        libusb_device **same = &old;
        while (*same && (*same)->record.id != record.id) same = &(*same)->next;
        libusb_device *device = *same;
        if (device) *same = device->next;
        else {
            device = calloc(1, sizeof *device);
            unsigned char *config = malloc(record.config_size + 1u);
            if (!device || !config) {
                free(device);
                free(config);
                break;
            }
            memcpy(config, data + at, record.config_size);
            *device = (libusb_device){.ctx = ctx, .refs = 1, .record = record, .config = config};
        }
        device->next = NULL;
        *end = device;
        end = &device->next;
        at += record.config_size;
    }
    ctx->devices = list;
    while (old) {
        libusb_device *gone = old;
        old = old->next;
        gone->next = NULL;
        libusb_unref_device(gone);
    }
    ctx->seen = now;
    free(data);
    return SUCCESS;
}

API ssize_t libusb_get_device_list(libusb_context *ctx, libusb_device ***out)
{
    ctx = context(ctx);
    if (!ctx || !out) return INVALID_PARAM;
    pthread_mutex_lock(&ctx->listing);
    ssize_t count = refresh(ctx);
    if (!count) {
        for (libusb_device *d = ctx->devices; d; d = d->next) count++;
        libusb_device **list = calloc((size_t)count + 1, sizeof *list);
        if (list) {
            size_t i = 0;
            for (libusb_device *d = ctx->devices; d; d = d->next) list[i++] = libusb_ref_device(d);
            *out = list;
        } else count = NO_MEM;
    }
    pthread_mutex_unlock(&ctx->listing);
    return count;
}

API void libusb_free_device_list(libusb_device **list, int unref)
{
    if (!list) return;
    if (unref)
        for (libusb_device **at = list; *at; at++) libusb_unref_device(*at);
    free(list);
}

API uint8_t libusb_get_bus_number(libusb_device *device) { return device->record.bus; }
API uint8_t libusb_get_device_address(libusb_device *device) { return device->record.address; }
API int libusb_get_device_speed(libusb_device *device) { return device->record.speed; }
API libusb_device *libusb_get_parent(libusb_device *device) { (void)device; return NULL; }

API int libusb_get_port_numbers(libusb_device *device, uint8_t *ports, int room)
{
    if (room <= 0) return INVALID_PARAM;
    if (device->record.depth > room || device->record.depth > 7) return OVERFLOWED;
    memcpy(ports, device->record.ports, device->record.depth);
    return device->record.depth;
}

API int libusb_get_port_path(libusb_context *ctx, libusb_device *device, uint8_t *ports, uint8_t room)
{
    (void)ctx;
    return libusb_get_port_numbers(device, ports, room);
}

API uint8_t libusb_get_port_number(libusb_device *device)
{
    return device->record.depth ? device->record.ports[(device->record.depth - 1) & 7] : 0;
}

/* ---- descriptors ---- */

API int libusb_get_device_descriptor(libusb_device *device, struct libusb_device_descriptor *out)
{
    memcpy(out, device->record.descriptor, sizeof device->record.descriptor);
    return SUCCESS;
}

API void libusb_free_config_descriptor(struct libusb_config_descriptor *config)
{
    if (!config) return;
    for (int i = 0; config->interface && i < config->bNumInterfaces; i++) {
        for (int k = 0; k < config->interface[i].num_altsetting; k++)
            free((void *)config->interface[i].altsetting[k].endpoint);
        free((void *)config->interface[i].altsetting);
    }
    free((void *)config->interface);
    free(config);
}

/* The structures point into the device's raw bytes for what is "extra". That is why the caller keeps a reference. */
static int parse_config(const unsigned char *raw, size_t size, struct libusb_config_descriptor **out)
{
    if (size < 9) return IO;
    struct libusb_config_descriptor *config = calloc(1, sizeof *config);
    struct libusb_interface *interfaces = calloc(raw[4] ? raw[4] : 1u, sizeof *interfaces);
    if (!config || !interfaces) {
        free(config);
        free(interfaces);
        return NO_MEM;
    }
    memcpy(config, raw, 9); /* these nine bytes have the same layout in memory */
    config->bNumInterfaces = raw[4];
    config->bConfigurationValue = raw[5];
    config->iConfiguration = raw[6];
    config->bmAttributes = raw[7];
    config->MaxPower = raw[8];
    config->interface = interfaces;
    struct libusb_interface_descriptor *current = NULL;
    struct libusb_endpoint_descriptor *endpoint = NULL;
    int endpoints = 0;
    for (size_t at = 9; at + 2 <= size && raw[at] >= 2 && at + raw[at] <= size; at += raw[at]) {
        const unsigned char *d = raw + at;
        if (d[1] == 4 && d[0] >= 9 && d[2] < config->bNumInterfaces) {
            struct libusb_interface *interface = &interfaces[d[2]];
            struct libusb_interface_descriptor *settings = realloc(
                (void *)interface->altsetting, ((size_t)interface->num_altsetting + 1) * sizeof *settings);
            if (!settings) break;
            interface->altsetting = settings;
            current = &settings[interface->num_altsetting++];
            memset(current, 0, sizeof *current);
            memcpy(current, d, 9);
            struct libusb_endpoint_descriptor *room = calloc(d[4] ? d[4] : 1u, sizeof *room);
            current->endpoint = room;
            if (!room) current->bNumEndpoints = 0;
            endpoint = NULL;
            endpoints = 0;
        } else if (d[1] == 5 && d[0] >= 7 && current && endpoints < current->bNumEndpoints) {
            endpoint = (struct libusb_endpoint_descriptor *)current->endpoint + endpoints++;
            memcpy(endpoint, d, 4);
            endpoint->wMaxPacketSize = (uint16_t)(d[4] | d[5] << 8);
            endpoint->bInterval = d[6];
        } else if (endpoint) {
            if (!endpoint->extra) endpoint->extra = d;
            endpoint->extra_length = (int)(d + d[0] - endpoint->extra);
        }
    }
    while (config->bNumInterfaces && !interfaces[config->bNumInterfaces - 1].num_altsetting) config->bNumInterfaces--;
    *out = config;
    return SUCCESS;
}

API int libusb_get_config_descriptor(libusb_device *device, uint8_t index, struct libusb_config_descriptor **out)
{
    if (index >= device->record.descriptor[17]) return NOT_FOUND;
    return parse_config(device->config, device->record.config_size, out);
}

API int libusb_get_active_config_descriptor(libusb_device *device, struct libusb_config_descriptor **out)
{
    return libusb_get_config_descriptor(device, 0, out);
}

API int libusb_get_config_descriptor_by_value(libusb_device *device, uint8_t value, struct libusb_config_descriptor **out)
{
    if (device->record.config_size < 9 || device->config[5] != value) return NOT_FOUND;
    return libusb_get_config_descriptor(device, 0, out);
}

API int libusb_get_max_packet_size(libusb_device *device, unsigned char endpoint)
{
    for (size_t at = 0; at + 7 <= device->record.config_size && device->config[at]; at += device->config[at])
        if (device->config[at + 1] == 5 && device->config[at + 2] == endpoint)
            return device->config[at + 4] | device->config[at + 5] << 8;
    return NOT_FOUND;
}

/* ---- handles ---- */

static int on(libusb_device_handle *handle, enum op op, int a, int b)
{
    return call(handle->device->ctx, op, handle->id, a, b, NULL);
}

API int libusb_open(libusb_device *device, libusb_device_handle **out)
{
    int id = 0;
    libusb_device_handle *handle = calloc(1, sizeof *handle);
    if (!handle) return NO_MEM;
    int rc = device->ctx ? call(device->ctx, OPEN, device->record.id, 0, 0, &id) : NO_DEVICE;
    if (rc) {
        free(handle);
        return rc;
    }
    *handle = (libusb_device_handle){.device = libusb_ref_device(device), .id = (uint32_t)id};
    *out = handle;
    return SUCCESS;
}

API int libusb_wrap_sys_device(libusb_context *ctx, intptr_t device, libusb_device_handle **out)
{
    (void)ctx;
    (void)device;
    (void)out;
    return NOT_SUPPORTED;
}

API libusb_device_handle *libusb_open_device_with_vid_pid(libusb_context *ctx, uint16_t vendor, uint16_t product)
{
    libusb_device **list;
    libusb_device_handle *handle = NULL;
    if (libusb_get_device_list(ctx, &list) < 0) return NULL;
    for (libusb_device **at = list; *at && !handle; at++) {
        struct libusb_device_descriptor d;
        libusb_get_device_descriptor(*at, &d);
        if (d.idVendor == vendor && d.idProduct == product && libusb_open(*at, &handle)) handle = NULL;
    }
    libusb_free_device_list(list, 1);
    return handle;
}

/* Transfers still under way are forgotten, as by the real one: their callbacks never come. */
API void libusb_close(libusb_device_handle *handle)
{
    if (!handle) return;
    libusb_context *ctx = handle->device->ctx;
    pthread_mutex_lock(&ctx->lock);
    while (ctx->receiving && ctx->receiving->handle == handle) pthread_cond_wait(&ctx->received, &ctx->lock);
    for (int i = 0; i < BUCKETS; i++)
        for (struct waiting **at = &ctx->waiting[i]; *at;) {
            struct waiting *w = *at;
            if (w->transfer && w->handle == handle) {
                *at = w->next;
                w->flying = 0;
            } else at = &w->next;
        }
    for (struct waiting **at = &ctx->finished; *at;)
        if ((*at)->handle == handle) *at = (*at)->next;
        else at = &(*at)->next;
    ctx->finished_end = &ctx->finished;
    while (*ctx->finished_end) ctx->finished_end = &(*ctx->finished_end)->next;
    pthread_mutex_unlock(&ctx->lock);
    on(handle, CLOSE, 0, 0);
    libusb_unref_device(handle->device);
    free(handle);
}

API libusb_device *libusb_get_device(libusb_device_handle *handle) { return handle->device; }
API int libusb_kernel_driver_active(libusb_device_handle *handle, int interface) { (void)handle; (void)interface; return 0; }
API int libusb_attach_kernel_driver(libusb_device_handle *handle, int interface)
{
    (void)handle;
    (void)interface;
    return NOT_FOUND;
}
API int libusb_detach_kernel_driver(libusb_device_handle *handle, int interface) { return on(handle, DETACH, interface, 0); }
API int libusb_set_auto_detach_kernel_driver(libusb_device_handle *handle, int enable)
{
    handle->automatic_detach = enable;
    return SUCCESS;
}
API int libusb_claim_interface(libusb_device_handle *handle, int interface) { return on(handle, CLAIM, interface, 0); }
API int libusb_release_interface(libusb_device_handle *handle, int interface) { return on(handle, RELEASE, interface, 0); }
API int libusb_set_configuration(libusb_device_handle *handle, int value) { return on(handle, SET_CONFIGURATION, value, 0); }
API int libusb_get_configuration(libusb_device_handle *handle, int *value)
{
    return call(handle->device->ctx, GET_CONFIGURATION, handle->id, 0, 0, value);
}
API int libusb_set_interface_alt_setting(libusb_device_handle *handle, int interface, int setting)
{
    return on(handle, SET_ALTERNATE, interface, setting);
}
API int libusb_clear_halt(libusb_device_handle *handle, unsigned char endpoint) { return on(handle, CLEAR_HALT, endpoint, 0); }
API int libusb_reset_device(libusb_device_handle *handle) { return on(handle, RESET, 0, 0); }

/* ---- transfers ---- */

static struct head transfer_head(enum op op, uint32_t handle, unsigned char endpoint, int length, unsigned timeout, int sends)
{
    return (struct head){.size = sends ? (uint32_t)length : 0, .op = op, .endpoint = endpoint, .target = handle,
                         .a = length, .b = (int32_t)timeout};
}

static int as_error(int status)
{
    switch (status) {
    case COMPLETED: return SUCCESS;
    case TIMED_OUT: return TIMEOUT;
    case STALL: return PIPE;
    case GONE: return NO_DEVICE;
    case OVERFLOW_STATUS: return OVERFLOWED;
    default: return status < 0 ? status : IO;
    }
}

/* What an answer says was done, held against what was asked for. */
static int within(int done, int length) { return done < 0 ? 0 : done > length ? length : done; }

static int transfer_now(libusb_device_handle *handle, unsigned char endpoint, unsigned char *data, int length, int *done,
                        unsigned timeout)
{
    if (length < 0) return INVALID_PARAM;
    struct waiting w = {.handle = handle, .into = data, .room = endpoint & 0x80 ? (uint32_t)length : 0};
    struct head head = transfer_head(SUBMIT, handle->id, endpoint, length, timeout, !(endpoint & 0x80));
    int status = call_into(handle->device->ctx, &w, head, data);
    if (done) *done = within(w.done, length);
    return as_error(status);
}

API int libusb_bulk_transfer(libusb_device_handle *handle, unsigned char endpoint, unsigned char *data, int length, int *done,
                             unsigned timeout)
{
    return transfer_now(handle, endpoint, data, length, done, timeout);
}

API int libusb_interrupt_transfer(libusb_device_handle *handle, unsigned char endpoint, unsigned char *data, int length,
                                  int *done, unsigned timeout)
{
    return transfer_now(handle, endpoint, data, length, done, timeout);
}

API int libusb_control_transfer(libusb_device_handle *handle, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                                unsigned char *data, uint16_t length, unsigned timeout)
{
    unsigned char *message = malloc(8u + length);
    if (!message) return NO_MEM;
    int out = !(type & 0x80);
    memcpy(message, (unsigned char[]){type, request, value & 255, value >> 8, index & 255, index >> 8, length & 255, length >> 8},
           8);
    if (out && length) memcpy(message + 8, data, length);
    struct waiting w = {.handle = handle, .into = data, .room = out ? 0 : length};
    struct head head = transfer_head(SUBMIT, handle->id, type & 0x80, 8 + (out ? length : 0), timeout, 1);
    int rc = as_error(call_into(handle->device->ctx, &w, head, message));
    free(message);
    return rc ? rc : within(w.done, length);
}

API int libusb_get_string_descriptor_ascii(libusb_device_handle *handle, uint8_t index, unsigned char *text, int room)
{
    unsigned char raw[255];
    if (!index || room <= 0) return INVALID_PARAM;
    int got = libusb_control_transfer(handle, 0x80, 6, (uint16_t)(0x0300 | index), 0x0409, raw, sizeof raw, 1000);
    if (got < 0) return got;
    if (got < 2 || raw[0] > got || raw[1] != 3) return IO;
    int at = 0;
    for (int i = 2; i + 1 < raw[0] && at < room - 1; i += 2) text[at++] = raw[i + 1] || raw[i] > 127 ? '?' : raw[i];
    text[at] = 0;
    return at;
}

API int libusb_get_descriptor(libusb_device_handle *handle, uint8_t type, uint8_t index, unsigned char *data, int length)
{
    return libusb_control_transfer(handle, 0x80, 6, (uint16_t)(type << 8 | index), 0, data, (uint16_t)length, 1000);
}

API struct libusb_transfer *libusb_alloc_transfer(int packets)
{
    if (packets < 0 || packets > 1024) return NULL;
    size_t extra = (size_t)packets * sizeof(struct libusb_iso_packet_descriptor);
    struct waiting *w = calloc(1, sizeof *w + sizeof(struct libusb_transfer) + extra);
    if (!w) return NULL;
    w->transfer = (struct libusb_transfer *)(w + 1);
    w->transfer->num_iso_packets = packets;
    return w->transfer;
}

static struct waiting *private_part(struct libusb_transfer *transfer) { return (struct waiting *)transfer - 1; }

API void libusb_free_transfer(struct libusb_transfer *transfer)
{
    if (!transfer) return;
    if (transfer->flags & FREE_BUFFER) free(transfer->buffer);
    free(private_part(transfer));
}

API int libusb_submit_transfer(struct libusb_transfer *transfer)
{
    struct waiting *w = private_part(transfer);
    libusb_device_handle *handle = transfer->dev_handle;
    libusb_context *ctx = handle->device->ctx;
    int control = transfer->type == 0, in = control ? transfer->buffer[0] & 0x80 : transfer->endpoint & 0x80;
    if (transfer->length < (control ? 8 : 0)) return INVALID_PARAM;
    if (transfer->type == 1) return NOT_SUPPORTED;
    if (w->flying) return BUSY;
    unsigned char endpoint = control ? (unsigned char)in : transfer->endpoint;
    if (ctx->page && ctx->page[1]) {
        struct waiting ask = {0};
        struct head head = transfer_head(ASK, handle->id, endpoint, transfer->length, 0, 0);
        int rc = call_into(ctx, &ask, head, NULL);
        if (rc) return rc < 0 ? rc : OTHER;
    }
    w->handle = handle;
    w->into = transfer->buffer + (control ? 8 : 0);
    w->room = in ? (uint32_t)transfer->length - (control ? 8 : 0) : 0;
    int rc = await_answer_to(ctx, w);
    if (rc) return rc;
    struct head head = transfer_head(SUBMIT, handle->id, endpoint, control && in ? 8 : transfer->length, transfer->timeout,
                                     control || !in);
    head.id = w->id;
    rc = send_message(ctx, &head, transfer->buffer);
    if (!rc) return SUCCESS;
    pthread_mutex_lock(&ctx->lock);
    struct waiting *mine = take_waiting(ctx, w->id);
    if (mine) mine->flying = 0;
    pthread_mutex_unlock(&ctx->lock);
    return mine ? rc : SUCCESS; /* else the reader has already ended it */
}

API int libusb_cancel_transfer(struct libusb_transfer *transfer)
{
    struct waiting *w = private_part(transfer);
    if (!transfer->dev_handle) return NOT_FOUND;
    libusb_context *ctx = transfer->dev_handle->device->ctx;
    pthread_mutex_lock(&ctx->lock);
    int flying = w->flying;
    uint32_t id = w->id;
    pthread_mutex_unlock(&ctx->lock);
    if (!flying) return NOT_FOUND;
    struct head head = {.op = CANCEL, .target = id};
    return send_message(ctx, &head, NULL);
}

API int libusb_transfer_set_stream_id(struct libusb_transfer *transfer, uint32_t id) { (void)transfer; (void)id; return 0; }
API uint32_t libusb_transfer_get_stream_id(struct libusb_transfer *transfer) { (void)transfer; return 0; }
API unsigned char *libusb_dev_mem_alloc(libusb_device_handle *handle, size_t size) { (void)handle; (void)size; return NULL; }
API int libusb_dev_mem_free(libusb_device_handle *handle, unsigned char *memory, size_t size)
{
    (void)handle;
    (void)memory;
    (void)size;
    return NOT_SUPPORTED;
}

/* ---- events ---- */

static int matches(const struct hotplug *h, const libusb_device *device, int event)
{
    struct libusb_device_descriptor d;
    memcpy(&d, device->record.descriptor, sizeof d);
    return !h->dead && h->events & event && (h->vendor == ANY || h->vendor == d.idVendor) &&
           (h->product == ANY || h->product == d.idProduct) && (h->class == ANY || h->class == d.bDeviceClass);
}

static void tell(libusb_context *ctx, libusb_device *device, int event)
{
    for (struct hotplug *h = ctx->hotplug; h; h = h->next)
        if (matches(h, device, event) && h->callback(ctx, device, event, h->user_data)) h->dead = 1;
}

/* The devices of now, each with a reference. */
static libusb_device **present(libusb_context *ctx, size_t *count)
{
    libusb_device **list = NULL;
    ssize_t got = libusb_get_device_list(ctx, &list);
    *count = got > 0 ? (size_t)got : 0;
    return list;
}

static void announce(libusb_context *ctx)
{
    size_t count, old_count = ctx->announced_count;
    libusb_device **old = ctx->announced, **now = present(ctx, &count);
    ctx->announced = now;
    ctx->announced_count = count;
    for (size_t i = 0; i < old_count; i++) {
        size_t k = 0;
        while (k < count && now[k] != old[i]) k++;
        if (k == count) tell(ctx, old[i], LEFT);
    }
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < old_count && old[k] != now[i]) k++;
        if (k == old_count) tell(ctx, now[i], ARRIVED);
    }
    for (size_t i = 0; i < old_count; i++) libusb_unref_device(old[i]);
    free(old);
    pthread_mutex_lock(&ctx->lock); /* another thread may register one just now */
    for (struct hotplug **at = &ctx->hotplug; *at;) {
        struct hotplug *h = *at;
        if (h->dead) {
            *at = h->next;
            free(h);
        } else at = &h->next;
    }
    pthread_mutex_unlock(&ctx->lock);
}

static void complete(struct waiting *w)
{
    struct libusb_transfer *transfer = w->transfer;
    int flags = transfer->flags;
    transfer->status = w->status < 0 || w->status > OVERFLOW_STATUS ? FAILED : w->status;
    transfer->actual_length = within(w->done, transfer->length - (transfer->type == 0 ? 8 : 0));
    if (transfer->callback) transfer->callback(transfer);
    if (flags & FREE_TRANSFER) libusb_free_transfer(transfer);
}

API int libusb_handle_events_timeout_completed(libusb_context *ctx, struct timeval *timeout, int *completed)
{
    ctx = context(ctx);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout ? timeout->tv_sec : 60;
    until.tv_nsec += timeout ? timeout->tv_usec * 1000L : 0;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&ctx->lock);
    for (;;) {
        int done = 0;
        while (ctx->finished && !(completed && done && *completed)) {
            struct waiting *w = ctx->finished;
            ctx->finished = w->next;
            if (!ctx->finished) ctx->finished_end = &ctx->finished;
            quiet_events(ctx);
            pthread_mutex_unlock(&ctx->lock);
            complete(w);
            done = 1;
            pthread_mutex_lock(&ctx->lock);
        }
        if (ctx->changed && ctx->hotplug && !ctx->running) {
            ctx->changed = 0;
            ctx->running = 1;
            quiet_events(ctx);
            pthread_mutex_unlock(&ctx->lock);
            announce(ctx);
            done = 1;
            pthread_mutex_lock(&ctx->lock);
            ctx->running = 0;
        }
        if (ctx->interrupted) {
            ctx->interrupted = 0;
            done = 1;
        }
        quiet_events(ctx);
        if (done || (completed && *completed)) break;
        if (pthread_cond_timedwait(&ctx->eventful, &ctx->lock, &until) == ETIMEDOUT) break;
    }
    pthread_mutex_unlock(&ctx->lock);
    return SUCCESS;
}

API int libusb_handle_events_timeout(libusb_context *ctx, struct timeval *timeout)
{
    return libusb_handle_events_timeout_completed(ctx, timeout, NULL);
}
API int libusb_handle_events_locked(libusb_context *ctx, struct timeval *timeout)
{
    return libusb_handle_events_timeout_completed(ctx, timeout, NULL);
}
API int libusb_handle_events(libusb_context *ctx) { return libusb_handle_events_timeout_completed(ctx, NULL, NULL); }
API int libusb_handle_events_completed(libusb_context *ctx, int *completed)
{
    return libusb_handle_events_timeout_completed(ctx, NULL, completed);
}

API void libusb_interrupt_event_handler(libusb_context *ctx)
{
    ctx = context(ctx);
    pthread_mutex_lock(&ctx->lock);
    ctx->interrupted = 1;
    signal_events(ctx);
    pthread_mutex_unlock(&ctx->lock);
}

/* Time-outs are the server's and any thread may handle events, so these have nothing to keep apart. */
API int libusb_get_next_timeout(libusb_context *ctx, struct timeval *timeout) { (void)ctx; (void)timeout; return 0; }
API int libusb_pollfds_handle_timeouts(libusb_context *ctx) { (void)ctx; return 1; }
API int libusb_try_lock_events(libusb_context *ctx) { (void)ctx; return 0; }
API void libusb_lock_events(libusb_context *ctx) { (void)ctx; }
API void libusb_unlock_events(libusb_context *ctx) { (void)ctx; }
API int libusb_event_handling_ok(libusb_context *ctx) { (void)ctx; return 1; }
API int libusb_event_handler_active(libusb_context *ctx) { (void)ctx; return 0; }
API void libusb_lock_event_waiters(libusb_context *ctx) { (void)ctx; }
API void libusb_unlock_event_waiters(libusb_context *ctx) { (void)ctx; }
API int libusb_wait_for_event(libusb_context *ctx, struct timeval *timeout)
{
    return libusb_handle_events_timeout_completed(ctx, timeout, NULL);
}

API const struct libusb_pollfd **libusb_get_pollfds(libusb_context *ctx)
{
    ctx = context(ctx);
    struct libusb_pollfd **list = calloc(1, 2 * sizeof *list + sizeof **list);
    if (!list) return NULL;
    list[0] = (struct libusb_pollfd *)(list + 2);
    *list[0] = (struct libusb_pollfd){ctx->signal[0], POLLIN};
    return (const struct libusb_pollfd **)list;
}

API void libusb_free_pollfds(const struct libusb_pollfd **list) { free(list); }

API void libusb_set_pollfd_notifiers(libusb_context *ctx, void (*added)(int, short, void *), void (*removed)(int, void *),
                                     void *user_data)
{
    (void)ctx; /* the one descriptor stays as long as the context */
    (void)added;
    (void)removed;
    (void)user_data;
}

API int libusb_hotplug_register_callback(libusb_context *ctx, int events, int flags, int vendor, int product, int class,
                                         hotplug_callback callback, void *user_data, int *out)
{
    ctx = context(ctx);
    if (!ctx || !callback || !(events & (ARRIVED | LEFT))) return INVALID_PARAM;
    struct hotplug *h = calloc(1, sizeof *h);
    if (!h) return NO_MEM;
    *h = (struct hotplug){.events = events, .vendor = vendor, .product = product, .class = class, .callback = callback,
                          .user_data = user_data};
    size_t count;
    libusb_device **now = present(ctx, &count);
    pthread_mutex_lock(&ctx->lock);
    h->handle = ++ctx->last_hotplug;
    int first = !ctx->hotplug;
    struct hotplug **end = &ctx->hotplug;
    while (*end) end = &(*end)->next;
    *end = h;
    ctx->changed = 1; /* what came and went meanwhile is found by comparing */
    signal_events(ctx);
    pthread_mutex_unlock(&ctx->lock);
    if (out) *out = h->handle;
    if (flags & ENUMERATE)
        for (size_t i = 0; i < count; i++)
            if (matches(h, now[i], ARRIVED) && callback(ctx, now[i], ARRIVED, user_data)) h->dead = 1;
    if (first) {
        for (size_t i = 0; i < ctx->announced_count; i++) libusb_unref_device(ctx->announced[i]);
        free(ctx->announced);
        ctx->announced = now;
        ctx->announced_count = count;
    } else libusb_free_device_list(now, 1);
    return SUCCESS;
}

API void libusb_hotplug_deregister_callback(libusb_context *ctx, int handle)
{
    ctx = context(ctx);
    if (!ctx) return;
    pthread_mutex_lock(&ctx->lock);
    for (struct hotplug *h = ctx->hotplug; h; h = h->next)
        if (h->handle == handle) h->dead = 1;
    pthread_mutex_unlock(&ctx->lock);
}

API void *libusb_hotplug_get_user_data(libusb_context *ctx, int handle)
{
    void *found = NULL;
    ctx = context(ctx);
    if (!ctx) return NULL;
    pthread_mutex_lock(&ctx->lock);
    for (struct hotplug *h = ctx->hotplug; h; h = h->next)
        if (h->handle == handle) found = h->user_data;
    pthread_mutex_unlock(&ctx->lock);
    return found;
}

/* ---- names ---- */

static const struct { int code; const char *name, *text; } errors[] = {
    {SUCCESS, "LIBUSB_SUCCESS", "Success"}, {IO, "LIBUSB_ERROR_IO", "Input/Output Error"},
    {INVALID_PARAM, "LIBUSB_ERROR_INVALID_PARAM", "Invalid parameter"},
    {ACCESS, "LIBUSB_ERROR_ACCESS", "Access denied (insufficient permissions)"},
    {NO_DEVICE, "LIBUSB_ERROR_NO_DEVICE", "No such device (it may have been disconnected)"},
    {NOT_FOUND, "LIBUSB_ERROR_NOT_FOUND", "Entity not found"}, {BUSY, "LIBUSB_ERROR_BUSY", "Resource busy"},
    {TIMEOUT, "LIBUSB_ERROR_TIMEOUT", "Operation timed out"}, {OVERFLOWED, "LIBUSB_ERROR_OVERFLOW", "Overflow"},
    {PIPE, "LIBUSB_ERROR_PIPE", "Pipe error"}, {INTERRUPTED, "LIBUSB_ERROR_INTERRUPTED", "System call interrupted"},
    {NO_MEM, "LIBUSB_ERROR_NO_MEM", "Insufficient memory"},
    {NOT_SUPPORTED, "LIBUSB_ERROR_NOT_SUPPORTED", "Operation not supported or unimplemented on this platform"},
    {OTHER, "LIBUSB_ERROR_OTHER", "Other error"},
};

static size_t error_at(int code)
{
    size_t last = sizeof errors / sizeof *errors - 1;
    for (size_t i = 0; i < last; i++)
        if (errors[i].code == code) return i;
    return last;
}

API const char *libusb_error_name(int code)
{
    size_t at = error_at(code);
    return errors[at].code == code ? errors[at].name : "**UNKNOWN**";
}
API const char *libusb_strerror(int code) { return errors[error_at(code)].text; }
API int libusb_setlocale(const char *locale) { (void)locale; return SUCCESS; }

API int libusb_has_capability(uint32_t capability) { return capability <= 1 || capability == 0x101; }

API const struct libusb_version *libusb_get_version(void)
{
    static const struct libusb_version version = {1, 0, 26, 0, "", "emulated Myriad X"};
    return &version;
}
