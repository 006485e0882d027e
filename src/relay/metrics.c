#include "relay/metrics.h"

#include <errno.h>

#include "monitor/monitor.h"

struct metrics {
	struct monitor *monitor;
	struct relay *relay;
	const struct metrics_facts *facts;
	const struct relay_snapshot *snapshot; /* while the pages are written */
};

static void on_snapshot(void *arg, const struct relay_snapshot *s)
{
	struct metrics *m = arg;

	m->snapshot = s;
	monitor_answer(m->monitor);
	m->snapshot = NULL;
}

static int gather(void *arg)
{
	struct metrics *m = arg;

	return relay_snapshot(m->relay, on_snapshot, m);
}

static unsigned write_metrics(void *arg, struct buf *out)
{
	const struct metrics *m = arg;

	return metrics_text(m->snapshot, m->facts, out) < 0 ? 0 : 200;
}

/* That the workers have answered is half of it. */
static unsigned write_health(void *arg, struct buf *out)
{
	const struct metrics *m = arg;

	if (buf_printf(out, m->facts->draining ? "draining\n" : "ok\n") < 0)
		return 0;
	return m->facts->draining ? 503 : 200;
}

static const struct monitor_page pages[] = {
	{ "/metrics", MONITOR_PROMETHEUS, write_metrics },
	{ "/health", MONITOR_TEXT, write_health },
	{ NULL },
};
static const struct monitor_config config = {
	.pages = pages,
	.text_max = METRICS_TEXT_MAX,
	.late = "a worker does not answer\n",
	.gather = gather,
};

int metrics_create(struct loop *control, const struct addr *at, struct relay *relay,
		   const struct metrics_facts *facts, struct metrics **out)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->relay = relay;
	m->facts = facts;
	err = monitor_create(control, at, &config, m, &m->monitor);
	if (err < 0) {
		free(m);
		return err;
	}
	*out = m;
	return 0;
}

void metrics_destroy(struct metrics *m)
{
	if (!m)
		return;
	monitor_destroy(m->monitor);
	free(m);
}

struct addr metrics_addr(const struct metrics *m)
{
	return monitor_addr(m->monitor);
}
