// Chromium as one end of bench/connect: lines of JSON as tests/interop/peer/peer_cli.c takes and says them. A peer's page is
// ready before its offer is asked for, as that of a user who clicks is. chromium.mjs [PROFILE-FOLDER]
import { createInterface } from 'node:readline';
import { openPage } from '../../tests/interop/peer/browser.mjs';

const say = (event) => { process.stdout.write(`${JSON.stringify(event)}\n`); };

/** Runs in the page. */
function install() {
	const say = (event) => window.say({ ...event, at: Date.now() });
	window.end = {
		fresh({ iceServers }) {
			this.pc?.close();
			const pc = this.pc = new RTCPeerConnection({
				iceServers: iceServers.map((s) => ({ ...s, urls: s.url })),
			});
			pc.onicecandidate = (e) => { if (e.candidate?.candidate) say({ event: 'candidate', text: e.candidate.candidate }); };
			pc.ondatachannel = (e) => { e.channel.onmessage = () => say({ event: 'data' }); };
		},
		open({ label, text }) {
			const channel = this.pc.createDataChannel(label);
			channel.onopen = () => { channel.send(text); say({ event: 'open' }); };
		},
		async offer() {
			say({ event: 'begin' });
			await this.pc.setLocalDescription();
			say({ event: 'description', text: this.pc.localDescription.sdp });
		},
		async answer({ sdp }) {
			await this.pc.setRemoteDescription({ type: 'offer', sdp });
			await this.pc.setLocalDescription();
			say({ event: 'description', text: this.pc.localDescription.sdp });
		},
		accept({ sdp }) {
			return this.pc.setRemoteDescription({ type: 'answer', sdp });
		},
		candidate({ candidate }) {
			return this.pc.addIceCandidate({ candidate, sdpMid: '0' });
		},
		close() {
			this.pc?.close();
		},
	};
}

const { page, close } = await openPage('chromium');
await page.exposeFunction('say', say);
await page.evaluate(install);

createInterface({ input: process.stdin }).on('line', (line) => {
	const order = JSON.parse(line);
	const what = order.do === 'new' ? 'fresh' : order.do;
	page.evaluate(([name, with_]) => window.end[name](with_), [what, order]).then(
		() => { if (order.do === 'new') say({ event: 'ready' }); },
		(error) => say({ event: 'error', text: `${order.do}: ${error.message}` }),
	);
}).on('close', () => { void close(); });
say({ event: 'started' });
