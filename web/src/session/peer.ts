// One session with a device: from Connect over the route to the channels, and back up again after whatever broke. It
// knows nothing of pages; they follow `state`.
import type { Method, Policy, Route, Transport, Verdict } from '../lib/api';
import { deviceNow } from '../lib/devices';
import { hub, HubError, type HubEvents } from '../lib/hub';
import { Store } from '../lib/store';
import { candidatePasses, configuration, methodsOf, routePasses } from './policy';
import { forgetIceServers, take, type Prepared } from './prepare';
import type { RouteLog } from './route-log';
import { RouteWatch, type Figures } from './route-watch';
import { Screen } from './screen';
import { hostAddress, withoutCandidates } from './sdp';
import { checkAnswer, deviceKey as importKey, pin } from './signature';
import { t } from '../text';
import { Terminal } from './terminal';

export type Phase = 'idle' | 'asking' | 'finding' | 'connected' | 'rerouting' | 'waiting' | 'ended' | 'failed';
export interface Failure {
	code: string;
	/** the other side's own words, when it had any */
	message: string;
}
export interface SessionState {
	phase: Phase;
	session: string | null;
	failure: Failure | null;
	/** who ended it: "device", "hub", "console" or "user" (this one) */
	endedBy: string | null;
	endReason: string | null;
	route: Route | null;
	/** what the hub makes of both ends' reports */
	verdict: Verdict | null;
	/** the session whose route the hub can tell about, also when it is over */
	told: string | null;
	/** "looking" after Try again, until it can be said what came of it */
	retry: 'no' | 'looking' | 'done';
	policy: Policy;
	figures: Figures | null;
	stream: MediaStream | null;
	/** the first picture of this stream was shown */
	pictured: boolean;
	modules: readonly string[];
}
const IDLE: SessionState = {
	phase: 'idle', session: null, failure: null, endedBy: null, endReason: null, route: null, verdict: null, told: null,
	retry: 'no', policy: {}, figures: null, stream: null, pictured: false, modules: [],
};
/** A session takes another way than before. */
export interface RouteChange {
	at: number;
	session: string;
	from: Method;
	to: Method;
	transport: Transport;
}
const CHANGES_MAX = 50;

const KNOWN_MODULES = ['screen', 'terminal'];
const ANSWER_MS = 13_000;
const ROUTE_MS = 25_000;
const RESTART_AFTER_MS = 250;
const RESTART_EVERY_MS = 4_000;
/** unanswered ones; then the device has most likely lost the session */
const RESTARTS_MAX = 2;
const GIVE_UP_MS = 60_000;
const OFFLINE_RETRY_MS = 3_000;
/** a relay that is the last resort is asked for this long after the device has answered (docs/protocol.md, section 1.2) */
const LAST_RESORT_MS = 5_000;
/** how long a Try again is waited for before its outcome is told */
const RETRY_MS = 4_000;
/** a relayed session looks for something better after this time, then after twice as long, up to the most */
const BETTER_MS = 20_000;
const BETTER_MOST_MS = 600_000;
const SEARCH_REPORT_MS = 5_000;
const MOVED_MS = 300;
const LAST_WORD_MS = 500;
/** these end because of their route, so the report of it goes first */
const ROUTELESS = new Set(['no-route', 'lost', 'policy-route']);
const FINAL_REASONS = new Set(['user', 'policy', 'forget', 'forgotten', 'signed-out']);

