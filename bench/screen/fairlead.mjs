// Fairlead as a product to measure: `fairlead up` and its console, see measure.mjs.
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { startRig } from '../../tests/e2e/rig.mjs';
import { commandOf, family } from './measure.mjs';

const DEVICE = 'a[href^="/devices/"]';
const OF_THE_DEVICE = ['fairlead-client', 'screen'];

/** RTCPeerConnections made by the page are kept, so that their statistics can be read. */
const keepPeers = () => {
	const Native = window.RTCPeerConnection;
	window.__peers = [];
	window.RTCPeerConnection = class extends Native {
		constructor(...args) {
			super(...args);
			window.__peers.push(this);
		}
	};
};

const clickToPicture = (selector) => new Promise((done) => {
	const began = performance.now();
	const watch = () => {
		const video = document.querySelector('video');
		if (!video) return requestAnimationFrame(watch);
		return video.requestVideoFrameCallback((now) => done(now - began));
	};
	document.querySelector(selector).click();
	watch();
});

/** Bytes with the RTP headers, which Chromium counts apart. */
const counters = async () => {
	for (const peer of window.__peers.slice().reverse()) {
		if (peer.connectionState !== 'connected') continue;
		for (const report of (await peer.getStats()).values())
			if (report.type === 'inbound-rtp' && report.kind === 'video')
				return { at: report.timestamp, frames: report.framesDecoded, bytes: report.bytesReceived + report.headerBytesReceived, lost: report.packetsLost };
	}
	throw new Error('no video');
};

export async function startFairlead(viewer) {
	const { page } = viewer;
	const rig = await startRig();
	await page.addInitScript(keepPeers);
	await page.goto(rig.link);
	await page.waitForSelector(DEVICE);
	const version = execFileSync(join(process.env.FAIRLEAD_BUILD, 'fairlead'), ['--version'], { encoding: 'utf8' }).trim().split(' ').pop();
	return {
		name: 'Fairlead', version, viewer, env: rig.env, picture: 'video',
		first: () => page.evaluate(clickToPicture, DEVICE),
		async end() {
			await page.getByRole('button', { name: 'End session' }).click();
			await page.goto(`${rig.origin}/devices`);
			await page.waitForSelector(DEVICE);
		},
		counters: () => page.evaluate(counters),
		processes: () => family(rig.up.process.pid).filter((pid) => OF_THE_DEVICE.includes(commandOf(pid))),
		stop: () => rig.stop(),
	};
}
