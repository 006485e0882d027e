import { expect, it } from 'vitest';
import { backoff } from './backoff';

it('starts short, stays within 3 s for a minute, then within 60 s', () => {
	expect(backoff(0, 0, 0)).toBe(100);
	expect(backoff(0, 0, 1)).toBe(300);
	expect(backoff(9, 30_000, 1)).toBe(3_000);
	expect(backoff(9, 30_000, 0)).toBe(1_500);
	expect(backoff(30, 90_000, 1)).toBe(60_000);
	expect(backoff(2_000, 1e9, 0)).toBe(30_000);
});
it('differs between consoles', () => {
	const waits = new Set(Array.from({ length: 20 }, (_, i) => backoff(4, 5_000, i / 20)));
	expect(waits.size).toBeGreaterThan(5);
});
