/* The tables of docs/protocol.md: what each request and realtime message must look like. */
#pragma once

#include "hub/json/schema.h"

#define MESSAGE_SDP_MAX (32 * 1024)
#define MESSAGE_CANDIDATE_MAX 1024
#define MESSAGE_CLOCK_OFF_MAX INT64_C(5000000000) /* minutes: any two dates of four-digit years */
#define MESSAGE_FINGERPRINT_MAX 128 /* "sha-256 " and 32 bytes in hex with colons are 103 */
#define MESSAGE_MODULES_MAX 32
#define MESSAGE_TRIED_MAX 100
#define MESSAGE_FOUND_MAX 64 /* candidates, and servers, of a route report */
#define MESSAGE_URL_MAX 600
#define MESSAGE_IGNORED_MAX 64
#define MESSAGE_PLACE_NAME_MAX 128

/* §1, HTTP */
extern const struct schema message_sign_in[], message_link[], message_password[], message_enrol[],
	message_enrolment_token[], message_place_add[], message_place_change[],
	message_device_place[], message_empty[];
/* §2.1, console */
extern const struct schema message_ice_servers[], message_connect[], message_trickle[],
	message_route[], message_session[], message_restart[], message_end[];
/* §2.3, endpoint */
extern const struct schema message_prove[], message_status[], message_answer[], message_refuse[];
