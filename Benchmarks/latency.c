// Times one HTTP request on several Unix sockets, taking turns: latency REQUEST COUNT WARMUP SOCKET...
// One keep-alive connection per socket, blocking reads: the client's own cost is one write and one read, a few
// microseconds, the same for all. Prints one line per round: nanoseconds per socket, in the order given.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what, const char *why) {
    fprintf(stderr, "latency: %s: %s\n", what, why);
    exit(1);
}

static int dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail(path, "path too long");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail(path, strerror(errno));
    return fd;
}

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

// Reads one response with a Content-Length; nothing may follow it.
static void response(int fd, const char *path) {
    char buffer[16384];
    size_t have = 0, want = 0;
    while (!want || have < want) {
        ssize_t n = read(fd, buffer + have, sizeof buffer - 1 - have);
        if (n <= 0) fail(path, n ? strerror(errno) : "closed");
        have += (size_t)n;
        buffer[have] = 0;
        char *end = want ? NULL : strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        if (strncmp(buffer, "HTTP/1.1 200", 12)) fail(path, "not 200");
        long length = -1;
        for (char *line = strstr(buffer, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
            if (!strncasecmp(line + 2, "content-length:", 15)) length = strtol(line + 17, NULL, 10);
        if (length < 0) fail(path, "no Content-Length");
        want = (size_t)(end + 4 - buffer) + (size_t)length;
        if (want > sizeof buffer - 1) fail(path, "too long");
    }
    if (have != want) fail(path, "more than one response");
}

int main(int argc, char **argv) {
    if (argc < 5) fail("usage", "latency REQUEST COUNT WARMUP SOCKET...");
    char request[1024];
    int length = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: docker\r\n\r\n", argv[1]);
    if (length >= (int)sizeof request) fail("request", "too long");
    int rounds = atoi(argv[2]), warmup = atoi(argv[3]), peers = argc - 4;
    int *fds = calloc((size_t)peers, sizeof *fds);
    long *times = calloc((size_t)peers, sizeof *times);
    if (!fds || !times) fail("memory", "none");
    for (int i = 0; i < peers; i++) fds[i] = dial(argv[4 + i]);
    for (int round = -warmup; round < rounds; round++) {
        for (int k = 0; k < peers; k++) {
            int i = (k + (round & 1 ? 1 : 0)) % peers;  // so that nobody always comes after the same one
            long begin = now();
            if (write(fds[i], request, (size_t)length) != length) fail(argv[4 + i], "short write");
            response(fds[i], argv[4 + i]);
            times[i] = now() - begin;
        }
        if (round < 0) continue;
        for (int i = 0; i < peers; i++) printf("%ld%c", times[i], i + 1 < peers ? ' ' : '\n');
    }
    return 0;
}
