// The hub's HTTP interface (docs/protocol.md, section 1).

export interface User {
	id: string;
	name: string;
	displayName: string;
	hasPassword: boolean;
}
export interface Device {
	id: string;
	name: string;
	platform: { os: string; version: string; arch: string };
	online: boolean;
	lastSeen: number;
	client: string;
	address: string;
	user: string | null;
	key: string;
	modules: string[];
	display: boolean;
	enrolled: number;
	/** where it stands in the tree of places */
	place?: string;
	/** minutes by which its clock is ahead of the hub's; missing while they agree */
	clockOff?: number;
}
export type Method = 'local' | 'punched' | 'relayed';
export type Transport = 'udp' | 'tcp' | 'tls' | 'wss';
export interface Candidate {
	type: 'host' | 'srflx' | 'prflx' | 'relay';
	/** empty when the browser hides it */
	address: string;
	port: number;
	protocol: string;
}
export interface Tried {
	local: Candidate;
	remote: Candidate;
	state: 'succeeded' | 'failed' | 'in-progress' | 'waiting' | 'frozen';
	sent: number;
	answered: number;
	/** checks of the other end that came in */
	received?: number;
	rtt_ms: number | null;
	error: string | null;
}
export interface Found extends Candidate {
	side: 'local' | 'remote';
	/** interface, STUN server or relay of a local one; "description", "trickle" or "check" of a remote one */
	origin: string;
	net: 'physical' | 'temporary' | 'virtual' | 'link-local' | '';
	/** since this end began to gather */
	ms: number | null;
	use: 'selected' | 'tried' | 'unused' | 'ignored' | 'gone';
	why: string | null;
}
export interface Server {
	url: string;
	transport: Transport;
	via: 'direct' | 'proxy';
	state: 'asking' | 'answered' | 'silent' | 'refused' | 'failed' | 'unused';
	ms: number | null;
	/** our address as this server saw it */
	mapped: string | null;
	code: number | null;
	error: string | null;
}
export interface Nat {
	mapping: 'unknown' | 'none' | 'independent' | 'address' | 'port';
	filtering: 'unknown' | 'open' | 'address' | 'port';
}
/** What one end of a session saw (docs/protocol.md, section 1.1). Older ends leave out what stands after `tried`. */
export interface Route {
	method: Method | 'none';
	transport: Transport;
	rtt_ms: number | null;
	setup_ms: number | null;
	reason: string;
	pair: { local: Candidate; remote: Candidate } | null;
	tried: Tried[];
	candidates?: Found[];
	servers?: Server[];
	nat?: Nat;
	ignored?: Record<string, number>;
}
export type Side = 'console' | 'device';
export interface Remedy {
	side: Side;
	protocol: 'udp' | 'tcp';
	host: string;
	ports: string;
	gain: 'relay-udp' | 'punched' | 'local' | 'any';
	text: string;
}
/** What the hub makes of both ends' reports. */
export interface Verdict {
	method: Route['method'];
	transport: Transport | null;
	cause: string;
	side: Side | 'both' | 'none';
	sentence: string;
	final: boolean;
	remedy: Remedy[];
}
/** Who may go which way (docs/protocol.md, section 1.2); what is missing is inherited. */
export interface Policy {
	methods?: Method[];
	relay?: 'allowed' | 'last-resort' | 'forbidden';
	turnTransports?: Transport[];
	interfaces?: { prefer?: string[]; exclude?: string[] };
	subnets?: { prefer?: string[]; exclude?: string[] };
	udpPorts?: string;
	dscp?: number;
	deviceKbit?: number;
	siteKbit?: number;
}
export interface SessionRow {
	id: string;
	device: string;
	deviceName: string;
	user: string;
	userName: string;
	modules: string[];
	started: number;
	ended: number | null;
	endReason: string | null;
	route: Route | null;
	verdict?: Verdict | null;
}
export interface SessionDetail extends SessionRow {
	routes?: { console: Route | null; device: Route | null };
}
export interface Place {
	id: string;
	parent: string | null;
	kind: 'hub' | 'organisation' | 'site' | 'group';
	name: string;
	policy: Policy;
	effective: Policy;
	devices: number;
	devicesBelow: number;
}
export interface PlaceCause {
	cause: string;
	side: Verdict['side'];
	method: Route['method'];
	count: number;
	sentence: string;
	remedy: Remedy[];
}
/** How the sessions of one place travelled. */
export interface PlaceRoutes {
	place: string;
	name: string;
	sessions: number;
	local: number;
	punched: number;
	relayed: number;
	none: number;
	causes: PlaceCause[];
}
export interface AuditRow {
	id: string | number;
	at: number;
	actor: string;
	action: string;
	target: string;
	detail: unknown;
	hash: string;
}

