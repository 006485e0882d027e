/* The differentiated services code point of a socket's packets (RFC 2474). */
#pragma once

/* Marks what fd sends; works before bind(), on listening sockets (their connections inherit it)
 * and on open ones. dscp: 0 to 63. 0 or negative errno. */
int dscp_set(int fd, unsigned dscp);
