/* A libusb-1.0 that writes down what is said to Movidius sticks and passes every call on to the libusb it stands before.
 *
 * `ncsctl usb-capture` compiles it as libusb-1.0.so.0, puts its folder first in LD_LIBRARY_PATH and names in the environment
 *     NCS_USB_CAPTURE        the folder of the logs, one for each process: PID.usb
 *     NCS_USB_CAPTURE_NEXT   the libusb to pass calls on to, by its full path
 *     NCS_USB_CAPTURE_KEEP   bytes of log after which only the beginning of a payload is kept
 * Only sticks (vendor 03e7) are written down: no other device is named and none of its bytes are read. Of strings and control
 * transfers only the length is written, so that no serial number is.
 *
 * A log is "NCSUSB1\n", then records: `struct record` and `kept` bytes, each record one writev() while a lock is held, so what
 * is written survives a kill -9, and an unfinished record can only be the last. transcript.py reads it; the names of KINDS are
 * the contract between both. Integers are in the machine's byte order. No header of libusb is needed; its ABI has been stable
 * since 1.0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

#define NOT_SUPPORTED (-12)
#define VENDOR 0x03e7
#define HANDLES 64
#define BEGINNING 512 /* of a payload, once the log is long: enough for every header and command */

#define KINDS(_)                                                                                                                   \
    _(begin) _(full) _(devices) _(arrived) _(left) _(init) _(exit) _(polled) _(open) _(close) _(set_configuration)                 \
    _(get_configuration) _(claim_interface) _(release_interface) _(set_interface_alt_setting) _(detach_kernel_driver)              \
    _(attach_kernel_driver) _(kernel_driver_active) _(set_auto_detach_kernel_driver) _(clear_halt) _(reset_device)                 \
    _(get_config_descriptor) _(get_active_config_descriptor) _(get_string_descriptor_ascii) _(control_transfer) _(bulk_transfer)   \
    _(interrupt_transfer) _(submit_transfer) _(completed) _(cancel_transfer)

#define AS_ENUM(name) KIND_##name,
enum kind { KINDS(AS_ENUM) };

struct record {
    uint32_t kept;       /* payload bytes that follow */
    uint8_t kind;
    uint8_t endpoint;    /* of a transfer; else the call's small argument */
    uint16_t handle;     /* the how-manieth open stick of this process, from 1 */
    int32_t rc;          /* what libusb returned; of `completed` the transfer's status, or the error of a submit that was refused */
    uint32_t asked;      /* bytes the caller asked for */
    uint32_t actual;     /* bytes that were moved */
    uint32_t thread;     /* in order of appearance */
    uint64_t began_ns;   /* CLOCK_MONOTONIC */
    uint64_t ended_ns;
    uint64_t tag;        /* joins submit_transfer, cancel_transfer and completed */
};

typedef struct context context;
typedef struct device device;
typedef struct handle handle;
struct transfer {
    handle *dev_handle;
    uint8_t flags;
    unsigned char endpoint;
    unsigned char type;
    unsigned int timeout;
    int status;
    int length;
    int actual_length;
    void (*callback)(struct transfer *);
    void *user_data;
    unsigned char *buffer;
};
enum { CONTROL = 0, BULK = 2, INTERRUPT = 3 };
struct descriptor {
    uint8_t length, type;
    uint16_t usb;
    uint8_t class, subclass, protocol, packet;
    uint16_t vendor, product, version;
    uint8_t strings[3], configurations;
};

/* ---- the next libusb ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library;
static void forked(void);

static void load(void) {
    const char *path = getenv("NCS_USB_CAPTURE_NEXT");
    pthread_atfork(NULL, NULL, forked);
    if (path) library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library) return;
    fprintf(stderr, "usb-capture: no libusb to pass calls on to: %s\n", path ? dlerror() : "NCS_USB_CAPTURE_NEXT is not set");
}

static void *find(const char *name) {
    pthread_once(&once, load);
    return library ? dlsym(library, name) : NULL;
}

#define NEXT(result, name, types)                                                                                                  \
    static result(*volatile cached) types;                                                                                         \
    if (!cached) cached = (result(*) types)find(#name);                                                                            \
    result(*next) types = cached

/* A call that is only passed on: every argument of libusb is an integer or a pointer, so as many words as any call has are
 * handed over in their places; those that were not given are not looked at. */
