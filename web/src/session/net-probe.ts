// What a browser can find out about the network that it is in: each question by itself, all of them at the same time, each
// with its own limit. What the answers mean is said in net-verdict.ts.
import { hub } from '../lib/hub';
import type { Needs } from '../lib/needs';
import { placeOf } from '../lib/needs';
import { turnTransport } from './policy';
import { candidateLine, type CandidateLine } from './sdp';

export const LIMIT_MS = 7_000;
const LIVE_MS = 3_000;
const RECORD_END = '\u001e';
const MINUTE = 60_000;

export interface HubAnswer {
	outcome: 'good' | 'silent' | 'foreign' | 'cached';
	ms: number;
	/** minutes by which this computer is ahead of the hub */
	clockOff: number;
}
export interface RealtimeAnswer {
	outcome: 'good' | 'closed' | 'mute';
	ms: number;
}
export interface StunAnswer {
	place: string;
	outcome: 'good' | 'silent' | 'name' | 'failed' | 'unclear';
	ms: number;
	mapped: string;
	error: string;
}
export interface TurnAnswer {
	place: string;
	transport: 'udp' | 'tcp' | 'tls';
	outcome: 'good' | 'silent' | 'name' | 'failed' | 'refused';
	ms: number;
	code: number;
	error: string;
}
export type Mapping = 'same' | 'changing' | 'none' | 'unclear' | 'blocked';
export interface Facts {
	/** where the hub is reached, with port */
	place: string;
	hub: HubAnswer | null;
	realtime: RealtimeAnswer | null;
	webrtc: boolean;
	stun: (StunAnswer | null)[];
	mapping: Mapping | null;
	/** "out": nobody is signed in; "none": no relay is named; "asked": the hub gave no credentials; null: not known yet */
	turn: (TurnAnswer | null)[] | 'out' | 'none' | 'asked' | null;
	/** a relay over UDP is named where a STUN server answers as well */
	relayPlaces: string[];
}

const host = (): string => (location.port ? location.host : `${location.host}:443`);

export async function askHub(): Promise<HubAnswer> {
	const echo = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
	const begun = performance.now();
	const since = () => performance.now() - begun;
	try {
		const response = await fetch(`/health?echo=${echo}`, { cache: 'no-store', credentials: 'omit', redirect: 'manual', signal: AbortSignal.timeout(LIMIT_MS) });
		const ms = since();
		const body = (await response.json().catch(() => null)) as { ok?: unknown; echo?: unknown; time?: unknown } | null;
		if (!response.ok || body?.ok !== true) return { outcome: 'foreign', ms, clockOff: 0 };
		const off = typeof body.time === 'number' ? (Date.now() - body.time - ms / 2) / MINUTE : 0;
		return { outcome: body.echo === echo ? 'good' : 'cached', ms, clockOff: Math.abs(off) < 1 ? 0 : Math.round(off) };
	} catch {
		return { outcome: 'silent', ms: since(), clockOff: 0 };
	}
}

