// A browser's side of a peer connection, and the native side's test program, with signalling between
// them that can be delayed. Used by the interop tests and by bench/peer.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

const require = createRequire(join(import.meta.dirname, '../../e2e/package.json'));
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync'];
const LIMIT = 20_000; // ms; a hang is a failure

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A page of the named browser, headless, with a fresh profile. */
export async function openPage(name) {
	if (name === 'chromium') {
		const { chromium } = require('playwright-core');
		const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
		return { page: await browser.newPage(), another: () => browser.newPage(), close: () => browser.close() };
	}
	const puppeteer = require('puppeteer-core');
	const browser = await puppeteer.launch({ browser: 'firefox', protocol: 'webDriverBiDi', executablePath: '/usr/bin/firefox-esr', headless: true });
	return { page: await browser.newPage(), another: () => browser.newPage(), close: () => browser.close() };
}

/** Runs in the page: one RTCPeerConnection; what it wants signalled is fetched by take(). */
function install() {
	const queue = [];
	let wake = null;
	const put = (m) => { queue.push(m); wake?.(); };
	window.rig = {
		fresh() {
			this.pc?.close();
			queue.length = 0;
			this.got = [];
			this.opened = null;
			this.pc = new RTCPeerConnection();
			this.pc.onicecandidate = (e) => { if (e.candidate) put({ candidate: e.candidate.candidate, mid: e.candidate.sdpMid }); };
			this.pc.ondatachannel = (e) => this.watch(e.channel);
		},
		watch(channel) {
			this.channel = channel;
			channel.binaryType = 'arraybuffer';
			channel.onmessage = (e) => { this.got.push(e.data); wake?.(); };
			channel.onclose = () => put({ closed: channel.label });
			const open = () => { this.opened ??= performance.now() - this.began; put({ open: channel.label, ms: this.opened }); };
			if (channel.readyState === 'open') open(); else channel.onopen = open;
		},
		async offer(label, video) {
			this.began = performance.now();
			if (video) this.pc.addTransceiver('video', { direction: 'recvonly' });
			this.watch(this.pc.createDataChannel(label));
			await this.pc.setLocalDescription();
			put({ offer: this.pc.localDescription.sdp });
		},
		async restart() {
			this.pc.restartIce();
			await this.pc.setLocalDescription();
			put({ offer: this.pc.localDescription.sdp });
		},
		async answer(sdp) {
			this.began = performance.now();
			await this.pc.setRemoteDescription({ type: 'offer', sdp });
			await this.pc.setLocalDescription();
			put({ answer: this.pc.localDescription.sdp });
		},
		async take() {
			while (!queue.length) await new Promise((done) => { wake = done; });
			return queue.splice(0);
		},
	};
}

export class BrowserSide {
	constructor(page) {
		this.page = page;
	}

	async start() {
		await this.page.evaluate(install);
		await this.page.evaluate(() => window.rig.fresh());
	}

	/** Hands what the page wants signalled to the handler, until it returns false. */
	async pump(handler) {
		for (;;) {
			for (const m of await this.page.evaluate(() => window.rig.take())) {
				if (handler(m) === false) return;
			}
		}
	}

	offer(label, video = false) {
		return this.page.evaluate(([l, v]) => window.rig.offer(l, v), [label, video]);
	}

	restart() {
		return this.page.evaluate(() => window.rig.restart());
	}

	answer(sdp) {
		return this.page.evaluate((s) => window.rig.answer(s), sdp);
	}

	accept(sdp) {
		return this.page.evaluate((s) => window.rig.pc.setRemoteDescription({ type: 'answer', sdp: s }), sdp);
	}

	candidate(text) {
		return this.page.evaluate((c) => window.rig.pc.addIceCandidate(c ? { candidate: c, sdpMid: '0' } : undefined), text);
	}

	send(text) {
		return this.page.evaluate((t) => window.rig.channel.send(t), text);
	}

	/** Until the page's channel has got exactly this text. */
	async got(text) {
		const end = Date.now() + LIMIT;
		while (!await this.page.evaluate((t) => window.rig.got.includes(t), text)) {
			if (Date.now() > end) throw new Error(`the browser did not get "${text}"`);
			await sleep(2);
		}
	}

	close() {
		return this.page.evaluate(() => window.rig.pc.close());
	}
}

/** peer_cli over its pipes. */
export class NativeSide {
	constructor(program) {
		this.child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
		this.handlers = new Set();
		createInterface({ input: this.child.stdout }).on('line', (line) => {
			const event = JSON.parse(line);
			for (const h of [...this.handlers]) h(event);
		});
	}

	do(what, more = {}) {
		this.child.stdin.write(`${JSON.stringify({ do: what, ...more })}\n`);
	}

	on(handler) {
		this.handlers.add(handler);
		return () => this.handlers.delete(handler);
	}

	/** The next event of that name; a failure in between rejects. */
	event(name) {
		return new Promise((done, fail) => {
			const timer = setTimeout(() => { off(); fail(new Error(`no "${name}" from the native side`)); }, LIMIT);
			const off = this.on((e) => {
				if (e.event !== name && e.event !== 'failed' && e.event !== 'error') return;
				clearTimeout(timer);
				off();
				if (e.event === name) done(e); else fail(new Error(`native side: ${e.text}`));
			});
		});
	}

	stop() {
		this.child.stdin.end();
		return new Promise((done) => this.child.on('exit', done));
	}
}

/**
 * One connect between a page and the native side, who offers given. Milliseconds in the page from
 * createOffer (or the offer's arrival) to its open channel, and the native side's name of it.
 */
export async function connect(browser, native, { browserOffers, delay = 0, label = 'test', video = false, map = {} }) {
	const later = (fn) => (delay ? setTimeout(fn, delay) : fn());
	const toBrowser = map.toBrowser ?? ((text) => text);
	const toNative = map.toNative ?? ((text) => text);
	let channel = null;

	native.do('new');
	await browser.start();
	const off = native.on((e) => {
		if (e.event === 'description') later(() => { void (browserOffers ? browser.accept(toBrowser(e.text)) : browser.answer(toBrowser(e.text))); });
		else if (e.event === 'candidate') { const c = toBrowser(e.text); if (c) later(() => { void browser.candidate(c); }); }
		else if (e.event === 'open') channel = e;
	});
	const nativeOpen = native.event('open');
	let ms = null;
	const pumping = browser.pump((m) => {
		if (m.offer) later(() => native.do('answer', { sdp: toNative(m.offer) }));
		else if (m.answer) later(() => native.do('accept', { sdp: toNative(m.answer) }));
		else if (m.candidate) { const c = toNative(m.candidate); if (c) later(() => native.do('candidate', { candidate: c })); }
		else if (m.open) { ms = m.ms; return false; }
		return true;
	});
	if (browserOffers) {
		await browser.offer(label, video);
	} else {
		native.do('open', { label });
		native.do('offer');
	}
	await Promise.all([pumping, nativeOpen]);
	off();
	return { ms, channel: channel.channel, label: channel.text };
}

/** The browser asks for new ICE credentials under the running session; until the native side has a new route. */
export async function restart(browser, native) {
	const routed = native.event('route');
	const off = native.on((e) => {
		if (e.event === 'description') void browser.accept(e.text);
		else if (e.event === 'candidate') void browser.candidate(e.text);
	});
	void browser.pump((m) => {
		if (m.offer) native.do('answer', { sdp: m.offer });
		else if (m.candidate) native.do('candidate', { candidate: m.candidate });
		return !m.closed;
	}).catch(() => {}); // the page closed meanwhile
	await browser.restart();
	await routed;
	off();
}
