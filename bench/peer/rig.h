/*
 * Two peers in two processes for the measurements: over loopback, or over a delaying link, with
 * signalling through a socket pair that is delayed as well.
 */
#pragma once

#include <fairlead/peer.h>

#include "base/usec.h"
#include "delay.h"

#define RIG_TEXT_MAX 65536
#define RIG_MAIL_MAX 64

struct mail {
	usec_t due;
	enum fl_event_type type;
	char *text;
};

struct rig {
	int side; /* 0: offerer */
	int fd;	  /* to the other process */
	struct delay_link *link;
	usec_t signal_delay;
	struct fl_identity *identity;
	struct fl_peer *peer;
	struct mail mail[RIG_MAIL_MAX];
	size_t n_mail;
	char said[64]; /* the latest word of the other process */
	void (*on_event)(struct rig *rig, const struct fl_event *ev);
	void *arg;
};

/* Forks; both processes return with their own rig. link may be NULL. */
void rig_start(struct rig *rig, struct delay_link *link, usec_t signal_delay);
void rig_peer(struct rig *rig); /* a fresh peer */
void rig_end_peer(struct rig *rig);
void rig_turn(struct rig *rig, int timeout_ms);
void rig_say(struct rig *rig, const char *word);     /* to the other process, at once */
void rig_await(struct rig *rig, const char *prefix); /* turns until it said that */
void rig_die(const char *what, int err);
