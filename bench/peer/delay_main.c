/*
 * delay IP ONE-WAY-MICROSECONDS: a delaying link for the measurements with browsers. Prints its two
 * ports; each line "SIDE PORT" on stdin says where a side really is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "delay.h"

int main(int argc, char **argv)
{
	struct delay_link link;
	char line[64], *rest;

	if (argc != 3 || delay_start(&link, argv[1], strtoull(argv[2], NULL, 10)) < 0) {
		fprintf(stderr, "usage: %s IP ONE-WAY-MICROSECONDS\n", argv[0]);
		return 2;
	}
	printf("%u %u\n", link.port[0], link.port[1]);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long side = strtoul(line, &rest, 10), port = strtoul(rest, NULL, 10);

		if (side > 1 || port > UINT16_MAX ||
		    delay_target(&link, (int)side, (uint16_t)port) < 0)
			return 1;
	}
	delay_stop(&link);
	return 0;
}
