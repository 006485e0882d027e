#include "peer/bucket.h"

#include "base/util.h"

static int64_t burst(const struct bucket *b)
{
	return (int64_t)b->kbit * (BUCKET_BURST_US / USEC_PER_MSEC);
}

/* What SCTP gave up is never sent, and would close the bucket for good: so it is forgotten, at a
 * part of the rate. */
#define HANDED_SHARE 4

/* kbit/s are bits a millisecond. */
static void refill(struct bucket *b, usec_t now)
{
	/* a long silence fills it, whatever the product would be */
	const usec_t most = 3600 * USEC_PER_SEC, gone = FL_MIN(usec_sub(now, b->at), most);
	const uint64_t bits = gone * b->kbit / USEC_PER_MSEC;

	/* only the time of whole bits is used up */
	b->at = gone == most ? now : b->at + bits * USEC_PER_MSEC / FL_MAX(b->kbit, 1u);
	b->tokens = FL_MIN(b->tokens + (int64_t)bits, burst(b));
	b->handed -= FL_MIN(b->handed, bits / HANDED_SHARE);
}

void bucket_limit(struct bucket *b, usec_t now, uint32_t kbit)
{
	if (b->kbit == 0 || kbit == 0)
		*b = (struct bucket){ .at = now };
	else
		refill(b, now);
	b->kbit = kbit;
	b->tokens = FL_MIN(b->tokens, burst(b));
}

void bucket_sent(struct bucket *b, usec_t now, size_t len, bool message)
{
	const uint64_t bits = 8 * (uint64_t)(len + BUCKET_PACKET_OVERHEAD);

	if (message)
		b->handed -= FL_MIN(b->handed, bits);
	if (b->kbit == 0)
		return;
	refill(b, now);
	b->tokens -= (int64_t)bits;
}

void bucket_hand(struct bucket *b, size_t len)
{
	if (b->kbit)
		b->handed += 8 * (uint64_t)len;
}

bool bucket_open(struct bucket *b, usec_t now)
{
	if (b->kbit == 0)
		return true;
	refill(b, now);
	return b->tokens > 0 && (uint64_t)b->tokens > b->handed;
}

usec_t bucket_deadline(const struct bucket *b)
{
	const int64_t debt = 1 - b->tokens, held = (int64_t)b->handed - burst(b);
	int64_t want = FL_MAX(debt, held > 0 ? held * HANDED_SHARE : (int64_t)1);

	if (b->kbit == 0)
		return USEC_NEVER;
	/* never early twice: looked at again when the time has made some more */
	want = FL_MAX(want, (int64_t)b->kbit);
	return usec_add(b->at, (uint64_t)want * USEC_PER_MSEC / b->kbit);
}