typedef long word;
#define WORDS word a, word b, word c, word d, word e, word f, word g, word h, word i
#define PASS_ON(name, otherwise)                                                                                                   \
    word libusb_##name(WORDS);                                                                                                     \
    word libusb_##name(WORDS) {                                                                                                    \
        NEXT(word, libusb_##name, (WORDS));                                                                                        \
        return next ? next(a, b, c, d, e, f, g, h, i) : (otherwise);                                                               \
    }
#define PASS_ON_OR_ERROR(name) PASS_ON(name, NOT_SUPPORTED)
#define PASS_ON_OR_NOTHING(name) PASS_ON(name, 0)

#define OR_ERROR(_)                                                                                                                \
    _(alloc_streams) _(dev_mem_free) _(endpoint_set_raw_io) _(free_streams)                                                        \
    _(get_active_interface_association_descriptors) _(get_bos_descriptor) _(get_config_descriptor_by_value)                        \
    _(get_config_string) _(get_container_id_descriptor) _(get_device_descriptor) _(get_device_string)                              \
    _(get_interface_association_descriptors) _(get_interface_string) _(get_max_alt_packet_size) _(get_max_iso_packet_size)         \
    _(get_max_packet_size) _(get_max_raw_io_transfer_size) _(get_platform_descriptor) _(get_port_numbers) _(get_port_path)         \
    _(get_ss_endpoint_companion_descriptor) _(get_ss_usb_device_capability_descriptor)                                             \
    _(get_ssplus_usb_device_capability_descriptor) _(get_usb_2_0_extension_descriptor) _(handle_events)                            \
    _(handle_events_completed) _(handle_events_locked) _(handle_events_timeout) _(handle_events_timeout_completed)                 \
    _(set_option) _(setlocale)
#define OR_NOTHING(_)                                                                                                              \
    _(alloc_transfer) _(dev_mem_alloc) _(endpoint_supports_raw_io) _(error_name) _(event_handler_active)                           \
    _(event_handling_ok) _(free_bos_descriptor) _(free_config_descriptor) _(free_container_id_descriptor)                          \
    _(free_device_list) _(free_interface_association_descriptors) _(free_platform_descriptor) _(free_pollfds)                      \
    _(free_ss_endpoint_companion_descriptor) _(free_ss_usb_device_capability_descriptor)                                           \
    _(free_ssplus_usb_device_capability_descriptor) _(free_transfer) _(free_usb_2_0_extension_descriptor)                          \
    _(get_bus_number) _(get_device) _(get_device_address) _(get_device_speed) _(get_next_timeout) _(get_parent)                    \
    _(get_pollfds) _(get_port_number) _(get_session_data) _(get_version) _(has_capability) _(hotplug_deregister_callback)          \
    _(interrupt_event_handler) _(lock_event_waiters) _(lock_events) _(pollfds_handle_timeouts) _(ref_device) _(set_debug)          \
    _(set_log_cb) _(set_pollfd_notifiers) _(strerror) _(transfer_get_stream_id) _(transfer_set_stream_id)                          \
    _(try_lock_events) _(unlock_event_waiters) _(unlock_events) _(unref_device) _(wait_for_event)

OR_ERROR(PASS_ON_OR_ERROR)
OR_NOTHING(PASS_ON_OR_NOTHING)

/* ---- the log ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, log_tried, cutting, threads;
static uint64_t written, keep = 64u << 20, tags;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void forked(void) {
    /* the parent's log is the parent's */
    pthread_mutex_init(&lock, NULL);
    log_fd = -1;
    log_tried = 0;
    cutting = 0;
    written = 0;
}

