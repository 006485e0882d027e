import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Device, Route } from '../lib/api';

const hub = vi.hoisted(() => ({
	state: 'live',
	sent: [] as { method: string; argument: Record<string, unknown> }[],
	results: {} as Record<string, (argument: Record<string, unknown>) => unknown>,
}));
vi.mock('../lib/hub', () => {
	class HubError extends Error {
		constructor(readonly code: string, message: string) {
			super(message);
		}
	}
	return {
		HubError,
		hub: {
			link: { get: () => ({ state: hub.state, since: 0 }) },
			invoke: async (method: string, argument: Record<string, unknown>) => {
				hub.sent.push({ method, argument });
				return (hub.results[method] ?? (() => ({})))(argument);
			},
			send: (method: string, argument: Record<string, unknown>) => void hub.sent.push({ method, argument }),
		},
	};
});
const device = vi.hoisted(() => ({ now: null as Partial<Device> | null }));
vi.mock('../lib/devices', () => ({ deviceNow: () => device.now ?? undefined }));

const { HubError } = await import('../lib/hub');
const { early, PeerSession } = await import('./peer');
const { signedText } = await import('./signature');

const print = (byte: string) => Array.from({ length: 32 }, () => byte).join(':');
const OURS = print('11');
const THEIRS = print('AA');
const sdp = (fingerprint: string) => `v=0\r\na=fingerprint:sha-256 ${fingerprint}\r\n`;

