/*
 * Prometheus' text format, version 0.0.4: HELP and TYPE once for a name, then a line a sample.
 * Values of labels are the caller's words or checked ids; what else they have is escaped.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

struct prom {
	struct buf *buf;
	const char *prefix; /* of every name, "fairlead_relay_" */
	int err;	    /* the first; nothing is written after it */
};

void prom_put(struct prom *p, const char *fmt, ...) FL_PRINTF(2, 3);
void prom_head(struct prom *p, const char *name, const char *type, const char *help);
void prom_one(struct prom *p, const char *name, const char *type, const char *help, uint64_t v);
void prom_labelled(struct prom *p, const char *name, const char *label, const char *value,
		   uint64_t v);
/* label="value" with its backslashes, quotes and line breaks escaped. */
void prom_label(struct prom *p, const char *label, const char *value);
/* process_cpu_seconds_total and process_resident_memory_bytes, without the prefix. */
void prom_process(struct prom *p);