static uint32_t thread_number(void) {
    static __thread uint32_t mine;
    if (!mine) mine = (uint32_t)__atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
    return mine;
}

static void append(struct record *r, const void *payload, size_t size) {
    struct iovec parts[2] = {{r, sizeof *r}, {(void *)payload, size}};
    r->kept = (uint32_t)size;
    ssize_t done = writev(log_fd, parts, size ? 2 : 1);
    size_t whole = sizeof *r + size;
    if (done >= 0 && (size_t)done < whole && (size_t)done >= sizeof *r) {
        /* a file takes the rest, or says why not */
        const char *rest = (const char *)payload + ((size_t)done - sizeof *r);
        ssize_t more = write(log_fd, rest, whole - (size_t)done);
        if (more > 0) done += more;
    }
    if (done != (ssize_t)whole) {
        fprintf(stderr, "usb-capture: the log ends here: %s\n", strerror(done < 0 ? errno : ENOSPC));
        close(log_fd);
        log_fd = -1;
        return;
    }
    written += whole;
}

static void open_log(uint64_t at_ns) {
    const char *folder = getenv("NCS_USB_CAPTURE"), *most = getenv("NCS_USB_CAPTURE_KEEP");
    char path[4096];
    log_tried = 1;
    if (!folder) return;
    if (most) keep = strtoull(most, NULL, 10);
    for (int again = 0; log_fd < 0 && again < 100; again++) {
        snprintf(path, sizeof path, "%s/%d-%d.usb", folder, (int)getpid(), again);
        log_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0 && errno != EEXIST) break;
    }
    if (log_fd < 0 || write(log_fd, "NCSUSB1\n", 8) != 8) {
        fprintf(stderr, "usb-capture: %s: %s\n", path, strerror(errno));
        return;
    }
    const uint16_t *version = (const uint16_t *)libusb_get_version(0, 0, 0, 0, 0, 0, 0, 0, 0);
    char text[64] = "unknown";
    if (version) snprintf(text, sizeof text, "%u.%u.%u.%u", version[0], version[1], version[2], version[3]);
    struct record r = {.kind = KIND_begin, .began_ns = at_ns, .ended_ns = at_ns};
    append(&r, text, strlen(text));
}

/* 1: from here on only the beginning of payloads; 2: nothing */
static void limit(int rc, uint64_t at_ns) {
    struct record r = {.kind = KIND_full, .rc = rc, .began_ns = at_ns, .ended_ns = at_ns};
    append(&r, NULL, 0);
}

static void note(struct record r, const void *payload, size_t size) {
    r.thread = thread_number();
    if (!r.ended_ns) r.ended_ns = now();
    if (!r.began_ns) r.began_ns = r.ended_ns;
    int before = errno;
    pthread_mutex_lock(&lock);
    if (!log_tried) open_log(r.began_ns);
    if (log_fd >= 0 && written > keep && !cutting) limit(++cutting, r.began_ns);
    if (log_fd >= 0 && written > 2 * keep + (64u << 20)) {
        limit(++cutting, r.began_ns);
        close(log_fd);
        log_fd = -1;
    }
    if (log_fd >= 0) append(&r, payload, cutting && size > BEGINNING ? BEGINNING : size);
    pthread_mutex_unlock(&lock);
    errno = before;
}

/* ---- which devices are sticks, which handles are theirs ---- */

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static struct { handle *of; uint16_t number; } handles[HANDLES];
static uint16_t opened;

