// Waiting times between attempts to reach the hub: from 200 ms to at most 3 s during the first minute, then up to 60 s,
// each spread over half to one and a half of its value, so that a thousand consoles do not come back in one moment.
const FIRST_MS = 200;
const EARLY_MAX_MS = 3_000;
const LATE_MAX_MS = 60_000;
const EARLY_MS = 60_000;

/** @param attempt counted from 0; @param elapsed ms since the connection was lost; @param random 0 to 1 */
export function backoff(attempt: number, elapsed: number, random = Math.random()): number {
	const plain = Math.min(FIRST_MS * 2 ** Math.min(attempt, 20), elapsed < EARLY_MS ? EARLY_MAX_MS : LATE_MAX_MS);
	return elapsed < EARLY_MS ? Math.min(EARLY_MAX_MS, plain * (0.5 + random)) : Math.min(LATE_MAX_MS, plain * (0.5 + random));
}
