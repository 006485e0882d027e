/* What this hub's deployment needs of a network, from its configuration (deploy/needs.h). */
#pragma once

#include "deploy/needs.h"
#include "hub/hub.h"

/* host: how the asker reached the hub ("hub.example.org:8443"); "": as configured. */
void network_needs(const struct hub *h, const char *host, struct needs *out);

/* "eu/log-captures=https://captures.example/" */
bool network_store_valid(const char *text);
