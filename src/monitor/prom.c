#include "monitor/prom.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void prom_put(struct prom *p, const char *fmt, ...)
{
	va_list ap;

	if (p->err < 0)
		return;
	va_start(ap, fmt);
	p->err = buf_vprintf(p->buf, fmt, ap);
	va_end(ap);
}

void prom_head(struct prom *p, const char *name, const char *type, const char *help)
{
	prom_put(p, "# HELP %s%s %s\n# TYPE %s%s %s\n", p->prefix, name, help, p->prefix, name,
		 type);
}

void prom_one(struct prom *p, const char *name, const char *type, const char *help, uint64_t v)
{
	prom_head(p, name, type, help);
	prom_put(p, "%s%s %" PRIu64 "\n", p->prefix, name, v);
}

void prom_label(struct prom *p, const char *label, const char *value)
{
	prom_put(p, "%s=\"", label);
	for (; *value; value++) {
		size_t plain = strcspn(value, "\\\"\n");

		prom_put(p, "%.*s", (int)plain, value);
		value += plain;
		if (!*value)
			break;
		prom_put(p, "\\%c", *value == '\n' ? 'n' : *value);
	}
	prom_put(p, "\"");
}

void prom_labelled(struct prom *p, const char *name, const char *label, const char *value,
		   uint64_t v)
{
	prom_put(p, "%s%s{", p->prefix, name);
	prom_label(p, label, value);
	prom_put(p, "} %" PRIu64 "\n", v);
}

/* The second number of statm: resident pages. */
static unsigned long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	char line[128], *second;

	if (!f)
		return 0;
	second = fgets(line, sizeof(line), f) ? strchr(line, ' ') : NULL;
	if (second)
		pages = strtoul(second, NULL, 10);
	fclose(f);
	return pages;
}

void prom_process(struct prom *p)
{
	unsigned long long resident = (unsigned long long)resident_pages() *
				      (unsigned long long)sysconf(_SC_PAGESIZE);
	struct rusage use;

	if (getrusage(RUSAGE_SELF, &use) == 0) {
		prom_put(p, "# HELP process_cpu_seconds_total CPU time of the process.\n"
			    "# TYPE process_cpu_seconds_total counter\n");
		prom_put(p, "process_cpu_seconds_total %.6f\n",
			 (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
				 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	}
	prom_put(p, "# HELP process_resident_memory_bytes Memory of the process.\n"
		    "# TYPE process_resident_memory_bytes gauge\n");
	prom_put(p, "process_resident_memory_bytes %llu\n", resident);
}
