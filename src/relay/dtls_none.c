/* A build without DTLS: its listeners are refused. */
#include "base/err.h"
#include "relay/dtls_front.h"

int dtls_front_create(struct worker *w, const struct settings_listener *at, int fd,
		      struct dtls_front **out)
{
	return FL_EUNSUPPORTED;
}

void dtls_front_destroy(struct dtls_front *f)
{
}

struct addr dtls_front_addr(const struct dtls_front *f)
{
	return (struct addr){ .family = ADDR_NONE };
}

int dtls_front_set(struct dtls_front *f, struct settings *s)
{
	return 0;
}

size_t dtls_front_count(const struct dtls_front *f)
{
	return 0;
}
