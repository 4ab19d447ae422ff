/* The C reader: what can be had without Python.
 *
 *     reader DIRECTORY MASK RECURSIVE EVENTS
 *
 * watches DIRECTORY (with RECURSIVE 1 all below it), decodes each event into a struct with its
 * path and calls a function with it. EVENTS is 1 to keep the time and path of each. It speaks as
 * benchmarks/reader.py does: one line of JSON when the watches stand, and one for each question
 * "EXPECTED QUIET" on standard input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

struct event {
    int wd;
    uint32_t mask;
    uint32_t cookie;
    char path[PATH_MAX + NAME_MAX + 2];
};

struct kept {
    int64_t ns;
    uint32_t mask;
    char *path;
};

static int fd;
static uint32_t wanted;
static char **paths;
static int room;
static long count, overflows;
static int keeping;
static struct kept *kept;
static long kept_count, kept_room;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static long resident(void) {
    long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
        die("statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* The peak of this program alone: that of getrusage(2) includes the process it was forked from. */
static long peak(void) {
    char line[256];
    long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file)
        die("status");
    while (fgets(line, sizeof line, file) && !sscanf(line, "VmHWM: %ld", &kilobytes))
        ;
    fclose(file);
    return kilobytes * 1024;
}

static int watch(const char *path) {
    int wd = inotify_add_watch(fd, path, wanted);
    if (wd < 0)
        die("inotify_add_watch");
    while (wd >= room) {
        int more = room ? room * 2 : 64;
        paths = realloc(paths, more * sizeof *paths);
        memset(paths + room, 0, (more - room) * sizeof *paths);
        room = more;
    }
    paths[wd] = strdup(path);
    return 0;
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status, (void)where;
    return type == FTW_D ? watch(path) : 0;
}

static void keep(const struct event *event) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (kept_count == kept_room) {
        kept_room = kept_room ? kept_room * 2 : 1024;
        kept = realloc(kept, kept_room * sizeof *kept);
    }
    kept[kept_count].ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    kept[kept_count].mask = event->mask;
    kept[kept_count++].path = strdup(event->path);
}

__attribute__((noinline)) static void callback(const struct event *event) {
    count++;
    if (keeping)
        keep(event);
}

static void read_events(void) {
    static char buffer[1 << 20] __attribute__((aligned(8)));
    static struct event event;
    ssize_t size = read(fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *raw = (const void *)(buffer + at);
        at += sizeof *raw + raw->len;
        if (raw->mask & IN_Q_OVERFLOW) {
            overflows++;
            continue;
        }
        event.wd = raw->wd;
        event.mask = raw->mask;
        event.cookie = raw->cookie;
        char *end = stpcpy(event.path, paths[raw->wd]);
        if (raw->len) {
            *end++ = '/';
            strcpy(end, raw->name);
        }
        callback(&event);
    }
}

static const char *kind(uint32_t mask) {
    return mask & IN_CREATE ? "create" : mask & IN_CLOSE_WRITE ? "close_write" : "other";
}

static void answer(double cpu) {
    printf("{\"count\": %ld, \"cpu\": %.9f, \"now\": %.9f, \"overflows\": %ld, \"peak\": %ld, "
           "\"events\": [",
           count, cpu, seconds(CLOCK_MONOTONIC), overflows, peak());
    for (long n = 0; n < kept_count; n++)
        printf("%s[%lld, \"%s\", \"%s\"]", n ? ", " : "", (long long)kept[n].ns,
               kind(kept[n].mask), kept[n].path);
    printf("]}\n");
    fflush(stdout);
    kept_count = 0;
}

static void serve(void) {
    struct pollfd waits[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    double started = seconds(CLOCK_PROCESS_CPUTIME_ID), changed = 0, quiet = 0;
    long expected = 0, last = 0;
    int asked = 0, told = 0;
    for (;;) {
        poll(waits, 2, 50);
        if (waits[0].revents)
            read_events();
        if (overflows && !told) {
            told = 1;
            printf("{\"overflow\": true}\n");
            fflush(stdout);
        }
        if (waits[1].revents) {
            char line[64];
            ssize_t size = read(STDIN_FILENO, line, sizeof line - 1);
            if (size <= 0)
                return;
            line[size] = 0;
            if (sscanf(line, "%ld %lf", &expected, &quiet) != 2)
                exit(1);
            asked = 1;
            changed = seconds(CLOCK_MONOTONIC);
        }
        if (count != last) {
            last = count;
            changed = seconds(CLOCK_MONOTONIC);
        }
        if (asked && ((expected >= 0 && count >= expected) ||
                      seconds(CLOCK_MONOTONIC) - changed > quiet)) {
            answer(seconds(CLOCK_PROCESS_CPUTIME_ID) - started);
            asked = 0;
            started = seconds(CLOCK_PROCESS_CPUTIME_ID);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    wanted = strtoul(argv[2], NULL, 10);
    keeping = atoi(argv[4]);
    fd = inotify_init1(IN_NONBLOCK);
    if (fd < 0)
        die("inotify_init1");
    long before = resident();
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), start = seconds(CLOCK_MONOTONIC);
    if (atoi(argv[3]) ? nftw(argv[1], visit, 64, FTW_PHYS) : watch(argv[1]))
        die("nftw");
    double wall = seconds(CLOCK_MONOTONIC) - start;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"seconds\": %.9f, \"cpu\": %.9f, \"bytes\": %ld}\n", wall, cpu,
           resident() - before);
    fflush(stdout);
    serve();
    return 0;
}
