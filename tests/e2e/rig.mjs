// A whole Fairlead for one test: a virtual display with a test window, and `fairlead up` in a temporary folder. Runs
// inside a network namespace of its own (tests/support/netns), so the usual ports are free.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BUILD = process.env.FAIRLEAD_BUILD;
const READY_MS = 60_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls until fn gives something true; says what it waited for when it never does. */
export async function until(what, fn, ms = 20_000) {
	const end = Date.now() + ms;
	let last;
	for (;;) {
		try {
			const value = await fn();
			if (value) return value;
			last = value;
		} catch (error) {
			last = error;
		}
		if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
		await sleep(50);
	}
}

/** A child whose lines are kept and can be waited for. */
export class Child {
	constructor(command, args, options = {}) {
		this.lines = [];
		this.errors = [];
		this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
		this.ended = new Promise((done) => this.process.on('exit', (code, signal) => done({ code, signal })));
		createInterface({ input: this.process.stdout }).on('line', (line) => this.lines.push(line));
		createInterface({ input: this.process.stderr }).on('line', (line) => this.errors.push(line));
	}

	line(pattern, ms = READY_MS) {
		const look = () => {
			const found = this.lines.map((line) => line.match(pattern)).find(Boolean);
			if (!found && this.process.exitCode !== null)
				throw new Error(`${this.process.spawnfile} ended: ${this.errors.slice(-5).join(' | ')}`);
			return found;
		};
		return until(`a line ${pattern} of ${this.process.spawnfile}`, look, ms).catch((error) => {
			throw new Error(`${error.message}; it said: ${this.lines.slice(-8).join(' | ')}`);
		});
	}

	say(text) {
		this.process.stdin.write(`${text}\n`);
	}

	async stop(signal = 'SIGTERM') {
		if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
		const late = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
		const end = await this.ended;
		clearTimeout(late);
		return end;
	}
}

/** A virtual display with the test window on it, and the environment of a program shown there. */
export async function startDisplay(home, size = '1280x800') {
	const display = new Child('Xvfb', ['-displayfd', '1', '-screen', '0', `${size}x24`, '-nolisten', 'tcp']);
	const number = (await display.line(/^(\d+)$/))[1];
	const env = { ...process.env, DISPLAY: `:${number}`, SHELL: '/bin/bash', HOME: home };
	const window = new Child(join(BUILD, 'tests/e2e/e2e_window'), [], { env });
	await window.line(/^ready$/);
	return {
		display, window, env,
		async stop() {
			await window.stop('SIGKILL');
			await display.stop();
		},
	};
}

export async function startRig({ size } = {}) {
	if (!BUILD) throw new Error('FAIRLEAD_BUILD must name the build folder');
	const data = await mkdtemp(join(tmpdir(), 'fairlead-e2e-'));
	const shown = await startDisplay(data, size);
	const { display, window, env } = shown;
	const up = new Child(join(BUILD, 'fairlead'), ['up', '--data', join(data, 'up')], { env });
	const origin = (await up.line(/^console\s+(https:\S+)/))[1].replace(/\/$/, '');
	const link = (await up.line(/^sign in\s+(https:\S+)/))[1];
	return {
		data: join(data, 'up'), origin, link, display, window, up, env,
		cli: (...args) => new Child(join(BUILD, 'fairlead'), [...args, '--hub', origin, '--token-file', join(data, 'up', 'admin.token')], { env }),
		async stop() {
			const end = await up.stop();
			await shown.stop();
			await rm(data, { recursive: true, force: true });
			return end;
		},
	};
}
