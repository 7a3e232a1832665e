/* tun NAME [NAMESPACE]: opens the tunnel device NAME here, and where a namespace is given the one of the same name there,
 * and carries unicast between them; broadcasts and multicasts are dropped, as most VPNs do. Without a namespace nothing
 * comes out: a tunnel whose other end is dead. Says "open" once the devices stand. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int device(const char *name) {
	struct ifreq request;
	memset(&request, 0, sizeof request);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	request.ifr_flags = IFF_TUN | IFF_NO_PI;
	int fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) {
		perror("tun");
		return -1;
	}
	return fd;
}

static int unicast(const unsigned char *packet, ssize_t length) {
	if (length >= 20 && packet[0] >> 4 == 4)
		return packet[16] < 224;
	return length >= 40 && packet[0] >> 4 == 6 && packet[24] != 0xff;
}

int main(int count, char **words) {
	unsigned char packet[65536];
	struct pollfd ends[2] = {{-1, POLLIN, 0}, {-1, POLLIN, 0}};
	if (count < 2 || (ends[0].fd = device(words[1])) < 0)
		return 1;
	if (count > 2) {
		char path[256];
		snprintf(path, sizeof path, "/run/netns/%s", words[2]);
		int there = open(path, O_RDONLY);
		if (there < 0 || setns(there, CLONE_NEWNET) || (ends[1].fd = device(words[1])) < 0)
			return 1;
	}
	puts("{\"event\":\"open\"}");
	fflush(stdout);
	while (poll(ends, 2, -1) > 0)
		for (int at = 0; at < 2; at++) {
			if (!(ends[at].revents & POLLIN))
				continue;
			ssize_t length = read(ends[at].fd, packet, sizeof packet);
			if (length > 0 && ends[1 - at].fd >= 0 && unicast(packet, length))
				(void)!write(ends[1 - at].fd, packet, length);
		}
	return 0;
}
