/* Preloaded into a program: its UDP sockets fail as a privacy setting, a sandbox or a firewall lets them fail, and its wall
 * clock goes wrong. What to do stands in the file that LANSESSION_DENY names: `send N`, `open N`, `deaf`, `clock SECONDS`,
 * anything else for nothing. N is the errno. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int order(const char *verb, long *number) {
	const char *path = getenv("LANSESSION_DENY");
	char text[64] = "", word[32] = "";
	if (!path)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0 || sscanf(text, "%31s %ld", word, number) < 1)
		return 0;
	return strcmp(word, verb) == 0;
}

static int is_udp(int fd) {
	int type = 0, family = 0;
	socklen_t length = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_DGRAM)
		return 0;
	length = sizeof family;
	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) && (family == AF_INET || family == AF_INET6);
}

static int denied(int fd, const char *verb) {
	long number = 0;
	int before = errno;
	if (!is_udp(fd) || !order(verb, &number)) {
		errno = before;
		return 0;
	}
	errno = (int)number;
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
	return denied(fd, "send") ? -1 : REAL(sendto)(fd, bytes, length, flags, to, size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
	return denied(fd, "send") ? -1 : REAL(sendmsg)(fd, message, flags);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
	return denied(fd, "send") ? -1 : REAL(send)(fd, bytes, length, flags);
}

int bind(int fd, const struct sockaddr *to, socklen_t size) {
	return denied(fd, "open") ? -1 : REAL(bind)(fd, to, size);
}

/* What comes is thrown away: a phone without a multicast lock. */
ssize_t recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *from, socklen_t *size) {
	ssize_t got = REAL(recvfrom)(fd, bytes, length, flags, from, size);
	if (got >= 0 && denied(fd, "deaf")) {
		errno = EAGAIN;
		return -1;
	}
	return got;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
	ssize_t got = REAL(recvmsg)(fd, message, flags);
	if (got >= 0 && denied(fd, "deaf")) {
		errno = EAGAIN;
		return -1;
	}
	return got;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
	static __thread int within;
	int result = REAL(clock_gettime)(clock, now);
	if (clock == CLOCK_REALTIME && !result && !within) {
		long seconds = 0;
		within = 1;
		if (order("clock", &seconds))
			now->tv_sec += seconds;
		within = 0;
	}
	return result;
}
