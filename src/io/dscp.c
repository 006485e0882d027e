#include "io/dscp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

int dscp_set(int fd, unsigned dscp)
{
	int tos = (int)(dscp << 2), domain;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	/* a dual-stack socket sends IPv4 with the one, IPv6 with the other */
	if (domain == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos)) < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)) < 0 && domain == AF_INET)
		return -errno;
	return 0;
}