export class PeerSession {
	readonly state = new Store<SessionState>(IDLE);
	readonly screen = new Screen(this);
	readonly terminals = new Store<readonly Terminal[]>([]);
	readonly changes = new Store<readonly RouteChange[]>([]);
	private pc: RTCPeerConnection | null = null;
	private offer = '';
	private deviceKey = '';
	private attempt = 0;
	private failures = 0;
	private terminalCount = 0;
	/** the first terminal was opened without being asked for */
	greeted = false;
	private begun = 0;
	private brokenSince = 0;
	private restarts = 0;
	private remote: { candidate: string; mid: string }[] = [];
	private described = false;
	private deviceHosts: string[] = [];
	private watch: RouteWatch | null = null;
	private log: RouteLog | null = null;
	private servers: RTCIceServer[] = [];
	/** the relay is the last resort and was not asked yet */
	private holdsRelay = false;
	private betterTries = 0;
	private timer: ReturnType<typeof setTimeout> | undefined;
	private relayTimer: ReturnType<typeof setTimeout> | undefined;
	private searchTimer: ReturnType<typeof setTimeout> | undefined;
	private betterTimer: ReturnType<typeof setTimeout> | undefined;
	private retryTimer: ReturnType<typeof setTimeout> | undefined;
	private movedTimer: ReturnType<typeof setTimeout> | undefined;

	constructor(readonly device: string) {}

	private set(change: Partial<SessionState>): void {
		this.state.set({ ...this.state.get(), ...change });
	}

	get running(): boolean {
		const { phase } = this.state.get();
		return phase === 'asking' || phase === 'finding' || phase === 'connected' || phase === 'rerouting' || phase === 'waiting';
	}

	/** Starts the session, or starts it anew. */
	async connect(): Promise<void> {
		this.drop();
		const attempt = ++this.attempt;
		const stale = () => attempt !== this.attempt;
		const device = deviceNow(this.device);
		const modules = KNOWN_MODULES.filter((name) => device?.modules.includes(name));
		this.state.set({ ...IDLE, phase: 'asking', modules });
		if (typeof RTCPeerConnection === 'undefined') return this.fail('no-webrtc');
		if (hub.link.get().state !== 'live') return this.wait('hub');
		if (device && !device.online) return this.wait('offline');
		this.begun = performance.now();
		try {
			const prepared = await take(this.device, modules.includes('screen'));
			if (stale()) return prepared.pc.close();
			if (methodsOf(prepared.ice.policy).length === 0) {
				prepared.pc.close();
				return this.fail('policy-route');
			}
			this.adopt(prepared, stale);
			await prepared.offer();
			if (stale()) return;
			this.offer = prepared.pc.localDescription!.sdp;
			this.after(ANSWER_MS, () => this.fail('no-answer'));
			const granted = await hub.invoke<{ session: string; deviceKey: string }>('Connect', {
				device: this.device, modules, sdp: this.offer, trickle: true,
			});
			if (stale()) return hub.send('End', { session: granted.session, reason: 'user' });
			this.granted(granted, prepared, stale);
		} catch (error) {
			if (!stale()) this.refused(error instanceof HubError ? error.code : 'internal', error instanceof HubError ? error.message : String(error));
		}
	}

	private granted(granted: { session: string; deviceKey: string }, prepared: Prepared, stale: () => boolean): void {
		const { session, deviceKey } = granted;
		this.set({ session, told: session });
		this.deviceKey = deviceKey;
		importKey(deviceKey).catch(() => {});
		if (!pin(this.device, deviceKey)) {
			hub.send('End', { session, reason: 'refused' });
			return this.fail('key-changed');
		}
		const tell = (candidate: RTCIceCandidate | null) => {
			if (stale() || (candidate && this.offer.includes(candidate.candidate))) return;
			if (candidate && !this.passes(candidate.candidate)) return;
			hub.invoke('Trickle', { session, candidate: candidate?.candidate ?? '', mid: candidate?.sdpMid ?? '0' }).catch(() => {});
		};
		prepared.onCandidate = tell;
		prepared.early.splice(0).forEach(tell);
		for (const replay of early.take(session)) replay(this);
	}

