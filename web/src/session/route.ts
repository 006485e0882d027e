// Which way the traffic of a session takes, told from the browser's statistics (RFC 8445 candidates; W3C webrtc-stats).
//
// local    both addresses are untranslated and private, unique-local, link-local, loopback, or in one public network
// punched  any other direct pair: across the internet, straight through both routers
// relayed  one end of the pair is a relayed candidate
import type { Candidate, Method, Route, Tried } from '../lib/api';

/** the most telling ones; a computer with many networks makes hundreds of pairs */
const TRIED_MAX = 64;
type Stats = Record<string, unknown> & { id: string; type: string };

/** An address that the browser hides (`.local` name or none at all) is empty here. */
function candidate(stats: Stats | undefined): Candidate {
	const kind = stats?.candidateType;
	const address = String(stats?.address ?? stats?.ip ?? '');
	return {
		type: kind === 'srflx' || kind === 'prflx' || kind === 'relay' ? kind : 'host',
		address: address.endsWith('.local') ? '' : address.replace(/^\[|\]$/g, ''),
		port: Number(stats?.port ?? 0),
		protocol: String(stats?.protocol ?? 'udp').toLowerCase(),
	};
}

function v4(address: string): number[] | null {
	const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
	const parts = plain.split('.').map(Number);
	return parts.length === 4 && parts.every((p) => Number.isInteger(p) && p >= 0 && p < 256) ? parts : null;
}

/** The eight groups of an IPv6 address (RFC 4291, section 2.2). */
function v6(address: string): number[] | null {
	if (!address.includes(':')) return null;
	const [head = '', tail, rest] = address.split('%')[0]!.split('::');
	if (rest !== undefined) return null;
	const groups = (text: string) => (text ? text.split(':').map((g) => Number.parseInt(g, 16)) : []);
	const [front, back] = [groups(head), groups(tail ?? '')];
	const gap = 8 - front.length - back.length;
	if (tail === undefined ? gap !== 0 : gap < 0) return null;
	const all = [...front, ...Array.from({ length: gap }, () => 0), ...back];
	return all.every((g) => g >= 0 && g <= 0xffff) ? all : null;
}

/** Private (RFC 1918), shared (RFC 6598), unique-local (RFC 4193), link-local or loopback. */
export function isPrivate(address: string): boolean {
	const four = v4(address);
	if (four) {
		const [a, b] = four as [number, number];
		return (
			a === 10 || a === 127 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) ||
			(a === 169 && b === 254) || (a === 100 && b >= 64 && b < 128)
		);
	}
	const six = v6(address);
	if (!six) return false;
	const first = six[0]!;
	return (first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfe80 || (six.slice(0, 7).every((g) => g === 0) && six[7] === 1);
}

/** Nothing translates what stays on one computer. */
const isLoopback = (address: string): boolean => v4(address)?.[0] === 127 || v6(address)?.join() === '0,0,0,0,0,0,0,1';

/** One network by the usual size of one: 24 bits (IPv4) or 64 bits (IPv6) in common. */
export function sameNetwork(a: string, b: string): boolean {
	const [a4, b4] = [v4(a), v4(b)];
	if (a4 && b4) return a4.slice(0, 3).join() === b4.slice(0, 3).join();
	const [a6, b6] = [v6(a), v6(b)];
	return !!a6 && !!b6 && a6.slice(0, 4).join() === b6.slice(0, 4).join();
}

/** What decides about a candidate that only a check brought to light. */
type Host = Pick<Candidate, 'address' | 'port' | 'protocol'>;

/**
 * @param ownHosts our host candidates; where the browser hides their addresses, one at whose port the other end saw us is
 *        taken for the same when both ends are in one network
 * @param deviceHosts addresses of the host candidates that the device named: what arrives from one of them was not
 *        translated on the way, although ICE learnt it from a check (peer-reflexive)
 */
export function methodOf(local: Candidate, remote: Candidate, ownHosts: readonly Host[], deviceHosts: readonly string[]): Method {
	if (local.type === 'relay' || remote.type === 'relay') return 'relayed';
	if (isLoopback(local.address) || isLoopback(remote.address)) return 'local';
	// a connection that we open has a port of its own, whatever the candidate says (RFC 6544, section 4.5)
	const ours = (host: Host) =>
		host.address === ''
			? host.protocol === local.protocol && (host.port === local.port || local.protocol === 'tcp') && (local.address === '' || sameNetwork(local.address, remote.address))
			: same(host.address, local.address);
	const untranslated = (c: Candidate, known: () => boolean) => c.type === 'host' || (c.type === 'prflx' && known());
	if (!untranslated(local, () => ownHosts.some(ours)) || !untranslated(remote, () => deviceHosts.some((host) => same(host, remote.address))))
		return 'punched';
	const near = (c: Candidate) => c.address === '' || isPrivate(c.address);
	if (near(local) && near(remote)) return 'local';
	return local.address !== '' && sameNetwork(local.address, remote.address) ? 'local' : 'punched';
}

function same(a: string, b: string): boolean {
	const [a6, b6] = [v6(a), v6(b)];
	return a === b || (!!a6 && !!b6 && a6.join() === b6.join());
}

