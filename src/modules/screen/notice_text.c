#include <stdio.h>

#include "base/text.h"
#include "modules/screen/notice.h"

#define NAME_CHARACTERS 40

/* Cuts after whole characters. */
static void cut(char *s, size_t characters)
{
	size_t seen = 0;

	for (char *p = s; *p; p++) {
		if ((*p & 0xc0) == 0x80)
			continue;
		if (seen++ == characters) {
			*p = '\0';
			return;
		}
	}
}

void notice_text(char *dst, size_t cap, const char *name, enum notice_state state)
{
	char shown[256];

	text_printable(shown, sizeof(shown), span_str(name));
	bool whole = true;
	size_t len = strlen(shown);
	cut(shown, NAME_CHARACTERS);
	whole = strlen(shown) == len;
	snprintf(dst, cap, "%s%s %s", shown[0] ? shown : "Somebody", whole ? "" : "…",
		 state == NOTICE_CONTROLLED ? "controls this computer" : "is watching this screen");
}
