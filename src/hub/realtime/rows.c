#include "hub/realtime/rows.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

struct row_job {
	struct store_job job;
	struct row row; /* its strings are the ones below */
	char session[STORE_ID_CAP], device[STORE_ID_CAP], user[STORE_ID_CAP];
	char actor[STORE_TITLE_CAP], action[32];
	char *text, *detail, *verdict;
	int64_t now;
};

static void free_job(struct row_job *j)
{
	free(j->text);
	free(j->detail);
	free(j->verdict);
	free(j);
}

/* Its words are constants; only the whole was copied. */
static int store_verdict(const struct row_job *j, struct store *s)
{
	struct store_verdict v = j->row.verdict;

	v.json = j->verdict;
	return v.json ? s->ops->session_verdict(s, j->session, &v) : 0;
}

static int run(struct store_job *job, struct store *s)
{
	struct row_job *j = CONTAINER_OF(job, struct row_job, job);
	const struct store_session row = { .id = j->session,
					   .device = j->device,
					   .user = j->user,
					   .modules = j->text,
					   .started = j->now };
	int err = 0;

	switch (j->row.change) {
	case ROW_ADD:
		err = s->ops->session_add(s, &row);
		break;
	case ROW_ROUTE:
		err = s->ops->session_route(s, j->session, j->row.from_device, j->text);
		return err < 0 ? err : store_verdict(j, s);
	case ROW_END:
		err = s->ops->session_end(s, j->session, j->text, j->now);
		if (err == 0)
			err = store_verdict(j, s);
		break;
	}
	if (err < 0)
		return err;
	return s->ops->audit_add(s, j->now, j->actor, j->action, j->device, j->detail);
}

static void done(struct store_job *job, int err)
{
	struct row_job *j = CONTAINER_OF(job, struct row_job, job);

	if (err < 0)
		log_error("row-not-stored", "session=%s error=%s", j->session, err_name(err));
	rt_call_answer(j->row.call, err);
	if (j->row.stored)
		j->row.stored(j->row.arg, j->session, j->row.from_device, err);
	free_job(j);
}

static struct row_job *make_job(const struct row *row)
{
	struct row_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->row = *row;
	j->now = hub_now_ms();
	text_copy(j->session, sizeof(j->session), row->session);
	text_copy(j->device, sizeof(j->device), row->device);
	text_copy(j->user, sizeof(j->user), row->user);
	text_copy(j->actor, sizeof(j->actor), row->actor ? row->actor : "");
	text_copy(j->action, sizeof(j->action), row->action ? row->action : "");
	j->text = row->text ? strdup(row->text) : NULL;
	j->detail = row->detail ? json_dumps(row->detail, JSON_COMPACT) : strdup("{}");
	j->verdict = row->verdict.json ? strdup(row->verdict.json) : NULL;
	if (j->text && j->detail && !j->verdict == !row->verdict.json)
		return j;
	free_job(j);
	return NULL;
}

int rows_submit(struct hub *h, const struct row *row)
{
	struct row_job *j = make_job(row);
	int err = -ENOMEM;

	json_decref(row->detail);
	if (j) {
		j->job = (struct store_job){ .write = true, .run = run, .done = done };
		err = store_queue_submit(h->store, &j->job);
	}
	if (err == 0)
		return 0;
	log_error("row-not-stored", "session=%s error=%s", row->session, err_name(err));
	rt_call_answer(row->call, err);
	if (j)
		free_job(j);
	return err;
}