	private adopt(prepared: Prepared, stale: () => boolean): void {
		const { pc, ice, log } = prepared;
		this.pc = pc;
		this.log = log;
		this.servers = ice.servers;
		this.holdsRelay = ice.policy.relay === 'last-resort';
		this.set({ policy: ice.policy });
		pc.onconnectionstatechange = () => !stale() && this.connectionChanged();
		pc.ontrack = ({ track }) => !stale() && this.set({ stream: new MediaStream([track]), pictured: false });
		if (prepared.screen) this.screen.connect(prepared.screen);
		this.watch = new RouteWatch(pc, this.begun, log, () => this.deviceHosts, {
			route: (route, report) => !stale() && this.routed(route, report),
			figures: (figures) => !stale() && this.set({ figures }),
		});
	}

	private routed(route: Route, report: boolean): void {
		const { session, route: before, policy } = this.state.get();
		if (!routePasses(route, policy)) return this.fail('policy-route');
		const { method } = route;
		if (before && session && before.method !== method && before.method !== 'none' && method !== 'none') {
			const change = { at: Date.now(), session, from: before.method, to: method, transport: route.transport };
			this.changes.set([...this.changes.get(), change].slice(-CHANGES_MAX));
			this.set({ retry: 'no' });
		}
		this.set({ route });
		if (report && session) hub.invoke('Route', { session, route }).catch(() => {});
		if (method === 'relayed' && methodsOf(policy).length > 1) this.lookForBetter();
		else this.betterTries = 0;
	}

	/** A relayed session looks for something better, ever more seldom. */
	private lookForBetter(): void {
		if (this.betterTimer) return;
		this.betterTimer = setTimeout(
			() => {
				this.betterTimer = undefined;
				const { phase, route } = this.state.get();
				if (phase !== 'connected' || route?.method !== 'relayed') return;
				this.betterTries++;
				void this.offerRoute().catch(() => {});
			},
			Math.min(BETTER_MOST_MS, BETTER_MS * 2 ** this.betterTries),
		);
	}

	/** While no route is found, what was tried is told all the same: the device may end the session first. */
	private searching(): void {
		clearTimeout(this.searchTimer);
		this.searchTimer = setTimeout(async () => {
			const { watch } = this;
			const route = await watch?.none(t.report.searching);
			const { session, phase } = this.state.get();
			if (!route || !session || this.watch !== watch || phase !== 'finding') return;
			hub.send('Route', { session, route });
			this.searching();
		}, SEARCH_REPORT_MS);
	}

	judged(verdict: Verdict): void {
		this.set({ verdict });
	}

	private passes(line: string): boolean {
		return candidatePasses(line, this.state.get().policy);
	}

	private connectionChanged(): void {
		const state = this.pc?.connectionState;
		const { phase } = this.state.get();
		if (state === 'connected') {
			this.clear();
			clearTimeout(this.relayTimer);
			clearTimeout(this.searchTimer);
			this.failures = 0;
			this.brokenSince = 0;
			this.restarts = 0;
			this.set({ phase: 'connected', failure: null });
			this.watch?.start();
			for (const terminal of this.terminals.get()) terminal.connect();
		} else if ((state === 'disconnected' || state === 'failed') && (phase === 'connected' || phase === 'rerouting')) {
			this.brokenSince ||= Date.now();
			this.set({ phase: 'rerouting' });
			this.after(state === 'failed' ? 0 : RESTART_AFTER_MS, () => void this.restart());
		} else if (state === 'failed' && this.holdsRelay) this.releaseRelay();
		else if (state === 'failed') this.fail(this.noRoute());
	}

	/** Where only some methods are allowed, that none of these works is another message than that none works at all. */
	private noRoute(): string {
		return methodsOf(this.state.get().policy).length < 3 ? 'policy-route' : 'no-route';
	}

	/** Nothing direct worked: now the relay may be asked. */
	private releaseRelay(): void {
		clearTimeout(this.relayTimer);
		if (!this.admitRelay() || this.state.get().phase !== 'finding') return;
		this.after(ROUTE_MS, () => this.fail(this.noRoute()));
		this.offerRoute().catch(() => this.fail(this.noRoute()));
	}

