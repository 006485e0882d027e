import { beforeAll, describe, expect, it, vi } from 'vitest';
import { fingerprint, fingerprints, hostAddress } from './sdp';
import { checkAnswer, deviceKey, fromBase64url, pin, signedText } from './signature';

const print = (byte: string) => Array.from({ length: 32 }, () => byte).join(':');
const sdp = (...prints: string[]) => ['v=0', ...prints.map((p) => `a=fingerprint:sha-256 ${p}`), ''].join('\r\n');
const base64url = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('base64url');

describe('fingerprints', () => {
	it('are found at session and media level and made uniform', () => {
		expect(fingerprints(sdp(print('ab'), print('AB')))).toEqual([print('AB')]);
		expect(fingerprints(sdp(print('AB'), print('CD')))).toEqual([print('AB'), print('CD')]);
		expect(fingerprints('v=0\r\n')).toEqual([]);
	});
	it('of other hashes or shapes are refused', () => {
		expect(fingerprints(`a=fingerprint:sha-1 ${print('AB').slice(0, 59)}`)).toBeNull();
		expect(fingerprints(`a=fingerprint:sha-256 ${print('AB')}:CD`)).toBeNull();
		expect(fingerprint('sha-256')).toBeNull();
		expect(fingerprint(`sha-256 ${print('0f')}`)).toBe(print('0F'));
	});
	it('host addresses come from candidate lines', () => {
		expect(hostAddress('candidate:1 1 udp 2130706431 10.0.0.4 50112 typ host generation 0')).toBe('10.0.0.4');
		expect(hostAddress('candidate:1 1 udp 1694498815 81.2.69.142 50112 typ srflx raddr 10.0.0.4 rport 1')).toBeNull();
	});
});

describe('answer signature', () => {
	let key = '';
	let sign: (session: string, ours: string, theirs: string) => Promise<string>;
	beforeAll(async () => {
		const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair;
		key = base64url(await crypto.subtle.exportKey('raw', pair.publicKey));
		sign = async (session, ours, theirs) =>
			base64url(await crypto.subtle.sign({ name: 'Ed25519' }, pair.privateKey, signedText(session, ours, theirs)));
	});
	const ours = print('11');
	const theirs = print('AA');
	const answer = async (change: object = {}) => ({
		session: 's1', sdp: sdp(theirs), fingerprint: `sha-256 ${theirs}`, signature: await sign('s1', ours, theirs), ...change,
	});

	it('is accepted when everything fits, with or without the name of the hash', async () => {
		expect(await checkAnswer(await answer(), sdp(ours), key)).toBeNull();
		expect(await checkAnswer(await answer({ fingerprint: theirs.toLowerCase() }), sdp(ours), key)).toBeNull();
	});
	it('is refused for another session, offer, device key or a changed signature', async () => {
		expect(await checkAnswer(await answer({ session: 's2' }), sdp(ours), key)).toBe('signature');
		expect(await checkAnswer(await answer(), sdp(print('22')), key)).toBe('signature');
		expect(await checkAnswer(await answer(), sdp(ours), base64url(new Uint8Array(32).fill(9).buffer))).not.toBeNull();
		expect(await checkAnswer(await answer({ signature: 'AAAA' }), sdp(ours), key)).toBe('signature');
		expect(await checkAnswer(await answer({ signature: '!' }), sdp(ours), key)).toBe('signature');
	});
	it('is refused when the description carries another certificate', async () => {
		expect(await checkAnswer(await answer({ sdp: sdp(print('BB')) }), sdp(ours), key)).toBe('fingerprint');
		expect(await checkAnswer(await answer({ sdp: sdp(theirs, print('BB')) }), sdp(ours), key)).toBe('fingerprint');
		expect(await checkAnswer(await answer({ sdp: 'v=0\r\n' }), sdp(ours), key)).toBe('fingerprint');
	});
	it('needs the key imported once, and again after it failed', async () => {
		const importKey = vi.spyOn(crypto.subtle, 'importKey');
		const other = base64url(new Uint8Array(32).fill(7).buffer);
		importKey.mockRejectedValueOnce(new Error('no Ed25519'));
		await expect(deviceKey(other)).rejects.toThrow('no Ed25519');
		const ready = await deviceKey(other);
		expect(await deviceKey(other)).toBe(ready);
		expect(importKey).toHaveBeenCalledTimes(2);
		await expect(deviceKey('AAAA')).rejects.toThrow();
		importKey.mockRestore();
	});
	it('reads base64url only', () => {
		expect(fromBase64url('AQID')).toEqual(new Uint8Array([1, 2, 3]));
		expect(fromBase64url('_-8')).toEqual(new Uint8Array([255, 239]));
		expect(fromBase64url('+/8=')).toBeNull();
		expect(fromBase64url('A')).toBeNull();
	});
});

describe('pinned keys', () => {
	it('refuses another key', () => {
		const stored = new Map<string, string>();
		const box = { getItem: (k: string) => stored.get(k) ?? null, setItem: (k: string, v: string) => void stored.set(k, v) };
		expect(pin('d1', 'A', box)).toBe(true);
		expect(pin('d1', 'A', box)).toBe(true);
		expect(pin('d1', 'B', box)).toBe(false);
		expect(pin('d2', 'B', box)).toBe(true);
		expect(pin('toString', 'B', box)).toBe(true);
	});
	it('starts anew when what was stored is damaged', () => {
		let stored = '[broken';
		const box = { getItem: () => stored, setItem: (_: string, v: string) => void (stored = v) };
		expect(pin('d1', 'A', box)).toBe(true);
		expect(pin('d1', 'B', box)).toBe(false);
	});
});
