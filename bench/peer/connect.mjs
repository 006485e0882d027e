// createOffer → open data channel in the offerer's page: Chromium with libfairlead, both ways, and Chromium with
// itself in the same run, over one network path and one signalling path with the same delays.
// connect.mjs PEER_CLI DELAY RTT_MS COUNT, inside tests/support/netns.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BrowserSide, connect, NativeSide, openPage } from '../../tests/interop/peer/browser.mjs';

const [peerCli, delayProgram, rtt, count] = [process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])];
const IP = '10.77.0.1';
const oneWay = rtt / 2;

/** The delaying link: text from a side with its candidates turned into the link's. */
class Link {
	async start() {
		this.child = spawn(delayProgram, [IP, String(oneWay * 1000)], { stdio: ['pipe', 'pipe', 'inherit'] });
		const line = await new Promise((done) => createInterface({ input: this.child.stdout }).once('line', done));
		this.ports = line.split(' ').map(Number);
	}

	/** "" for a candidate that cannot go through the link. */
	from(side, text) {
		return text.split(/\r?\n/).map((line) => {
			const m = /^(a=)?candidate:(\S+) (\d+) udp (\d+) (\S+) (\d+) typ host/i.exec(line);
			if (!m) return line.includes('candidate:') ? null : line;
			if (m[5] !== IP && !m[5].endsWith('.local')) return null;
			this.child.stdin.write(`${side} ${m[6]}\n`);
			return `${m[1] ?? ''}candidate:${m[2]} ${m[3]} udp ${m[4]} ${IP} ${this.ports[1 - side]} typ host`;
		}).filter((line) => line !== null).join('\r\n');
	}

	stop() {
		this.child.stdin.end();
	}
}

const noLink = { from: (side, text) => text, stop() {} };

async function link() {
	if (!rtt) return noLink;
	const l = new Link();
	await l.start();
	return l;
}

async function withNative(browser, native, browserOffers) {
	const l = await link();
	const { ms } = await connect(browser, native, {
		browserOffers, delay: oneWay, map: { toBrowser: (t) => l.from(0, t), toNative: (t) => l.from(1, t) },
	});
	await browser.close();
	l.stop();
	return ms;
}

async function chromiumWithItself(a, b) {
	const l = await link();
	let ms = null, over = false;
	// what is still under way when the channel opened has no page to go to any more
	const now = (fn) => { if (!over) fn().catch(() => {}); };
	const later = (fn) => (oneWay ? setTimeout(() => now(fn), oneWay) : now(fn));

	await Promise.all([a.start(), b.start()]);
	const pumps = [a, b].map((self, side) => self.pump((m) => {
		const other = side ? a : b;
		if (m.offer) later(() => other.answer(l.from(side, m.offer)));
		else if (m.answer) later(() => other.accept(l.from(side, m.answer)));
		else if (m.candidate) { const c = l.from(side, m.candidate); if (c) later(() => other.candidate(c)); }
		else if (m.open) { if (!side) ms = m.ms; return false; }
		return true;
	}));
	await a.offer('c');
	await Promise.all(pumps);
	over = true;
	await Promise.all([a.close(), b.close()]);
	l.stop();
	return ms;
}

const first = await openPage('chromium');
const second = await first.another();
const [a, b] = [new BrowserSide(first.page), new BrowserSide(second)];
const native = new NativeSide(peerCli);
const results = { 'chromium-native': [], 'native-chromium': [], 'chromium-chromium': [] };

for (let i = 0; i < count; i++) { // in turns, so that all meet the same machine
	results['chromium-native'].push(await withNative(a, native, true));
	results['native-chromium'].push(await withNative(a, native, false));
	results['chromium-chromium'].push(await chromiumWithItself(a, b));
}
for (const [pair, times] of Object.entries(results)) {
	times.sort((x, y) => x - y);
	console.log(JSON.stringify({ pair, rtt_ms: rtt, count, open_ms: Number(times[count >> 1].toFixed(1)), open_max_ms: Number(times[count - 1].toFixed(1)) }));
}
await native.stop();
await first.close();
