// The `screen` channel of a session (docs/protocol.md, section 4.2): who controls, displays, clipboard, and input.
import { Store } from '../lib/store';
import * as input from './input';
import { ofText } from './keysym';
import type { PeerSession } from './peer';

export interface Display {
	id: string;
	name: string;
	width: number;
	height: number;
	active: boolean;
}
export interface ScreenState {
	open: boolean;
	/** the channel broke off and is being opened again */
	reopening: boolean;
	control: 'off' | 'asked' | 'on' | 'taken';
	/** who took it from us */
	controller: string;
	displays: Display[];
	clipboard: string | null;
	failure: { code: string; message: string } | null;
}
const NOTHING: ScreenState = { open: false, reopening: false, control: 'off', controller: '', displays: [], clipboard: null, failure: null };

export const CLIPBOARD_MAX = 60_000;
const FIRST_MS = 50;
const LAST_MS = 5_000;
const DISPLAYS_MAX = 16;

function displays(list: unknown): Display[] {
	if (!Array.isArray(list)) return [];
	return list.slice(0, DISPLAYS_MAX).map((item: Partial<Display>) => ({
		id: String(item.id ?? ''),
		name: String(item.name ?? ''),
		width: Number(item.width ?? 0),
		height: Number(item.height ?? 0),
		active: item.active === true,
	}));
}

export class Screen {
	readonly state = new Store<ScreenState>(NOTHING);
	private channel: RTCDataChannel | null = null;
	private held = new Map<string, number>();
	/** a session begins because its page is asked for, so until that is drawn nothing is hidden */
	private shown = true;
	private wanted = false;
	private tries = 0;
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(private readonly session: PeerSession) {
		if (typeof document !== 'undefined') document.addEventListener('visibilitychange', this.sayHidden);
	}

	private set(change: Partial<ScreenState>): void {
		this.state.set({ ...this.state.get(), ...change });
	}

	/** Takes a channel that was made together with the offer, or opens one. */
	connect(ready?: RTCDataChannel): void {
		if (this.channel) return;
		const channel = ready ?? this.session.openChannel('screen');
		if (!channel) return;
		this.channel = channel;
		const begin = () => {
			this.set({ open: true, reopening: false, failure: null });
			this.sayHidden();
			if (this.wanted) this.takeControl(true);
		};
		if (channel.readyState === 'open') begin();
		else channel.onopen = begin;
		channel.onmessage = (event: MessageEvent<unknown>) => {
			this.tries = 0;
			if (typeof event.data === 'string') this.receive(event.data);
		};
		channel.onclose = () => this.closed(channel);
	}

	private receive(text: string): void {
		let message: Record<string, unknown>;
		try {
			message = JSON.parse(text) as Record<string, unknown>;
		} catch {
			return;
		}
		if (message.type === 'displays') this.set({ displays: displays(message.list), failure: null });
		else if (message.type === 'control') this.controlled(message.on === true, String(message.by ?? ''));
		else if (message.type === 'clipboard') this.set({ clipboard: String(message.text ?? '') });
		else if (message.type === 'failed') this.set({ failure: { code: String(message.code ?? ''), message: String(message.message ?? '') } });
	}

	private controlled(on: boolean, by: string): void {
		const { control } = this.state.get();
		if (on) this.set({ control: this.wanted ? 'on' : 'off' });
		else if (control === 'on') {
			this.held.clear();
			this.set({ control: this.wanted ? 'taken' : 'off', controller: by, clipboard: null });
			this.wanted = false;
		} else if (control === 'asked') this.set({ control: 'off' });
	}

	private closed(channel: RTCDataChannel): void {
		if (this.channel !== channel) return;
		this.channel = null;
		this.held.clear();
		this.set({ open: false, reopening: true, control: this.wanted ? 'asked' : 'off', clipboard: null });
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.connect(), Math.min(LAST_MS, FIRST_MS * 2 ** this.tries++));
	}

	/** The connection below is gone. */
	drop(): void {
		clearTimeout(this.timer);
		const channel = this.channel;
		this.channel = null;
		if (channel) channel.onclose = null;
		this.held.clear();
		this.state.set(NOTHING);
	}

	dispose(): void {
		this.wanted = false;
		this.drop();
		document.removeEventListener('visibilitychange', this.sayHidden);
	}

	private say(message: object): void {
		if (this.channel?.readyState === 'open') this.channel.send(JSON.stringify(message));
	}

	private put(message: Uint8Array<ArrayBuffer> | null): void {
		if (message && this.state.get().control === 'on' && this.channel?.readyState === 'open') this.channel.send(message);
	}

	takeControl(on: boolean): void {
		if (!on) this.releaseAll();
		this.wanted = on;
		this.say({ type: 'control', on });
		this.set({ control: on ? 'asked' : 'off', clipboard: null });
	}

	show(id: string): void {
		this.say({ type: 'display', id });
	}

	/** Whether somebody looks at the video; while nobody does, the device need not encode. */
	setShown(shown: boolean): void {
		this.shown = shown;
		this.sayHidden();
	}

	private sayHidden = (): void => this.say({ type: 'hide', hidden: !this.shown || document.visibilityState === 'hidden' });

	/** @returns false when the text is too long */
	sendClipboard(text: string): boolean {
		if (new TextEncoder().encode(text).length > CLIPBOARD_MAX) return false;
		this.say({ type: 'clipboard', text });
		return true;
	}

	move(x: number, y: number): void {
		this.put(input.move(x, y));
	}
	button(which: number, down: boolean, x: number, y: number): void {
		this.put(input.button(which, down, x, y));
	}
	wheel(dx: number, dy: number): void {
		this.put(input.wheel(dx, dy));
	}

	/** The keysym that went down with a key goes up with it, whatever the modifiers are by then. */
	keyDown(code: string, keysym: number): void {
		this.held.set(code || `#${keysym}`, keysym);
		this.put(input.key(true, keysym, code));
	}
	keyUp(code: string, keysym: number | null): void {
		const name = code || `#${keysym}`;
		const down = this.held.get(name);
		if (down === undefined) return;
		this.held.delete(name);
		this.put(input.key(false, down, code));
	}
	isHeld(code: string): boolean {
		return this.held.has(code);
	}
	releaseAll(): void {
		this.held.clear();
		this.put(input.release());
	}

	type(text: string): void {
		for (const keysym of ofText(text)) this.press([keysym]);
	}
	/** Presses the keys in order and lets them go in the opposite order. */
	press(keysyms: readonly number[]): void {
		for (const keysym of keysyms) this.put(input.key(true, keysym));
		for (const keysym of [...keysyms].reverse()) this.put(input.key(false, keysym));
	}
}
