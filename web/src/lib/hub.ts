// The realtime connection to the hub (docs/protocol.md, section 2.1 and 2.2). It is kept up for as long as somebody is
// signed in: lost connections are taken up again with backoff and jitter, at once when the network or the page returns.
import { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel, type HubConnection } from '@microsoft/signalr';
import { api, ApiError, type Device, type Verdict } from './api';
import { backoff } from './backoff';
import { Store } from './store';

export interface LinkState {
	state: 'off' | 'connecting' | 'live' | 'lost';
	since: number;
}
export interface HubEvents {
	device: { device: Device };
	deviceGone: { device: string };
	answer: { session: string; sdp: string; fingerprint: string; signature: string };
	trickle: { session: string; candidate: string; mid: string };
	refused: { session: string; code: string; message: string };
	ended: { session: string; by: 'device' | 'hub' | 'console'; reason: string };
	verdict: { session: string; verdict: Verdict };
	signedOut: Record<string, never>;
}
const EVENTS = ['device', 'deviceGone', 'answer', 'trickle', 'refused', 'ended', 'verdict', 'signedOut'] as const;

/** A refused invocation: the hub says "CODE: sentence". */
export class HubError extends Error {
	constructor(
		readonly code: string,
		message: string,
	) {
		super(message);
	}
}

type Handler<K extends keyof HubEvents> = (event: HubEvents[K]) => void;

export class Hub {
	readonly link = new Store<LinkState>({ state: 'off', since: 0 });
	private connection: HubConnection | null = null;
	private handlers = new Map<string, Set<(event: never) => void>>();
	private onLive = new Set<() => void>();
	private wake: (() => void) | null = null;
	private wanted = false;

	constructor() {
		if (typeof window === 'undefined') return;
		window.addEventListener('online', () => this.poke());
		document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.poke());
	}

	on<K extends keyof HubEvents>(name: K, handler: Handler<K>): () => void {
		let set = this.handlers.get(name);
		if (!set) this.handlers.set(name, (set = new Set()));
		set.add(handler as (event: never) => void);
		return () => set.delete(handler as (event: never) => void);
	}

	/** Called each time the connection has come up. */
	live(handler: () => void): () => void {
		this.onLive.add(handler);
		if (this.link.get().state === 'live') handler();
		return () => this.onLive.delete(handler);
	}

	start(): void {
		if (this.wanted) return;
		this.wanted = true;
		this.link.set({ state: 'connecting', since: Date.now() });
		void this.run();
	}

	async stop(): Promise<void> {
		this.wanted = false;
		this.poke();
		const connection = this.connection;
		this.connection = null;
		this.link.set({ state: 'off', since: Date.now() });
		await connection?.stop().catch(() => {});
	}

	/** Try again now instead of at the end of the waiting time. */
	poke(): void {
		this.wake?.();
	}

	async invoke<T>(method: string, argument: object): Promise<T> {
		const connection = this.connection;
		if (!connection || connection.state !== HubConnectionState.Connected) throw new HubError('hub', '');
		try {
			return await connection.invoke<T>(method, argument);
		} catch (error) {
			const text = error instanceof Error ? error.message : String(error);
			const parts = /^([a-z][a-z0-9-]*): (.*)$/s.exec(text);
			if (connection.state !== HubConnectionState.Connected || !parts) throw new HubError('hub', text);
			throw new HubError(parts[1]!, parts[2]!);
		}
	}

	/** Without waiting for a result; used where the page is going away. */
	send(method: string, argument: object): void {
		const connection = this.connection;
		if (connection?.state === HubConnectionState.Connected) connection.send(method, argument).catch(() => {});
	}

	private build(): HubConnection {
		const connection = new HubConnectionBuilder()
			.withUrl('/realtime', { transport: HttpTransportType.WebSockets, skipNegotiation: true })
			.configureLogging(LogLevel.None)
			.build();
		connection.serverTimeoutInMilliseconds = 30_000;
		connection.keepAliveIntervalInMilliseconds = 15_000;
		for (const name of EVENTS)
			connection.on(name, (event: never) => {
				for (const handler of [...(this.handlers.get(name) ?? [])]) handler(event);
			});
		return connection;
	}

	private async run(): Promise<void> {
		let attempt = 0;
		let lostAt = Date.now();
		while (this.wanted) {
			const connection = this.build();
			const closed = new Promise<void>((resolve) => connection.onclose(() => resolve()));
			try {
				this.connection = connection;
				await connection.start();
				if (!this.wanted) {
					await connection.stop();
					return;
				}
				attempt = 0;
				this.link.set({ state: 'live', since: Date.now() });
				for (const handler of [...this.onLive]) handler();
				await closed;
				lostAt = Date.now();
			} catch {
				if (this.wanted && (await this.signedOut())) return;
			}
			if (!this.wanted) return;
			if (this.link.get().state !== 'lost') this.link.set({ state: 'lost', since: lostAt });
			await this.pause(backoff(attempt++, Date.now() - lostAt));
		}
	}

	private pause(ms: number): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, ms);
			this.wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}

	/** A WebSocket does not tell why it was refused, so ask whether the cookie still counts. */
	private async signedOut(): Promise<boolean> {
		try {
			await api.me();
			return false;
		} catch (error) {
			if (!(error instanceof ApiError) || error.status !== 401) return false;
			for (const handler of [...(this.handlers.get('signedOut') ?? [])]) (handler as Handler<'signedOut'>)({});
			return true;
		}
	}
}

export const hub = new Hub();
