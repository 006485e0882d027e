#include "modules/screen/encoder.h"

#include <string.h>

const struct encoder_ops *encoder_find(const char *codec)
{
	static const struct encoder_ops *const all[] = { &encoder_openh264, &encoder_vp8 };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->codec, codec) == 0)
			return all[i];
	return NULL;
}

int encoder_create(const struct encoder_ops *ops, int width, int height, struct encoder **out)
{
	return ops->create(width, height, out);
}

void encoder_destroy(struct encoder *e)
{
	if (e)
		e->ops->destroy(e);
}
