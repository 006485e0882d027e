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
	/** minutes by which its clock is ahead of the hub's; missing while they agree */
	clockOff?: number;
}
export interface Candidate {
	type: 'host' | 'srflx' | 'prflx' | 'relay';
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
	rtt_ms: number | null;
	error: string | null;
}
export interface Route {
	method: 'local' | 'punched' | 'relayed';
	transport: 'udp' | 'tcp' | 'tls' | 'wss';
	rtt_ms: number | null;
	setup_ms: number;
	reason: string;
	pair: { local: Candidate; remote: Candidate };
	tried: Tried[];
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
	signOut: () => call<void>('POST', '/id/sign-out', {}),
	sessions: (device: string, limit: number) => call<{ sessions: SessionRow[] }>('GET', `/api/sessions?${query({ device, limit })}`),
	audit: (limit: number, before?: string | number) => call<{ rows: AuditRow[] }>('GET', `/api/audit?${query({ limit, before })}`),
	enrolmentToken: () => call<{ token: string; expires: number }>('POST', '/api/enrolment-tokens', { uses: 1, expiresIn: 3600 }),
	removeDevice: (id: string) => call<void>('DELETE', `/api/devices/${encodeURIComponent(id)}`),
};
