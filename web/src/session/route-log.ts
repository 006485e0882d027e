// What the statistics of a connection do not keep: when each candidate came and from where, what the servers said, and
// what was dropped. Together with the statistics it makes the full route report (docs/protocol.md, section 1.1).
import type { Candidate, Found, Nat, Server, Tried } from '../lib/api';
import { turnTransport } from './policy';
import { isPrivate } from './route';
import { candidateLine, type CandidateLine } from './sdp';

const LIST_MAX = 64;
const WHY_MAX = 255;

interface Noted extends CandidateLine {
	side: Found['side'];
	origin: string;
	at: number;
	/** of an earlier round, and not named again since */
	gone: boolean;
}
interface Trouble {
	url: string;
	code: number;
	text: string;
	at: number;
}

/** STUN's own error codes (RFC 8489, section 14.8); 701 is the browser's word for a server that was not reached. */
const isStunCode = (code: number): boolean => code >= 300 && code < 700;

const key = (c: Candidate): string => `${c.type} ${c.protocol} ${c.address} ${c.port}`;
/** Names that stand for hidden addresses are no addresses. */
const shown = (address: string): string => (address.endsWith('.local') ? '' : address);
const plain = ({ type, address, port, protocol }: Candidate): Candidate => ({ type, address: shown(address), port, protocol });

export class RouteLog {
	private noted: Noted[] = [];
	private troubles: Trouble[] = [];
	private dropped = new Map<string, number>();
	private begun: number;
	private urls: string[] = [];
	private complete = false;

	/** @param tellsErrors this browser fires icecandidateerror, so that silence means something */
	constructor(
		servers: readonly RTCIceServer[],
		private readonly now: () => number = () => performance.now(),
		private readonly tellsErrors = typeof RTCPeerConnection !== 'undefined' && 'onicecandidateerror' in RTCPeerConnection.prototype,
	) {
		this.begun = now();
		this.use(servers);
	}

	/** The servers that are asked from now on. */
	use(servers: readonly RTCIceServer[]): void {
		this.urls = [...new Set(servers.flatMap((s) => s.urls))].slice(0, LIST_MAX);
	}

	/** A new round: its candidates take the place of the present ones. */
	again(): void {
		this.begun = this.now();
		this.complete = false;
		this.troubles = [];
		for (const one of this.noted) one.gone = true;
	}

	local(candidate: { candidate: string; url?: string | null } | null): void {
		if (!candidate || candidate.candidate === '') {
			this.complete = true;
			return;
		}
		const line = candidateLine(candidate.candidate);
		if (line) this.note({ ...line, side: 'local', origin: candidate.url ?? '', at: this.now(), gone: false });
	}

	/** @returns whether the line can be read at all */
	remote(text: string, origin: 'description' | 'trickle'): boolean {
		const line = candidateLine(text);
		if (line) this.note({ ...line, side: 'remote', origin, at: this.now(), gone: false });
		else this.ignore('malformed');
		return line !== null;
	}

	error(url: string, code: number, text: string): void {
		if (this.troubles.length < LIST_MAX && url) this.troubles.push({ url, code, text: text.slice(0, WHY_MAX), at: this.now() });
	}

	ignore(word: string): void {
		this.dropped.set(word, (this.dropped.get(word) ?? 0) + 1);
	}

	private note(one: Noted): void {
		const known = this.noted.findIndex((other) => other.side === one.side && key(other) === key(one));
		if (known >= 0) this.noted.splice(known, 1);
		else if (this.noted.length >= LIST_MAX) {
			const old = this.noted.findIndex((other) => other.gone);
			if (old < 0) return this.ignore('over-limit');
			this.noted.splice(old, 1);
		}
		this.noted.push(one);
	}

	get ignored(): Record<string, number> {
		return Object.fromEntries(this.dropped);
	}

	/**
	 * Every candidate of both ends. The browser's own are known from its events, those that only a check brought to light
	 * from the pairs.
	 */
	candidates(tried: readonly Tried[], selected: { local: Candidate; remote: Candidate } | null, origins: ReadonlyMap<string, string>): Found[] {
		const used = { local: new Set<string>(), remote: new Set<string>() };
		const checks: Found[] = [];
		for (const pair of tried)
			for (const side of ['local', 'remote'] as const) {
				const one = pair[side];
				if (pair.sent > 0 || pair.answered > 0 || (pair.received ?? 0) > 0) used[side].add(key(one));
				if (one.type === 'prflx' && !checks.some((other) => other.side === side && key(other) === key(one)))
					checks.push({ ...plain(one), side, origin: 'check', net: '', ms: null, use: 'tried', why: null });
			}
		const list = this.noted.map((one): Found => {
			const candidate = plain(one);
			const origin = one.origin || (one.side === 'local' ? (origins.get(key(candidate)) ?? '') : '');
			const tested = used[one.side].has(key(candidate));
			return {
				...candidate, side: one.side, origin: origin.slice(0, WHY_MAX), net: '', ms: Math.max(0, round(one.at - this.begun)),
				use: one.gone ? 'gone' : tested ? 'tried' : 'unused', why: null,
			};
		});
		// what is in no entry of ours took part all the same: an event that came before somebody listened
		const all = [...list, ...checks];
		if (selected)
			for (const side of ['local', 'remote'] as const) {
				const at = all.findIndex((one) => one.side === side && key(one) === key(selected[side]));
				if (at >= 0) all[at] = { ...all[at]!, use: 'selected' };
				else all.push({ ...plain(selected[side]), side, origin: '', net: '', ms: null, use: 'selected', why: null });
			}
		const rank = { selected: 0, tried: 1, unused: 2, ignored: 3, gone: 4 };
		return all.sort((a, b) => rank[a.use] - rank[b.use]).slice(0, LIST_MAX);
	}

