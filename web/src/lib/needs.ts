// What this deployment needs of a network: the hub's own list (docs/protocol.md, section 1.3), chosen by region and
// written in the forms that the command "fairlead allowlist" writes, to the letter.
import { api } from './api';

export const KINDS = ['hub', 'hub-name', 'store', 'stun', 'turn-udp', 'turn-tcp', 'turn-tls', 'turn-wss', 'relay-ports', 'peers', 'local', 'mdns'] as const;
export const WEIGHTS = ['required', 'one-of', 'better', 'reserved'] as const;
export type Kind = (typeof KINDS)[number];
export type Weight = (typeof WEIGHTS)[number];
export interface Need {
	id: string;
	kind: Kind;
	need: Weight;
	protocol: 'udp' | 'tcp';
	/** empty where no single one is meant */
	host: string;
	ports: string;
	portMin: number;
	portMax: number;
	/** the client's own ports, where they are kept in a range; else 0 */
	ownPortMin: number;
	ownPortMax: number;
	direction: 'out' | 'inside';
	region: string | null;
	function: string | null;
	wildcard: string | null;
	application: string;
	from: string[];
	methods: number[];
	purpose: string;
}
export interface Needs {
	generation: number;
	version: string;
	deployment: string;
	needs: Need[];
}
export interface Choice {
	region: string;
	wildcard: boolean;
	/** with the names that are kept for later; a wildcard covers them anyway */
	reserved: boolean;
}

const GENERATION = 1;
const LIST_MAX = 128;

/** The entry that cannot be understood, counted from 1; 0: the list as a whole. Leaving it out would make the list lie. */
export class NotUnderstood extends Error {
	constructor(readonly entry: number) {
		super(`entry ${entry}`);
	}
}

const isPort = (value: unknown, least: number): value is number => Number.isInteger(value) && (value as number) >= least && (value as number) <= 65_535;
const isWord = (value: unknown): value is string => typeof value === 'string' && /^[\w.:-]{0,255}$/.test(value);
const isWords = (value: unknown): value is string[] => Array.isArray(value) && value.every(isWord);
const orNull = (value: unknown): string | null | undefined => (value === null || value === undefined || value === '' ? null : isWord(value) ? value : undefined);

function need(value: unknown): Need | null {
	if (typeof value !== 'object' || value === null) return null;
	const n = value as Record<string, unknown>;
	const region = orNull(n.region);
	const task = orNull(n.function);
	const ownPortMin = n.ownPortMin ?? 0;
	const ownPortMax = n.ownPortMax ?? 0;
	const wildcard = typeof n.wildcard === 'string' && /^\*\.[\w.-]{1,253}$/.test(n.wildcard) ? n.wildcard : null;
	if (!KINDS.includes(n.kind as Kind) || !WEIGHTS.includes(n.need as Weight) || (n.protocol !== 'udp' && n.protocol !== 'tcp')) return null;
	if (!isPort(n.portMin, 1) || !isPort(n.portMax, n.portMin) || !isPort(ownPortMin, 0) || !isPort(ownPortMax, ownPortMin)) return null;
	if (!isWord(n.id) || !isWord(n.host) || !isWord(n.ports) || region === undefined || task === undefined || !isWords(n.from)) return null;
	if (!Array.isArray(n.methods) || !n.methods.every((m) => m === 1 || m === 2 || m === 3)) return null;
	return {
		id: n.id, kind: n.kind as Kind, need: n.need as Weight, protocol: n.protocol, host: n.host, ports: n.ports, portMin: n.portMin,
		portMax: n.portMax, ownPortMin, ownPortMax, direction: n.direction === 'inside' ? 'inside' : 'out', region, function: task, wildcard,
		application: String(n.application ?? ''), from: n.from, methods: n.methods as number[], purpose: String(n.purpose ?? ''),
	};
}

