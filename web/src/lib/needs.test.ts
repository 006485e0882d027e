import { describe, expect, it } from 'vitest';
import { choose, hasWildcards, NotUnderstood, parseNeeds, placeOf, regionsOf, toCsv, toJson, toText, type Need } from './needs';

const HUB = {
	id: 'hub:hub.example.org:443', kind: 'hub', need: 'required', protocol: 'tcp', host: 'hub.example.org', ports: '443', portMin: 443, portMax: 443,
	ownPortMin: 0, ownPortMax: 0, direction: 'out', region: null, function: null, wildcard: null, application: 'HTTPS, WSS',
	from: ['client', 'console'], methods: [1, 2, 3], purpose: 'The hub: sign-in, presence. Nothing works without it.',
};
const name = (label: string) => ({ ...HUB, id: `hub-name:${label}`, kind: 'hub-name', need: 'reserved', host: `${label}.hub.example.org`, function: label, wildcard: '*.hub.example.org', purpose: 'For later.' });
const store = (region: string) => ({ ...HUB, id: `store:${region}`, kind: 'store', host: `captures.${region}.example.net`, region, function: 'log-captures', application: 'HTTPS', methods: [], purpose: 'A store.' });
const PEERS = {
	...HUB, id: 'peers', kind: 'peers', need: 'better', protocol: 'udp', host: '', ports: 'any', portMin: 1, portMax: 65535, ownPortMin: 50000, ownPortMax: 50099,
	application: 'ICE, DTLS, SRTP', methods: [2], purpose: 'UDP out to any address, answers in.',
};
const LIST = { generation: 1, version: '0.1.0', deployment: 'hub.example.org', needs: [HUB, name('id'), name('turn'), store('eu'), store('us'), PEERS] };
const ALL = { region: '', wildcard: false, reserved: true };
const ids = (list: Need[]) => list.map((n) => n.id);

describe('the hub’s list', () => {
	it('is read whole', () => {
		const read = parseNeeds(LIST);
		expect(read.needs).toHaveLength(6);
		expect(regionsOf(read)).toEqual(['eu', 'us']);
		expect(hasWildcards(read)).toBe(true);
	});
	it('is refused when an entry is not understood, instead of lacking it', () => {
		for (const wrong of [
			{ kind: 'quic' }, { need: 'maybe' }, { protocol: 'sctp' }, { portMin: 0 }, { portMax: 442 }, { portMax: 65_536 }, { portMin: 1.5 },
			{ host: '<b>' }, { host: 7 }, { region: 'e u' }, { methods: [4] }, { methods: null }, { from: 'client' }, { ownPortMin: 5, ownPortMax: 4 },
		])
			expect(() => parseNeeds({ ...LIST, needs: [HUB, { ...HUB, ...wrong }] }), JSON.stringify(wrong)).toThrow(expect.objectContaining({ entry: 2 }));
	});
	it('is refused when it is no list, or of another generation', () => {
		for (const wrong of [null, [], 'x', {}, { ...LIST, generation: 2 }, { ...LIST, deployment: '<' }, { ...LIST, needs: {} }, { ...LIST, needs: Array(129).fill(HUB) }])
			expect(() => parseNeeds(wrong)).toThrow(NotUnderstood);
	});
});

describe('a choice', () => {
	const read = parseNeeds(LIST);
	it('of a region keeps what belongs to none', () => {
		expect(ids(choose(read, { ...ALL, region: 'EU' }))).toEqual(['hub:hub.example.org:443', 'hub-name:id', 'hub-name:turn', 'store:eu', 'peers']);
	});
	it('leaves out what is kept for later', () => {
		expect(ids(choose(read, { ...ALL, reserved: false }))).not.toContain('hub-name:id');
	});
	it('says a wildcard once, for all names that it covers', () => {
		const list = choose(read, { region: '', wildcard: true, reserved: false });
		expect(list.map((n) => n.host)).toEqual(['hub.example.org', '*.hub.example.org', 'captures.eu.example.net', 'captures.us.example.net', '']);
	});
	it('does not change the list that it was made from', () => {
		expect(read.needs[1]!.host).toBe('id.hub.example.org');
	});
});

describe('the forms', () => {
	const read = parseNeeds(LIST);
	const list = choose(read, { ...ALL, region: 'eu' });
	it('text: by weight, with the client’s own ports', () => {
		const text = toText(read.deployment, list);
		expect(text).toMatch(/^What hub\.example\.org needs of your network\./);
		expect(text).toContain('\n\nRequired\n  tcp  443          hub.example.org ');
		expect(text).toContain('\n       log-captures: A store.\n');
		expect(text).toContain("\n       from the client's own ports 50000-50099\n");
		expect(text.indexOf('Required')).toBeLessThan(text.indexOf('For shorter routes'));
		expect(text).not.toContain('One of these');
	});
	it('CSV: one row each, lines ended as RFC 4180 has it, quotes doubled', () => {
		const rows = toCsv([{ ...list[0]!, purpose: 'Says "hello", twice.' }]).split('\r\n');
		expect(rows).toHaveLength(3);
		expect(rows[1]).toBe('required,tcp,hub.example.org,443,any,out,"HTTPS, WSS",123,,,client+console,"Says ""hello"", twice."');
	});
	it('JSON: what this page would read again', () => {
		expect(parseNeeds(JSON.parse(toJson(read, list))).needs).toEqual(list);
	});
	it('places: IPv6 in brackets', () => {
		expect(placeOf({ host: 'fd00::1', ports: '3478' })).toBe('[fd00::1]:3478');
		expect(placeOf({ host: 'relay.example.org', ports: '3478' })).toBe('relay.example.org:3478');
	});
});
