// A person works on a device while its programs are killed: what the killed one did not carry goes on untouched, and
// the rest is back by itself within five seconds, without a reload and without a click.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { startRig, until } from './rig.mjs';
import { childOf, inTerminal, openDevice, prompted, seesColour } from './work.mjs';

const BROWSER = process.env.FAIRLEAD_BROWSER ?? 'chromium';
const BACK_MS = 5_000;
/** what a busy test machine may add */
const SLACK_MS = 5_000;
let rig, web, page;

const hubPid = () => childOf(rig.up.process.pid, 'fairlead-hub');
const clientPid = () => childOf(rig.up.process.pid, 'fairlead-client');
const modulePid = (name) => childOf(clientPid(), name);

function kill(pid) {
	assert.ok(pid > 0, 'the program to be killed runs');
	process.kill(pid, 'SIGKILL');
	return Date.now();
}

function back(what, since) {
	const took = Date.now() - since;
	console.log(`${what} after ${took} ms`);
	assert.ok(took < BACK_MS + SLACK_MS, `${what} took ${took} ms`);
}

async function sessions() {
	const listed = await page.eval(async () => (await (await fetch('/api/sessions')).json()).sessions);
	return { running: listed.filter((s) => !s.ended).map((s) => s.id), all: listed.map((s) => s.id) };
}

/** How often a text stands in the terminal's visible lines. */
const count = (text) => page.eval((wanted) => document.querySelector('.xterm-rows').textContent.split(wanted).length - 1, text);

before(async () => {
	rig = await startRig();
	web = await launch(BROWSER);
	page = web.page;
	await page.goto(rig.link);
	await page.text(/1 device, 1 online/);
	await openDevice(page);
	await prompted(page);
	await page.until('the route badge', () => document.querySelector('[data-route]')?.dataset.route === 'local');
}, { timeout: 120_000 });

after(async () => {
	if (process.env.FAIRLEAD_VERBOSE) console.log(rig?.up.errors.join('\n'));
	await web?.close();
	await rig?.stop();
}, { timeout: 60_000 });

test('the hub is killed: screen and terminal go on, and the session is the same afterwards', async () => {
	await inTerminal(page, 'kept=$((1000+234))', 'kept');
	const before = await sessions();
	assert.equal(before.running.length, 1);
	// who would start it again is held up, so that the hub is away for long enough to be noticed
	process.kill(rig.up.process.pid, 'SIGSTOP');
	let since;
	try {
		kill(hubPid());
		await page.text(/No connection to the hub/);
		await inTerminal(page, 'echo hubless-$kept', 'hubless-1234');
		await seesColour(rig, page, 'd03030');
	} finally {
		process.kill(rig.up.process.pid, 'SIGCONT');
		since = Date.now();
	}
	await page.until('the notice that the hub is away to go', () => !/No connection to the hub/.test(document.body.innerText));
	await page.until('the device online in the hub\u2019s list', async () => {
		const answer = await fetch('/api/devices').catch(() => null);
		return answer?.ok && (await answer.json()).devices.some((device) => device.online);
	});
	back('the hub and the device in its list', since);
	await inTerminal(page, 'echo still-$kept', 'still-1234');
	assert.deepEqual(await sessions(), before, 'the session runs on under its old name');
	await page.until('the route badge', () => document.querySelector('[data-route]')?.dataset.route === 'local');
});

test('the terminal module is killed: a new shell opens by itself, the screen goes on', async () => {
	const before = await sessions();
	const since = kill(modulePid('terminal'));
	await until('a new terminal module', () => modulePid('terminal'));
	await until('a new shell that answers', async () => {
		await inTerminal(page, 'echo new-$((40+2))-$kept', 'new-42-', 1_000);
		return true;
	});
	back('a new shell', since);
	assert.equal(await count('new-42-1234'), 0, 'the old shell’s variable is gone');
	await seesColour(rig, page, '2060e0');
	assert.deepEqual(await sessions(), before);
});

test('the screen module is killed: the picture comes back, the terminal goes on', async () => {
	const before = await sessions();
	await inTerminal(page, 'kept=$((5000+678))', 'kept');
	const old = modulePid('screen');
	const since = kill(old);
	await inTerminal(page, 'echo screenless-$kept', 'screenless-5678');
	await until('a new screen module', () => modulePid('screen') && modulePid('screen') !== old);
	await seesColour(rig, page, '30a050');
	back('the picture', since);
	await inTerminal(page, 'echo same-$kept', 'same-5678');
	assert.deepEqual(await sessions(), before);
});

test('the client is killed: a new session begins by itself', async () => {
	const before = await sessions();
	const old = clientPid();
	const since = kill(old);
	await until('another client', () => clientPid() && clientPid() !== old);
	await until('another session', async () => {
		const now = await sessions();
		return now.running.length === 1 && now.running[0] !== before.running[0];
	});
	await page.until('the route badge', () => document.querySelector('[data-route]')?.dataset.route === 'local');
	await seesColour(rig, page, 'c0a020');
	back('the picture in a new session', since);
	await until('a shell that answers', async () => {
		await inTerminal(page, 'echo after-$((40+3))', 'after-43', 1_000);
		return true;
	});
	assert.deepEqual(await page.violations(), []);
});
