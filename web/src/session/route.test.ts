import { describe, expect, it } from 'vitest';
import type { Candidate } from '../lib/api';
import { isPrivate, measure, methodOf, RoundTrip, sameNetwork } from './route';

const c = (type: Candidate['type'], address: string): Candidate => ({ type, address, port: 1, protocol: 'udp' });

describe('addresses', () => {
	it('private ones', () => {
		for (const a of ['10.0.0.1', '172.16.0.1', '172.31.255.1', '192.168.1.1', '169.254.3.4', '127.0.0.1', '100.64.0.9', '::1', 'fe80::1%eth0', 'fd00::5', 'fc12::', '::ffff:10.0.0.1'])
			expect([a, isPrivate(a)]).toEqual([a, true]);
		for (const a of ['172.32.0.1', '8.8.8.8', '100.128.0.1', '2001:db8::1', '', 'name.local', '1.2.3', 'fe00::1', '::2', '1::2::3'])
			expect([a, isPrivate(a)]).toEqual([a, false]);
	});
	it('one public network', () => {
		expect(sameNetwork('81.2.69.1', '81.2.69.200')).toBe(true);
		expect(sameNetwork('81.2.69.1', '81.2.70.1')).toBe(false);
		expect(sameNetwork('2001:db8:0:1::5', '2001:db8::1:0:0:0:9')).toBe(true);
		expect(sameNetwork('2001:db8:0:1::5', '2001:db8:0:2::5')).toBe(false);
		expect(sameNetwork('', '')).toBe(false);
	});
});

describe('route rule', () => {
	const rule = (l: Candidate, r: Candidate, own: string[] = [], device: string[] = []) => methodOf(l, r, own.map((a) => c('host', a)), device);
	it('local', () => {
		expect(rule(c('host', '10.0.0.4'), c('host', '10.0.0.5'))).toBe('local');
		expect(rule(c('host', ''), c('host', '192.168.1.9'))).toBe('local');
		expect(rule(c('host', '127.0.0.1'), c('host', '127.0.0.1'))).toBe('local');
		expect(rule(c('host', ''), c('prflx', '10.1.1.1'), [], ['10.1.1.1'])).toBe('local');
		expect(rule(c('prflx', '10.0.0.4'), c('host', '10.0.0.5'), ['10.0.0.4'])).toBe('local');
		expect(rule(c('host', '2001:db8::1'), c('host', '2001:db8::2'))).toBe('local');
		expect(rule(c('prflx', '10.0.0.4'), c('host', '10.0.0.5'), [''])).toBe('local');
		expect(rule(c('prflx', '::1'), c('prflx', '::1'))).toBe('local');
		const tcp = (type: Candidate['type'], address: string, port: number): Candidate => ({ type, address, port, protocol: 'tcp' });
		expect(methodOf(tcp('prflx', '10.0.0.4', 40123), tcp('host', '10.0.0.5', 7), [tcp('host', '', 9)], [])).toBe('local');
		expect(methodOf(tcp('prflx', '', 40123), tcp('host', '10.0.0.5', 7), [tcp('host', '', 9)], [])).toBe('local');
		expect(methodOf(tcp('prflx', '', 40123), tcp('host', '198.51.100.7', 7), [tcp('host', '', 9)], [])).toBe('punched');
		expect(methodOf(tcp('prflx', '10.9.9.4', 40123), tcp('host', '10.0.0.5', 7), [tcp('host', '', 9)], [])).toBe('punched');
		expect(rule(c('host', '81.2.69.1'), c('host', '81.2.69.7'))).toBe('local');
	});
	it('punched', () => {
		expect(rule(c('srflx', '81.2.69.1'), c('srflx', '198.51.100.9'))).toBe('punched');
		expect(rule(c('host', '10.0.0.4'), c('prflx', '10.9.9.9'), [], ['192.168.1.5'])).toBe('punched');
		expect(rule({ ...c('prflx', '10.0.0.4'), port: 4711 }, c('host', '10.0.0.5'), [''])).toBe('punched');
		expect(rule(c('prflx', '10.7.7.7'), c('host', '10.0.0.5'), [''])).toBe('punched');
		expect(rule(c('prflx', '10.7.7.7'), c('host', '10.0.0.5'), ['192.168.1.2'])).toBe('punched');
		expect(rule(c('host', '81.2.69.1'), c('host', '198.51.100.9'))).toBe('punched');
		expect(rule(c('host', ''), c('host', '2001:db8::2'))).toBe('punched');
		expect(rule(c('host', '10.0.0.4'), c('host', '198.51.100.9'))).toBe('punched');
	});
	it('relayed', () => {
		expect(rule(c('relay', '10.0.0.1'), c('host', '10.0.0.5'))).toBe('relayed');
		expect(rule(c('host', '10.0.0.1'), c('relay', '10.0.0.5'))).toBe('relayed');
	});
});

