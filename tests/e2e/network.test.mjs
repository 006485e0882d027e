// Which way a session takes, why, and what an administrator makes of it: the popover, the report, the network page and
// the policies, in a real browser against a whole Fairlead, also on a network that drops UDP.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { DEBUG_PORT, launch, VIEW } from './browser.mjs';
import { Child, startRig } from './rig.mjs';
import { inTerminal, openDevice, prompted } from './work.mjs';

const BROWSER = process.env.FAIRLEAD_BROWSER ?? 'chromium';
const HOST = '11.77.0.1';
/** relay, hub, and what drives Firefox: one end of every connection that is not between browser and device */
const SERVERS = `3478, 8443, 9443, ${DEBUG_PORT}`;
/** another hub with regions, known by a name of several labels; nobody is signed in there */
const PUBLIC_PORT = 9443;
const PUBLIC = `https://hub.test:${PUBLIC_PORT}`;
const NARROW = { width: 700, height: 900 };
const TALL = 2600; // the whole of a report at once
const run = promisify(execFile);
let rig, other, origin, web, page, device;

before(async () => {
	// what a relay hands out must be told apart from what browser and client use, for the filter below
	await writeFile('/proc/sys/net/ipv4/ip_local_port_range', '20000 29999');
	// a public address, so that the relay carries what goes there without --allow-peer
	await run('ip', ['address', 'add', `${HOST}/24`, 'dev', 'lan0']);
	rig = await startRig();
	origin = rig.origin.replace('localhost', HOST);
	web = await launch(BROWSER, { resolved: HOST });
	page = web.page;
	await page.goto(rig.link.replace('localhost', HOST));
	await page.text(/1 device, 1 online/);
}, { timeout: 120_000 });

after(async () => {
	if (process.env.FAIRLEAD_VERBOSE) console.log(rig?.up.errors.join('\n'));
	await web?.close();
	await other?.stop();
	await rig?.stop();
}, { timeout: 60_000 });

const fetched = (path) => page.eval(async (wanted) => (await fetch(wanted)).json(), path);
const route = () => page.eval(() => document.querySelector('[data-route]')?.dataset.route);

async function look(name) {
	await page.shot(name);
	assert.deepEqual(await page.axe(), [], `axe on ${name}`);
	assert.ok((await page.sideways()) <= 0, `${name} is wider than the window`);
}

/** Light, dark, narrow and from right to left. */
async function clean(name, ready) {
	for (const scheme of ['light', 'dark']) {
		await page.theme(scheme);
		await look(`${name}-${scheme}`);
	}
	await page.theme('light');
	await page.size(NARROW.width, NARROW.height);
	await look(`${name}-narrow`);
	await page.size(VIEW.width, VIEW.height);
	assert.deepEqual(await page.violations(), [], `policy violations on ${name}`);
	if (!ready) return;
	await page.language('ar-XB');
	await page.text(ready);
	await look(`${name}-rtl`);
	assert.deepEqual(await page.violations(), [], `policy violations on ${name}, right to left`);
	await page.language(null);
	await page.text(ready);
}

/** A firewall that drops UDP, and TCP from one computer to the other; only what the relay's own addresses say to each other passes. */
async function dropUdp() {
	const file = `${rig.data}/filter`;
	await writeFile(file, `table inet site {\n chain out {\n type filter hook output priority 0;\n udp dport { 3478, 20000-29999 } drop\n tcp dport 20000-29999 tcp sport != { ${SERVERS} } drop\n tcp sport 20000-29999 tcp dport != { ${SERVERS} } drop\n }\n}\n`);
	await run('nft', ['-f', file]);
}

async function routeIs(method, ms) {
	try {
		await page.until(`the ${method} route`, (wanted) => document.querySelector('[data-route]')?.dataset.route === wanted, method, ms);
	} catch (error) {
		const [last] = (await fetched('/api/sessions')).sessions;
		throw new Error(`${error.message}\n${await page.eval(() => document.body.innerText)}\n${JSON.stringify(last, null, 1)}`);
	}
}

