/*
 * Bandwidth budgets (docs/protocol.md §1.2): divides deviceKbit over the running sessions of a
 * device, and siteKbit over those of all devices that have it from the same place, and tells both
 * ends of a session their share whenever it changes. Changes are gathered for a moment, so that a
 * class of thirty sessions costs one pass and not thirty.
 */
#pragma once

#include "hub/hub.h"

#define BUDGET_GATHER_US (20 * USEC_PER_MSEC)

struct budget;

int budget_create(struct hub *hub, struct budget **out) FL_WARN_UNUSED;
void budget_destroy(struct budget *b); /* NULL is fine */

/* A session began or ended, a device moved, a policy changed. */
void budget_changed(struct budget *b);
