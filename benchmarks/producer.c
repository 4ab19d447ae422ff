/* Makes events as fast as it can, or at a given rate.
 *
 *     producer DIRECTORY RATE SECONDS HOW
 *
 * HOW is "write": a byte is written to each of 1,000 open files in turn, one event by one system
 * call. Or it is "new": each file is created, opened, written to, closed and deleted, five events
 * by four system calls. RATE is in events per second, 0 for no limit; what is due is made every
 * half millisecond. Prints a line of JSON when all stands, starts when a line comes in, and prints
 * another at the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 1000, AT_ONCE = 100 };

static int open_files[FILES];

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static int create(long number, char *name, size_t size) {
    snprintf(name, size, "f%ld", number);
    return open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
}

static int write_in_turn(long number) {
    return pwrite(open_files[number % FILES], "x", 1, 0) == 1;
}

static int live_and_die(long number) {
    char name[32];
    int fd = create(number, name, sizeof name);
    return fd >= 0 && write(fd, "x", 1) == 1 && !close(fd) && !unlink(name);
}

int main(int argc, char **argv) {
    if (argc != 5 || chdir(argv[1]))
        return 2;
    int fresh = !strcmp(argv[4], "new");
    int each = fresh ? 5 : 1;
    char name[32];
    for (long n = 0; !fresh && n < FILES; n++)
        if ((open_files[n] = create(n, name, sizeof name)) < 0)
            return 1;
    printf("{\"standing\": true}\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;

    double rate = atof(argv[2]) / each, length = atof(argv[3]), start = seconds(), spent;
    struct timespec nap = {0, 500000};
    long made = 0;
    while ((spent = seconds() - start) < length) {
        long due = rate > 0 ? (long)(rate * spent) : made + AT_ONCE;
        if (made >= due)
            nanosleep(&nap, NULL);
        /* No longer than a moment without a look at the clock. */
        for (int n = 0; n < AT_ONCE && made < due; n++, made++)
            if (!(fresh ? live_and_die(made) : write_in_turn(made)))
                return 1;
    }
    double end = seconds();
    printf("{\"events\": %ld, \"seconds\": %.6f, \"end\": %.9f}\n", made * each, end - start, end);
    return 0;
}