const openPopover = () => page.eval(() => document.querySelector('[data-route]').click());

/** Sets the route policy of a place as a program would. */
async function policy(place, value) {
	const status = await page.eval(async ([id, body]) => (await fetch(`/api/places/${id}`, {
		method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ policy: body }),
	})).status, [place, value]);
	assert.equal(status, 200);
}

/** Ends the running session and begins another one, with the policy of now. */
const again = () => page.goto(`${origin}/devices/${device}`);

test('the popover says which way, why, and what came of each method', async () => {
	await openDevice(page);
	device = decodeURIComponent(await page.eval(() => location.pathname.split('/')[2]));
	await routeIs('local');
	await openPopover();
	await page.text(/Straight across one network\. You and the device are on the same network/);
	await page.text(/in use/);
});

test('Try again looks for another route and says what came of it; the session goes on', async () => {
	const { sessions } = await fetched('/api/sessions');
	await page.click('button', 'Try again');
	await page.text(/This is still the best route/);
	assert.equal(await route(), 'local');
	assert.deepEqual((await fetched('/api/sessions')).sessions.map((s) => [s.id, s.ended]), sessions.map((s) => [s.id, s.ended]));
});

test('the full report shows both ends', async () => {
	await page.click('link', 'Full report');
	await page.text(/Route to/);
	await page.text(/Candidates/);
	await page.until('a pair in use', () => document.querySelectorAll('table[aria-labelledby="pairs"] tr[data-used]').length === 1);
	assert.ok(await page.eval(() => document.querySelectorAll('table[aria-labelledby="candidates"] tbody tr').length) >= 2);
	await clean('report', /Candidates/);
	await page.eval(() => document.querySelector('input[value="device"]').click());
	await page.until('the interface of the device', () => document.querySelector('table[aria-labelledby="candidates"]')?.innerText.includes('lan0'));
	await page.size(NARROW.width, TALL);
	await look('report-device');
	await page.size(VIEW.width, VIEW.height);
});

test('the report of a past session is kept', async () => {
	const [{ id }] = (await fetched('/api/sessions')).sessions;
	await page.goto(`${origin}/devices/${device}`);
	await routeIs('local');
	await page.goto(`${origin}/devices/${device}/route?session=${id}`);
	await page.text(/Straight across one network/);
	const kept = (await fetched(`/api/sessions/${id}`)).session;
	assert.ok(kept.ended > 0);
	assert.equal(kept.routes.console.method, 'local');
	assert.ok(kept.routes.console.candidates.some((c) => c.side === 'local' && c.use === 'selected'));
	assert.ok(kept.routes.console.servers.length > 0, 'the servers that were asked');
	assert.equal(kept.routes.device.method, 'local');
});

test('the network page says that all is local', async () => {
	await page.goto(`${origin}/network`);
	await page.text(/All local/);
	await page.text(/100/);
	await clean('network', /All local/);
});

/** The names and text of everything that was copied or saved since, instead of doing it. */
const catchSaved = () => page.eval(() => {
	window.__saved = [];
	URL.createObjectURL = (blob) => {
		blob.text().then((text) => window.__saved.push(text));
		return 'blob:nothing';
	};
	HTMLAnchorElement.prototype.click = () => {};
});

/** What the test of the network says, step by step: { "stun 0": "good", … }, and what it makes of the methods. */
async function tested() {
	await page.click('button', 'Test this network');
	await page.until('the end of the test', () => document.querySelectorAll('[data-verdict]').length === 3, undefined, 15_000);
	const [steps, verdicts] = await page.eval(() => [
		Object.fromEntries([...document.querySelectorAll('[data-step]')].map((one) => [one.dataset.step, one.dataset.state])),
		[...document.querySelectorAll('[data-verdict]')].map((one) => one.dataset.verdict),
	]);
	const said = await page.eval(() => [...document.querySelectorAll('[data-step]')].map((one) => one.innerText.replaceAll('\n', ' ')));
	return { steps, verdicts, said };
}

