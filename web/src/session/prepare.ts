// A peer connection with its offer made ahead of the click: certificate, offer and, when the pointer is already on a row,
// also the candidates are there before they are needed.
import type { Policy } from '../lib/api';
import { hub } from '../lib/hub';
import { configuration } from './policy';
import { RouteLog } from './route-log';

export interface Prepared {
	pc: RTCPeerConnection;
	ice: Ice;
	log: RouteLog;
	video: RTCRtpTransceiver | null;
	screen: RTCDataChannel | null;
	/** resolves when the local description is set and candidates are being gathered */
	offer: () => Promise<string>;
	/** gathered before somebody listened */
	early: (RTCIceCandidate | null)[];
	onCandidate: ((candidate: RTCIceCandidate | null) => void) | null;
}

const SPARE_MS = 30_000;
/** so long an answer stands for the next click; a policy may be changed meanwhile */
const FRESH_MS = 10_000;
const KEPT_MAX = 64;

/** Which servers there are for a device, and which of them its policy allows. */
export interface Ice {
	servers: RTCIceServer[];
	policy: Policy;
}
const kept = new Map<string, { ice: Promise<Ice>; until: number }>();

export function iceFor(device: string): Promise<Ice> {
	const known = kept.get(device);
	if (known && known.until > Date.now()) return known.ice;
	const asked = hub.invoke<{ iceServers: RTCIceServer[]; expires: number; policy?: Policy }>('IceServers', { device });
	const entry = { ice: asked.then((got) => ({ servers: got.iceServers, policy: got.policy ?? {} })), until: Date.now() + FRESH_MS };
	kept.delete(device);
	if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value!);
	kept.set(device, entry);
	asked.then(
		(got) => (entry.until = Math.min(entry.until, got.expires - SPARE_MS)),
		() => kept.get(device) === entry && kept.delete(device),
	);
	return entry.ice;
}

export function forgetIceServers(): void {
	kept.clear();
}

/** H.264 first, then VP8; what else the browser knows only makes the offer longer. */
function preferCodecs(video: RTCRtpTransceiver): void {
	const known = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? [];
	const rank = (codec: RTCRtpCodec): number => {
		const name = codec.mimeType.toLowerCase();
		if (name === 'video/h264') return /packetization-mode=1/.test(codec.sdpFmtpLine ?? '') ? 0 : -1;
		return name === 'video/vp8' ? 1 : name === 'video/rtx' ? 2 : -1;
	};
	const wanted = known.filter((codec) => rank(codec) >= 0).sort((a, b) => rank(a) - rank(b));
	if (!wanted.some((codec) => rank(codec) < 2)) return;
	try {
		video.setCodecPreferences(wanted);
	} catch {
		// the browser keeps its own order
	}
}

/** Shows each frame as soon as it is decoded: a screen is no film. */
function playAtOnce(receiver: RTCRtpReceiver & { jitterBufferTarget?: number | null; playoutDelayHint?: number | null }): void {
	if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
	if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
}

export function prepare(withScreen: boolean, ice: Ice): Prepared {
	const config = configuration(ice.servers, ice.policy);
	const pc = new RTCPeerConnection(config);
	const log = new RouteLog(config.iceServers!);
	let video: RTCRtpTransceiver | null = null;
	let screen: RTCDataChannel | null = null;
	if (withScreen) {
		video = pc.addTransceiver('video', { direction: 'recvonly' });
		preferCodecs(video);
		playAtOnce(video.receiver);
		screen = pc.createDataChannel('screen');
		screen.binaryType = 'arraybuffer';
	} else {
		// an offer without any channel has no data section; a negotiated one is never announced to the device
		pc.createDataChannel('', { negotiated: true, id: 1000 });
	}
	let set: Promise<string> | null = null;
	const offer = pc.createOffer();
	offer.catch(() => {});
	const prepared: Prepared = {
		pc,
		ice,
		log,
		video,
		screen,
		early: [],
		onCandidate: null,
		offer: () =>
			(set ??= offer.then(async (description) => {
				log.again();
				await pc.setLocalDescription(description);
				return pc.localDescription!.sdp;
			})),
	};
	pc.onicecandidate = (event) => {
		const { candidate } = event;
		// the URL stands in the event (Chromium) or in the candidate (the newer standard)
		log.local(candidate && { candidate: candidate.candidate, url: (candidate as { url?: string | null }).url ?? (event as { url?: string | null }).url });
		if (prepared.onCandidate) prepared.onCandidate(candidate);
		else prepared.early.push(candidate);
	};
	pc.onicecandidateerror = ({ url, errorCode, errorText }) => log.error(url, errorCode, errorText);
	return prepared;
}

let spare: Prepared | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** What makes a connection fit for another device as well: credentials may differ, what they are for may not. */
const kind = ({ servers, policy }: Ice): string => {
	const { iceServers = [], iceTransportPolicy } = configuration(servers, policy);
	return JSON.stringify([iceServers.map((s) => s.urls), iceTransportPolicy]);
};

function dropSpare(): void {
	clearTimeout(timer);
	spare?.pc.close();
	spare = null;
}

/** The pointer is on a device with a screen: gather candidates now. */
export async function warmUp(device: string): Promise<void> {
	if (typeof RTCPeerConnection === 'undefined') return;
	let ice: Ice;
	try {
		ice = await iceFor(device);
	} catch {
		return;
	}
	if (spare && kind(spare.ice) !== kind(ice)) dropSpare();
	spare ??= prepare(true, ice);
	void spare.offer().catch(() => {});
	clearTimeout(timer);
	timer = setTimeout(dropSpare, SPARE_MS);
}

export async function take(device: string, withScreen: boolean): Promise<Prepared> {
	const ice = await iceFor(device);
	if (withScreen && spare && kind(spare.ice) === kind(ice)) {
		const ready = spare;
		spare = null;
		clearTimeout(timer);
		ready.ice = ice;
		return ready;
	}
	return prepare(withScreen, ice);
}
