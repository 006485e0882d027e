// One terminal of a session: the channel, opened again when the module on the device restarts, and what xterm shows.
import { Store } from '../lib/store';
import type { PeerSession } from './peer';
import { TerminalProtocol } from './terminal-protocol';

export interface TerminalState {
	state: 'waiting' | 'opening' | 'open' | 'ended' | 'failed';
	/** how it ended */
	exit: { signal: boolean; number: number } | null;
	/** why it could not be opened, in the device's words */
	failure: string | null;
}
type Output = (data: Uint8Array, shown: () => void) => void;

const FIRST_MS = 50;
const LAST_MS = 5_000;
const encoder = new TextEncoder();

export class Terminal {
	readonly state = new Store<TerminalState>({ state: 'waiting', exit: null, failure: null });
	/** somebody asked for it just now, so the keyboard goes there once it is shown */
	wantsFocus = false;
	private channel: RTCDataChannel | null = null;
	private protocol: TerminalProtocol | null = null;
	private output: Output = () => {};
	private note: (what: 'lost' | 'reopened') => void = () => {};
	private cols = 80;
	private rows = 24;
	private tries = 0;
	private opened = false;
	private attached = false;
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(
		private readonly session: PeerSession,
		readonly number: number,
	) {}

	/** Where output goes. It was opened for a size, so the view has to be measured first. */
	attach(cols: number, rows: number, output: Output, note: (what: 'lost' | 'reopened') => void): void {
		this.output = output;
		this.note = note;
		this.cols = cols;
		this.rows = rows;
		this.attached = true;
		this.connect();
	}

	/** Called by the session when it is connected, and by attach. */
	connect(): void {
		const { state } = this.state.get();
		if (!this.attached || this.channel || (state !== 'waiting' && state !== 'opening')) return;
		const channel = this.session.openChannel('terminal');
		if (!channel) return;
		this.channel = channel;
		this.state.set({ state: 'opening', exit: null, failure: null });
		const protocol = new TerminalProtocol((message) => channel.readyState === 'open' && channel.send(message));
		this.protocol = protocol;
		const begin = () => protocol.open(this.cols, this.rows);
		if (channel.readyState === 'open') begin();
		else channel.onopen = begin;
		channel.onmessage = (event: MessageEvent<unknown>) => {
			if (event.data instanceof ArrayBuffer) this.receive(protocol, new Uint8Array(event.data));
			else protocol.malformed++;
		};
		channel.onclose = () => this.closed(channel);
	}

	private receive(protocol: TerminalProtocol, message: Uint8Array): void {
		const event = protocol.receive(message);
		if (!event) return;
		if (event.type === 'opened') {
			if (this.opened) this.note('reopened');
			this.opened = true;
			this.tries = 0;
			this.state.set({ state: 'open', exit: null, failure: null });
		} else if (event.type === 'output') this.output(event.data, () => protocol.shown(event.data.length));
		else if (event.type === 'exit') this.state.set({ state: 'ended', exit: event, failure: null });
		else this.state.set({ state: 'failed', exit: null, failure: event.message || event.code });
	}

	private closed(channel: RTCDataChannel): void {
		if (this.channel !== channel) return;
		this.channel = null;
		this.protocol = null;
		const { state } = this.state.get();
		if (state !== 'open' && state !== 'opening') return;
		if (state === 'open') this.note('lost');
		this.state.set({ state: 'waiting', exit: null, failure: null });
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.connect(), Math.min(LAST_MS, FIRST_MS * 2 ** this.tries++));
	}

	input(data: string | Uint8Array): void {
		if (this.state.get().state === 'open') this.protocol?.input(typeof data === 'string' ? encoder.encode(data) : data);
	}

	resize(cols: number, rows: number): void {
		this.cols = cols;
		this.rows = rows;
		if (this.channel?.readyState === 'open') this.protocol?.resize(cols, rows);
	}

	/** The connection below is gone; a new one opens a new shell. */
	drop(): void {
		const channel = this.channel;
		this.channel = null;
		this.protocol = null;
		clearTimeout(this.timer);
		const { state } = this.state.get();
		if (state === 'open') this.note('lost');
		if (state === 'open' || state === 'opening') this.state.set({ state: 'waiting', exit: null, failure: null });
		if (channel) channel.onclose = null;
		channel?.close();
	}

	again(): void {
		this.drop();
		this.opened = false;
		this.state.set({ state: 'waiting', exit: null, failure: null });
		this.connect();
	}
}