/* "2485 bus 1 ports 1.2 speed 3 usb 2.00", or nothing when it is no stick. */
static size_t describe(device *dev, char *text, size_t room) {
    struct descriptor d = {0};
    uint8_t ports[8];
    if ((int)libusb_get_device_descriptor((word)dev, (word)&d, 0, 0, 0, 0, 0, 0, 0) < 0 || d.vendor != VENDOR) return 0;
    int count = (int)libusb_get_port_numbers((word)dev, (word)ports, sizeof ports, 0, 0, 0, 0, 0, 0);
    uint8_t bus = (uint8_t)libusb_get_bus_number((word)dev, 0, 0, 0, 0, 0, 0, 0, 0);
    size_t at = (size_t)snprintf(text, room, "%04x bus %u ports ", d.product, bus);
    for (int i = 0; i < count; i++) at += (size_t)snprintf(text + at, room - at, i ? ".%u" : "%u", ports[i]);
    int speed = (int)libusb_get_device_speed((word)dev, 0, 0, 0, 0, 0, 0, 0, 0);
    return at + (size_t)snprintf(text + at, room - at, " speed %d usb %x.%02x", speed, d.usb >> 8, d.usb & 0xff);
}

static uint16_t number_of(handle *h) {
    uint16_t found = 0;
    pthread_mutex_lock(&table);
    for (int i = 0; h && i < HANDLES && !found; i++)
        if (handles[i].of == h) found = handles[i].number;
    pthread_mutex_unlock(&table);
    return found;
}

static uint16_t enter(handle *h) {
    uint16_t number = 0;
    pthread_mutex_lock(&table);
    for (int i = 0; i < HANDLES && !number; i++)
        if (!handles[i].of) {
            handles[i].of = h;
            handles[i].number = number = ++opened;
        }
    pthread_mutex_unlock(&table);
    return number;
}

static void leave(handle *h) {
    pthread_mutex_lock(&table);
    for (int i = 0; i < HANDLES; i++)
        if (handles[i].of == h) handles[i].of = NULL;
    pthread_mutex_unlock(&table);
}

/* ---- calls that are written down ---- */

int libusb_init(context **ctx) {
    NEXT(int, libusb_init, (context **));
    uint64_t began = now();
    int rc = next ? next(ctx) : -99;
    note((struct record){.kind = KIND_init, .rc = rc, .began_ns = began}, NULL, 0);
    return rc;
}

int libusb_init_context(context **ctx, const void *options, int count) {
    NEXT(int, libusb_init_context, (context **, const void *, int));
    uint64_t began = now();
    int rc = next ? next(ctx, options, count) : NOT_SUPPORTED;
    note((struct record){.kind = KIND_init, .rc = rc, .began_ns = began}, NULL, 0);
    return rc;
}

void libusb_exit(context *ctx) {
    NEXT(void, libusb_exit, (context *));
    uint64_t began = now();
    if (next) next(ctx);
    note((struct record){.kind = KIND_exit, .began_ns = began}, NULL, 0);
}

/* Hosts poll the list without a pause: only a change of the sticks in it is written down, and how often it was asked for. */
ssize_t libusb_get_device_list(context *ctx, device ***list) {
    NEXT(ssize_t, libusb_get_device_list, (context *, device ***));
    static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
    static char seen[2048] = "?";
    static uint32_t polls;
    char text[2048] = "";
    size_t at = 0;
    ssize_t count = next ? next(ctx, list) : NOT_SUPPORTED;
    for (ssize_t i = 0; i < count && at < sizeof text - 200; i++) {
        size_t more = describe((*list)[i], text + at, sizeof text - at);
        if (more) {
            at += more;
            text[at++] = '\n';
            text[at] = 0;
        }
    }
    pthread_mutex_lock(&seen_lock);
    polls++;
    if (strcmp(text, seen)) {
        memcpy(seen, text, at + 1);
        note((struct record){.kind = KIND_polled, .asked = polls}, NULL, 0);
        note((struct record){.kind = KIND_devices, .rc = count < 0 ? (int)count : 0}, text, at);
        polls = 0;
    }
    pthread_mutex_unlock(&seen_lock);
    return count;
}

static void note_open(device *dev, handle *h, int rc, uint64_t began) {
    char text[200];
    size_t size = dev ? describe(dev, text, sizeof text) : 0;
    if (size) note((struct record){.kind = KIND_open, .handle = rc == 0 ? enter(h) : 0, .rc = rc, .began_ns = began}, text, size);
}