/** Opens a WebSocket and exchanges SignalR's first message on it. Without an account the devices' way in serves as well. */
export function askRealtime(signedIn: boolean): Promise<RealtimeAnswer> {
	const begun = performance.now();
	return new Promise((resolve) => {
		let opened = false;
		const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${signedIn ? '/realtime' : '/endpoint'}`);
		const end = (outcome: RealtimeAnswer['outcome']) => {
			clearTimeout(timer);
			socket.onclose = socket.onmessage = null;
			socket.close();
			resolve({ outcome, ms: performance.now() - begun });
		};
		const timer = setTimeout(() => end(opened ? 'mute' : 'closed'), LIMIT_MS);
		socket.onopen = () => {
			opened = true;
			socket.send(`{"protocol":"json","version":1}${RECORD_END}`);
		};
		socket.onmessage = ({ data }) => end(String(data).includes(`{}${RECORD_END}`) ? 'good' : 'mute');
		socket.onclose = () => end('closed');
	});
}

export interface Gathered {
	candidates: (CandidateLine & { ms: number })[];
	errors: { code: number; text: string }[];
	complete: boolean;
	tellsErrors: boolean;
	ms: number;
}

/** Candidates from these servers, until enough says so, all are there, or the time is over. */
export async function gather(config: RTCConfiguration, enough: (one: CandidateLine) => boolean, limit = LIMIT_MS): Promise<Gathered> {
	const begun = performance.now();
	const out: Gathered = { candidates: [], errors: [], complete: false, tellsErrors: 'onicecandidateerror' in RTCPeerConnection.prototype, ms: 0 };
	let pc: RTCPeerConnection;
	try {
		pc = new RTCPeerConnection(config);
	} catch (error) {
		return { ...out, complete: true, errors: [{ code: 701, text: error instanceof Error ? error.message : '' }] };
	}
	await new Promise<void>((resolve) => {
		const timer = setTimeout(resolve, limit);
		pc.onicecandidateerror = ({ errorCode, errorText }) => out.errors.push({ code: errorCode, text: errorText });
		pc.onicecandidate = ({ candidate }) => {
			const line = candidate?.candidate ? candidateLine(candidate.candidate) : null;
			if (line) out.candidates.push({ ...line, ms: performance.now() - begun });
			if (!candidate) out.complete = true;
			if (!candidate || (line && enough(line))) {
				clearTimeout(timer);
				resolve();
			}
		};
		pc.createDataChannel('test');
		pc.setLocalDescription().catch(() => resolve());
	});
	pc.onicecandidate = pc.onicecandidateerror = null;
	pc.close();
	return { ...out, ms: performance.now() - begun };
}

const withPort = ({ address, port }: CandidateLine): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);

/** From a browser's own words for what went wrong. Firefox has none: then nothing came back is all that is known. */
const outcomeOf = (text: string): 'silent' | 'name' | 'failed' => (text === '' || /time[d-]?\s?out/i.test(text) ? 'silent' : /lookup|resol|dns/i.test(text) ? 'name' : 'failed');

/** What came of asking one STUN server. An answer that names an address which the browser has already makes no candidate. */
export function stunAnswer(place: string, got: Gathered): StunAnswer {
	const found = got.candidates.find((one) => one.type === 'srflx');
	const error = got.errors.at(-1);
	const base = { place, ms: found?.ms ?? got.ms, mapped: found ? withPort(found) : '', error: '' };
	if (found) return { ...base, outcome: 'good' };
	if (!got.complete) return { ...base, outcome: 'silent' };
	if (error) return { ...base, outcome: outcomeOf(error.text), error: error.text };
	return { ...base, outcome: got.tellsErrors ? 'good' : 'unclear' };
}

export function turnAnswer(place: string, transport: TurnAnswer['transport'], got: Gathered): TurnAnswer {
	const found = got.candidates.find((one) => one.type === 'relay');
	const refused = got.errors.find(({ code }) => code >= 300 && code < 700);
	const error = refused ?? got.errors.at(-1);
	const base = { place, transport, ms: found?.ms ?? got.ms, code: refused?.code ?? 0, error: found ? '' : (error?.text ?? '') };
	if (found) return { ...base, outcome: 'good' };
	if (refused) return { ...base, outcome: 'refused' };
	return { ...base, outcome: got.complete && error ? outcomeOf(error.text) : 'silent' };
}

/**
 * What the NAT before us does with one port of ours that several servers are asked from (RFC 4787, section 4.1). Browsers
 * that hide addresses ask from one port of each family only.
 * @param places the STUN servers that answered
 */
export function mappingOf(got: Gathered, places: readonly string[]): Mapping {
	const hosts = new Set(got.candidates.filter((one) => one.type === 'host').map((one) => one.address));
	const seen = got.candidates.filter((one) => one.type === 'srflx' && one.protocol === 'udp');
	if (places.length === 0) return 'blocked';
	if (seen.some((one) => hosts.has(one.address))) return 'none';
	const from = new Map<string, Set<string>>();
	for (const one of seen) {
		const hidden = !one.related || one.related.endsWith(' 0');
		const key = hidden ? one.address : `${one.address.includes(':')} ${one.related}`;
		from.set(key, (from.get(key) ?? new Set()).add(withPort(one)));
	}
	if ([...from.values()].some((set) => set.size > 1)) return 'changing';
	// two addresses of one family: of this computer, or of the NAT's pool; only the browser knows which socket it asked from
	const families = [true, false].map((six) => new Set([...from.keys()].filter((key) => key.includes(':') === six && !key.includes(' '))).size);
	if (families.some((size) => size > 1)) return 'unclear';
	const names = new Set(places.map((place) => place.replace(/:\d+$/, '')));
	return seen.length > 0 && names.size > 1 ? 'same' : 'unclear';
}

interface Relay {
	url: string;
	place: string;
	transport: TurnAnswer['transport'];
	server: RTCIceServer;
}

/** The relays that a browser can ask, one URL each. */
export function relaysOf(servers: readonly RTCIceServer[]): Relay[] {
	return servers.flatMap((server) =>
		[server.urls].flat().flatMap((url) => {
			const transport = turnTransport(url);
			if (!transport || transport === 'wss') return [];
			const [, scheme, authority] = /^(turns?):([^?]*)/i.exec(url) ?? [];
			const place = /:\d+$/.test(authority ?? '') ? authority! : `${authority}:${scheme?.toLowerCase() === 'turns' ? 5349 : 3478}`;
			return [{ url, place, transport, server: { ...server, urls: [url] } }];
		}),
	);
}

/** The hub's connection may be coming up; credentials are given over it only. */
function live(): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, LIVE_MS);
		const off = hub.live(() => {
			clearTimeout(timer);
			queueMicrotask(() => off());
			resolve();
		});
	});
}

async function askTurn(change: (turn: Facts['turn']) => void): Promise<void> {
	await live();
	let servers: RTCIceServer[];
	try {
		servers = (await hub.invoke<{ iceServers: RTCIceServer[] }>('IceServers', {})).iceServers;
	} catch {
		return change('asked');
	}
	const relays = relaysOf(servers);
	if (relays.length === 0) return change('none');
	const turn: (TurnAnswer | null)[] = relays.map(() => null);
	change(turn);
	await Promise.all(
		relays.map(async ({ place, transport, server }, at) => {
			const got = await gather({ iceServers: [server], iceTransportPolicy: 'relay' }, (one) => one.type === 'relay');
			turn[at] = turnAnswer(place, transport, got);
			change([...turn]);
		}),
	);
}

async function askStun(needs: Needs | null, change: (stun: Facts['stun'], mapping: Mapping | null) => void): Promise<void> {
	const servers = (needs?.needs ?? []).filter((n) => n.kind === 'stun').map(placeOf);
	const places = [...new Set(servers)];
	const answers: (StunAnswer | null)[] = places.map(() => null);
	change(answers, null);
	const all = gather({ iceServers: [{ urls: places.map((place) => `stun:${place}`) }].filter(() => places.length > 0) }, () => false);
	await Promise.all(
		places.map(async (place, at) => {
			answers[at] = stunAnswer(place, await gather({ iceServers: [{ urls: `stun:${place}` }] }, (one) => one.type === 'srflx'));
			change([...answers], null);
		}),
	);
	change(answers, mappingOf(await all, answers.flatMap((one) => (one?.outcome === 'good' ? one.place : []))));
}

/** Asks everything; what is known so far is given each time something came. */
export async function probe(needs: Needs | null, signedIn: boolean, report: (facts: Facts) => void): Promise<Facts> {
	const webrtc = typeof RTCPeerConnection !== 'undefined';
	const relays = (needs?.needs ?? []).filter((n) => n.kind === 'turn-udp' || n.kind === 'turn-tcp' || n.kind === 'turn-tls');
	let facts: Facts = {
		place: host(), hub: null, realtime: null, webrtc, stun: [], mapping: webrtc ? null : 'unclear',
		turn: needs && relays.length === 0 ? 'none' : signedIn ? null : 'out',
		relayPlaces: relays.filter((n) => n.kind === 'turn-udp').map(placeOf),
	};
	const change = (part: Partial<Facts>) => report((facts = { ...facts, ...part }));
	change({});
	const steps = [askHub().then((hub) => change({ hub })), askRealtime(signedIn).then((realtime) => change({ realtime }))];
	if (webrtc) steps.push(askStun(needs, (stun, mapping) => change({ stun, mapping })));
	if (webrtc && facts.turn === null) steps.push(askTurn((turn) => change({ turn })));
	await Promise.all(steps);
	return facts;
}
