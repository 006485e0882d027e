#include "hub/realtime/budget.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "hub/realtime/broker.h"

struct budget {
	struct hub *hub;
	struct loop_timer timer;
};

/* Counts the running sessions of each place that has a budget, and of each device. */
static void count(struct broker *b)
{
	struct session *s;

	for (s = broker_next(b, NULL); s; s = broker_next(b, s)) {
		s->device->running = 0;
		s->budget_place = place_budget(s->device->place);
		if (s->budget_place)
			s->budget_place->running = 0;
	}
	for (s = broker_next(b, NULL); s; s = broker_next(b, s)) {
		if (!s->answered)
			continue;
		s->device->running++;
		if (s->budget_place)
			s->budget_place->running++;
	}
}

/* At least 1: 0 would mean that there is no limit. */
static uint32_t share_of(uint32_t kbit, size_t sessions)
{
	return kbit == 0 ? 0 : FL_MAX(kbit / (uint32_t)FL_MAX(sessions, (size_t)1), 1u);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a == 0 ? b : b == 0 ? a : FL_MIN(a, b);
}

static void tell(struct session *s)
{
	struct policy p;
	uint32_t kbit;
	json_t *arg;

	place_effective(s->device->place, &p);
	kbit = smaller(share_of(p.device_kbit, s->device->running),
		       s->budget_place ? share_of(p.site_kbit, s->budget_place->running) : 0);
	if (s->limit == kbit)
		return;
	s->limit = kbit;
	arg = json_pack("{s:s, s:I}", "session", s->id, "kbit", (json_int_t)kbit);
	broker_to_device(s, "limit", arg);
	broker_to_console(s, "limit", arg);
	json_decref(arg);
}

static void on_timer(void *arg)
{
	struct budget *budget = arg;
	struct broker *b = budget->hub->broker;

	count(b);
	for (struct session *s = broker_next(b, NULL); s; s = broker_next(b, s))
		if (s->answered)
			tell(s);
}

void budget_changed(struct budget *b)
{
	if (!loop_timer_running(&b->timer) && loop_timer_after(&b->timer, BUDGET_GATHER_US) < 0)
		log_warn("memory", NULL);
}

int budget_create(struct hub *hub, struct budget **out)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->hub = hub;
	loop_timer_init(hub->loop, &b->timer, on_timer, b);
	*out = b;
	return 0;
}

void budget_destroy(struct budget *b)
{
	if (b)
		loop_timer_stop(&b->timer);
	free(b);
}
