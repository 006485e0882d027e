/*
 * A load generator for TURN servers over UDP, on loopback (plan.h has the addresses).
 *
 *	load traffic [OPTION…]	N allocations with a peer each, then ChannelData
 *	load hold [OPTION…]	N allocations that rest: what each costs to set up and to keep
 *	load crowd [OPTION…]	N allocations, all with traffic, all refreshed after each second of
 *it: whether any of it is lost, while somebody else does things to the server
 *
 * Prints one line of JSON (crowd: one when all are ready, and one at the end). What the server used
 *is read from /proc by its process id; see bench/relay/run for what is counted as whose. Exits with
 *1 when a flow could not be set up.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/opt.h"
#include "plan.h"
#include "process.h"
#include "traffic.h"

#define MEMORY_AFTER_US 300000 /* a server may give back what the set-up needed */

struct load_options {
	struct opt_asked asked;
	char *server, *user, *password;
	int64_t pid, cpu, flows, per_second, bare, size, burst, window, rate, millis;
	int direction;
	bool direct;
};

static const char *const directions[] = { "up", "down", "echo", NULL };

#define NUMBER(field, option, min_, max_, initial_, arg_, help_)                                   \
	{                                                                                          \
		.name = option, .kind = OPT_NUMBER,                                                \
		.offset = offsetof(struct load_options, field), .arg = arg_, .help = help_,        \
		.initial = initial_, .min = min_, .max = max_                                      \
	}
#define STRING(field, initial_, arg_, help_)                                                       \
	{                                                                                          \
		.name = #field, .kind = OPT_STRING,                                                \
		.offset = offsetof(struct load_options, field), .arg = arg_, .help = help_,        \
		.initial = initial_                                                                \
	}

static const struct opt options[] = {
	STRING(server, "127.0.0.1:3478", "ADDR:PORT", "the server's address"),
	STRING(user, "user", "NAME", "user name"),
	STRING(password, "pass", "PASSWORD", "password"),
	NUMBER(pid, "pid", 0, INT32_MAX, "0", "PID", "the server's process; 0: look at none"),
	NUMBER(cpu, "cpu", -1, 1023, "-1", "N", "run on this CPU; -1: on any"),
	NUMBER(flows, "flows", 1, PLAN_FLOWS_MAX, "20", "N", "allocations"),
	NUMBER(per_second, "set-up-rate", 1, 1000000, "4000", "N", "set-ups begun a second"),
	NUMBER(bare, "bare", 0, 65535, "0", "PORT",
	       "the server is a bare forwarder whose flows begin at this port; 0: it is not"),
	NUMBER(size, "size", TRAFFIC_SIZE_MIN, TRAFFIC_SIZE_MAX, "160", "BYTES",
	       "user data in a packet"),
	NUMBER(burst, "burst", 1, TRAFFIC_BURST_MAX, "1", "N", "packets of one flow in a row"),
	NUMBER(window, "window", 1, 4096, "128", "N", "packets under way"),
	NUMBER(rate, "rate", 0, 1000000, "0", "N",
	       "packets a second, with latency; 0: as fast as it goes"),
	NUMBER(millis, "time", 1, 3600000, "2000", "MS", "how long to measure"),
	{ .name = "direction",
	  .kind = OPT_CHOICE,
	  .offset = offsetof(struct load_options, direction),
	  .arg = "up|down|echo",
	  .help = "from clients to peers, from peers to clients, there and back",
	  .initial = "up",
	  .choices = directions },
	{ .name = "direct",
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct load_options, direct),
	  .help = "past the server: what the measure itself takes" },
	OPT_ASKED(offsetof(struct load_options, asked)),
	{ 0 },
};

static const struct opt_program program = {
	.name = "bench-relay-load",
	.summary = "load for TURN servers over UDP",
	.usage = "bench-relay-load traffic|hold|crowd [OPTION…]",
	.options = options,
};

struct usage {
	pid_t pid;
	uint64_t begin_ns, end_ns;
};

static void on_begin(void *arg)
{
	struct usage *u = arg;

	u->begin_ns = process_cpu_ns(u->pid);
}

static void on_end(void *arg)
{
	struct usage *u = arg;

	u->end_ns = process_cpu_ns(u->pid);
}

static bool traffic(struct flows *f, const struct load_options *o)
{
	struct usage usage = { .pid = (pid_t)o->pid };
	struct traffic_plan plan = { .direction = (enum traffic_direction)o->direction,
				     .size = (size_t)o->size,
				     .burst = (unsigned)o->burst,
				     .window = (unsigned)FL_MAX(o->window, o->burst),
				     .rate = (unsigned)o->rate,
				     .direct = o->direct,
				     .warm_s = 0.3,
				     .seconds = (double)o->millis / 1e3,
				     .on_begin = on_begin,
				     .on_end = on_end,
				     .arg = &usage };
	bool managed = !o->bare && !o->direct;
	struct traffic_result r;
	double cpu_us;

	if (managed && (!flows_take_to(f, FLOW_ALLOCATED) || !flows_take_to(f, FLOW_READY)))
		return false;
	if (!managed)
		flows_assume(f, (uint16_t)o->bare);
	traffic_run(f, &plan, &r);
	cpu_us = (double)(usage.end_ns - usage.begin_ns) / 1e3;
	printf("{\"relayed\": %llu, \"seconds\": %.3f, \"cpu_us_per_packet\": %.4f, "
	       "\"server_busy\": %.3f, \"load_idle\": %.3f, \"sent\": %llu, \"lost\": %lld, "
	       "\"strays\": %llu, \"p50_us\": %.2f, \"p95_us\": %.2f, \"p99_us\": %.2f}\n",
	       (unsigned long long)r.relayed, r.seconds, r.relayed ? cpu_us / (double)r.relayed : 0,
	       cpu_us / 1e6 / r.seconds, r.idle, (unsigned long long)r.sent,
	       (long long)(r.sent - r.arrived), (unsigned long long)r.strays, r.p50_us, r.p95_us,
	       r.p99_us);
	return !managed || flows_take_to(f, FLOW_GONE);
}

