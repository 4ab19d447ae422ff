/* walk TOP: list TOP and everything below, stat each item, and print the CPU time in seconds.

   What no poller can do without, in whatever language: it keeps nothing and compares nothing. */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void walk(int descriptor)
{
    DIR *directory = fdopendir(descriptor);
    struct dirent *item;
    struct stat status;

    if (directory == NULL) {
        perror("fdopendir");
        exit(1);
    }
    while ((item = readdir(directory)) != NULL) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(directory), item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            perror(item->d_name);
            exit(1);
        }
        if (S_ISDIR(status.st_mode))
            walk(openat(dirfd(directory), item->d_name, O_RDONLY | O_DIRECTORY));
    }
    closedir(directory);
}

static double spent(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
    double before = spent();

    if (count != 2) {
        fprintf(stderr, "usage: walk TOP\n");
        return 2;
    }
    walk(open(arguments[1], O_RDONLY | O_DIRECTORY));
    printf("%.6f\n", spent() - before);
    return 0;
}
