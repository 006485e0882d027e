// A person at work in the console, in a real browser against a whole Fairlead: sign in, see the device, watch and control
// its screen, type into its terminal, read the route.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { startRig } from './rig.mjs';
import { childOf, inTerminal, openDevice, prompted, seesColour } from './work.mjs';

const BROWSER = process.env.FAIRLEAD_BROWSER ?? 'chromium';
const OFFLINE_MS = 5_000;
let rig, web, page;

before(async () => {
	rig = await startRig();
	web = await launch(BROWSER);
	page = web.page;
}, { timeout: 120_000 });

after(async () => {
	if (process.env.FAIRLEAD_VERBOSE) console.log(rig?.up.errors.join('\n'));
	await web?.close();
	await rig?.stop();
}, { timeout: 60_000 });

async function clean(name) {
	for (const scheme of ['light', 'dark']) {
		await page.theme(scheme);
		await page.shot(`${name}-${scheme}`);
		assert.deepEqual(await page.axe(), [], `axe on ${name}, ${scheme}`);
	}
	await page.theme('light');
	assert.deepEqual(await page.violations(), [], `policy violations on ${name}`);
}

test('the sign-in page', async () => {
	await page.goto(`${rig.origin}/sign-in`);
	await page.text(/Sign in/);
	await clean('sign-in');
});

test('the one-time link signs in, once', async () => {
	await page.goto(rig.link);
	await page.text(/Devices/);
	assert.ok(!(await page.eval(() => location.href)).includes('code='), 'the code stays out of the address');
});

test('the device appears without a reload', async () => {
	await page.text(/1 device, 1 online/);
	await clean('devices');
});

test('a click on the device shows its live screen', async () => {
	await openDevice(page);
	await seesColour(rig, page, 'd03030');
	await seesColour(rig, page, '2060e0');
});

test('the route says local', async () => {
	await page.until('the route badge', () => document.querySelector('[data-route]')?.dataset.route === 'local');
	await clean('device');
	await page.eval(() => document.querySelector('[data-route]').click());
	await page.text(/Straight across one network/);
	await clean('route');
	await page.press('Escape');
});

test('watching moves nothing; a click on Control does', async () => {
	const middleNow = () => page.eval(() => {
		const box = document.querySelector('video').getBoundingClientRect();
		return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
	});
	let middle = await middleNow();
	await page.clickAt(middle.x, middle.y);
	await page.click('button', 'Control');
	await page.text(/You control this screen/);
	assert.deepEqual(rig.window.lines.filter((line) => line.startsWith('click')), []);
	middle = await middleNow(); // the notice moved the picture down
	await page.clickAt(middle.x, middle.y);
	const click = (await rig.window.line(/^click 1 (\d+) (\d+)$/, 10_000)).slice(1).map(Number);
	assert.ok(Math.abs(click[0] - 640) <= 4 && Math.abs(click[1] - 400) <= 4, `clicked at ${click}`);
	await page.keys('aé');
	await rig.window.line(/^key a$/, 10_000);
	await rig.window.line(/^key eacute$/, 10_000);
	await clean('control');
});

test('the terminal echoes', async () => {
	await prompted(page);
	await inTerminal(page, 'echo $((40+2))-from-here', '42-from-here');
	await clean('terminal');
});

test('audit log and settings', async () => {
	await page.goto(`${rig.origin}/audit`);
	await page.text(/session/i);
	await clean('audit');
	await page.goto(`${rig.origin}/settings`);
	await page.text(/Password/);
	await clean('settings');
});

test('the device goes offline in the list when its client ends', async () => {
	await page.goto(`${rig.origin}/devices`);
	await page.text(/1 online/);
	const pid = childOf(rig.up.process.pid, 'fairlead-client');
	process.kill(pid, 'SIGSTOP'); // as if the power went: no goodbye
	const began = Date.now();
	await page.text(/0 online/, 15_000);
	const took = Date.now() - began;
	process.kill(pid, 'SIGCONT');
	await page.text(/1 online/, 15_000);
	console.log(`offline in the list after ${took} ms of silence`);
	assert.ok(took < 2 * OFFLINE_MS, `took ${took} ms`);
	await clean('back');
});

test('a spent link says what to do', async () => {
	await page.goto('about:blank');
	await page.goto(rig.link);
	await page.text(/already used or has expired/);
	await clean('spent-link');
});
