import { describe, expect, it } from 'vitest';
import type { Candidate, Policy, Route, Server, Tried } from '../lib/api';
import { attempts } from './methods';

const c = (type: Candidate['type'], address: string, port = 1): Candidate => ({ type, address, port, protocol: 'udp' });
const way = (local: Candidate, remote: Candidate, change: Partial<Tried> = {}): Tried => ({
	local, remote, state: 'failed', sent: 6, answered: 0, received: 0, rtt_ms: null, error: null, ...change,
});
const RELAY = c('relay', '203.0.113.9', 61000);
const PEER = c('host', '10.20.4.114', 7);
const turn = (change: Partial<Server>): Server => ({
	url: 'turn:r.example:3478', transport: 'udp', via: 'direct', state: 'failed', ms: null, mapped: null, code: null, error: null, ...change,
});
const relayed: Route = {
	method: 'relayed', transport: 'tls', rtt_ms: 48, setup_ms: 300, reason: '', pair: { local: RELAY, remote: PEER },
	tried: [
		way(RELAY, PEER, { state: 'succeeded', answered: 6, rtt_ms: 48 }),
		way(c('host', '192.168.1.5'), PEER),
		way(c('srflx', '198.51.100.4'), c('srflx', '203.0.113.77'), { sent: 12 }),
	],
};
const of = (route: Route, policy: Policy = {}) => Object.fromEntries(attempts(route, policy).map((one) => [one.method, one]));

describe('what came of each method', () => {
	it('the one in use, and the failed ones with their checks', () => {
		const got = of(relayed);
		expect([got.local!.outcome, got.punched!.outcome, got.relayed!.outcome]).toEqual(['failed', 'failed', 'used']);
		expect([got.local!.sent, got.punched!.sent]).toEqual([6, 12]);
		expect(got.relayed!.pair?.local).toEqual(RELAY);
	});
	it('one that has no pair is not possible, one that works is a spare', () => {
		const got = of({ ...relayed, method: 'local', pair: { local: c('host', '10.20.4.9'), remote: PEER }, tried: [way(c('host', '10.20.4.9'), PEER, { state: 'succeeded' }), relayed.tried[0]!] });
		expect([got.local!.outcome, got.punched!.outcome, got.relayed!.outcome]).toEqual(['used', 'impossible', 'spare']);
	});
	it('one that was not begun is not needed only when a shorter one is in use', () => {
		const idle = [way(c('srflx', '198.51.100.4'), c('srflx', '203.0.113.77'), { state: 'waiting', sent: 0 })];
		expect(of({ ...relayed, tried: [relayed.tried[0]!, ...idle] }).punched!.outcome).toBe('untried');
		expect(of({ ...relayed, method: 'local', tried: idle }).punched!.outcome).toBe('waiting');
	});
	it('one that the policy rules out is not allowed, and the last resort is held back', () => {
		const local: Route = { ...relayed, method: 'local', pair: null, tried: [] };
		expect(of(local, { methods: ['local'] }).relayed!.outcome).toBe('forbidden');
		expect(of(local, { relay: 'last-resort' }).relayed!.outcome).toBe('held');
	});
	it('the relay’s own word is kept', () => {
		const none: Route = { ...relayed, method: 'none', pair: null, tried: [], servers: [turn({ state: 'refused', code: 401, error: 'Unauthorized' })] };
		expect(of(none).relayed).toMatchObject({ outcome: 'impossible', said: { code: 401, error: 'Unauthorized' }, servers: true });
	});
});
