// What a person does on the device page, in any of the browsers: look at the picture, type into the terminal.
import { execFileSync } from 'node:child_process';
import { until } from './rig.mjs';

/** A pixel of the picture that the video element shows, away from the pointer and the notice. */
const onePixel = () => {
	const video = document.querySelector('video');
	if (!video || !video.videoWidth) return null;
	const canvas = document.createElement('canvas');
	canvas.width = video.videoWidth;
	canvas.height = video.videoHeight;
	const context = canvas.getContext('2d');
	context.drawImage(video, 0, 0);
	return [...context.getImageData(canvas.width >> 2, canvas.height >> 1, 1, 1).data].slice(0, 3);
};

/** The test window takes this colour, and the picture shows it. */
export async function seesColour(rig, page, hex, ms) {
	const want = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
	rig.window.say(`colour ${hex}`);
	await until(`the colour ${hex} in the picture`, async () => {
		const got = await page.eval(onePixel);
		return got && got.every((value, i) => Math.abs(value - want[i]) < 24);
	}, ms);
}

/** Opens the only device of the list and waits for its first picture. */
export async function openDevice(page) {
	await page.eval(() => document.querySelector('a[href^="/devices/"]').click());
	await page.until('the first picture', () => document.querySelector('video')?.videoWidth > 0, null, 30_000);
}

/** Runs a command in the first terminal of the page until the screen shows what it prints. */
export async function inTerminal(page, command, shows, ms) {
	await page.eval(() => document.querySelector('.xterm-helper-textarea').focus());
	await page.keys(`${command}\n`);
	await page.until(`${shows} in the terminal`, (text) => document.querySelector('.xterm-rows').textContent.includes(text), shows, ms);
}

/** The shell has shown its prompt. */
export const prompted = (page) => page.until('the terminal', () => document.querySelector('.xterm-rows')?.textContent.trim().length > 0);

/** The one child of a process that runs the program of this name. */
export function childOf(parent, name) {
	let out = '';
	try {
		out = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(parent)], { encoding: 'utf8' });
	} catch {
		return 0; // ps has nothing to tell
	}
	const line = out.split('\n').map((l) => l.trim().split(/\s+/)).find(([, comm]) => comm === name);
	return line ? Number(line[0]) : 0;
}
