// node-datachannel (libdatachannel with libjuice) as one end of bench/connect: the same lines of JSON as the others.
import { createInterface } from 'node:readline';
import { PeerConnection } from 'node-datachannel';

let pc = null, channel = null;
const say = (event) => { process.stdout.write(`${JSON.stringify({ ...event, at: performance.timeOrigin + performance.now() })}\n`); };

/** libjuice has no TURN over TCP. */
function server({ url, username, credential }) {
	const [, scheme, host, port, transport] = /^(stuns?|turns?):([^:]+):(\d+)(?:\?transport=(\w+))?$/.exec(url);
	if (scheme === 'stun') return url;
	if (scheme !== 'turn' || transport !== 'udp') return null;
	return { hostname: host, port: Number(port), username, password: credential, relayType: 'TurnUdp' };
}

const orders = {
	new({ iceServers }) {
		channel?.close();
		pc?.close();
		channel = null;
		pc = new PeerConnection('bench', { iceServers: iceServers.map(server).filter(Boolean), disableAutoNegotiation: true });
		pc.onLocalDescription((sdp) => say({ event: 'description', text: sdp }));
		pc.onLocalCandidate((candidate) => say({ event: 'candidate', text: candidate }));
		pc.onDataChannel((c) => { channel = c; c.onMessage(() => say({ event: 'data' })); });
		say({ event: 'ready' });
	},
	open({ label, text }) {
		const c = channel = pc.createDataChannel(label);
		c.onOpen(() => { c.sendMessage(text); say({ event: 'open' }); });
	},
	offer() {
		say({ event: 'begin' });
		pc.setLocalDescription('offer');
	},
	answer({ sdp }) {
		pc.setRemoteDescription(sdp, 'offer');
		pc.setLocalDescription('answer');
	},
	accept({ sdp }) {
		pc.setRemoteDescription(sdp, 'answer');
	},
	candidate({ candidate }) {
		pc.addRemoteCandidate(candidate, '0');
	},
	close() {
		pc?.close();
		pc = null;
	},
};

createInterface({ input: process.stdin }).on('line', (line) => {
	const order = JSON.parse(line);
	try {
		orders[order.do](order);
	} catch (error) {
		say({ event: 'error', text: `${order.do}: ${error.message}` });
	}
}).on('close', () => process.exit(0));
say({ event: 'started' });
