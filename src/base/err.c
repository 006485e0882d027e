#include "base/err.h"

#include <string.h>

#include "base/util.h"

static const struct {
	const char *name, *text;
} own[] = {
	{ "malformed", "the data does not follow its format" },
	{ "unauthenticated", "a signature or password does not fit" },
	{ "quota", "a limit was reached" },
	{ "unsupported", "not supported" },
	{ "state", "not possible at this point" },
	{ "closed", "the other side closed the connection" },
	{ "tls", "the TLS library reported an error" },
	{ "proxy", "the proxy on the way does not let us through" },
};

_Static_assert(ARRAY_LEN(own) == FL_EMALFORMED - FL_ELAST + 1, "a name for each code");

const char *err_name(int err)
{
	const char *name;

	if (err <= FL_EMALFORMED && err >= FL_ELAST)
		return own[FL_EMALFORMED - err].name;
	name = strerrorname_np(err < 0 ? -err : err);
	return name ? name : "unknown";
}

const char *err_text(int err)
{
	const char *text;

	if (err <= FL_EMALFORMED && err >= FL_ELAST)
		return own[FL_EMALFORMED - err].text;
	text = strerrordesc_np(err < 0 ? -err : err);
	return text ? text : "unknown error";
}
