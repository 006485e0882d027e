// bench/screen: what a person waits for at a remote screen, in Chromium against a whole Fairlead.
//   first   click on a device → first picture presented, median over FIRST runs, 1280×800
//   glass   a square changes on the device → it has changed on the viewer's display
//   scroll  full-screen scrolling text: frames decoded a second and Mbit/s
//   idle    CPU of client and screen module while a watched screen is still
// Run it with bench/screen/run.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from '../../tests/e2e/node_modules/playwright-core/index.mjs';
import { Child, sleep, startRig } from '../../tests/e2e/rig.mjs';

const FIRST = Number(process.env.FIRST ?? 15);
const GLASS = Number(process.env.GLASS ?? 100);
const SCROLL_S = 12;
const IDLE_S = 20;
const TOOLS = process.env.FAIRLEAD_BENCH_TOOLS;
const FLAGS = [
	'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
	'--disable-sync', '--window-position=0,0', '--window-size=1600,1000', '--ignore-certificate-errors',
];

const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];
const ms = (value) => `${value.toFixed(1)} ms`;

async function openBrowser(display) {
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium', headless: false, args: FLAGS, env: { ...process.env, DISPLAY: `:${display}` },
	});
	const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: null });
	return { browser, page: await context.newPage() };
}

async function firstPicture(page, origin) {
	const times = [];
	for (let i = 0; i < FIRST; i++) {
		await page.goto(`${origin}/devices`);
		await page.waitForSelector('a[href^="/devices/"]');
		await sleep(700);
		times.push(await page.evaluate(() => new Promise((done) => {
			const began = performance.now();
			const watch = () => {
				const video = document.querySelector('video');
				if (!video) return requestAnimationFrame(watch);
				video.requestVideoFrameCallback((now) => done(now - began));
			};
			document.querySelector('a[href^="/devices/"]').click();
			watch();
		})));
		if (i < FIRST - 1) await page.getByRole('button', { name: 'End session' }).click();
		await sleep(300);
	}
	return times;
}

async function glass(page, rig, viewer) {
	const middle = await page.evaluate(() => {
		const box = document.querySelector('video').getBoundingClientRect();
		const chrome = { x: window.screenX + (window.outerWidth - window.innerWidth) / 2, y: window.screenY + window.outerHeight - window.innerHeight };
		return { x: Math.round(chrome.x + box.x + box.width / 2), y: Math.round(chrome.y + box.y + box.height / 2) };
	});
	const child = new Child(join(TOOLS, 'bench_glass'), [rig.env.DISPLAY, `:${viewer}`, String(middle.x), String(middle.y), String(GLASS)]);
	await child.ended;
	const lost = child.lines.filter((line) => line === 'lost').length;
	return { times: child.lines.filter((line) => line !== 'lost').map(Number), lost, errors: child.errors };
}

async function scroll(page, rig) {
	const child = new Child(join(TOOLS, 'bench_scroll'), [String(SCROLL_S + 3)], { env: rig.env });
	await sleep(2000);
	const a = await frames(page);
	await sleep(SCROLL_S * 1000 - 2000);
	const b = await frames(page);
	await child.stop();
	const seconds = (b.at - a.at) / 1000;
	return { fps: (b.frames - a.frames) / seconds, mbit: ((b.bytes - a.bytes) * 8) / seconds / 1e6, lost: b.lost - a.lost };
}

/** RTCPeerConnections made by the page are kept by an init script, so the bench can read their statistics. */
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

const frames = (page) => page.evaluate(async () => {
	for (const peer of window.__peers.slice().reverse()) {
		if (peer.connectionState !== 'connected') continue;
		for (const report of (await peer.getStats()).values())
			if (report.type === 'inbound-rtp' && report.kind === 'video')
				return { at: report.timestamp, frames: report.framesDecoded, bytes: report.bytesReceived, lost: report.packetsLost, codec: report.codecId };
	}
	throw new Error('no video');
});

function cpuSeconds(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

function processes(name) {
	return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).filter((pid) => {
		try {
			return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
		} catch {
			return false;
		}
	});
}

async function idle() {
	const pids = [...processes('fairlead-client'), ...processes('screen')];
	const before = pids.map(cpuSeconds);
	await sleep(IDLE_S * 1000);
	const used = pids.map((pid, i) => cpuSeconds(pid) - before[i]);
	return { pids: pids.length, percent: (used.reduce((a, b) => a + b, 0) / IDLE_S) * 100 };
}

const rig = await startRig();
const viewerDisplay = new Child('Xvfb', ['-displayfd', '1', '-screen', '0', '1600x1000x24', '-nolisten', 'tcp']);
const viewer = (await viewerDisplay.line(/^(\d+)$/))[1];
const { browser, page } = await openBrowser(viewer);
await page.addInitScript(keepPeers);
await page.goto(rig.link);
await page.waitForSelector('a[href^="/devices/"]');

const first = await firstPicture(page, rig.origin);
console.log(`first picture   median ${ms(quantile(first, 0.5))}  p95 ${ms(quantile(first, 0.95))}  (${first.length} clicks, 1280x800; wanted: median at most 150 ms)`);
await sleep(1500);
const still = await idle();
console.log(`still screen    ${still.percent.toFixed(2)} % of a core  (${still.pids} processes: client and screen module; wanted: under 1 %)`);
const seen = await glass(page, rig, viewer);
if (seen.times.length) console.log(`glass to glass  p50 ${ms(quantile(seen.times, 0.5))}  p95 ${ms(quantile(seen.times, 0.95))}  (${seen.times.length} changes, ${seen.lost} lost; wanted: at most 60 and 100 ms)`);
else console.log(`glass to glass  nothing arrived: ${seen.errors.join(' ')}`);
const rolled = await scroll(page, rig);
console.log(`scrolling text  ${rolled.fps.toFixed(1)} frames/s at ${rolled.mbit.toFixed(2)} Mbit/s, ${rolled.lost} packets lost  (wanted: at least 25 at most 4)`);
await browser.close();
await viewerDisplay.stop();
await rig.stop();