class FakeChannel {
	readyState = 'connecting';
	onopen: (() => void) | null = null;
	onclose: (() => void) | null = null;
	binaryType = '';
	sent: unknown[] = [];
	constructor(readonly label: string) {}
	send(data: unknown) {
		this.sent.push(data);
	}
	close() {
		this.readyState = 'closed';
	}
}
class FakePeer {
	static made: FakePeer[] = [];
	connectionState = 'new';
	signalingState = 'stable';
	localDescription: { sdp: string } | null = null;
	remote: string[] = [];
	offers = 0;
	channels: FakeChannel[] = [];
	candidates: unknown[] = [];
	onconnectionstatechange: (() => void) | null = null;
	onicecandidate: ((event: unknown) => void) | null = null;
	onicecandidateerror: ((event: unknown) => void) | null = null;
	ontrack: ((event: unknown) => void) | null = null;
	stats = new Map<string, object>();
	constructor(public config: RTCConfiguration) {
		FakePeer.made.push(this);
	}
	get urls() {
		return this.config.iceServers!.flatMap((server) => server.urls);
	}
	setConfiguration(config: RTCConfiguration) {
		this.config = config;
	}
	static get last() {
		return FakePeer.made.at(-1)!;
	}
	addTransceiver() {
		return { receiver: {}, setCodecPreferences() {} };
	}
	createDataChannel(label: string) {
		const channel = new FakeChannel(label);
		this.channels.push(channel);
		return channel;
	}
	async createOffer() {
		return { type: 'offer', sdp: `${sdp(OURS)}o=${this.offers++}\r\n` };
	}
	async setLocalDescription(description: { sdp: string }) {
		this.localDescription = description;
		this.signalingState = 'have-local-offer';
	}
	async setRemoteDescription(description: { sdp: string }) {
		this.remote.push(description.sdp);
		this.signalingState = 'stable';
	}
	async addIceCandidate(candidate: unknown) {
		this.candidates.push(candidate);
	}
	async getStats() {
		return this.connectionState === 'closed' ? new Map() : this.stats;
	}
	/** A pair of these types is in use. */
	uses(local: string, remote: string, port = 1) {
		const rows = [
			{ id: 'T', type: 'transport', selectedCandidatePairId: `P${port}` },
			{ id: `P${port}`, type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', state: 'succeeded', requestsSent: 2, responsesReceived: 2, currentRoundTripTime: 0.004 },
			{ id: 'L', type: 'local-candidate', candidateType: local, address: local === 'relay' ? '203.0.113.9' : '10.0.0.4', port, protocol: 'udp', relayProtocol: local === 'relay' ? 'tls' : undefined },
			{ id: 'R', type: 'remote-candidate', candidateType: remote, address: '10.0.0.5', port: 2, protocol: 'udp' },
		];
		this.stats = new Map(rows.map((row) => [row.id, row]));
	}
	close() {
		this.connectionState = 'closed';
	}
	become(state: string) {
		this.connectionState = state;
		this.onconnectionstatechange?.();
	}
}

let sign: (session: string) => Promise<{ session: string; sdp: string; fingerprint: string; signature: string }>;
let deviceKey = '';
const sent = (method: string) => hub.sent.filter((call) => call.method === method).map((call) => call.argument);
const settle = () => vi.advanceTimersByTimeAsync(1);

beforeEach(async () => {
	const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair;
	deviceKey = Buffer.from(await crypto.subtle.exportKey('raw', pair.publicKey)).toString('base64url');
	sign = async (session) => ({
		session,
		sdp: sdp(THEIRS),
		fingerprint: THEIRS,
		signature: Buffer.from(await crypto.subtle.sign({ name: 'Ed25519' }, pair.privateKey, signedText(session, OURS, THEIRS))).toString('base64url'),
	});
	const stored = new Map<string, string>();
	vi.stubGlobal('localStorage', { getItem: (k: string) => stored.get(k) ?? null, setItem: (k: string, v: string) => stored.set(k, v) });
	vi.stubGlobal('document', { visibilityState: 'visible', addEventListener() {}, removeEventListener() {} });
	vi.stubGlobal('RTCPeerConnection', FakePeer);
	vi.stubGlobal('RTCRtpReceiver', {});
	vi.useFakeTimers();
	FakePeer.made = [];
	hub.state = 'live';
	hub.sent.length = 0;
	let count = 0;
	hub.results = {
		IceServers: () => ({ iceServers: [], expires: Date.now() + 3_600_000 }),
		Connect: () => ({ session: `s${++count}`, grant: 'g', expires: 0, deviceKey }),
		Resume: () => ({ ok: true }),
	};
	device.now = { id: 'd1', online: true, modules: ['screen', 'terminal'] };
});
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

async function connected() {
	const session = new PeerSession('d1');
	await session.connect();
	await session.answer(await sign('s1'));
	FakePeer.last.become('connected');
	await settle();
	return session;
}
const phase = (session: InstanceType<typeof PeerSession>) => session.state.get().phase;

const TURN = { urls: ['stun:h:3478', 'turn:h:3478', 'turns:h:5349?transport=tcp', 'turns:h:443?transport=wss'], username: 'u', credential: 'c' };
const policy = (value: object) => {
	// another device each time: what is known of one is kept for a minute
	device.now = { ...device.now, id: `d${Math.random()}` };
	hub.results.IceServers = () => ({ iceServers: [TURN], expires: Date.now() + 3_600_000, policy: value });
	return new PeerSession(device.now.id!);
};
const answered = async (session: InstanceType<typeof PeerSession>) => {
	await session.connect();
	await session.answer(await sign(session.state.get().session!));
};

describe('the route of a session', () => {
	it('is reported in full when it is there, when it changes, and at the end', async () => {
		const session = policy({});
		await answered(session);
		session.trickle({ session: 's1', candidate: 'candidate:1 1 udp 1 10.0.0.5 2 typ host', mid: '0' });
		FakePeer.last.onicecandidate!({ candidate: { candidate: 'candidate:1 1 udp 1 10.0.0.4 1 typ host', sdpMid: '0' } });
		FakePeer.last.onicecandidateerror!({ url: 'turn:h:3478?transport=udp', errorCode: 401, errorText: 'Unauthorized' });
		FakePeer.last.uses('host', 'host');
		FakePeer.last.become('connected');
		await settle();
		expect(sent('Route')).toHaveLength(1);
		const route = sent('Route')[0]!.route as Route;
		expect(route).toMatchObject({ method: 'local', transport: 'udp', ignored: {} });
		expect(route.candidates!.map((one) => [one.side, one.use])).toEqual([['remote', 'selected'], ['local', 'selected']]);
		expect(route.servers!.map((one) => [one.url, one.state])).toEqual([
			['stun:h:3478', 'asking'], ['turn:h:3478', 'refused'], ['turns:h:5349?transport=tcp', 'asking'],
		]);
		FakePeer.last.uses('relay', 'host', 7);
		await vi.advanceTimersByTimeAsync(1_000);
		expect(sent('Route').map((call) => (call.route as Route).method)).toEqual(['local', 'relayed']);
		expect(session.changes.get()).toMatchObject([{ from: 'local', to: 'relayed', transport: 'tls' }]);
		session.end();
		expect(hub.sent.slice(-2).map((call) => call.method)).toEqual(['Route', 'End']);
	});

	it('that is not found is reported before the session ends', async () => {
		const session = policy({});
		await answered(session);
		FakePeer.last.uses('host', 'host');
		FakePeer.last.stats.delete('T');
		(FakePeer.last.stats.get('P1') as { state: string }).state = 'failed';
		FakePeer.last.become('failed');
		expect(session.state.get()).toMatchObject({ phase: 'failed', failure: { code: 'no-route' }, told: 's1' });
		await settle();
		expect(hub.sent.slice(-2).map((call) => call.method)).toEqual(['Route', 'End']);
		const route = sent('Route')[0]!.route as Route;
		expect(route).toMatchObject({ method: 'none', pair: null, rtt_ms: null });
		expect(route.tried).toMatchObject([{ state: 'failed', sent: 2 }]);
		expect(FakePeer.last.connectionState).toBe('closed');
		expect(sent('End')).toEqual([{ session: 's1', reason: 'no-route' }]);
	});

	it('that is looked for is reported meanwhile, and its failure at the device is one', async () => {
		const session = policy({});
		await answered(session);
		await vi.advanceTimersByTimeAsync(10_000);
		expect(sent('Route').map((call) => (call.route as Route).method)).toEqual(['none', 'none']);
		session.ended('device', 'failed');
		expect(session.state.get()).toMatchObject({ phase: 'failed', failure: { code: 'no-route' }, told: 's1' });
		await vi.advanceTimersByTimeAsync(60_000);
		expect(sent('Connect')).toHaveLength(1);
		expect(sent('Route')).toHaveLength(2);
	});

	it('tells the hub when a server is given up late', async () => {
		const session = policy({});
		await answered(session);
		FakePeer.last.uses('relay', 'host');
		FakePeer.last.become('connected');
		await vi.advanceTimersByTimeAsync(8_000);
		const before = sent('Route').length;
		FakePeer.last.onicecandidateerror!({ url: 'stun:h:3478', errorCode: 701, errorText: 'STUN binding request timed out.' });
		await vi.advanceTimersByTimeAsync(8_000);
		expect(sent('Route')).toHaveLength(before + 1);
		expect((sent('Route').at(-1)!.route as Route).servers![0]!.state).toBe('silent');
	});

	it('keeps to a policy that allows local only, and refuses what is not', async () => {
		const session = policy({ methods: ['local'] });
		await answered(session);
		expect(sent('IceServers')).toEqual([{ device: session.device }]);
		expect(FakePeer.last.urls).toEqual([]);
		session.trickle({ session: 's1', candidate: 'candidate:1 1 udp 1 203.0.113.9 2 typ relay raddr 0.0.0.0 rport 0', mid: '0' });
		session.trickle({ session: 's1', candidate: 'candidate:1 1 udp 1 10.0.0.5 2 typ host', mid: '0' });
		expect(FakePeer.last.candidates).toHaveLength(1);
		FakePeer.last.uses('host', 'relay');
		FakePeer.last.become('connected');
		await settle();
		expect(session.state.get()).toMatchObject({ phase: 'failed', failure: { code: 'policy-route' } });
		await settle();
		expect(sent('End')).toEqual([{ session: 's1', reason: 'policy-route' }]);
	});

	it('does not begin where no method is allowed', async () => {
		const session = policy({ methods: ['relayed'], relay: 'forbidden' });
		await session.connect();
		expect(session.state.get().failure?.code).toBe('policy-route');
		expect(sent('Connect')).toEqual([]);
	});

	it('asks the relay as the last resort only', async () => {
		const session = policy({ relay: 'last-resort' });
		await answered(session);
		const peer = FakePeer.last;
		expect(peer.urls).toEqual(['stun:h:3478']);
		await vi.advanceTimersByTimeAsync(4_900);
		expect(sent('Restart')).toEqual([]);
		await vi.advanceTimersByTimeAsync(200);
		expect(sent('Restart')).toHaveLength(1);
		expect(peer.urls).toEqual(['stun:h:3478', 'turn:h:3478', 'turns:h:5349?transport=tcp']);
		await session.answer(await sign('s1'));
		peer.uses('relay', 'host');
		peer.become('connected');
		await settle();
		expect(session.state.get()).toMatchObject({ phase: 'connected', route: { method: 'relayed' } });
	});

	it('that is direct never asks the relay of the last resort', async () => {
		const session = policy({ relay: 'last-resort' });
		await answered(session);
		FakePeer.last.uses('host', 'host');
		FakePeer.last.become('connected');
		await vi.advanceTimersByTimeAsync(60_000);
		expect(sent('Restart')).toEqual([]);
		expect(FakePeer.last.urls).toEqual(['stun:h:3478']);
	});

	it('that is relayed is looked at again, ever more seldom', async () => {
		const session = policy({});
		await answered(session);
		const peer = FakePeer.last;
		peer.uses('relay', 'host');
		peer.become('connected');
		const restarts: number[] = [];
		for (let i = 0; i < 8; i++) {
			await vi.advanceTimersByTimeAsync(20_000);
			if (peer.signalingState !== 'stable') await session.answer(await sign('s1'));
			restarts.push(sent('Restart').length);
		}
		expect(restarts).toEqual([1, 1, 2, 2, 2, 2, 3, 3]);
		peer.uses('host', 'host', 9);
		await vi.advanceTimersByTimeAsync(900_000);
		expect(sent('Restart')).toHaveLength(3);
	});

	it('is looked for anew when this computer has moved to another network', async () => {
		const session = await connected();
		session.moved();
		session.moved();
		await vi.advanceTimersByTimeAsync(300);
		expect(sent('Restart')).toHaveLength(1);
		expect(phase(session)).toBe('connected');
	});

	it('takes the verdict of the hub, also after it has failed', async () => {
		const session = policy({});
		await answered(session);
		FakePeer.last.become('failed');
		session.judged({ method: 'none', transport: null, cause: 'peer-silent', side: 'device', sentence: '', final: true, remedy: [] });
		expect(session.state.get()).toMatchObject({ phase: 'failed', told: 's1', verdict: { cause: 'peer-silent' } });
		await session.connect();
		expect(session.state.get().verdict).toBeNull();
	});
});

describe('a session', () => {
	it('goes from the question to the connection', async () => {
		const session = new PeerSession('d1');
		const connecting = session.connect();
		expect(phase(session)).toBe('asking');
		await connecting;
		expect(sent('Connect')[0]).toMatchObject({ device: 'd1', modules: ['screen', 'terminal'], trickle: true });
		session.trickle({ session: 's1', candidate: 'candidate:1 1 udp 1 10.0.0.9 1 typ host', mid: '0' });
		expect(FakePeer.last.candidates).toEqual([]);
		await session.answer(await sign('s1'));
		expect(phase(session)).toBe('finding');
		expect(FakePeer.last.candidates).toHaveLength(1);
		FakePeer.last.become('connected');
		expect(phase(session)).toBe('connected');
		expect(FakePeer.last.channels.map((channel) => channel.label)).toEqual(['screen']);
	});

	it('tells the hub each candidate and the end of them', async () => {
		const session = new PeerSession('d1');
		await session.connect();
		FakePeer.last.onicecandidate!({ candidate: { candidate: 'candidate:7', sdpMid: '0' } });
		FakePeer.last.onicecandidate!({ candidate: null });
		expect(sent('Trickle')).toEqual([
			{ session: 's1', candidate: 'candidate:7', mid: '0' },
			{ session: 's1', candidate: '', mid: '0' },
		]);
	});

	it('takes an answer that came before the result of Connect', async () => {
		const answer = await sign('s1');
		hub.results.Connect = () => {
			early.keep('s1', (session) => void session.answer(answer));
			return { session: 's1', grant: 'g', expires: 0, deviceKey };
		};
		const session = new PeerSession('d1');
		await session.connect();
		await vi.waitFor(() => expect(phase(session)).toBe('finding'));
	});

	it('refuses an answer that is not the device’s, and ends the session', async () => {
		for (const [change, code] of [
			[{ signature: Buffer.alloc(64).toString('base64url') }, 'signature'],
			[{ sdp: sdp(print('BB')) }, 'fingerprint'],
		] as const) {
			hub.sent.length = 0;
			const session = new PeerSession('d1');
			await session.connect();
			const id = session.state.get().session!;
			await session.answer({ ...(await sign(id)), ...change });
			expect([phase(session), session.state.get().failure?.code]).toEqual(['failed', code]);
			expect(sent('End')).toEqual([{ session: id, reason: 'refused' }]);
			expect(FakePeer.last.remote).toEqual([]);
		}
	});

	it('refuses a device that shows another key than before', async () => {
		(await connected()).end();
		hub.results.Connect = () => ({ session: 's9', grant: 'g', expires: 0, deviceKey: Buffer.alloc(32, 7).toString('base64url') });
		const session = new PeerSession('d1');
		await session.connect();
		expect(session.state.get()).toMatchObject({ phase: 'failed', failure: { code: 'key-changed' } });
		expect(FakePeer.last.connectionState).toBe('closed');
	});

	it('waits for a device that is offline and starts when it comes', async () => {
		device.now = { ...device.now, online: false };
		const session = new PeerSession('d1');
		await session.connect();
		expect(session.state.get()).toMatchObject({ phase: 'waiting', failure: { code: 'offline' } });
		expect(sent('Connect')).toEqual([]);
		device.now = { ...device.now, online: true };
		session.nudge(true);
		await settle();
		expect(sent('Connect')).toHaveLength(1);
	});

	it('waits when the hub says offline, and names every other refusal', async () => {
		hub.results.Connect = () => {
			throw new HubError('offline', 'The device is offline.');
		};
		const session = new PeerSession('d1');
		await session.connect();
		expect(phase(session)).toBe('waiting');
		hub.results.Connect = () => {
			throw new HubError('policy', 'Not now.');
		};
		await vi.advanceTimersByTimeAsync(3_000);
		expect(session.state.get()).toMatchObject({ phase: 'failed', failure: { code: 'policy', message: 'Not now.' } });
	});

	it('gives up on a device that does not answer', async () => {
		const session = new PeerSession('d1');
		await session.connect();
		await vi.advanceTimersByTimeAsync(13_000);
		expect(session.state.get().failure?.code).toBe('no-answer');
		expect(sent('End')).toEqual([{ session: 's1', reason: 'no-answer' }]);
	});

	it('finds a new route by itself when the old one breaks', async () => {
		const session = await connected();
		FakePeer.last.become('disconnected');
		expect(phase(session)).toBe('rerouting');
		await vi.advanceTimersByTimeAsync(250);
		expect(sent('Restart')).toHaveLength(1);
		await session.answer(await sign('s1'));
		FakePeer.last.become('connected');
		expect(phase(session)).toBe('connected');
		expect(FakePeer.made).toHaveLength(1);
		await vi.advanceTimersByTimeAsync(20_000);
		expect(sent('Restart')).toHaveLength(1);
	});

	it('starts anew when the device no longer knows the session', async () => {
		const session = await connected();
		hub.results.Restart = () => {
			throw new HubError('unknown-session', 'No such session.');
		};
		FakePeer.last.become('failed');
		await vi.advanceTimersByTimeAsync(10);
		expect(sent('Connect')).toHaveLength(2);
		expect(phase(session)).toBe('asking');
	});

	it('starts anew when the device does not answer a new route, or refuses it', async () => {
		const session = await connected();
		FakePeer.last.become('disconnected');
		await vi.advanceTimersByTimeAsync(9_000);
		expect(sent('Restart')).toHaveLength(2);
		expect(sent('Connect')).toHaveLength(2);
		await session.answer(await sign('s2'));
		FakePeer.last.become('connected');
		FakePeer.last.become('disconnected');
		session.refused('internal', 'No such session.');
		await settle();
		expect(sent('Connect')).toHaveLength(3);
	});

	it('keeps the connection while only the device’s way to the hub is cut', async () => {
		const session = await connected();
		hub.results.Restart = () => {
			throw new HubError('offline', 'Not connected now.');
		};
		FakePeer.last.become('disconnected');
		await vi.advanceTimersByTimeAsync(1_000);
		FakePeer.last.become('connected');
		expect(phase(session)).toBe('connected');
		expect(FakePeer.made).toHaveLength(1);
	});

	it('goes on while the hub is away and claims the session afterwards', async () => {
		const session = await connected();
		hub.state = 'lost';
		await vi.advanceTimersByTimeAsync(30_000);
		expect(phase(session)).toBe('connected');
		hub.state = 'live';
		await session.resume();
		expect(sent('Resume')).toEqual([{ session: 's1' }]);
		expect(FakePeer.made).toHaveLength(1);
		hub.results.Resume = () => ({ ok: false });
		await session.resume();
		await settle();
		expect(sent('Connect')).toHaveLength(2);
	});

	it('comes back after it was lost, but not after it was ended on purpose', async () => {
		const session = await connected();
		session.ended('hub', 'lost');
		await settle();
		expect(sent('Connect')).toHaveLength(2);
		session.ended('device', 'user');
		await vi.advanceTimersByTimeAsync(60_000);
		expect(session.state.get()).toMatchObject({ phase: 'ended', endedBy: 'device' });
		expect(sent('Connect')).toHaveLength(2);
	});

	it('opens the screen channel again when the module restarts', async () => {
		await connected();
		const [screen] = FakePeer.last.channels;
		screen!.readyState = 'open';
		screen!.onopen!();
		screen!.onclose!();
		await vi.advanceTimersByTimeAsync(50);
		expect(FakePeer.last.channels.map((channel) => channel.label)).toEqual(['screen', 'screen']);
		FakePeer.last.channels[1]!.onclose!();
		await vi.advanceTimersByTimeAsync(50);
		expect(FakePeer.last.channels).toHaveLength(2);
		await vi.advanceTimersByTimeAsync(50);
		expect(FakePeer.last.channels).toHaveLength(3);
	});

	it('looks for a better route without leaving the present one', async () => {
		const session = await connected();
		session.tryAgain();
		await settle();
		expect(sent('Restart')).toHaveLength(1);
		expect(phase(session)).toBe('connected');
		await session.answer(await sign('s1'));
		expect(FakePeer.last.remote).toHaveLength(2);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(sent('Restart')).toHaveLength(1);
	});

	it('ends for good', async () => {
		const session = await connected();
		session.end();
		expect(sent('End')).toEqual([{ session: 's1', reason: 'user' }]);
		expect(FakePeer.last.connectionState).toBe('closed');
		session.nudge(true);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(sent('Connect')).toHaveLength(1);
	});
});
