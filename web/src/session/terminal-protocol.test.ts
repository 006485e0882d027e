import { describe, expect, it } from 'vitest';
import { signalName, TerminalProtocol, WINDOW } from './terminal-protocol';

function make() {
	const sent: Uint8Array[] = [];
	return { sent, protocol: new TerminalProtocol((message) => sent.push(message)) };
}
const inputs = (sent: Uint8Array[]) => sent.filter((m) => m[0] === 2).reduce((total, m) => total + m.length - 1, 0);
const u32 = (type: number, value: number) => {
	const out = new Uint8Array(5);
	out[0] = type;
	new DataView(out.buffer).setUint32(1, value);
	return out;
};

describe('terminal protocol', () => {
	it('opens a login shell with the size', () => {
		const { sent, protocol } = make();
		protocol.open(120, 40);
		expect(sent[0]![0]).toBe(1);
		expect(JSON.parse(new TextDecoder().decode(sent[0]!.subarray(1)))).toEqual({ tty: true, cols: 120, rows: 40, term: 'xterm-256color' });
		protocol.resize(258, 3);
		expect([...sent[1]!]).toEqual([3, 1, 2, 0, 3]);
	});
	it('keeps at most a window of input under way', () => {
		const { sent, protocol } = make();
		protocol.input(new Uint8Array(WINDOW + 100_000));
		expect(inputs(sent)).toBe(WINDOW);
		expect(Math.max(...sent.map((m) => m.length))).toBeLessThanOrEqual(65_536);
		protocol.receive(u32(0x86, 50_000));
		expect(inputs(sent)).toBe(WINDOW + 32_768);
		protocol.receive(u32(0x86, WINDOW));
		expect(inputs(sent)).toBe(WINDOW + 100_000);
	});
	it('acknowledges output only once it was shown', () => {
		const { sent, protocol } = make();
		const event = protocol.receive(new Uint8Array([0x81, 1, 2, 3]));
		expect(event).toEqual({ type: 'output', data: new Uint8Array([1, 2, 3]) });
		expect(sent).toEqual([]);
		protocol.shown(100_000);
		expect(sent).toEqual([]);
		protocol.shown(100_000);
		expect([...sent[0]!]).toEqual([...u32(6, 200_000)]);
	});
	it('tells how it ended', () => {
		const { protocol } = make();
		expect(protocol.receive(new Uint8Array([0x80, 0x7b, 0x7d]))).toEqual({ type: 'opened' });
		expect(protocol.receive(new Uint8Array([0x83, 0, 7]))).toEqual({ type: 'exit', signal: false, number: 7 });
		expect(protocol.receive(new Uint8Array([0x83, 1, 9]))).toEqual({ type: 'exit', signal: true, number: 9 });
		const failed = new Uint8Array([0x84, ...new TextEncoder().encode('{"code":"no-shell","message":"Gone."}')]);
		expect(protocol.receive(failed)).toEqual({ type: 'failed', code: 'no-shell', message: 'Gone.' });
		expect(protocol.receive(new Uint8Array([0x84, 0xff]))).toEqual({ type: 'failed', code: '', message: '' });
		expect([signalName(9), signalName(64)]).toEqual(['KILL', '64']);
	});
	it('drops and counts what is not in the protocol', () => {
		const { protocol } = make();
		for (const bad of [[], [0x00], [0x99, 1], [0x83], [0x83, 0], [0x86, 1], [0x86, 1, 2, 3, 4, 5]])
			expect(protocol.receive(new Uint8Array(bad))).toBeNull();
		expect(protocol.malformed).toBe(7);
	});
});
