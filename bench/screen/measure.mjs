// The four figures of bench/screen, measured in one way whatever the product. A product is what fairlead.mjs and
// meshcentral.mjs make:
//   name, version    for the print-out
//   viewer           what openViewer() made, and its page shows the product
//   env              the environment of a program shown on the device
//   picture          selector of the element in which the viewer's page shows the device's screen
//   first()          one click on "show me the screen" → milliseconds until the first picture; the session stays open
//   end()            ends it, and is back where one can click again
//   counters()       { at: ms, frames, bytes, lost: packets }, growing, of the open session
//   processes()      pids of what runs on the device for it
//   stop()
// The viewer is Chromium with a window on a virtual display, so that glass to glass ends on a display. The products take
// turns, click by click and figure by figure, so that what else the machine does meets both; only one has a session.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from '../../tests/e2e/node_modules/playwright-core/index.mjs';
import { Child, sleep } from '../../tests/e2e/rig.mjs';

const FIRST = Number(process.env.FIRST ?? 15);
const GLASS = Number(process.env.GLASS ?? 100);
const SCROLL_S = Number(process.env.SCROLL_S ?? 12);
const IDLE_S = Number(process.env.IDLE_S ?? 20);
const SETTLE_MS = 2000;
const REST_MS = 700; // between two clicks: what a page fetches ahead has come
const TICKS_PER_S = 100;
const TOOLS = process.env.FAIRLEAD_BENCH_TOOLS;
const FLAGS = [
	'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
	'--disable-sync', '--window-position=0,0', '--window-size=1600,1000', '--ignore-certificate-errors',
];

export const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];

export async function openViewer() {
	const xvfb = new Child('Xvfb', ['-displayfd', '1', '-screen', '0', '1600x1000x24', '-nolisten', 'tcp']);
	const display = `:${(await xvfb.line(/^(\d+)$/))[1]}`;
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium', headless: false, args: FLAGS, env: { ...process.env, DISPLAY: display },
	});
	const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: null });
	return {
		display, page: await context.newPage(), version: browser.version(),
		async stop() {
			await browser.close();
			await xvfb.stop();
		},
	};
}

async function firstPictures(products) {
	const times = new Map(products.map((product) => [product, []]));
	for (let i = 0; i < FIRST; i++)
		for (const product of products) {
			await sleep(REST_MS);
			times.get(product).push(await product.first());
			await sleep(REST_MS);
			await product.end();
		}
	return times;
}

/** Where the middle of the picture lies on the viewer's display. */
const middle = (page, selector) => page.evaluate((wanted) => {
	const box = document.querySelector(wanted).getBoundingClientRect();
	const left = window.screenX + (window.outerWidth - window.innerWidth) / 2;
	const top = window.screenY + window.outerHeight - window.innerHeight;
	return { x: Math.round(left + box.x + box.width / 2), y: Math.round(top + box.y + box.height / 2) };
}, selector);

async function glassToGlass({ viewer, picture, env }) {
	const at = await middle(viewer.page, picture);
	const child = new Child(join(TOOLS, 'bench_glass'), [env.DISPLAY, viewer.display, String(at.x), String(at.y), String(GLASS)]);
	const { code } = await child.ended;
	if (code !== 0) throw new Error(`bench_glass ended with ${code}: ${child.errors.join(' ')}`);
	return { times: child.lines.filter((line) => line !== 'lost').map(Number), lost: child.lines.filter((line) => line === 'lost').length };
}

async function scrollingText(product) {
	const child = new Child(join(TOOLS, 'bench_scroll'), [String(SCROLL_S + 3)], { env: product.env });
	await sleep(SETTLE_MS);
	const a = await product.counters();
	const cpu = cpuSeconds(product.processes());
	await sleep(SCROLL_S * 1000 - SETTLE_MS);
	const b = await product.counters();
	const used = cpuSeconds(product.processes()) - cpu;
	await child.stop();
	const seconds = (b.at - a.at) / 1000;
	return {
		lost: b.lost - a.lost, seconds,
		fps: (b.frames - a.frames) / seconds, mbit: ((b.bytes - a.bytes) * 8) / seconds / 1e6, percent: (used / seconds) * 100,
	};
}

function stat(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().split(' ');
	return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

/** A process and all that came from it and still runs; /proc shows other people's processes too. */
export function family(root) {
	const parents = new Map();
	for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
		try {
			parents.set(Number(entry), stat(entry).parent);
		} catch {
			// ended meanwhile
		}
	}
	const found = [root];
	for (let i = 0; i < found.length; i++)
		for (const [pid, parent] of parents) if (parent === found[i]) found.push(pid);
	return found;
}

export const commandOf = (pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();

const cpuSeconds = (pids) => pids.map((pid) => stat(pid).ticks).reduce((a, b) => a + b, 0) / TICKS_PER_S;

async function stillScreen(product) {
	const pids = product.processes();
	const before = cpuSeconds(pids);
	await sleep(IDLE_S * 1000);
	return { percent: ((cpuSeconds(pids) - before) / IDLE_S) * 100, names: pids.map(commandOf), seconds: IDLE_S };
}

/** All four figures of each product, by name. */
export async function measure(products) {
	const first = await firstPictures(products);
	const seen = new Map(products.map((product) => [product, { first: first.get(product) }]));
	for (const [name, figure] of Object.entries({ still: stillScreen, glass: glassToGlass, scroll: scrollingText }))
		for (const product of products) {
			await product.first();
			await sleep(SETTLE_MS);
			seen.get(product)[name] = await figure(product);
			await product.end();
		}
	return seen;
}
