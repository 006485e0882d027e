// The `terminal` channel (docs/protocol.md, section 4.1) without the channel: messages come in, messages go out through
// `send`. Both directions keep to the window, so a slow reader slows the program down and nothing piles up.

export const WINDOW = 1 << 20;
const CHUNK = 32 * 1024;
const ACK_EVERY = 128 * 1024;

const OPEN = 0x01, INPUT = 0x02, RESIZE = 0x03, ACK = 0x06;
const OPENED = 0x80, OUTPUT = 0x81, ERROUT = 0x82, EXIT = 0x83, FAILED = 0x84, ACKED = 0x86;

export type TerminalEvent =
	| { type: 'opened' }
	| { type: 'output'; data: Uint8Array }
	| { type: 'exit'; signal: boolean; number: number }
	| { type: 'failed'; code: string; message: string };

function withType(type: number, rest: Uint8Array): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(rest.length + 1);
	out[0] = type;
	out.set(rest, 1);
	return out;
}

function ack(count: number): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(5);
	out[0] = ACK;
	new DataView(out.buffer).setUint32(1, count);
	return out;
}

function json(bytes: Uint8Array): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
		return value && typeof value === 'object' ? (value as Record<string, unknown>) : {};
	} catch {
		return {};
	}
}

export class TerminalProtocol {
	private waiting: Uint8Array[] = [];
	private underWay = 0;
	private consumed = 0;
	/** messages that are not in the protocol; they are dropped */
	malformed = 0;

	constructor(private readonly send: (message: Uint8Array<ArrayBuffer>) => void) {}

	open(cols: number, rows: number): void {
		const request = { tty: true, cols, rows, term: 'xterm-256color' };
		this.send(withType(OPEN, new TextEncoder().encode(JSON.stringify(request))));
	}

	input(data: Uint8Array): void {
		for (let at = 0; at < data.length; at += CHUNK) this.waiting.push(data.subarray(at, at + CHUNK));
		this.pump();
	}

	resize(cols: number, rows: number): void {
		const out = new Uint8Array(5);
		out[0] = RESIZE;
		const view = new DataView(out.buffer);
		view.setUint16(1, cols);
		view.setUint16(3, rows);
		this.send(out);
	}

	/** Call when output was really shown; the device sends more only then. */
	shown(count: number): void {
		this.consumed += count;
		if (this.consumed < ACK_EVERY) return;
		this.send(ack(this.consumed));
		this.consumed = 0;
	}

	receive(message: Uint8Array): TerminalEvent | null {
		const rest = message.subarray(1);
		switch (message[0]) {
			case OPENED:
				return { type: 'opened' };
			case OUTPUT:
			case ERROUT:
				return { type: 'output', data: rest };
			case EXIT:
				if (rest.length === 2) return { type: 'exit', signal: rest[0] === 1, number: rest[1]! };
				break;
			case FAILED: {
				const { code, message: text } = json(rest);
				return { type: 'failed', code: String(code ?? ''), message: String(text ?? '') };
			}
			case ACKED:
				if (rest.length === 4) {
					const count = new DataView(rest.buffer, rest.byteOffset).getUint32(0);
					this.underWay = Math.max(0, this.underWay - count);
					this.pump();
					return null;
				}
				break;
		}
		this.malformed++;
		return null;
	}

	private pump(): void {
		for (;;) {
			const next = this.waiting[0];
			if (!next || this.underWay + next.length > WINDOW) return;
			this.waiting.shift();
			this.underWay += next.length;
			this.send(withType(INPUT, next));
		}
	}
}

const SIGNALS: Record<number, string> = {
	1: 'HUP', 2: 'INT', 3: 'QUIT', 4: 'ILL', 6: 'ABRT', 7: 'BUS', 8: 'FPE', 9: 'KILL', 11: 'SEGV', 13: 'PIPE', 14: 'ALRM', 15: 'TERM',
};
export const signalName = (number: number): string => SIGNALS[number] ?? String(number);