	private admitRelay(): boolean {
		const { pc } = this;
		if (!pc || !this.holdsRelay) return false;
		this.holdsRelay = false;
		const config = configuration(this.servers, this.state.get().policy, true);
		pc.setConfiguration?.(config);
		this.log?.use(config.iceServers!);
		return true;
	}

	/** A new route for the running session: new ICE credentials, the same keys (RFC 8445, section 9). */
	private async restart(): Promise<void> {
		const { pc } = this;
		const { session, phase } = this.state.get();
		if (!pc || !session || phase !== 'rerouting') return;
		if (Date.now() - this.brokenSince > GIVE_UP_MS) return this.fail('lost');
		this.after(RESTART_EVERY_MS, () => void this.restart());
		if (hub.link.get().state !== 'live') return;
		if (deviceNow(this.device)?.online === false) return;
		if (++this.restarts > RESTARTS_MAX) return this.connect();
		if (this.restarts > 1) this.admitRelay();
		try {
			await this.offerRoute();
		} catch (error) {
			// the hub or the device does not know the session any more: begin again
			const gone = error instanceof HubError && error.code !== 'hub' && error.code !== 'offline';
			if (this.pc === pc && gone) void this.connect();
		}
	}

	private async offerRoute(): Promise<void> {
		const { pc } = this;
		const { session } = this.state.get();
		if (!pc || !session) return;
		if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
		const offer = await pc.createOffer({ iceRestart: true });
		this.log?.again();
		await pc.setLocalDescription(offer);
		this.described = false;
		this.offer = pc.localDescription!.sdp;
		await hub.invoke('Restart', { session, sdp: this.offer });
	}

	async answer(event: HubEvents['answer']): Promise<void> {
		const { pc, offer } = this;
		if (!pc || pc.signalingState !== 'have-local-offer') return;
		const refusal = await checkAnswer(event, offer, this.deviceKey);
		if (this.pc !== pc || this.offer !== offer) return;
		if (refusal) {
			hub.send('End', { session: event.session, reason: 'refused' });
			return this.fail(refusal);
		}
		// first the description, then the word for it: drawing the page must not hold up the connection
		const lines = event.sdp.split(/\r?\n/);
		const sdp = withoutCandidates(event.sdp, (line) => this.passes(line));
		const described = pc.setRemoteDescription({ type: 'answer', sdp });
		if (this.state.get().phase === 'asking') {
			this.set({ phase: 'finding' });
			this.after(ROUTE_MS, () => this.fail(this.noRoute()));
			this.searching();
			if (this.holdsRelay) this.relayTimer = setTimeout(() => this.releaseRelay(), LAST_RESORT_MS);
		}
		try {
			await described;
		} catch (error) {
			return this.pc === pc ? this.fail('internal', String(error)) : undefined;
		}
		if (this.pc !== pc) return;
		this.note(lines, 'description');
		this.described = true;
		for (const candidate of this.remote.splice(0)) this.addCandidate(candidate);
	}

	trickle({ candidate, mid }: HubEvents['trickle']): void {
		if (candidate) this.note([`a=${candidate}`], 'trickle');
		if (candidate && !this.passes(candidate)) return;
		if (this.described) this.addCandidate({ candidate, mid });
		else this.remote.push({ candidate, mid });
	}

	private addCandidate({ candidate, mid }: { candidate: string; mid: string }): void {
		this.pc?.addIceCandidate(candidate ? { candidate, sdpMid: mid } : { candidate: '', sdpMid: mid }).catch(() => {});
	}

	/** Remembers what the device offers, and counts what its policy or ours does not let pass. */
	private note(lines: string[], origin: 'description' | 'trickle'): void {
		for (const line of lines) {
			if (!line.startsWith('a=candidate:') || !this.log?.remote(line, origin)) continue;
			if (!this.passes(line)) this.log.ignore('policy');
			const address = hostAddress(line);
			if (address && this.deviceHosts.length < 64) this.deviceHosts.push(address);
		}
	}

