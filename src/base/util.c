#include "base/util.h"

#include <unistd.h>

void fl_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