function transportOf(local: Stats | undefined, method: Method): Route['transport'] {
	const protocol = String((method === 'relayed' && local?.relayProtocol) || local?.protocol || 'udp').toLowerCase();
	return protocol === 'tcp' || protocol === 'tls' || protocol === 'wss' ? protocol : 'udp';
}

const STATES: Record<string, Tried['state']> = {
	frozen: 'frozen', waiting: 'waiting', 'in-progress': 'in-progress', failed: 'failed', succeeded: 'succeeded', cancelled: 'failed',
};

export interface Measured {
	pairId: string;
	method: Method;
	transport: Route['transport'];
	local: Candidate;
	remote: Candidate;
	/** the last round trip, ms; null when the browser does not say */
	rtt: number | null;
	/** sum of all round trips in ms and their number, for a mean over a time */
	rttSum: number;
	rttCount: number;
	tried: Tried[];
}

const milliseconds = (seconds: unknown): number | null => (typeof seconds === 'number' && seconds >= 0 ? seconds * 1000 : null);

function byId(report: Iterable<unknown>): Map<string, Stats> {
	const all = new Map<string, Stats>();
	for (const item of report) {
		const stats = item as Stats;
		all.set(stats.id, stats);
	}
	return all;
}

/** Every pair that was formed, the most telling first. */
export function pairsTried(report: Iterable<unknown>): Tried[] {
	const all = byId(report);
	return triedOf([...all.values()].filter((s) => s.type === 'candidate-pair'), all);
}

function triedOf(pairs: Stats[], all: Map<string, Stats>): Tried[] {
	return pairs
		.map((p) => oneTried(p, all))
		.sort((a, b) => Number(b.state === 'succeeded') - Number(a.state === 'succeeded') || b.answered - a.answered || b.sent - a.sent)
		.slice(0, TRIED_MAX);
}

/** Of the browser's own candidates: the URL of the server that each came from. */
export function originsOf(report: Iterable<unknown>): Map<string, string> {
	const origins = new Map<string, string>();
	for (const item of report) {
		const stats = item as Stats;
		if (stats.type !== 'local-candidate' || typeof stats.url !== 'string') continue;
		const { type, protocol, address, port } = candidate(stats);
		origins.set(`${type} ${protocol} ${address} ${port}`, stats.url);
	}
	return origins;
}

/** null while no pair is in use. */
export function measure(report: Iterable<unknown>, deviceHosts: readonly string[]): Measured | null {
	const all = byId(report);
	const pairs = [...all.values()].filter((s) => s.type === 'candidate-pair');
	const transport = [...all.values()].find((s) => s.type === 'transport' && s.selectedCandidatePairId);
	const selected =
		pairs.find((p) => p.id === transport?.selectedCandidatePairId) ??
		pairs.find((p) => p.selected === true) ??
		pairs.find((p) => p.nominated === true && p.state === 'succeeded');
	if (!selected) return null;

	const localStats = all.get(String(selected.localCandidateId));
	const local = candidate(localStats);
	const remote = candidate(all.get(String(selected.remoteCandidateId)));
	const ownHosts = [...all.values()].filter((s) => s.type === 'local-candidate' && s.candidateType === 'host').map(candidate);
	const method = methodOf(local, remote, ownHosts, deviceHosts);
	return {
		pairId: selected.id,
		method,
		transport: transportOf(localStats, method),
		local,
		remote,
		rtt: milliseconds(selected.currentRoundTripTime),
		rttSum: milliseconds(selected.totalRoundTripTime) ?? 0,
		rttCount: Number(selected.responsesReceived ?? 0),
		tried: triedOf(pairs, all),
	};
}

function oneTried(pair: Stats, all: Map<string, Stats>): Tried {
	const answered = Number(pair.responsesReceived ?? 0);
	return {
		local: candidate(all.get(String(pair.localCandidateId))),
		remote: candidate(all.get(String(pair.remoteCandidateId))),
		state: STATES[String(pair.state)] ?? 'waiting',
		sent: Math.max(Number(pair.requestsSent ?? 0), answered), // Firefox does not say how many it sent
		answered,
		received: Number(pair.requestsReceived ?? 0),
		rtt_ms: milliseconds(pair.currentRoundTripTime),
		error: null,
	};
}

/**
 * The round trip that is shown. Browsers read a millisecond clock, so one value on a fast network says 0 or 1; the mean of
 * many differences of such readings does approach the true time. Until there are enough of them the single value stands.
 */
export class RoundTrip {
	private readonly window: { at: number; sum: number; count: number }[] = [];
	private static readonly WINDOW_MS = 30_000;
	private static readonly ENOUGH = 6;

	/** @returns ms; 0 means "less than the clock can tell"; null when nothing is known */
	add(measured: Measured, now: number): number | null {
		const first = this.window[0];
		if (first && measured.rttCount < first.count) this.window.length = 0;
		this.window.push({ at: now, sum: measured.rttSum, count: measured.rttCount });
		while (this.window.length > 2 && now - this.window[0]!.at > RoundTrip.WINDOW_MS) this.window.shift();
		const { sum, count } = this.window[0]!;
		// the first checks include the start-up of both ends, so a short history is told from the window alone
		const answered = measured.rttCount - count;
		if (answered >= RoundTrip.ENOUGH) return (measured.rttSum - sum) / answered;
		return measured.rtt;
	}

	reset(): void {
		this.window.length = 0;
	}
}
