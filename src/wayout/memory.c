#include "wayout/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wayout/lines.h"

static bool word_ok(struct span s, size_t cap)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
			return false;
	return s.len > 0 && s.len < cap;
}

static bool seconds(struct span s, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		*out = *out * 10 + (s.ptr[i] - '0');
	}
	return s.len > 0 && s.len <= 12;
}

void memory_parse(struct memory *m, struct span text)
{
	struct span line;

	m->n = 0;
	while (m->n < MEMORY_NETWORKS_MAX && lines_next(&text, &line)) {
		struct memory_entry *e = &m->list[m->n];
		struct span network = lines_word(&line), at = lines_word(&line),
			    way = lines_word(&line), found = lines_word(&line);

		*e = (struct memory_entry){ .at = 0 };
		if (!word_ok(network, sizeof(e->network)) || !word_ok(way, sizeof(e->way)) ||
		    !word_ok(found, sizeof(e->found)) || at.len > 12 || !seconds(at, &e->at))
			continue;
		(void)text_copy_span(e->network, sizeof(e->network), network);
		(void)text_copy_span(e->way, sizeof(e->way), way);
		(void)text_copy_span(e->found, sizeof(e->found), found);
		m->n++;
	}
}

size_t memory_format(const struct memory *m, char *dst, size_t cap)
{
	size_t len = 0;

	*dst = 0;
	for (size_t i = 0; i < m->n; i++) {
		const struct memory_entry *e = &m->list[i];
		int n = snprintf(dst + len, cap - len, "%s %lld %s %s\n", e->network,
				 (long long)e->at, e->way, e->found);

		if (n < 0 || (size_t)n >= cap - len)
			break;
		len += (size_t)n;
	}
	dst[len] = 0;
	return len;
}

const struct memory_entry *memory_find(const struct memory *m, const char *network)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->list[i].network, network) == 0)
			return &m->list[i];
	return NULL;
}

void memory_forget(struct memory *m, const char *network)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->list[i].network, network) != 0)
			continue;
		memmove(&m->list[i], &m->list[i + 1], (--m->n - i) * sizeof(*m->list));
		return;
	}
}

void memory_put(struct memory *m, const struct memory_entry *entry)
{
	struct memory_entry e = *entry;

	memory_forget(m, e.network);
	if (m->n == MEMORY_NETWORKS_MAX)
		m->n--;
	memmove(m->list + 1, m->list, m->n * sizeof(*m->list));
	m->list[0] = e;
	m->n++;
}