int libusb_open(device *dev, handle **h) {
    NEXT(int, libusb_open, (device *, handle **));
    uint64_t began = now();
    int rc = next ? next(dev, h) : NOT_SUPPORTED;
    note_open(dev, rc == 0 ? *h : NULL, rc, began);
    return rc;
}

int libusb_wrap_sys_device(context *ctx, intptr_t file, handle **h) {
    NEXT(int, libusb_wrap_sys_device, (context *, intptr_t, handle **));
    uint64_t began = now();
    int rc = next ? next(ctx, file, h) : NOT_SUPPORTED;
    if (rc == 0) note_open((device *)libusb_get_device((word)*h, 0, 0, 0, 0, 0, 0, 0, 0), *h, rc, began);
    return rc;
}

handle *libusb_open_device_with_vid_pid(context *ctx, uint16_t vendor, uint16_t product) {
    NEXT(handle *, libusb_open_device_with_vid_pid, (context *, uint16_t, uint16_t));
    uint64_t began = now();
    handle *h = next ? next(ctx, vendor, product) : NULL;
    if (h) note_open((device *)libusb_get_device((word)h, 0, 0, 0, 0, 0, 0, 0, 0), h, 0, began);
    return h;
}

void libusb_close(handle *h) {
    NEXT(void, libusb_close, (handle *));
    uint16_t number = number_of(h);
    uint64_t began = now();
    /* before the handle may be given to somebody else */
    leave(h);
    if (next) next(h);
    if (number) note((struct record){.kind = KIND_close, .handle = number, .began_ns = began}, NULL, 0);
}

