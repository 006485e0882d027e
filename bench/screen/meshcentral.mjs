// MeshCentral as a product to measure: its server, its Linux agent and its web page from the npm package, on loopback,
// as it comes out of the box: NeDB, a certificate of its own, desktop over WebSocket (WebRTC is off by default), JPEG tiles.
// Out of a folder of its own; the network namespace around the bench keeps it from calling anyone. See measure.mjs.
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Child, startDisplay, until } from '../../tests/e2e/rig.mjs';
import { commandOf, family } from './measure.mjs';

const PACKAGE = join(import.meta.dirname, 'node_modules/meshcentral');
const HOST = '127.0.0.1';
const PORT = 8444; // free: the namespace is the bench's own
const ORIGIN = `https://${HOST}:${PORT}`;
const ADMIN = 'admin';
const PASSWORD = 'Bench-1234'; // of a server that lives a minute on loopback
const START_MS = 120_000; // it makes five certificates and signs its Windows agents first
const CONFIG = {
	settings: {
		cert: HOST, WANonly: true, port: PORT, redirPort: 0, exactPorts: true, selfUpdate: false, autoBackup: false,
		agentTimeStampServer: false, webRTC: false,
	},
	domains: { '': { newAccounts: false } },
};

async function run(what, args, cwd) {
	const child = new Child(process.execPath, args, { cwd });
	const { code } = await child.ended;
	if (code !== 0) throw new Error(`${what} ended with ${code}: ${[...child.lines, ...child.errors].slice(-5).join(' | ')}`);
	return child.lines.join('\n');
}

async function startServer(folder) {
	const program = [join(PACKAGE, 'meshcentral.js'), '--datapath', folder, '--filespath', join(folder, 'files'), '--configfile', join(folder, 'config.json')];
	await writeFile(join(folder, 'config.json'), JSON.stringify(CONFIG));
	await run('--createaccount', [...program, '--createaccount', ADMIN, '--pass', PASSWORD], folder);
	await run('--adminaccount', [...program, '--adminaccount', ADMIN], folder);
	const server = new Child(process.execPath, program, { cwd: folder });
	await server.line(/HTTPS server running/, START_MS);
	return server;
}

const control = (folder, ...args) => run(args[0], [
	join(PACKAGE, 'meshctrl.js'), ...args, '--url', `wss://${HOST}:${PORT}`, '--loginuser', ADMIN, '--loginpass', PASSWORD,
], folder);

/** The .msh file that joins an agent to a group; the server's certificate is its own, so the page fetches it. */
async function settingsFor(page, group) {
	const answer = await page.request.get(`${ORIGIN}/meshsettings?id=${encodeURIComponent(group)}`, { ignoreHTTPSErrors: true });
	if (!answer.ok()) throw new Error(`/meshsettings answered ${answer.status()}`);
	return answer.body();
}

/**
 * Left alone, the agent takes its display from the environment of any process it finds: now
 * and then the viewer's, or that of whoever else works on this machine. So it sees no process but its own, and a /tmp in
 * which there is one display. It offers a desktop only where ps names a process with an X in it, which the shell then is.
 */
const ALONE = `set -e
mkdir -p tmp/.X11-unix
touch "tmp/.X11-unix/X$1"
mount --bind "/tmp/.X11-unix/X$1" "tmp/.X11-unix/X$1"
mount --rbind tmp /tmp
printf Xvfb >/proc/$$/comm
"$2" connect
exit $?`; // a last command would take the place of the shell

/** The agent writes beside its own binary, so it gets a folder. */
async function startAgent(folder, settings, env) {
	const home = join(folder, 'agent');
	const binary = join(home, 'meshagent');
	await mkdir(home);
	await copyFile(join(PACKAGE, 'agents/meshagent_x86-64'), binary);
	await chmod(binary, 0o755);
	await writeFile(`${binary}.msh`, settings);
	return new Child('unshare', [
		'--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', ALONE, 'agent', env.DISPLAY.slice(1), binary,
	], { cwd: home, env });
}

async function signIn(page) {
	await page.goto(ORIGIN);
	await page.locator('#username').fill(ADMIN);
	await page.locator('#password').fill(PASSWORD);
	await page.locator('#loginButton').click();
	await page.waitForFunction(() => typeof window.nodes !== 'undefined');
}

/**
 * Counts what is drawn on the desktop's canvas, and the bytes of the socket that carries it. The tiles of one picture
 * come as messages of their own, so a frame is an animation frame of the page in which something was drawn.
 */
const watchDesktop = () => {
	const seen = { frames: 0, bytes: 0, onDraw: null };
	window.__desktop = seen;
	let drawn = false;
	const draw = CanvasRenderingContext2D.prototype.drawImage;
	CanvasRenderingContext2D.prototype.drawImage = function (...args) {
		if (this.canvas.id === 'Desk') {
			seen.onDraw?.();
			if (!drawn) requestAnimationFrame(() => { drawn = false; seen.frames++; });
			drawn = true;
		}
		return draw.apply(this, args);
	};
	const Native = window.WebSocket;
	window.WebSocket = class extends Native {
		constructor(url, protocols) {
			super(url, protocols);
			if (/meshrelay/.test(url)) this.addEventListener('message', (e) => { seen.bytes += e.data.byteLength ?? e.data.length; });
		}
	};
};

const clickToPicture = () => new Promise((done) => {
	const seen = window.__desktop;
	const began = performance.now();
	seen.onDraw = () => {
		seen.onDraw = null;
		requestAnimationFrame((now) => done(now - began));
	};
	document.getElementById('connectbutton1').click();
});

/** Until the device is listed with an agent that can show a desktop; then its Desktop tab is opened. */
async function openDesktopTab(page) {
	const node = await until('the agent in the device list', () => page.evaluate(() => (window.nodes ?? [])
		.find((one) => one.conn & 1 && one.agent?.caps & 1)?._id), START_MS);
	await page.evaluate((id) => window.gotoDevice(id, 11), node);
	await ready(page);
}

const ready = (page) => page.waitForFunction(() => window.desktop == null && !document.getElementById('connectbutton1').disabled
	&& document.getElementById('connectbutton1').offsetParent !== null);

export const meshCentralIsThere = () => existsSync(PACKAGE);

export async function startMeshCentral(viewer) {
	const { page } = viewer;
	const folder = await mkdtemp(join(process.env.FAIRLEAD_BENCH_TOOLS, 'meshcentral-'));
	const shown = await startDisplay(folder);
	const server = await startServer(folder);
	await control(folder, 'AddDeviceGroup', '--name', 'bench');
	const group = JSON.parse(await control(folder, 'ListDeviceGroups', '--json'))[0]._id.split('/')[2];
	const agent = await startAgent(folder, await settingsFor(page, group), shown.env);
	await page.addInitScript(watchDesktop);
	await signIn(page);
	await openDesktopTab(page);
	const { version } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'));
	return {
		name: 'MeshCentral', version, viewer, env: shown.env, picture: '#Desk',
		first: () => page.evaluate(clickToPicture),
		async end() {
			await page.locator('#disconnectbutton1').click();
			await ready(page);
		},
		counters: () => page.evaluate(() => ({ at: performance.now(), frames: window.__desktop.frames, bytes: window.__desktop.bytes, lost: 0 })),
		processes: () => family(agent.process.pid).filter((pid) => commandOf(pid) === 'meshagent'),
		async stop() {
			await agent.stop();
			await server.stop('SIGINT');
			await shown.stop();
			await rm(folder, { recursive: true, force: true });
		},
	};
}