	refused(code: string, message: string): void {
		// the device cannot take up the old session: begin a new one
		if (this.state.get().phase === 'rerouting') void this.connect();
		else if (code === 'offline') this.wait('offline');
		else if (code === 'hub') this.wait('hub');
		else this.fail(code, message);
	}

	ended(by: string, reason: string): void {
		if (this.state.get().phase === 'finding' && by === 'device') {
			// it has found no route either; nothing is to be sent for a session that is over
			this.set({ session: null });
			return this.fail(this.noRoute());
		}
		const again = !FINAL_REASONS.has(reason);
		this.drop();
		this.attempt++;
		this.set({ phase: again ? 'waiting' : 'ended', session: null, endedBy: by, endReason: reason, stream: null, figures: null, route: null });
		if (again) this.later();
	}

	/** The device is there. @param returned it was away just before */
	nudge(returned: boolean): void {
		if (this.state.get().phase === 'waiting') void this.connect();
		else if (returned && this.state.get().phase === 'rerouting') void this.restart();
	}

	/** This connection to the hub is a new one: claim the session again. */
	async resume(): Promise<void> {
		const { session, phase } = this.state.get();
		if (phase === 'waiting' || phase === 'asking' || !session) return this.running ? this.connect() : undefined;
		if (phase !== 'connected' && phase !== 'rerouting' && phase !== 'finding') return;
		try {
			const { ok } = await hub.invoke<{ ok: boolean }>('Resume', { session });
			if (this.state.get().session !== session) return;
			if (!ok || this.state.get().phase === 'finding') void this.connect();
			else if (this.state.get().phase === 'rerouting') void this.restart();
			else this.watch?.reportAgain();
		} catch (error) {
			if (error instanceof HubError && error.code !== 'hub') void this.connect();
		}
	}

	/** Ends the session for good. */
	end(): void {
		const { session } = this.state.get();
		this.attempt++;
		this.screen.takeControl(false);
		this.tellLast();
		if (session) hub.send('End', { session, reason: 'user' });
		this.drop();
		for (const terminal of this.terminals.get()) terminal.drop();
		this.terminals.set([]);
		this.greeted = false;
		this.state.set({ ...IDLE, phase: 'ended', endedBy: 'user', told: session });
	}

	/** The figures of the route as they are at the end. */
	private tellLast(): void {
		const { session } = this.state.get();
		const route = this.watch?.latest;
		if (session && route) hub.send('Route', { session, route });
	}

	forgotten(): void {
		this.attempt++;
		this.drop();
		this.fail('forgotten');
	}

	pictured(): void {
		if (!this.state.get().pictured) this.set({ pictured: true });
	}

	/** null while there is no connection to open it in */
	openChannel(label: string): RTCDataChannel | null {
		if (this.pc?.connectionState !== 'connected' || !this.state.get().modules.includes(label)) return null;
		const channel = this.pc.createDataChannel(label);
		channel.binaryType = 'arraybuffer';
		return channel;
	}

	addTerminal(): Terminal {
		const terminal = new Terminal(this, ++this.terminalCount);
		this.terminals.set([...this.terminals.get(), terminal]);
		return terminal;
	}
	closeTerminal(terminal: Terminal): void {
		terminal.drop();
		this.terminals.set(this.terminals.get().filter((other) => other !== terminal));
		if (this.terminals.get().length === 0) this.terminalCount = 0;
	}

	/** Looks for a better route with new candidates; the session goes on over the present one meanwhile. */
	tryAgain(): void {
		if (this.state.get().phase !== 'connected') return;
		this.betterTries = 0;
		this.set({ retry: 'looking' });
		clearTimeout(this.retryTimer);
		this.retryTimer = setTimeout(() => this.set({ retry: 'done' }), RETRY_MS);
		void this.offerRoute().catch(() => {});
	}

