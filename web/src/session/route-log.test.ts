import { describe, expect, it } from 'vitest';
import type { Candidate, Tried } from '../lib/api';
import { RouteLog } from './route-log';

const STUN = 'stun:hub.example:3478';
const STUN2 = 'stun:hub.example:3479';
const TURN = 'turn:r.example:3478?transport=udp';
const TLS = 'turns:r.example:5349?transport=tcp';
const servers = (...urls: string[]): RTCIceServer[] => [{ urls }];
const host = (address: string, port = 50000) => `candidate:1 1 udp 2122260223 ${address} ${port} typ host generation 0`;
const srflx = (address: string, port: number, related = '10.0.0.4 rport 50000') =>
	`candidate:2 1 udp 1686052607 ${address} ${port} typ srflx raddr ${related}`;
const relay = 'candidate:3 1 udp 41885439 203.0.113.9 61000 typ relay raddr 198.51.100.4 rport 40000';

function log(urls: string[], tellsErrors = true) {
	let at = 100;
	const made = new RouteLog(servers(...urls), () => at, tellsErrors);
	return { made, after: (ms: number) => (at += ms) };
}
const c = (type: Candidate['type'], address: string, port: number): Candidate => ({ type, address, port, protocol: 'udp' });
const pair = (local: Candidate, remote: Candidate, sent = 1): Tried => ({ local, remote, state: 'in-progress', sent, answered: 0, received: 0, rtt_ms: null, error: null });

describe('candidates', () => {
	it('come with their origin, their time and what became of them', () => {
		const { made, after } = log([STUN]);
		after(12);
		made.local({ candidate: host('10.0.0.4'), url: null });
		after(20);
		made.local({ candidate: srflx('198.51.100.4', 40000), url: STUN });
		made.remote(host('10.9.9.9', 7), 'description');
		made.remote(host('10.9.9.8', 8), 'trickle');
		const selected = { local: c('host', '10.0.0.4', 50000), remote: c('host', '10.9.9.9', 7) };
		const found = made.candidates([pair(selected.local, selected.remote), pair(c('srflx', '198.51.100.4', 40000), selected.remote)], selected, new Map());
		expect(found.map((one) => [one.side, one.type, one.address, one.origin, one.ms, one.use])).toEqual([
			['local', 'host', '10.0.0.4', '', 12, 'selected'],
			['remote', 'host', '10.9.9.9', 'description', 32, 'selected'],
			['local', 'srflx', '198.51.100.4', STUN, 32, 'tried'],
			['remote', 'host', '10.9.9.8', 'trickle', 32, 'unused'],
		]);
	});
	it('that only a check brought to light are there as well', () => {
		const { made } = log([]);
		const found = made.candidates([pair(c('host', '', 1), c('prflx', '192.0.2.7', 9))], null, new Map());
		expect(found).toEqual([expect.objectContaining({ side: 'remote', type: 'prflx', origin: 'check', ms: null, use: 'tried' })]);
	});
	it('hide the names that stand for addresses, and still are the ones in use', () => {
		const { made } = log([]);
		made.local({ candidate: host('0f2c.local') });
		const selected = { local: c('host', '', 50000), remote: c('host', '10.9.9.9', 7) };
		const [own] = made.candidates([], selected, new Map());
		expect(own).toMatchObject({ address: '', use: 'selected', ms: 0 });
	});
	it('of an earlier round are gone unless they are named again', () => {
		const { made, after } = log([]);
		made.local({ candidate: host('10.0.0.4') });
		made.local({ candidate: host('10.0.0.5', 50001) });
		after(500);
		made.again();
		after(3);
		made.local({ candidate: host('10.0.0.5', 50001) });
		expect(made.candidates([], null, new Map()).map((one) => [one.address, one.use, one.ms])).toEqual([
			['10.0.0.5', 'unused', 3],
			['10.0.0.4', 'gone', 0],
		]);
	});
	it('are limited, and malformed ones counted', () => {
		const { made } = log([]);
		for (let i = 0; i < 100; i++) made.remote(host('10.0.0.1', 1000 + i), 'trickle');
		expect(made.remote('candidate:rubbish', 'trickle')).toBe(false);
		expect(made.candidates([], null, new Map())).toHaveLength(64);
		expect(made.ignored).toEqual({ 'over-limit': 36, malformed: 1 });
	});
});

