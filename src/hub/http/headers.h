/* Security headers of every answer, composed from the name the hub was reached by. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "proto/http/http.h"

#define HEADERS_MAX 14
#define HEADERS_CSP_CAP 768

struct headers {
	char csp[HEADERS_CSP_CAP];
	struct http_field fields[HEADERS_MAX];
	size_t count;
};

/* Host field: letters, digits, '.', '-', ':' and brackets, at most 255 bytes. */
bool headers_host_valid(struct span host);

/* Is this Origin "https://HOST" with the very Host of the request? */
bool headers_origin_fits(struct span origin, struct span host);

/* The Content-Security-Policy. A host that is not valid is left out; 'self' remains. */
void headers_csp(struct span host, char out[HEADERS_CSP_CAP]);

/* Starts a list with the headers every answer has. HSTS only for names that can have a public
 * certificate: not for addresses, localhost or single labels. */
void headers_init(struct headers *h, struct span host);

/* Borrowed. Ignored when the list is full, which the number of callers rules out. */
void headers_add(struct headers *h, const char *name, const char *value);