/** A refusal by the hub, or (status 0, code "unreachable") no answer at all. The message is a sentence for people. */
export class ApiError extends Error {
	constructor(
		readonly status: number,
		readonly code: string,
		message: string,
	) {
		super(message);
	}
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
	const init: RequestInit = { method, credentials: 'same-origin', cache: 'no-store', headers: { accept: 'application/json' } };
	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers = { accept: 'application/json', 'content-type': 'application/json' };
	}
	let response: Response;
	try {
		response = await fetch(path, init);
	} catch {
		throw new ApiError(0, 'unreachable', '');
	}
	const text = await response.text().catch(() => '');
	let json: unknown;
	try {
		json = text ? JSON.parse(text) : undefined;
	} catch {
		throw new ApiError(response.status, 'unexpected', '');
	}
	if (!response.ok) {
		const error = (json as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
		throw new ApiError(response.status, String(error?.code ?? 'unexpected'), String(error?.message ?? ''));
	}
	return json as T;
}

const query = (values: Record<string, string | number | undefined>) => {
	const out = new URLSearchParams();
	for (const [key, value] of Object.entries(values)) if (value !== undefined) out.set(key, String(value));
	return out.toString();
};

export const api = {
	me: () => call<{ user: User }>('GET', '/id/me'),
	signIn: (name: string, password: string) => call<{ user: User }>('POST', '/id/sign-in', { name, password }),
	link: (code: string) => call<{ user: User }>('POST', '/id/link', { code }),
	password: (password: string) => call<void>('POST', '/id/password', { password }),
	network: () => call<unknown>('GET', '/network.json'),
	signOut: () => call<void>('POST', '/id/sign-out', {}),
	sessions: (device: string, limit: number) => call<{ sessions: SessionRow[] }>('GET', `/api/sessions?${query({ device, limit })}`),
	session: (id: string) => call<{ session: SessionDetail }>('GET', `/api/sessions/${encodeURIComponent(id)}`),
	audit: (limit: number, before?: string | number) => call<{ rows: AuditRow[] }>('GET', `/api/audit?${query({ limit, before })}`),
	routes: (days: number) => call<{ since: number; places: PlaceRoutes[] }>('GET', `/api/routes?${query({ days })}`),
	places: () => call<{ places: Place[] }>('GET', '/api/places'),
	addPlace: (place: { kind: Place['kind']; name: string; parent: string }) => call<{ place: Place }>('POST', '/api/places', place),
	changePlace: (id: string, change: { name?: string; parent?: string; policy?: Policy }) =>
		call<{ place: Place }>('PUT', `/api/places/${encodeURIComponent(id)}`, change),
	removePlace: (id: string) => call<void>('DELETE', `/api/places/${encodeURIComponent(id)}?move=parent`),
	moveDevice: (id: string, place: string) => call<{ device: Device }>('PUT', `/api/devices/${encodeURIComponent(id)}/place`, { place }),
	enrolmentToken: () => call<{ token: string; expires: number }>('POST', '/api/enrolment-tokens', { uses: 1, expiresIn: 3600 }),
	removeDevice: (id: string) => call<void>('DELETE', `/api/devices/${encodeURIComponent(id)}`),
};
