/* xdp.h where the build found no clang for BPF, or no libbpf. */
#include <stdio.h>

#include "base/err.h"
#include "relay/xdp/xdp.h"

int xdp_create(const char *interfaces, size_t bindings_max, struct xdp **out, char why[256])
{
	(void)interfaces;
	(void)bindings_max;
	*out = NULL;
	snprintf(why, 256,
		 "this program was built without XDP: build it where clang and libbpf-dev "
		 "are installed");
	return FL_EUNSUPPORTED;
}

void xdp_destroy(struct xdp *x)
{
	(void)x;
}

int xdp_bind(struct xdp *x, const struct xdp_binding *b)
{
	(void)x;
	(void)b;
	return FL_EUNSUPPORTED;
}

void xdp_unbind(struct xdp *x, const struct xdp_binding *b)
{
	(void)x;
	(void)b;
}

size_t xdp_sweep(struct xdp *x)
{
	(void)x;
	return 0;
}

void xdp_read(const struct xdp *x, struct xdp_count *out)
{
	(void)x;
	*out = (struct xdp_count){ 0 };
}

const char *xdp_mode(const struct xdp *x)
{
	(void)x;
	return "none";
}

int xdp_program(const struct xdp *x)
{
	(void)x;
	return -1;
}
