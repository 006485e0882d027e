import { describe, expect, it } from 'vitest';
import type { Candidate, Policy, Route } from '../lib/api';
import { allowedServers, candidatePasses, configuration, methodsOf, routePasses, turnTransport } from './policy';

const SERVERS: RTCIceServer[] = [
	{ urls: ['stun:hub.example:3478'] },
	{
		urls: ['turn:r.example:3478', 'turn:r.example:3478?transport=tcp', 'turns:r.example:5349?transport=tcp', 'turns:r.example:443?transport=wss'],
		username: 'u',
		credential: 'c',
	},
];
const urls = (policy: Policy, relay = true) => allowedServers(SERVERS, policy, relay).flatMap((s) => s.urls);

describe('the policy of a device', () => {
	it('tells how a relay is reached', () => {
		expect(SERVERS[1]!.urls).toHaveLength(4);
		expect((SERVERS[1]!.urls as string[]).map(turnTransport)).toEqual(['udp', 'tcp', 'tls', 'wss']);
		expect(turnTransport('stun:hub.example')).toBeNull();
	});
	it('allows everything by default, save what no browser takes', () => {
		expect(urls({})).toEqual(['stun:hub.example:3478', 'turn:r.example:3478', 'turn:r.example:3478?transport=tcp', 'turns:r.example:5349?transport=tcp']);
		expect(configuration(SERVERS, {}).iceTransportPolicy).toBe('all');
	});
	it('forbids the relay', () => {
		expect(urls({ relay: 'forbidden' })).toEqual(['stun:hub.example:3478']);
		expect(methodsOf({ relay: 'forbidden' })).toEqual(['local', 'punched']);
	});
	it('allows local only: nobody is asked for anything', () => {
		expect(urls({ methods: ['local'] })).toEqual([]);
	});
	it('allows the relay only', () => {
		expect(configuration(SERVERS, { methods: ['relayed'] }).iceTransportPolicy).toBe('relay');
		expect(urls({ methods: ['relayed'] })).not.toContain('stun:hub.example:3478');
	});
	it('limits the ways to the relay', () => {
		expect(urls({ turnTransports: ['tls', 'wss'] })).toEqual(['stun:hub.example:3478', 'turns:r.example:5349?transport=tcp']);
	});
	it('keeps the relay back as a last resort', () => {
		expect(configuration(SERVERS, { relay: 'last-resort' }).iceServers!.flatMap((s) => s.urls)).toEqual(['stun:hub.example:3478']);
		expect(configuration(SERVERS, { relay: 'last-resort' }, true).iceServers).toHaveLength(2);
	});
	it('lets only allowed candidates take part', () => {
		const line = (type: string) => `candidate:1 1 udp 1 192.0.2.1 9 typ ${type}`;
		expect(['host', 'srflx', 'relay', 'prflx'].map((type) => candidatePasses(line(type), { methods: ['local'] }))).toEqual([true, false, false, true]);
		expect(candidatePasses(line('relay'), { relay: 'forbidden' })).toBe(false);
		expect(candidatePasses('candidate:nonsense', { methods: ['local'] })).toBe(true);
	});
	it('refuses a route that it does not allow, where this end can tell', () => {
		const c = (type: Candidate['type'], address: string): Candidate => ({ type, address, port: 1, protocol: 'udp' });
		const route = (method: Route['method'], local: Candidate, remote: Candidate) => ({ method, pair: { local, remote } }) as Route;
		const only: Policy = { methods: ['local'] };
		expect(routePasses(route('local', c('host', ''), c('host', '10.0.0.1')), only)).toBe(true);
		expect(routePasses(route('relayed', c('relay', '192.0.2.1'), c('host', '10.0.0.1')), only)).toBe(false);
		expect(routePasses(route('punched', c('srflx', '192.0.2.1'), c('host', '10.0.0.1')), only)).toBe(false);
		expect(routePasses(route('punched', c('host', ''), c('host', '192.0.2.1')), only)).toBe(true);
	});
});
