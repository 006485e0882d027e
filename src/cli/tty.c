#include "cli/tty.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static bool is_raw;

int tty_raw(void)
{
	struct termios t;
	static bool registered;

	if (tcgetattr(0, &saved) < 0)
		return -errno;
	t = saved;
	cfmakeraw(&t);
	if (!registered && atexit(tty_restore) == 0)
		registered = true;
	if (tcsetattr(0, TCSADRAIN, &t) < 0)
		return -errno;
	is_raw = true;
	return 0;
}

void tty_restore(void)
{
	if (is_raw)
		tcsetattr(0, TCSADRAIN, &saved);
	is_raw = false;
}

bool tty_size(uint16_t *cols, uint16_t *rows)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) < 0 && ioctl(0, TIOCGWINSZ, &w) < 0)
		return false;
	if (w.ws_col == 0 || w.ws_row == 0)
		return false;
	*cols = w.ws_col;
	*rows = w.ws_row;
	return true;
}

bool tty_escape_feed(struct tty_escape *e, const uint8_t *in, size_t len, uint8_t *out,
		     size_t *out_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = in[i];
		if (e->tilde) {
			e->tilde = false;
			if (c == '.') {
				*out_len = n;
				return true;
			}
			if (c != '~')
				out[n++] = '~';
		} else if (c == '~' && e->line_start) {
			e->tilde = true;
			continue;
		}
		out[n++] = c;
		e->line_start = c == '\r' || c == '\n';
	}
	*out_len = n;
	return false;
}