test('without an account the page lists what must pass, by region, and what it saves is what the command writes', async () => {
	other = new Child(join(process.env.FAIRLEAD_BUILD, 'fairlead-hub'), [
		'--data', join(rig.data, 'other'), '--listen', `${HOST}:${PUBLIC_PORT}`, '--name', 'hub.test', '--stun', `${HOST}:3478`, '--stun', '10.77.0.1:3478',
		'--turn', 'turn:relay.hub.test:3478?transport=udp', '--turn', 'turn:relay.hub.test:3478?transport=tcp', '--turn', 'turns:relay.hub.test:443?transport=wss',
		'--turn-secret-file', join(rig.data, 'relay.secret'),
		...['eu', 'us'].flatMap((region) => ['log-captures', 'modules', 'notifications'].flatMap((store) => ['--store', `${region}/${store}=https://${store}.${region}.example.net/`])),
	]);
	await other.line(/^ready/);
	await page.goto(`${PUBLIC}/sign-in`);
	await page.click('link', 'What the network has to let pass, and a test of it');
	await page.text(/What your network has to let pass/);
	await page.text(/log-captures\.us\.example\.net/);
	await page.text(/Method 3: Relayed/);
	await page.size(390, TALL);
	await page.shot('needs-phone');
	assert.ok((await page.sideways()) <= 0, 'the list is wider than a telephone');
	assert.ok(await page.eval(() => document.documentElement.scrollHeight <= innerHeight), 'the document scrolls beside the page');
	await page.size(VIEW.width, VIEW.height);
	await page.print('needs-print', async () => {
		const [shown, color, wide, high] = await page.eval(() => [
			[...document.querySelectorAll('header, nav, button, input')].filter((one) => one.getClientRects().length > 0).length,
			getComputedStyle(document.querySelector('tbody td')).color, document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight / innerHeight,
		]);
		assert.deepEqual([shown, color], [0, 'rgb(0, 0, 0)'], 'black, and nothing to press');
		assert.ok(wide <= 0 && high > 1.5, 'the whole list, on several sheets');
	});
	await page.goto(`${PUBLIC}/network?region=eu`);
	await page.text(/log-captures\.eu\.example\.net/);
	assert.ok(!(await page.eval(() => document.body.innerText.includes('us.example.net'))), 'the other region is left out');
	// a shorter list, because each look at it costs by its length
	await page.goto(`${PUBLIC}/network?region=eu&later=0`);
	await page.text(/Method 3: Relayed/);
	await clean('needs', /What your network has to let pass/);
	await page.goto(`${PUBLIC}/network?region=eu`);
	await page.text(/realtime\.hub\.test/);
	const names = async () => page.eval(() => [...document.querySelectorAll('tbody bdi.mono')].map((one) => one.innerText));
	assert.ok((await names()).includes('realtime.hub.test'));
	await catchSaved();
	for (const form of ['Text', 'CSV', 'JSON']) await page.click('button', form);
	await page.click('checkbox', 'Wildcards');
	await page.until('a wildcard', () => location.search.includes('wildcard=1') && [...document.querySelectorAll('tbody bdi.mono')].some((one) => one.innerText === '*.hub.test'));
	assert.ok(!(await names()).includes('realtime.hub.test'));
	await page.click('button', 'Text');
	await page.until('four lists', () => window.__saved.length === 4);
	const saved = await page.eval(() => window.__saved);
	const network = join(rig.data, 'network.json');
	await writeFile(network, await page.eval(async () => (await fetch('/network.json')).text()));
	const command = async (...more) => (await run(join(process.env.FAIRLEAD_BUILD, 'fairlead'), ['allowlist', '--network', network, '--region', 'eu', ...more])).stdout;
	assert.equal(saved[0], await command('--all'));
	assert.equal(saved[1], await command('--all', '--format', 'csv'));
	assert.deepEqual(JSON.parse(saved[2]), JSON.parse(await command('--all', '--format', 'json')));
	assert.equal(saved[3], await command('--wildcard'));
	assert.deepEqual(await page.violations(), []);
});

