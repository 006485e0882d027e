#include "proto/dhcp/dhcp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct dhcp_ack ack;

	if (dhcp_ack_read(span_of(data, size), 0x01020304, mac, &ack) == 0 &&
	    ack.pac_len > sizeof(ack.pac))
		abort();
	return 0;
}
