// A peer connection with its offer made ahead of the click: certificate, offer and, when the pointer is already on a row,
// also the candidates are there before they are needed.
import { hub } from '../lib/hub';

export interface Prepared {
	pc: RTCPeerConnection;
	video: RTCRtpTransceiver | null;
	screen: RTCDataChannel | null;
	/** resolves when the local description is set and candidates are being gathered */
	offer: () => Promise<string>;
	/** gathered before somebody listened */
	early: (RTCIceCandidate | null)[];
	onCandidate: ((candidate: RTCIceCandidate | null) => void) | null;
}

const SPARE_MS = 30_000;
let iceServers: { servers: RTCIceServer[]; expires: number } | null = null;

/** TURN in WebSocket frames is for clients of our own; a browser refuses the whole list for it. */
function forBrowsers(servers: RTCIceServer[]): RTCIceServer[] {
	return servers
		.map((s) => ({ ...s, urls: [s.urls].flat().filter((url) => !url.endsWith('?transport=wss')) }))
		.filter((s) => s.urls.length > 0);
}

export async function loadIceServers(): Promise<RTCIceServer[]> {
	if (iceServers && iceServers.expires - Date.now() > 60_000) return iceServers.servers;
	const got = await hub.invoke<{ iceServers: RTCIceServer[]; expires: number }>('IceServers', {});
	iceServers = { servers: forBrowsers(got.iceServers), expires: got.expires };
	return iceServers.servers;
}

export function forgetIceServers(): void {
	iceServers = null;
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

export function prepare(withScreen: boolean, servers: RTCIceServer[]): Prepared {
	const pc = new RTCPeerConnection({ iceServers: servers, bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
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
		video,
		screen,
		early: [],
		onCandidate: null,
		offer: () =>
			(set ??= offer.then(async (description) => {
				await pc.setLocalDescription(description);
				return pc.localDescription!.sdp;
			})),
	};
	pc.onicecandidate = ({ candidate }) => (prepared.onCandidate ? prepared.onCandidate(candidate) : prepared.early.push(candidate));
	return prepared;
}

let spare: Prepared | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

function dropSpare(): void {
	clearTimeout(timer);
	spare?.pc.close();
	spare = null;
}

/** The pointer is on a device with a screen: gather candidates now. */
export async function warmUp(): Promise<void> {
	if (typeof RTCPeerConnection === 'undefined') return;
	if (!spare) {
		let servers: RTCIceServer[];
		try {
			servers = await loadIceServers();
		} catch {
			return;
		}
		spare ??= prepare(true, servers);
	}
	void spare.offer().catch(() => {});
	clearTimeout(timer);
	timer = setTimeout(dropSpare, SPARE_MS);
}

export async function take(withScreen: boolean): Promise<Prepared> {
	if (withScreen && spare) {
		const ready = spare;
		spare = null;
		clearTimeout(timer);
		return ready;
	}
	return prepare(withScreen, await loadIceServers());
}
