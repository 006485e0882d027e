#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct letter {
	usec_t sent;
	int type; /* an event's type, or -1: a word */
	char text[RIG_TEXT_MAX];
};

static struct letter letter;

void rig_die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, fl_error_text(err));
	exit(1);
}

void rig_start(struct rig *rig, struct delay_link *link, usec_t signal_delay)
{
	int fds[2], size = 4 << 20;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		rig_die("socketpair", -errno);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	child = fork();
	if (child < 0)
		rig_die("fork", -errno);
	rig->side = child == 0;
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fds[1 - rig->side]);
	rig->fd = fds[rig->side];
	rig->link = link;
	rig->signal_delay = signal_delay;
	if (fl_identity_create(&rig->identity) < 0)
		rig_die("identity", -ENOMEM);
}

void rig_peer(struct rig *rig)
{
	struct fl_peer_config config = { .identity = rig->identity, .loopback = true };
	int err = fl_peer_create(&config, &rig->peer);

	if (err < 0)
		rig_die("peer", err);
}

void rig_end_peer(struct rig *rig)
{
	fl_peer_destroy(rig->peer);
	rig->peer = NULL;
	for (size_t i = 0; i < rig->n_mail; i++)
		free(rig->mail[i].text);
	rig->n_mail = 0;
}

static void post(struct rig *rig, int type, const char *text)
{
	letter.sent = usec_monotonic();
	letter.type = type;
	snprintf(letter.text, sizeof(letter.text), "%s", text);
	if (send(rig->fd, &letter, offsetof(struct letter, text) + strlen(letter.text) + 1, 0) < 0)
		rig_die("signalling", -errno);
}

void rig_say(struct rig *rig, const char *word)
{
	post(rig, -1, word);
}

/* Only 127.0.0.1, by way of the link. NULL: not to be told. */
static const char *through_link(struct rig *rig, const char *candidate, char out[512])
{
	const char *ip = strstr(candidate, " 127.0.0.1 ");

	if (!rig->link || !*candidate)
		return candidate;
	if (!ip)
		return NULL;
	delay_target(rig->link, rig->side, (uint16_t)strtoul(ip + 11, NULL, 10));
	snprintf(out, 512, "%.*s 127.0.0.1 %u typ host", (int)(ip - candidate), candidate,
		 rig->link->port[1 - rig->side]);
	return out;
}

static void send_description(struct rig *rig, const char *sdp)
{
	static char text[RIG_TEXT_MAX];
	char line[4096], out[512];
	size_t n = 0;

	while (*sdp) {
		size_t len = strcspn(sdp, "\n") + 1;
		const char *use = line;

		snprintf(line, sizeof(line), "%.*s", (int)(len - 2), sdp);
		if (!strncmp(line, "a=candidate:", 12))
			use = through_link(rig, line, out);
		if (use)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\r\n", use);
		sdp += len;
	}
	post(rig, FL_EVENT_DESCRIPTION, text);
}

static void on_event(struct rig *rig, const struct fl_event *ev)
{
	const char *text;
	char out[512];

	if (ev->type == FL_EVENT_DESCRIPTION) {
		send_description(rig, ev->text);
	} else if (ev->type == FL_EVENT_CANDIDATE) {
		text = through_link(rig, ev->text, out);
		if (text)
			post(rig, FL_EVENT_CANDIDATE, text);
	} else if (ev->type == FL_EVENT_FAILED) {
		fprintf(stderr, "side %d: %s\n", rig->side, ev->text);
		exit(1);
	} else if (rig->on_event) {
		rig->on_event(rig, ev);
	}
}

static void receive(struct rig *rig)
{
	while (!rig->said[0] && recv(rig->fd, &letter, sizeof(letter), MSG_DONTWAIT) > 0) {
		if (letter.type < 0)
			snprintf(rig->said, sizeof(rig->said), "%.63s", letter.text);
		else if (rig->n_mail < RIG_MAIL_MAX)
			rig->mail[rig->n_mail++] =
				(struct mail){ .due = letter.sent + rig->signal_delay,
					       .type = (enum fl_event_type)letter.type,
					       .text = strdup(letter.text) };
	}
}

static void open_mail(struct rig *rig)
{
	while (rig->n_mail && rig->peer && rig->mail[0].due <= usec_monotonic()) {
		struct mail m = rig->mail[0];
		int err;

		memmove(rig->mail, rig->mail + 1, --rig->n_mail * sizeof(m));
		if (m.type == FL_EVENT_CANDIDATE)
			err = fl_peer_candidate(rig->peer, m.text);
		else if (rig->side == 1)
			err = fl_peer_answer(rig->peer, m.text);
		else
			err = fl_peer_accept(rig->peer, m.text);
		if (err < 0)
			rig_die("description", err);
		free(m.text);
	}
}

static int until_mail(const struct rig *rig, int timeout_ms)
{
	usec_t now = usec_monotonic();

	if (!rig->n_mail || !rig->peer)
		return timeout_ms;
	if (rig->mail[0].due <= now)
		return 0;
	now = (rig->mail[0].due - now) / 1000;
	return timeout_ms < 0 || (int)now < timeout_ms ? (int)now : timeout_ms;
}

static void take_events(struct rig *rig)
{
	struct fl_event ev;

	while (rig->peer && fl_peer_next_event(rig->peer, &ev))
		on_event(rig, &ev);
}

void rig_turn(struct rig *rig, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = rig->said[0] ? -1 : rig->fd, .events = POLLIN },
				 { .fd = rig->peer ? fl_peer_fd(rig->peer) : -1,
				   .events = POLLIN } };

	take_events(rig); /* of calls since the last turn */
	poll(fds, 2, until_mail(rig, timeout_ms));
	if (fds[0].revents)
		receive(rig);
	open_mail(rig);
	if (fds[1].revents && fl_peer_dispatch(rig->peer) < 0)
		rig_die("dispatch", -EIO);
	take_events(rig);
}

void rig_await(struct rig *rig, const char *prefix)
{
	while (strncmp(rig->said, prefix, strlen(prefix)) != 0)
		rig_turn(rig, 1000);
	rig->said[0] = 0;
}