	servers(): Server[] {
		return this.urls.map((url) => this.server(url));
	}

	private server(url: string): Server {
		const transport = turnTransport(url) ?? 'udp';
		const base = { url, transport, via: 'direct' as const, ms: null, mapped: null, code: null, error: null };
		const found = this.noted.find((one) => one.side === 'local' && !one.gone && sameUrl(one.origin, url));
		if (found) {
			const mapped = found.type === 'srflx' ? withPort(found.address, found.port) : null;
			return { ...base, state: 'answered', ms: Math.max(0, round(found.at - this.begun)), mapped };
		}
		const trouble = this.troubles.findLast((one) => sameUrl(one.url, url));
		if (trouble) {
			const refused = isStunCode(trouble.code);
			const silent = !refused && /time[d-]?\s?out/i.test(trouble.text);
			return {
				...base, state: refused ? 'refused' : silent ? 'silent' : 'failed', ms: round(trouble.at - this.begun),
				code: refused ? trouble.code : null, error: trouble.text || null,
			};
		}
		if (!this.complete) return { ...base, state: 'asking' };
		const other = this.own().find((one) => one.type === 'srflx');
		// UDP works, this browser tells errors, and had none here: the answer was the same as that of another server
		if (this.tellsErrors && other && turnTransport(url) === null) return { ...base, state: 'answered', mapped: withPort(other.address, other.port) };
		return { ...base, state: this.tellsErrors || other || this.open() ? 'unused' : 'silent' };
	}

	private own(): Noted[] {
		return this.noted.filter((one) => one.side === 'local' && !one.gone && one.protocol === 'udp');
	}

	/** One of our own addresses is public and untranslated. */
	private open(): boolean {
		return this.own().some((one) => one.type === 'host' && shown(one.address) !== '' && !isPrivate(one.address));
	}

	/**
	 * What is seen of the NAT before us (RFC 4787, section 4.1): one port of ours that two servers saw at two places is
	 * mapped anew for each. Its filtering cannot be told from here.
	 */
	nat(): Nat {
		const reflexive = this.own().filter((one) => one.type === 'srflx');
		const hosts = new Set(this.own().filter((one) => one.type === 'host').map((one) => shown(one.address)));
		const from = new Map<string, Set<string>>();
		for (const one of reflexive) {
			if (!one.related || one.related.endsWith(' 0')) continue;
			const family = one.address.includes(':') ? '6' : '4';
			const place = `${family} ${one.related}`;
			from.set(place, (from.get(place) ?? new Set()).add(withPort(one.address, one.port)));
		}
		let mapping: Nat['mapping'] = 'unknown';
		const asked = new Set(this.servers().filter((s) => s.state === 'answered' && s.url.startsWith('stun:')).map((s) => s.url)).size;
		if ([...from.values()].some((places) => places.size > 1)) mapping = 'address';
		else if (reflexive.some((one) => hosts.has(one.address))) mapping = 'none';
		else if (reflexive.length > 0 && this.complete && asked > 1) mapping = 'independent';
		else if (reflexive.length === 0 && this.open()) mapping = 'none';
		return { mapping, filtering: 'unknown' };
	}
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

export const withPort = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);

/** The browser writes the default transport and port where we left them out. */
function sameUrl(a: string, b: string): boolean {
	const parts = (url: string) => {
		const match = /^(stuns?|turns?):(.*?)(?:\?transport=(\w+))?$/i.exec(url);
		if (!match) return url;
		const scheme = match[1]!.toLowerCase();
		const secure = scheme.endsWith('s') && scheme.length === 5;
		const authority = /:\d+$/.test(match[2]!) ? match[2]! : `${match[2]}:${secure ? 5349 : 3478}`;
		return `${scheme} ${authority} ${scheme.startsWith('turn') ? (match[3] ?? (secure ? 'tcp' : 'udp')) : ''}`;
	};
	return parts(a) === parts(b);
}