/* int name(handle, [int]): the argument goes where a transfer has its endpoint */
#define WRITE_DOWN(name, declared, passed, argument)                                                                               \
    int libusb_##name declared {                                                                                                   \
        NEXT(int, libusb_##name, declared);                                                                                        \
        uint64_t began = now();                                                                                                    \
        int rc = next ? next passed : NOT_SUPPORTED;                                                                               \
        uint16_t number = number_of(h);                                                                                            \
        struct record r = {.kind = KIND_##name, .handle = number, .rc = rc, .endpoint = (uint8_t)(argument), .began_ns = began};   \
        if (number) note(r, NULL, 0);                                                                                              \
        return rc;                                                                                                                 \
    }

WRITE_DOWN(set_configuration, (handle *h, int value), (h, value), value)
WRITE_DOWN(get_configuration, (handle *h, int *value), (h, value), rc == 0 ? *value : 0)
WRITE_DOWN(claim_interface, (handle *h, int interface), (h, interface), interface)
WRITE_DOWN(release_interface, (handle *h, int interface), (h, interface), interface)
WRITE_DOWN(set_interface_alt_setting, (handle *h, int interface, int setting), (h, interface, setting), setting)
WRITE_DOWN(detach_kernel_driver, (handle *h, int interface), (h, interface), interface)
WRITE_DOWN(attach_kernel_driver, (handle *h, int interface), (h, interface), interface)
WRITE_DOWN(kernel_driver_active, (handle *h, int interface), (h, interface), interface)
WRITE_DOWN(set_auto_detach_kernel_driver, (handle *h, int enable), (h, enable), enable)
WRITE_DOWN(clear_halt, (handle *h, unsigned char endpoint), (h, endpoint), endpoint)
WRITE_DOWN(reset_device, (handle *h), (h), 0)

#define WRITE_DOWN_DEVICE(name, declared, passed)                                                                                  \
    int libusb_##name declared {                                                                                                   \
        NEXT(int, libusb_##name, declared);                                                                                        \
        char text[200];                                                                                                            \
        uint64_t began = now();                                                                                                    \
        int rc = next ? next passed : NOT_SUPPORTED;                                                                               \
        size_t size = describe(dev, text, sizeof text);                                                                            \
        if (size) note((struct record){.kind = KIND_##name, .rc = rc, .began_ns = began}, text, size);                             \
        return rc;                                                                                                                 \
    }

WRITE_DOWN_DEVICE(get_config_descriptor, (device *dev, uint8_t index, void **config), (dev, index, config))
WRITE_DOWN_DEVICE(get_active_config_descriptor, (device *dev, void **config), (dev, config))

int libusb_get_string_descriptor_ascii(handle *h, uint8_t index, unsigned char *data, int length) {
    NEXT(int, libusb_get_string_descriptor_ascii, (handle *, uint8_t, unsigned char *, int));
    uint64_t began = now();
    int rc = next ? next(h, index, data, length) : NOT_SUPPORTED;
    struct record r = {.kind = KIND_get_string_descriptor_ascii, .handle = number_of(h), .rc = rc, .began_ns = began};
    r.endpoint = index;
    if (r.handle) note(r, NULL, 0);
    return rc;
}

int libusb_control_transfer(handle *h, uint8_t type, uint8_t request, uint16_t value, uint16_t index, unsigned char *data,
                            uint16_t length, unsigned int timeout) {
    NEXT(int, libusb_control_transfer, (handle *, uint8_t, uint8_t, uint16_t, uint16_t, unsigned char *, uint16_t, unsigned int));
    uint64_t began = now();
    int rc = next ? next(h, type, request, value, index, data, length, timeout) : NOT_SUPPORTED;
    uint8_t setup[8] = {type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index, (uint8_t)(index >> 8),
                        (uint8_t)length, (uint8_t)(length >> 8)};
    struct record r = {.kind = KIND_control_transfer, .handle = number_of(h), .rc = rc, .asked = length, .began_ns = began};
    if (rc > 0) r.actual = (uint32_t)rc;
    if (r.handle) note(r, setup, sizeof setup);
    return rc;
}

static void note_sync(enum kind kind, handle *h, unsigned char endpoint, const unsigned char *data, int length, int moved, int rc,
                      uint64_t began) {
    struct record r = {.kind = (uint8_t)kind, .handle = number_of(h), .rc = rc, .endpoint = endpoint, .began_ns = began};
    r.asked = (uint32_t)length;
    r.actual = moved > 0 ? (uint32_t)moved : 0;
    if (r.handle) note(r, data, r.actual);
}

#define WRITE_DOWN_TRANSFER(name)                                                                                                  \
    int libusb_##name(handle *h, unsigned char endpoint, unsigned char *data, int length, int *actual, unsigned int timeout) {     \
        NEXT(int, libusb_##name, (handle *, unsigned char, unsigned char *, int, int *, unsigned int));                            \
        uint64_t began = now();                                                                                                    \
        int moved = 0;                                                                                                             \
        int rc = next ? next(h, endpoint, data, length, &moved, timeout) : NOT_SUPPORTED;                                          \
        note_sync(KIND_##name, h, endpoint, data, length, moved, rc, began);                                                       \
        if (actual) *actual = moved;                                                                                               \
        return rc;                                                                                                                 \
    }

WRITE_DOWN_TRANSFER(bulk_transfer)
WRITE_DOWN_TRANSFER(interrupt_transfer)

/* ---- asynchronous transfers: our callback stands before the caller's while one is under way ---- */

struct flight {
    struct transfer *of;
    void (*callback)(struct transfer *);
    uint64_t tag, began_ns;
    uint16_t handle;
    struct flight *next;
};
static pthread_mutex_t sky = PTHREAD_MUTEX_INITIALIZER;
static struct flight *flights, *spare;

static int take(struct transfer *t, struct flight *out) {
    int found = 0;
    pthread_mutex_lock(&sky);
    for (struct flight **at = &flights; *at; at = &(*at)->next)
        if ((*at)->of == t) {
            struct flight *f = *at;
            *at = f->next;
            *out = *f;
            f->next = spare;
            spare = f;
            found = 1;
            break;
        }
    pthread_mutex_unlock(&sky);
    return found;
}

static void note_completed(struct transfer *t, const struct flight *f, int rc) {
    struct record r = {.kind = KIND_completed, .handle = f->handle, .rc = rc, .began_ns = f->began_ns, .tag = f->tag};
    r.endpoint = t->endpoint;
    int in = (t->type == BULK || t->type == INTERRUPT) && t->endpoint & 0x80;
    r.asked = (uint32_t)t->length;
    r.actual = rc >= 0 && t->actual_length > 0 ? (uint32_t)t->actual_length : 0;
    note(r, t->buffer, in ? r.actual : 0);
}

static void completed(struct transfer *t) {
    struct flight f;
    if (!take(t, &f)) return;
    t->callback = f.callback;
    note_completed(t, &f, t->status);
    if (f.callback) f.callback(t);
}

int libusb_submit_transfer(struct transfer *t) {
    NEXT(int, libusb_submit_transfer, (struct transfer *));
    uint16_t number = number_of(t->dev_handle);
    if (!next) return NOT_SUPPORTED;
    if (!number || t->callback == completed || (t->type != BULK && t->type != INTERRUPT)) return next(t);
    pthread_mutex_lock(&sky);
    struct flight *f = spare;
    if (f) spare = f->next;
    else f = malloc(sizeof *f);
    if (f) {
        *f = (struct flight){t, t->callback, ++tags, now(), number, flights};
        flights = f;
    }
    pthread_mutex_unlock(&sky);
    if (!f) return next(t);
    struct record r = {.kind = KIND_submit_transfer, .handle = number, .began_ns = f->began_ns, .tag = f->tag};
    r.endpoint = t->endpoint;
    r.asked = (uint32_t)t->length;
    note(r, t->buffer, t->endpoint & 0x80 ? 0 : r.asked);
    t->callback = completed;
    int rc = next(t);
    struct flight back;
    if (rc != 0 && take(t, &back)) {
        t->callback = back.callback;
        note_completed(t, &back, rc);
    }
    return rc;
}

int libusb_cancel_transfer(struct transfer *t) {
    NEXT(int, libusb_cancel_transfer, (struct transfer *));
    struct record r = {.kind = KIND_cancel_transfer, .began_ns = now()};
    pthread_mutex_lock(&sky);
    for (struct flight *f = flights; f; f = f->next)
        if (f->of == t) {
            r.tag = f->tag;
            r.handle = f->handle;
            r.endpoint = t->endpoint;
        }
    pthread_mutex_unlock(&sky);
    r.rc = next ? next(t) : NOT_SUPPORTED;
    if (r.handle) note(r, NULL, 0);
    return r.rc;
}

/* ---- hot-plug: the caller's callback is wrapped; a wrapping is a few words and lives as long as the process ---- */

struct listener {
    int (*callback)(context *, device *, int, void *);
    void *user_data;
};

static int plugged(context *ctx, device *dev, int event, void *wrapped) {
    struct listener *l = wrapped;
    char text[200];
    size_t size = describe(dev, text, sizeof text);
    if (size) note((struct record){.kind = event == 1 ? KIND_arrived : KIND_left}, text, size);
    return l->callback(ctx, dev, event, l->user_data);
}

int libusb_hotplug_register_callback(context *ctx, int events, int flags, int vendor, int product, int class,
                                     int (*callback)(context *, device *, int, void *), void *user_data, int *registered) {
    NEXT(int, libusb_hotplug_register_callback,
         (context *, int, int, int, int, int, int (*)(context *, device *, int, void *), void *, int *));
    struct listener *l = malloc(sizeof *l);
    if (!next || !l) return NOT_SUPPORTED;
    *l = (struct listener){callback, user_data};
    return next(ctx, events, flags, vendor, product, class, plugged, l, registered);
}

void *libusb_hotplug_get_user_data(context *ctx, int registered) {
    NEXT(struct listener *, libusb_hotplug_get_user_data, (context *, int));
    struct listener *l = next ? next(ctx, registered) : NULL;
    return l ? l->user_data : NULL;
}
