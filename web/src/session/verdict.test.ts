import { describe, expect, it } from 'vitest';
import type { Remedy, Route, Verdict } from '../lib/api';
import { insideAddress, remedyText, ruleText, verdictText } from './verdict';

const verdict = (change: Partial<Verdict>): Verdict => ({
	method: 'relayed', transport: 'udp', cause: 'udp-blocked', side: 'device', sentence: 'The hub’s own words.', final: true, remedy: [], ...change,
});
const remedy = (change: Partial<Remedy> = {}): Remedy => ({
	side: 'device', protocol: 'udp', host: 'relay.example.org', ports: '3478', gain: 'relay-udp', text: 'Their words.', ...change,
});
const CAUSES = [
	'same-network', 'direct', 'direct-tcp', 'udp-blocked', 'udp-and-tcp-blocked', 'proxy-only', 'nat-symmetric', 'isolated',
	'no-common-family', 'policy', 'relay-unreachable', 'relay-refused', 'peer-silent', 'unknown',
];

describe('the verdict in words', () => {
	it('knows every cause of the protocol, whosever side it is', () => {
		for (const cause of CAUSES)
			for (const side of ['console', 'device', 'both', 'none'] as const) {
				const text = verdictText(verdict({ cause, side }));
				expect([cause, side, text]).not.toContain('The hub’s own words.');
				expect(text).toMatch(/^Through the relay\. .+\.$/);
			}
	});
	it('says whose network it is', () => {
		expect(verdictText(verdict({ side: 'console' }))).toContain('Your network lets no UDP out');
		expect(verdictText(verdict({ side: 'device' }))).toContain('The network of the device lets no UDP out');
	});
	it('tells a policy that nothing fits from one that only rules out the better ways', () => {
		expect(verdictText(verdict({ cause: 'policy', method: 'none' }))).toContain('None of the routes');
		expect(verdictText(verdict({ cause: 'policy' }))).toContain('does not allow a better route');
	});
	it('says what the hub says where it does not know the word, harmlessly', () => {
		expect(verdictText(verdict({ cause: 'sunspots' }))).toBe('The hub’s own words.');
		expect(verdictText(verdict({ cause: 'constructor', sentence: 'a\u202Eb' }))).not.toContain('\u202E');
	});
});

describe('a remedy', () => {
	it('says what it gains', () => {
		expect(remedyText(remedy())).toMatch(/stays relayed, but gets faster/);
		expect(remedyText(remedy({ gain: 'punched', side: 'console' }))).toMatch(/^On your firewall.*goes straight/);
		expect(remedyText(remedy({ gain: 'wings' as never }))).toBe('Their words.');
	});
	it('is a rule to copy', () => {
		expect(ruleText(remedy(), '10.20.4.114')).toBe('10.20.4.114 → relay.example.org udp 3478, keep state');
		expect(ruleText(remedy({ host: '*', ports: '*' }), '')).toBe('the device’s network → any udp any port, keep state');
	});
	it('begins with the address that the firewall there sees', () => {
		const found = (side: 'local' | 'remote', address: string) => ({ side, type: 'host', address }) as never;
		const console = { candidates: [found('local', '192.168.1.5'), found('remote', '10.20.4.114')] } as unknown as Route;
		expect(insideAddress('console', { console, device: null }, '')).toBe('192.168.1.5');
		expect(insideAddress('device', { console, device: null }, '')).toBe('10.20.4.114');
		expect(insideAddress('device', { console: null, device: null }, '10.1.1.1')).toBe('10.1.1.1');
		expect(insideAddress('console', { console: null, device: null }, '10.1.1.1')).toBe('');
	});
});