const report = (over: Record<string, object> = {}) =>
	Object.entries({
		T: { type: 'transport', selectedCandidatePairId: 'P1' },
		P1: { type: 'candidate-pair', localCandidateId: 'L1', remoteCandidateId: 'R1', state: 'succeeded', nominated: true, requestsSent: 3, responsesReceived: 3, currentRoundTripTime: 0.001, totalRoundTripTime: 0.002 },
		P2: { type: 'candidate-pair', localCandidateId: 'L2', remoteCandidateId: 'R1', state: 'in-progress', requestsSent: 2, responsesReceived: 0 },
		L1: { type: 'local-candidate', candidateType: 'host', protocol: 'udp', port: 50000, address: 'x.local' },
		L2: { type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls', address: '203.0.113.1', port: 9 },
		R1: { type: 'remote-candidate', candidateType: 'host', protocol: 'udp', address: '10.20.4.114', port: 50001 },
		...over,
	}).map(([id, stats]) => ({ id, ...stats }));

describe('statistics', () => {
	it('give the pair in use and all that were tried', () => {
		const got = measure(report(), [])!;
		expect(got).toMatchObject({ pairId: 'P1', method: 'local', transport: 'udp', rtt: 1, rttSum: 2, rttCount: 3 });
		expect(got.local.address).toBe('');
		expect(got.tried.map((x) => [x.state, x.sent, x.answered])).toEqual([['succeeded', 3, 3], ['in-progress', 2, 0]]);
	});
	it('name how the relay is reached', () => {
		expect(measure(report({ T: { type: 'transport', selectedCandidatePairId: 'P2' } }), [])).toMatchObject({ method: 'relayed', transport: 'tls' });
	});
	it('work without a transport entry (Firefox)', () => {
		const firefox = report({ T: { type: 'other' }, P1: { type: 'candidate-pair', localCandidateId: 'L1', remoteCandidateId: 'R1', state: 'succeeded', selected: true } });
		expect(measure(firefox, [])).toMatchObject({ pairId: 'P1', method: 'local', rtt: null });
	});
	it('give nothing before a pair is in use', () => {
		expect(measure([], [])).toBeNull();
	});
});

describe('round trip', () => {
	const at = (rttSum: number, rttCount: number, rtt: number | null = 0) => ({ ...measure(report(), [])!, rtt, rttSum, rttCount });
	it('is the single value first and the mean of many later', () => {
		const trip = new RoundTrip();
		expect(trip.add(at(5, 2, 1), 0)).toBe(1);
		expect(trip.add(at(6, 4, 0), 1000)).toBe(0);
		expect(trip.add(at(9, 12, 1), 5000)).toBeCloseTo(0.4);
	});
	it('starts anew with another pair and stays unknown when the browser is silent', () => {
		const trip = new RoundTrip();
		trip.add(at(100, 50), 0);
		expect(trip.add(at(3, 1, 3), 1000)).toBe(3);
		expect(new RoundTrip().add(at(0, 0, null), 0)).toBeNull();
	});
});