	/** This computer's network is another one than before. */
	moved(): void {
		clearTimeout(this.movedTimer);
		this.movedTimer = setTimeout(() => {
			const { phase } = this.state.get();
			if (phase === 'rerouting') void this.restart();
			else if (phase === 'connected') void this.offerRoute().catch(() => {});
		}, MOVED_MS);
	}

	private wait(code: string): void {
		this.drop();
		this.attempt++;
		this.set({ phase: 'waiting', failure: { code, message: '' }, session: null, stream: null });
		// the list says online, the hub said offline a moment ago: one of them is about to be right
		if (code === 'offline' && deviceNow(this.device)?.online) this.after(OFFLINE_RETRY_MS, () => this.nudge(false));
	}

	private later(): void {
		const wait = Math.min(5_000, this.failures++ === 0 ? 0 : 250 * 2 ** this.failures);
		this.after(wait, () => this.nudge(false));
	}

	private fail(code: string, message = ''): void {
		const { session } = this.state.get();
		// before it is closed: a closed connection has no statistics
		if (session && ROUTELESS.has(code)) void this.lastWord(session, code);
		else if (session && code === 'no-answer') hub.send('End', { session, reason: code });
		this.drop();
		this.attempt++;
		this.set({ phase: 'failed', failure: { code, message }, session: null, stream: null, figures: null, route: null });
		if (ROUTELESS.has(code)) forgetIceServers();
	}

	/** Sends the report of what was tried, then the end; the connection is closed when its statistics are there. */
	private async lastWord(session: string, reason: string): Promise<void> {
		const { pc, watch } = this;
		if (!pc || !watch) return hub.send('End', { session, reason });
		this.pc = null;
		pc.onconnectionstatechange = pc.ontrack = pc.onicecandidate = pc.onicecandidateerror = null;
		const late = new Promise<null>((done) => setTimeout(() => done(null), LAST_WORD_MS));
		const route = await Promise.race([watch.none(t.failure[reason]?.[0] ?? ''), late]);
		pc.close();
		if (route) hub.send('Route', { session, route });
		hub.send('End', { session, reason });
	}

	private after(ms: number, what: () => void): void {
		clearTimeout(this.timer);
		this.timer = setTimeout(what, ms);
	}
	private clear(): void {
		clearTimeout(this.timer);
	}

	private drop(): void {
		this.clear();
		for (const timer of [this.relayTimer, this.searchTimer, this.betterTimer, this.retryTimer, this.movedTimer]) clearTimeout(timer);
		this.betterTimer = undefined;
		this.betterTries = 0;
		this.holdsRelay = false;
		this.watch?.stop();
		this.watch = null;
		this.log = null;
		this.screen.drop();
		for (const terminal of this.terminals.get()) terminal.drop();
		const { pc } = this;
		this.pc = null;
		this.remote = [];
		this.deviceHosts = [];
		this.described = false;
		this.brokenSince = 0;
		this.restarts = 0;
		if (pc) {
			pc.onconnectionstatechange = pc.ontrack = pc.onicecandidate = pc.onicecandidateerror = null;
			pc.close();
		}
	}
}

type Replay = (session: PeerSession) => void;

/** Events of a session can arrive just before the result of Connect has told its id. */
class Early {
	private kept = new Map<string, Replay[]>();
	private static readonly KEEP_MS = 15_000;
	private static readonly MAX = 64;

	keep(session: string, replay: Replay): void {
		const list = this.kept.get(session);
		if (list) {
			if (list.length < Early.MAX) list.push(replay);
			return;
		}
		this.kept.set(session, [replay]);
		setTimeout(() => this.kept.delete(session), Early.KEEP_MS);
	}
	take(session: string): Replay[] {
		const list = this.kept.get(session) ?? [];
		this.kept.delete(session);
		return list;
	}
}
export const early = new Early();
