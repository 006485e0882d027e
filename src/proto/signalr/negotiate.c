/* What a client asks before it opens the WebSocket (TransportProtocols.md, "negotiate"). */
#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/http/http.h"
#include "proto/signalr/signalr.h"

#define ID_BYTES 16

void signalr_connection_id(struct rng *rng, char out[SIGNALR_CONNECTION_ID_LEN])
{
	uint8_t bytes[ID_BYTES];
	char text[TEXT_B64_LEN(ID_BYTES)];

	rng_bytes(rng, bytes, sizeof(bytes));
	text_b64url_encode(span_of(bytes, sizeof(bytes)), text, sizeof(text));
	text_copy(out, SIGNALR_CONNECTION_ID_LEN, text);
}

unsigned signalr_negotiate_version(struct span query)
{
	char text[16];
	int n = http_query_get(query, "negotiateVersion", text, sizeof(text));

	if (n < 1 || strspn(text, "0123456789") != (size_t)n)
		return 0;
	return strspn(text, "0") == (size_t)n ? 0 : 1;
}

int signalr_negotiate_answer(unsigned version, const char *connection_id,
			     const char *connection_token, struct buf *out)
{
	static const char transports[] =
		"\"availableTransports\":["
		"{\"transport\":\"WebSockets\",\"transferFormats\":[\"Text\"]},"
		"{\"transport\":\"ServerSentEvents\",\"transferFormats\":[\"Text\"]},"
		"{\"transport\":\"LongPolling\",\"transferFormats\":[\"Text\"]}]}";

	if (version == 0)
		return buf_printf(out, "{\"negotiateVersion\":0,\"connectionId\":\"%s\",%s",
				  connection_id, transports);
	return buf_printf(out,
			  "{\"negotiateVersion\":1,\"connectionId\":\"%s\","
			  "\"connectionToken\":\"%s\",%s",
			  connection_id, connection_token, transports);
}