static bool hold(struct flows *f, const struct load_options *o)
{
	pid_t pid = (pid_t)o->pid;
	uint64_t rss = process_resident_bytes(pid), cpu = process_cpu_ns(pid), after, bound;
	usec_t began = usec_monotonic(), took;
	double n = (double)f->n;
	unsigned repeated;

	if (!flows_take_to(f, FLOW_ALLOCATED))
		return false;
	after = process_cpu_ns(pid);
	took = usec_monotonic() - began;
	repeated = f->repeated;
	if (!flows_take_to(f, FLOW_READY))
		return false;
	bound = process_cpu_ns(pid);
	usleep(MEMORY_AFTER_US);
	printf("{\"flows\": %u, \"cpu_us_per_allocation\": %.2f, \"cpu_us_per_channel\": %.2f, "
	       "\"bytes_per_allocation\": %.0f, \"resident_before\": %llu, \"per_second\": %.0f, "
	       "\"repeated\": %u, \"repeated_all\": %u}\n",
	       f->n, (double)(after - cpu) / 1e3 / n, (double)(bound - after) / 1e3 / n,
	       ((double)process_resident_bytes(pid) - (double)rss) / n, (unsigned long long)rss,
	       n * 1e6 / (double)took, repeated, f->repeated);
	return flows_take_to(f, FLOW_GONE);
}

/* --time in slices of a second, there and back, and everything refreshed after each. */
static bool crowd(struct flows *f, const struct load_options *o)
{
	struct traffic_plan plan = { .direction = TRAFFIC_ECHO,
				     .size = (size_t)o->size,
				     .burst = 1,
				     .window = (unsigned)o->window,
				     .rate = (unsigned)FL_MAX(o->rate, 1),
				     .seconds = 1 };
	uint64_t sent = 0, arrived = 0, strays = 0;
	struct traffic_result r;
	bool ok = true;

	if (o->bare)
		flows_assume(f, (uint16_t)o->bare);
	else if (!flows_take_to(f, FLOW_ALLOCATED) || !flows_take_to(f, FLOW_READY))
		return false;
	printf("{\"ready\": %u}\n", f->n);
	fflush(stdout);
	for (int64_t ms = 0; ms < o->millis && ok; ms += 1000) {
		traffic_run(f, &plan, &r);
		plan.first_flow += (unsigned)r.sent;
		sent += r.sent;
		arrived += r.arrived;
		strays += r.strays;
		ok = o->bare || flows_take_to(f, FLOW_REFRESHED);
	}
	printf("{\"sent\": %llu, \"lost\": %lld, \"strays\": %llu, \"repeated\": %u, "
	       "\"refreshed\": %s}\n",
	       (unsigned long long)sent, (long long)(sent - arrived), (unsigned long long)strays,
	       f->repeated, ok ? "true" : "false");
	fflush(stdout);
	return ok && (o->bare || flows_take_to(f, FLOW_GONE));
}

static void pin(int64_t cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0) {
		perror("--cpu");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct load_options o = { 0 };
	struct flows f = { 0 };
	struct opt_error error;
	struct addr server;
	const char *what;
	int first, status = 2;
	bool ok;

	if (opt_defaults(options, &o) < 0 ||
	    opt_parse_args(options, &o, argc, argv, false, &first, &error) < 0) {
		fprintf(stderr, "%s: %s\n", program.name, error.text);
		goto out;
	}
	if (opt_is_asked(&o.asked)) {
		status = opt_print_asked(&program, &o.asked, stdout) ? 0 : 1;
		goto out;
	}
	what = first + 1 == argc ? argv[first] : "";
	if (addr_parse(o.server, &server) < 0 || server.family != ADDR_V4 ||
	    (strcmp(what, "hold") != 0 && strcmp(what, "traffic") != 0 &&
	     strcmp(what, "crowd") != 0)) {
		fprintf(stderr, "usage: %s (the server has an IPv4 address)\n", program.usage);
		goto out;
	}
	f.server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(server.port) };
	memcpy(&f.server.sin_addr, server.ip, sizeof(f.server.sin_addr));
	f.bare = o.bare != 0;
	f.user = o.user;
	f.password = o.password;
	f.n = (unsigned)o.flows;
	f.per_second = (unsigned)o.per_second;
	pin(o.cpu);
	flows_open(&f);
	if (strcmp(what, "crowd") == 0)
		ok = crowd(&f, &o);
	else
		ok = strcmp(what, "hold") == 0 ? hold(&f, &o) : traffic(&f, &o);
	status = ok ? 0 : 1;
	free(f.flow);
out:
	opt_finish(options, &o);
	return status;
}
