import { describe, expect, it } from 'vitest';
import { candidateLine } from './sdp';
import { mappingOf, relaysOf, stunAnswer, turnAnswer, type Facts, type Gathered, type StunAnswer, type TurnAnswer } from './net-probe';
import { asText, lines, methods } from './net-verdict';

const host = (address: string, port = 5000) => `candidate:1 1 udp 1 ${address} ${port} typ host`;
const srflx = (address: string, port: number, raddr = '0.0.0.0', rport = 0) => `candidate:2 1 udp 1 ${address} ${port} typ srflx raddr ${raddr} rport ${rport}`;
const relay = (address: string, port: number) => `candidate:3 1 udp 1 ${address} ${port} typ relay raddr 0.0.0.0 rport 0`;
const gathered = (list: string[], more: Partial<Gathered> = {}): Gathered => ({
	candidates: list.map((text, at) => ({ ...candidateLine(text)!, ms: 10 + at })), errors: [], complete: true, tellsErrors: true, ms: 500, ...more,
});
const timedOut = { code: 701, text: 'STUN binding request timed out.' };
const noName = { code: 701, text: 'STUN host lookup received error.' };

describe('STUN', () => {
	it('answered: with our address, or with one that the browser knew already', () => {
		expect(stunAnswer('s:1', gathered([srflx('192.0.2.1', 9)]))).toMatchObject({ outcome: 'good', mapped: '192.0.2.1:9', ms: 10 });
		expect(stunAnswer('s:1', gathered([srflx('2001:db8::1', 9)])).mapped).toBe('[2001:db8::1]:9');
		expect(stunAnswer('s:1', gathered([host('192.0.2.1')])).outcome).toBe('good');
	});
	it('not answered: silent, failed, or not told', () => {
		expect(stunAnswer('s:1', gathered([host('a.local')], { complete: false })).outcome).toBe('silent');
		expect(stunAnswer('s:1', gathered([], { errors: [timedOut] })).outcome).toBe('silent');
		expect(stunAnswer('s:1', gathered([], { errors: [{ code: 701, text: '' }] })).outcome).toBe('silent');
		expect(stunAnswer('s:1', gathered([], { errors: [noName] }))).toMatchObject({ outcome: 'name', error: noName.text });
		expect(stunAnswer('s:1', gathered([], { errors: [{ code: 701, text: 'Failed to send' }] })).outcome).toBe('failed');
		expect(stunAnswer('s:1', gathered([host('a.local')], { tellsErrors: false })).outcome).toBe('unclear');
	});
});

describe('TURN', () => {
	it('gives an address, refuses with a code, is not reached, or is silent', () => {
		expect(turnAnswer('r:1', 'udp', gathered([relay('192.0.2.9', 50000)])).outcome).toBe('good');
		expect(turnAnswer('r:1', 'udp', gathered([], { errors: [{ code: 401, text: 'Unauthorized' }] }))).toMatchObject({ outcome: 'refused', code: 401, error: 'Unauthorized' });
		expect(turnAnswer('r:1', 'tcp', gathered([], { errors: [{ code: 701, text: 'Connection refused' }] })).outcome).toBe('failed');
		expect(turnAnswer('r:1', 'tcp', gathered([], { errors: [{ code: 701, text: 'TURN host lookup received error.' }] })).outcome).toBe('name');
		expect(turnAnswer('r:1', 'tcp', gathered([], { complete: false })).outcome).toBe('silent');
	});
	it('is asked by each URL that a browser can use', () => {
		const server = { urls: ['stun:s:3478', 'turn:r:3478?transport=udp', 'turn:r?transport=tcp', 'turns:r', 'turns:r:443?transport=wss'], username: 'u', credential: 'c' };
		expect(relaysOf([server]).map(({ place, transport }) => [place, transport])).toEqual([['r:3478', 'udp'], ['r:3478', 'tcp'], ['r:5349', 'tls']]);
		expect(relaysOf([server])[0]!.server).toEqual({ urls: ['turn:r:3478?transport=udp'], username: 'u', credential: 'c' });
	});
});

describe('the mapping of the NAT', () => {
	const two = ['a.example:3478', 'b.example:3478'];
	it('one port for all, when two servers at two names answered', () => {
		expect(mappingOf(gathered([host('x.local'), srflx('192.0.2.1', 9)]), two)).toBe('same');
		expect(mappingOf(gathered([srflx('192.0.2.1', 9)]), ['a.example:3478'])).toBe('unclear');
		expect(mappingOf(gathered([srflx('192.0.2.1', 9)]), ['a.example:3478', 'a.example:3479'])).toBe('unclear');
	});
	it('another port for each', () => {
		expect(mappingOf(gathered([srflx('192.0.2.1', 9), srflx('192.0.2.1', 10)]), two)).toBe('changing');
		expect(mappingOf(gathered([srflx('192.0.2.1', 9, '10.0.0.2', 5), srflx('192.0.2.2', 9, '10.0.0.2', 5)]), two)).toBe('changing');
	});
	it('two families, or two interfaces that are told apart, are no change', () => {
		expect(mappingOf(gathered([srflx('192.0.2.1', 9), srflx('2001:db8::1', 10)]), two)).toBe('same');
		expect(mappingOf(gathered([srflx('192.0.2.1', 9, '10.0.0.2', 5), srflx('192.0.2.1', 10, '10.0.1.2', 6)]), two)).toBe('same');
	});
	it('two addresses that may be two interfaces tell nothing', () => {
		expect(mappingOf(gathered([srflx('192.0.2.1', 9), srflx('192.0.2.2', 10)]), two)).toBe('unclear');
	});
	it('no translation; and nothing to tell without an answer', () => {
		expect(mappingOf(gathered([host('192.0.2.1'), srflx('192.0.2.1', 5000)]), two)).toBe('none');
		expect(mappingOf(gathered([host('x.local')]), [])).toBe('blocked');
	});
});