describe('servers', () => {
	const states = (made: RouteLog) => made.servers().map((s) => s.state);
	it('wait, answer, refuse, fail or stay silent', () => {
		const { made, after } = log([STUN, STUN2, TURN, TLS, 'turn:other.example:3478']);
		expect(states(made)).toEqual(['asking', 'asking', 'asking', 'asking', 'asking']);
		after(23.14);
		made.local({ candidate: srflx('198.51.100.4', 40000), url: STUN });
		made.error(STUN2, 701, 'STUN binding request timed out.');
		made.error('turn:r.example:3478?transport=udp', 401, 'Unauthorized');
		made.error(TLS, 701, 'Failed to establish connection');
		made.local({ candidate: relay, url: 'turn:other.example:3478?transport=udp' });
		expect(made.servers()).toEqual([
			{ url: STUN, transport: 'udp', via: 'direct', state: 'answered', ms: 23.1, mapped: '198.51.100.4:40000', code: null, error: null },
			{ url: STUN2, transport: 'udp', via: 'direct', state: 'silent', ms: 23.1, mapped: null, code: null, error: 'STUN binding request timed out.' },
			{ url: TURN, transport: 'udp', via: 'direct', state: 'refused', ms: 23.1, mapped: null, code: 401, error: 'Unauthorized' },
			{ url: TLS, transport: 'tls', via: 'direct', state: 'failed', ms: 23.1, mapped: null, code: null, error: 'Failed to establish connection' },
			{ url: 'turn:other.example:3478', transport: 'udp', via: 'direct', state: 'answered', ms: 23.1, mapped: null, code: null, error: null },
		]);
	});
	it('of which nothing can be said are not claimed to have answered, or to be silent', () => {
		const { made } = log([STUN, TURN]);
		made.local(null);
		expect(states(made)).toEqual(['unused', 'unused']);
	});
	it('of which nothing was heard are silent in a browser that tells none', () => {
		const { made } = log([STUN, TURN], false);
		made.local({ candidate: host('10.0.0.4') });
		made.local(null);
		expect(states(made)).toEqual(['silent', 'silent']);
	});
	it('begin anew with another round', () => {
		const { made } = log([STUN]);
		made.error(STUN, 701, 'STUN binding request timed out.');
		made.again();
		expect(states(made)).toEqual(['asking']);
	});
});

describe('the NAT before this end', () => {
	it('maps anew for each server when one port is seen at two places', () => {
		const { made } = log([STUN, STUN2]);
		made.local({ candidate: host('10.0.0.4') });
		made.local({ candidate: srflx('198.51.100.4', 40000), url: STUN });
		made.local({ candidate: srflx('198.51.100.4', 40001), url: STUN2 });
		expect(made.nat().mapping).toBe('address');
	});
	it('keeps one mapping when two servers agree', () => {
		const { made } = log([STUN, STUN2]);
		made.local({ candidate: srflx('198.51.100.4', 40000), url: STUN });
		expect(made.nat().mapping).toBe('unknown');
		made.local(null);
		expect(made.servers()[1]).toMatchObject({ state: 'answered', mapped: '198.51.100.4:40000' });
		expect(made.nat().mapping).toBe('independent');
	});
	it('is none when the address that is seen is our own', () => {
		const { made } = log([STUN]);
		made.local({ candidate: host('198.51.100.4') });
		expect(made.nat().mapping).toBe('none');
	});
	it('is unknown when the browser hides which port was seen', () => {
		const { made } = log([STUN]);
		made.local({ candidate: srflx('198.51.100.4', 40000, '0.0.0.0 rport 0'), url: STUN });
		made.local({ candidate: srflx('198.51.100.4', 40001, '0.0.0.0 rport 0'), url: STUN });
		expect(made.nat()).toEqual({ mapping: 'unknown', filtering: 'unknown' });
	});
});
