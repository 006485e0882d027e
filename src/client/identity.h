/*
 * Who this client is: its data folder with the device key and what enrolment gave it. One file,
 * DIR/device.json (mode 0600), replaced as a whole, so that a power cut leaves the old or the new
 * one. DIR/lock is held while the client runs.
 */
#pragma once

#include "base/util.h"
#include "hublink/sign.h"

#define IDENTITY_DEVICE_MAX 64
#define IDENTITY_URL_MAX 320

struct identity {
	char *dir;
	int lock_fd;
	struct sign_key *key;
	bool enrolled;
	char device[IDENTITY_DEVICE_MAX];
	char hub_key[SIGN_KEY_TEXT]; /* pinned */
	char hub[IDENTITY_URL_MAX];
};

/* Makes the folder (0700) and key when they are not there, takes the lock. 0, or negative with a
 * sentence in why; *id is then empty. */
int identity_open(const char *dir, struct identity *id, char why[512]) FL_WARN_UNUSED;
/* Writes device.json. 0, or negative with a sentence. */
int identity_save(const struct identity *id, char why[512]) FL_WARN_UNUSED;
void identity_close(struct identity *id);
