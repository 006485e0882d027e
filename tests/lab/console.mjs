// A person in a site of the lab: a browser in this network namespace signs in, opens a device, and works in its terminal.
// Told by the words of the command line, then by lines; says what it sees in lines of JSON.
//
//   console.mjs '{"browser":"chromium","link":"https://…","device":ID,"trusted":SPKI,"proxy":"http://…","method":"local",
//                 "transport":"udp"}'
//
//   < {"event":"settled","route":Route,"hosts":[…],"opened_ms":…}   the route is the wanted one, or time is over
//   > data     < {"event":"data"}                                   300 kB have come through the terminal
import { createInterface } from 'node:readline';
import { launch } from '../e2e/browser.mjs';
import { until } from '../e2e/rig.mjs';
import { inTerminal, prompted } from '../e2e/work.mjs';

// Chromium stops gathering as soon as a pair works. Where that is a relayed one within 100 ms of its first candidate, it has not
// come to TCP yet, and a local route over TCP is only found when the console looks for a better one, 20 s later.
const SETTLE_MS = 50_000;
const DATA = 300_000;
const wanted = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Runs in the page before its scripts: keeps the connections, whose candidates the page does not show. */
function keepConnections() {
	const Real = window.RTCPeerConnection;
	window.__connections = [];
	window.RTCPeerConnection = class extends Real {
		constructor(...words) {
			super(...words);
			window.__connections.push(this);
		}
	};
}

/** In the page: what the hub has about the session, and the addresses that this browser named as its own. */
async function routeOf(device) {
	const all = (await (await fetch(`/api/sessions?device=${device}`)).json()).sessions;
	const hosts = window.__connections.flatMap((pc) => pc.localDescription?.sdp.split('\r\n') ?? [])
		.filter((line) => line.startsWith('a=candidate:') && line.includes(' typ host')).map((line) => line.split(' ')[4]);
	return { route: all[0]?.route ?? null, hosts, badge: document.querySelector('[data-route]')?.dataset.route ?? '' };
}

async function settle(page) {
	let seen;
	const good = ({ route, badge }) => badge === wanted.method && route?.method === wanted.method && route.transport === wanted.transport;
	await until('the wanted route', async () => {
		seen = await page.eval(routeOf, wanted.device);
		return good(seen);
	}, SETTLE_MS).catch(() => {});
	return seen;
}

const web = await launch(wanted.browser, wanted);
try {
	const { page } = web;
	await page.before(keepConnections);
	await page.goto(wanted.link);
	await page.until('the device', (id) => document.querySelector(`a[href="/devices/${id}"]`) !== null, wanted.device);
	const began = Date.now();
	await page.eval((id) => document.querySelector(`a[href="/devices/${id}"]`).click(), wanted.device);
	await page.until('a route', () => document.querySelector('[data-route]') !== null, null, 40_000);
	const opened = Date.now() - began;
	await prompted(page);
	await inTerminal(page, 'echo $((40+2))-from-here', '42-from-here');
	say({ event: 'settled', opened_ms: opened, ...(await settle(page)) });
	await lines.next();
	await inTerminal(page, `head -c ${DATA} /dev/zero | tr '\\0' x; echo; echo al''l-came`, 'all-came');
	say({ event: 'data' });
	await lines.next();
} catch (error) {
	say({ event: 'failed', text: error.message, page: await web.page.eval(() => document.body.innerText.slice(0, 600)).catch(String) });
} finally {
	await web.close();
}
process.exit(0);