/** @throws NotUnderstood */
export function parseNeeds(json: unknown): Needs {
	const { generation, version, deployment, needs } = (json ?? {}) as Record<string, unknown>;
	if (generation !== GENERATION || !isWord(deployment) || !Array.isArray(needs) || needs.length > LIST_MAX) throw new NotUnderstood(0);
	return {
		generation, version: String(version ?? ''), deployment,
		needs: needs.map((one, index) => {
			const read = need(one);
			if (!read) throw new NotUnderstood(index + 1);
			return read;
		}),
	};
}

export const loadNeeds = async (): Promise<Needs> => parseNeeds(await api.network());

export const regionsOf = ({ needs }: Needs): string[] => [...new Set(needs.flatMap((n) => n.region ?? []))].sort();

/** A single name stands for others somewhere. */
export const hasWildcards = ({ needs }: Needs): boolean => needs.some((n) => n.wildcard !== null);

/** What the choice leaves, in the hub's order; with wildcards, names that one of them covers are said once. */
export function choose({ needs }: Needs, { region, wildcard, reserved }: Choice): Need[] {
	const out: Need[] = [];
	for (const one of needs) {
		if (region && one.region && one.region.toLowerCase() !== region.toLowerCase()) continue;
		if (one.need === 'reserved' && !reserved && !wildcard) continue;
		const host = (wildcard && one.wildcard) || one.host;
		const known = (other: Need) =>
			(other.kind === one.kind || host.startsWith('*')) && other.protocol === one.protocol && other.portMin === one.portMin &&
			other.portMax === one.portMax && other.host.toLowerCase() === host.toLowerCase();
		if (!out.some(known)) out.push({ ...one, host });
	}
	return out;
}

const TITLES: Record<Weight, string> = {
	required: 'Required',
	'one-of': 'One of these, for sessions that cannot go straight',
	better: 'For shorter routes',
	reserved: 'Kept for later (same port and address)',
};
const hostText = (n: Need): string => n.host || (n.kind === 'peers' ? 'any address' : n.direction === 'inside' ? 'your own subnets' : '-');
const bracket = (min: number, max: number): string => `${min}-${max}`;

function textLines(n: Need): string[] {
	const end = `${n.region ?? ''}${n.region && n.function ? ' ' : ''}`;
	const first = `  ${n.protocol.padEnd(3)}  ${n.ports.padEnd(11)}  ${hostText(n).padEnd(38)}  ${n.application.padEnd(13)} ${end}`;
	const own = n.ownPortMin ? [`       from the client's own ports ${bracket(n.ownPortMin, n.ownPortMax)}`] : [];
	return [first, ...own, `       ${n.function ? `${n.function}: ` : ''}${n.purpose}`];
}

export function toText(deployment: string, list: readonly Need[]): string {
	const groups = WEIGHTS.map((weight) => [weight, list.filter((n) => n.need === weight)] as const).filter(([, some]) => some.length > 0);
	return [
		`What ${deployment} needs of your network. All of it is opened from the inside; answers come back.`,
		...groups.flatMap(([weight, some]) => ['', TITLES[weight], ...some.flatMap(textLines)]),
		'',
	].join('\n');
}

export function toCsv(list: readonly Need[]): string {
	const rows = list.map((n) =>
		[
			n.need, n.protocol, n.host || 'any', n.ports, n.ownPortMin ? bracket(n.ownPortMin, n.ownPortMax) : 'any', n.direction,
			`"${n.application.replaceAll('"', '""')}"`, n.methods.join(''), n.region ?? '', n.function ?? '', n.from.join('+'),
			`"${n.purpose.replaceAll('"', '""')}"`,
		].join(','),
	);
	return ['need,protocol,host,ports,own ports,direction,application,methods,region,function,from,purpose', ...rows, ''].join('\r\n');
}

export const toJson = (of: Needs, list: readonly Need[]): string => `${JSON.stringify({ ...of, needs: list }, null, 2)}\n`;

/** Where the relay, STUN servers or the hub are reached: "relay.example.org:3478", IPv6 in brackets. */
export const placeOf = ({ host, ports }: Pick<Need, 'host' | 'ports'>): string => `${host.includes(':') ? `[${host}]` : host}:${ports}`;