test('without an account the page tests hub, WebSocket and STUN, and says what it needs for more', async () => {
	await page.goto(`${PUBLIC}/network?view=test`);
	const { steps, verdicts, said } = await tested();
	console.log(said.join('\n'));
	assert.deepEqual([steps.hub, steps.realtime, steps.webrtc, steps['stun 0'], steps['stun 1'], steps.turn], ['good', 'good', 'good', 'good', 'good', 'unknown']);
	assert.equal(verdicts[0], 'likely');
	assert.match(verdicts[1], /^(yes|likely)$/);
	await look('nettest-public');
	assert.deepEqual(await page.violations(), []);
});

test('signed in the page tests the relay by each way', async () => {
	await page.goto(`${origin}/network?view=test`);
	const { steps, verdicts, said } = await tested();
	console.log(said.join('\n'));
	const tls = said.findIndex((text) => text.includes('Relay over TLS'));
	// over TLS the browser would have to know who signed the hub's own certificate
	const names = Object.keys(steps).filter((step, at) => step !== 'mapping' && at !== tls);
	assert.deepEqual(names, ['hub', 'realtime', 'webrtc', 'stun 0', 'turn 0', 'turn 1']);
	for (const step of names) assert.equal(steps[step], 'good', step);
	assert.match(verdicts.join(), /^likely,(yes|likely),yes$/);
	await page.text(/The relay answers over UDP/);
	await page.goto(`${origin}/network?view=needs`);
	await page.text(/What your network has to let pass/);
	await page.shot('needs-staff');
});

test('a place gets a policy, and refuses a wrong one', async () => {
	await page.goto(`${origin}/settings?view=places`);
	await page.text(/Methods allowed/);
	await page.click('button', 'Add a place');
	await page.fill('textbox', 'Name', 'Library');
	await page.click('button', 'Add');
	await page.until('the new place', () => [...document.querySelectorAll('h2')].some((h) => /^Library/.test(h.innerText)));
	await page.click('checkbox', 'Set here UDP ports of the client');
	await page.fill('textbox', 'UDP ports of the client', '50999-50000');
	await page.click('button', 'Save the policy');
	await page.text(/the lower one first/);
	await look('policy-wrong');
	await page.fill('textbox', 'UDP ports of the client', '21000-21999');
	await page.click('checkbox', 'Set here Relay');
	await page.eval(() => document.querySelector('input[value="last-resort"]').click());
	await page.click('button', 'Save the policy');
	await page.text(/It holds for sessions that begin from now on/);
	await clean('policy', /Library/);
	const { places } = await fetched('/api/places');
	assert.deepEqual(places.find((p) => p.name === 'Library').policy, { relay: 'last-resort', udpPorts: '21000-21999' });
});

test('the device moves to the place, and the place’s policy is its', async () => {
	const { places } = await fetched('/api/places');
	const library = places.find((p) => p.name === 'Library');
	await page.goto(`${origin}/devices/${device}`);
	await page.until('the places', () => document.querySelector('select[aria-labelledby="place"]')?.options.length === 2);
	await page.eval((id) => {
		const select = document.querySelector('select[aria-labelledby="place"]');
		select.value = id;
		select.dispatchEvent(new Event('change', { bubbles: true }));
	}, library.id);
	await page.until('the device in its place', async ([id, place]) => (await (await fetch('/api/devices')).json()).devices.some((d) => d.id === id && d.place === place), [device, library.id]);
	await routeIs('local');
	await look('device-place');
});