const stun = (outcome: StunAnswer['outcome'], place = 'stun.example:3478'): StunAnswer => ({ place, outcome, ms: 20, mapped: outcome === 'good' ? '192.0.2.1:9' : '', error: '' });
const turn = (transport: TurnAnswer['transport'], outcome: TurnAnswer['outcome'], code = 0): TurnAnswer => ({ place: 'relay.example:3478', transport, outcome, ms: 30, code, error: '' });
const good: Facts = {
	place: 'hub.example:443', hub: { outcome: 'good', ms: 12, clockOff: 0 }, realtime: { outcome: 'good', ms: 15 }, webrtc: true,
	stun: [stun('good')], mapping: 'same', turn: [turn('udp', 'good'), turn('tcp', 'good')], relayPlaces: ['relay.example:3478'],
};
const of = (change: Partial<Facts>) => methods({ ...good, ...change }).map((m) => m.verdict);
const troubles = (change: Partial<Facts>) => lines({ ...good, ...change }).filter((l) => l.state === 'bad' || l.state === 'warn').map((l) => l.key);

describe('what it means', () => {
	it('all good: every method, and nothing to change', () => {
		expect(of({})).toEqual(['likely', 'yes', 'yes']);
		expect(lines(good).every((l) => l.state === 'good' && l.fix === '')).toBe(true);
	});
	it('no hub: nothing works, and the realtime connection is not blamed', () => {
		for (const outcome of ['silent', 'foreign'] as const) {
			const change = { hub: { outcome, ms: 1, clockOff: 0 }, realtime: { outcome: 'closed' as const, ms: 1 } };
			expect(of(change)).toEqual(['no', 'no', 'no']);
			expect(troubles(change)).toEqual(['hub']);
		}
	});
	it('WebSockets stripped, or swallowed', () => {
		for (const outcome of ['closed', 'mute'] as const) {
			expect(of({ realtime: { outcome, ms: 1 } })).toEqual(['no', 'no', 'no']);
			expect(troubles({ realtime: { outcome, ms: 1 } })).toEqual(['realtime']);
		}
	});
	it('a wrong clock is told, and hinders nothing here', () => {
		const change = { hub: { outcome: 'good' as const, ms: 1, clockOff: -7 } };
		expect(troubles(change)).toEqual(['hub']);
		expect(lines({ ...good, ...change })[0]!.say).toContain('7 minutes behind');
		expect(of(change)).toEqual(['likely', 'yes', 'yes']);
	});
	it('UDP blocked: no Method 2, and Method 3 by TCP, each with the opening that helps', () => {
		const change = { stun: [stun('silent')], mapping: 'blocked' as const, turn: [turn('udp', 'silent'), turn('tcp', 'good')] };
		expect(of(change)).toEqual(['likely', 'no', 'limited']);
		expect(of({ ...change, stun: [stun('failed')] })[1]).toBe('no');
		expect(of({ ...change, stun: [stun('name')] })[1]).toBe('unknown');
		expect(troubles(change)).toEqual(['stun 0', 'turn 0']);
		expect(lines({ ...good, ...change }).find((l) => l.key === 'stun 0')!.fix).toContain('UDP out to stun.example:3478');
	});
	it('a symmetric NAT limits Method 2', () => {
		expect(of({ mapping: 'changing' })).toEqual(['likely', 'limited', 'yes']);
		expect(troubles({ mapping: 'changing' })).toEqual(['mapping']);
		expect(of({ mapping: 'unclear' })[1]).toBe('likely');
	});
	it('the relay: refused, unreachable, none, unasked, and before anybody has signed in', () => {
		expect(of({ turn: [turn('udp', 'refused', 401), turn('tcp', 'refused', 401)] })[2]).toBe('no');
		expect(lines({ ...good, turn: [turn('udp', 'refused', 401)] }).at(-1)!.fix).toContain('secret');
		expect(lines({ ...good, turn: [turn('udp', 'refused', 508)] }).at(-1)!.fix).toContain('508');
		expect(of({ turn: 'none' })[2]).toBe('no');
		expect(of({ turn: 'asked' })[2]).toBe('unknown');
		expect(of({ turn: 'out' })[2]).toBe('unknown');
		expect(of({ turn: 'out', stun: [stun('good', 'relay.example:3478')] })[2]).toBe('likely');
	});
	it('no STUN server: Method 2 is told from the relay over UDP, or not at all', () => {
		expect(of({ stun: [], mapping: 'blocked' })[1]).toBe('likely');
		expect(of({ stun: [], mapping: 'blocked', turn: 'out' })[1]).toBe('unknown');
	});
	it('WebRTC switched off', () => {
		expect(of({ webrtc: false, stun: [], mapping: 'unclear' })).toEqual(['no', 'no', 'no']);
		expect(troubles({ webrtc: false, stun: [], mapping: 'unclear' })).toEqual(['webrtc']);
	});
	it('each bad line has a remedy', () => {
		const bad = lines({ ...good, hub: { outcome: 'cached', ms: 1, clockOff: 0 }, realtime: { outcome: 'mute', ms: 1 }, stun: [stun('failed'), stun('name')], mapping: 'changing', turn: [turn('udp', 'name'), turn('udp', 'failed'), turn('tcp', 'silent'), turn('tls', 'silent'), turn('udp', 'refused', 486)] });
		for (const l of bad) if (l.state === 'bad' || l.state === 'warn') expect(l.fix, l.key).not.toBe('');
	});
	it('can be passed on as text', () => {
		expect(asText(good, 'today')).toContain('works: STUN (stun.example:3478). UDP goes out');
	});
});
