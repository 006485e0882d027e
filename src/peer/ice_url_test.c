#include "test.h"

#include "base/err.h"
#include "peer/ice_url.h"

static void test_good(void **state)
{
	static const struct {
		const char *url;
		bool turn;
		enum turn_transport transport;
		const char *host;
		unsigned port;
	} rows[] = {
		{ "stun:example.org", false, TURN_UDP, "example.org", 3478 },
		{ "stun:192.0.2.1:19302", false, TURN_UDP, "192.0.2.1", 19302 },
		{ "stun:[2001:db8::1]", false, TURN_UDP, "2001:db8::1", 3478 },
		{ "turn:example.org", true, TURN_UDP, "example.org", 3478 },
		{ "turn:example.org?transport=udp", true, TURN_UDP, "example.org", 3478 },
		{ "turn:[2001:db8::1]:80?transport=TCP", true, TURN_TCP, "2001:db8::1", 80 },
		{ "turns:example.org", true, TURN_TLS, "example.org", 5349 },
		{ "turns:example.org:443?transport=tcp", true, TURN_TLS, "example.org", 443 },
		{ "turns:example.org?transport=udp", true, TURN_DTLS, "example.org", 5349 },
		{ "turns:example.org?transport=wss", true, TURN_WSS, "example.org", 443 },
		{ "turns:example.org:8443?transport=wss", true, TURN_WSS, "example.org", 8443 },
	};
	struct ice_url u;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ice_url_parse(rows[i].url, &u), 0);
		assert_int_equal(u.turn, rows[i].turn);
		assert_int_equal(u.transport, rows[i].transport);
		assert_string_equal(u.host, rows[i].host);
		assert_int_equal(u.port, rows[i].port);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *url;
		int err;
	} rows[] = {
		{ "", FL_EUNSUPPORTED },
		{ "http://example.org", FL_EUNSUPPORTED },
		{ "stuns:example.org", FL_EUNSUPPORTED },
		{ "turn:a?transport=wss", FL_EUNSUPPORTED }, /* in clear it passes nowhere */
		{ "turn:a?transport=sctp", FL_EUNSUPPORTED },
		{ "stun:", FL_EMALFORMED },
		{ "stun:a:", FL_EMALFORMED },
		{ "stun:a:0", FL_EMALFORMED },
		{ "stun:a:65536", FL_EMALFORMED },
		{ "stun:a:000080", FL_EMALFORMED },
		{ "stun:a:80x", FL_EMALFORMED },
		{ "stun:a?transport=udp", FL_EMALFORMED },
		{ "turn:[::1", FL_EMALFORMED },
		{ "turn:[::1]x", FL_EMALFORMED },
		{ "turn:a?speed=high", FL_EMALFORMED },
		{ "turn:a?", FL_EMALFORMED },
	};
	char url[400] = "turn:";
	struct ice_url u;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(ice_url_parse(rows[i].url, &u), rows[i].err);
	memset(url + 5, 'a', ICE_URL_HOST_MAX + 1);
	assert_int_equal(ice_url_parse(url, &u), FL_EMALFORMED);
	url[5 + ICE_URL_HOST_MAX] = 0;
	assert_int_equal(ice_url_parse(url, &u), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_good), TEST(test_bad) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
