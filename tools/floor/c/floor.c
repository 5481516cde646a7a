/* The floor of a comparison, in C: the least work that serves a page over HTTP on this
 * machine. It sends one fixed response to anything that ends with an empty line; it
 * parses nothing, opens no files meanwhile, and has no limits and no timeouts.
 *
 *   floor-c PORT FILE WORKERS keep|close
 *
 * Each worker is a process with its own epoll instance and accept queue.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_FILES = 65536, MOST_EVENTS = 512, BACKLOG = 4096 };

static char *reply;
static size_t reply_size;
static int closing;
static uint32_t last_bytes[MOST_FILES]; /* by descriptor: the last four received */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* load builds the response, head and content of the file, in one buffer. */
static void load(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END))
		die(path);
	long size = ftell(f);
	rewind(f);
	reply = malloc(size + 256);
	if (size < 0 || !reply)
		die(path);
	reply_size = sprintf(reply, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %ld\r\n%s\r\n",
			     size, closing ? "Connection: close\r\n" : "");
	if (fread(reply + reply_size, 1, size, f) != (size_t)size)
		die(path);
	reply_size += size;
	fclose(f);
}

static int listen_on(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on) ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, BACKLOG))
		die("listen");
	return fd;
}

/* answer reads once and responds at the end of a request head. It returns 0 if the
 * connection is to be closed. A response that the socket does not take in one send
 * closes it too, which the client counts as an error: the page is smaller than any
 * socket buffer. */
static int answer(int fd)
{
	unsigned char in[4096];
	ssize_t n = recv(fd, in, sizeof in, 0);
	if (n <= 0)
		return n < 0;
	for (ssize_t i = n > 4 ? n - 4 : 0; i < n; i++)
		last_bytes[fd] = last_bytes[fd] << 8 | in[i];
	if (last_bytes[fd] != 0x0d0a0d0a)
		return 1;
	last_bytes[fd] = 0;
	/* MSG_MORE: the FIN goes out with the last segment of the response. */
	ssize_t sent = send(fd, reply, reply_size, MSG_NOSIGNAL | (closing ? MSG_MORE : 0));
	return sent == (ssize_t)reply_size && !closing;
}

static void work(int listener)
{
	struct epoll_event events[MOST_EVENTS], e = {.events = EPOLLIN, .data.fd = listener};
	int epoll = epoll_create1(0);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e))
		die("epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, MOST_EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd != listener) {
				if (!answer(fd))
					close(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				e.data.fd = fd;
				if (fd >= MOST_FILES || !answer(fd) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
					close(fd);
			}
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts(__VERSION__);
		return 0;
	}
	if (argc != 5) {
		fputs("floor-c PORT FILE WORKERS keep|close\n", stderr);
		return 64;
	}
	int workers = atoi(argv[3]), listeners[64];
	if (workers < 1 || workers > 64)
		return 64;
	closing = !strcmp(argv[4], "close");
	load(argv[2]);
	for (int i = 0; i < workers; i++)
		listeners[i] = listen_on(atoi(argv[1]));
	for (int i = 0; i < workers; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int k = 0; k < workers; k++)
			if (k != i)
				close(listeners[k]);
		work(listeners[i]);
	}
	wait(NULL); /* until SIGTERM; workers do not exit by themselves */
	return 1;
}
