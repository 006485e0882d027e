#include "relay/gro.h"

#include "base/util.h"

static bool while_on(struct gro *g, unsigned reads, unsigned coalesced)
{
	if (coalesced > 0) {
		g->vain = 0;
		g->patience = 0;
		return false;
	}
	g->vain = (uint16_t)FL_MIN(g->vain + reads, UINT16_MAX);
	if (g->vain < GRO_TRIAL)
		return false;
	g->patience = (uint8_t)FL_MIN(g->patience + 1, GRO_PATIENCE_MAX);
	g->off = true;
	g->vain = 0;
	g->evidence = 0;
	return true;
}

bool gro_batch(struct gro *g, unsigned reads, unsigned coalesced, unsigned followers)
{
	unsigned singles = reads - FL_MIN(reads, followers);

	if (!g->off)
		return while_on(g, reads, coalesced);
	if (followers > singles)
		g->evidence = (uint16_t)FL_MIN(g->evidence + followers - singles, UINT16_MAX);
	else
		g->evidence = 0;
	if (g->evidence < (GRO_EVIDENCE << g->patience))
		return false;
	g->off = false;
	g->vain = 0;
	g->evidence = 0;
	return true;
}