test('a policy that allows the relay only is kept to, and named as the cause', async () => {
	const library = (await fetched('/api/devices')).devices[0].place;
	await policy(library, { methods: ['relayed'] });
	await again();
	await routeIs('relayed', 30_000);
	await openPopover();
	await page.text(/The policy of this device does not allow a better route/);
	await page.text(/The policy of this device rules it out/);
	await page.press('Escape');
	await policy(library, {});
});

test('where UDP is dropped the session is relayed over TCP, with the rule that helps; when it passes again it is local', async () => {
	// everything but what the relay's own addresses say to each other
	await dropUdp();
	await again();
	await routeIs('relayed', 40_000);
	await openPopover();
	await page.text(/UDP/);
	await page.text(/What to change/);
	const rule = await page.eval(() => document.querySelector('[role="dialog"] code').innerText);
	console.log(`the rule: ${rule}`);
	assert.match(rule, /→ .+ udp .+, keep state$/);
	await clean('relayed');
	await page.language('ar-XB');
	await routeIs('relayed', 40_000);
	await openPopover();
	await page.text(/What to change/);
	await look('relayed-rtl');
	await page.language(null);
	await routeIs('relayed', 40_000);
	await openPopover();
	await page.text(/What to change/);
	await page.click('link', 'Full report');
	await page.text(/Servers asked/);
	await clean('report-relayed', /Servers asked/);
	await page.goto(`${origin}/network`);
	await page.text(/What to change|keep state/);
	await clean('network-relayed', /keep state/);
	await page.goto(`${origin}/network?view=test`);
	const { steps, verdicts, said } = await tested();
	console.log(said.join('\n'));
	assert.deepEqual([steps.hub, steps.realtime, steps.webrtc, steps['stun 0'], steps['turn 0'], steps['turn 1']], ['good', 'good', 'good', 'bad', 'bad', 'good']);
	assert.deepEqual(verdicts, ['likely', 'no', 'limited']);
	await page.text(/Let UDP out to .+:3478, with the answers/);
	await clean('nettest-blocked');
	await page.goto(`${origin}/devices/${device}`);
	await routeIs('relayed', 40_000);
	await run('nft', ['delete', 'table', 'inet', 'site']);
	const since = Date.now();
	await routeIs('local', 60_000);
	console.log(`local again ${Date.now() - since} ms after the filter was gone`);
	await page.text(/Route is local now/);
	assert.deepEqual(await page.violations(), []);
});

test('the path dies in mid-session: it goes on through the relay', async () => {
	const [{ id }] = (await fetched('/api/sessions')).sessions;
	await prompted(page);
	await inTerminal(page, 'kept=$((1000+234))', 'kept');
	await dropUdp();
	const since = Date.now();
	await routeIs('relayed', 40_000);
	console.log(`relayed ${Date.now() - since} ms after the path died`);
	const [now] = (await fetched('/api/sessions')).sessions;
	console.log(now.id === id ? 'in the same session' : 'in a new session');
	// Firefox finds no relay over TCP in a restart; there the console begins another session by itself
	if (BROWSER === 'chromium') {
		await inTerminal(page, 'echo still-$kept', 'still-1234', 30_000);
		assert.deepEqual([now.id, now.ended], [id, null]);
		await page.text(/Route is relayed now/);
	}
	await run('nft', ['delete', 'table', 'inet', 'site']);
});

test('local only refuses where nothing is local, instead of slipping to the relay', async () => {
	const library = (await fetched('/api/devices')).devices[0].place;
	await policy(library, { methods: ['local'] });
	await dropUdp();
	await again();
	await page.text(/No route that is allowed for this device works here/, 60_000);
	await page.text(/Full report/);
	await look('refused');
	const [last] = (await fetched('/api/sessions')).sessions;
	assert.equal((await fetched(`/api/sessions/${last.id}`)).session.routes.console.method, 'none');
});
