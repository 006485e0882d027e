// A real fairlead-hub on loopback in a folder of its own, which can be killed and started again on the same port.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const READY_MS = 30_000;

export class Hub {
	constructor(data, port = 0) {
		this.data = data;
		this.port = port;
	}

	async start() {
		const program = join(process.env.FAIRLEAD_BUILD, 'fairlead-hub');
		const args = ['--data', this.data, '--port', String(this.port), '--listen', '127.0.0.1', '--name', 'localhost'];
		this.process = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
		this.ended = new Promise((done) => this.process.on('exit', (code, signal) => done({ code, signal })));
		const errors = [];
		createInterface({ input: this.process.stderr }).on('line', (line) => errors.push(line));
		this.url = await new Promise((done, fail) => {
			const late = setTimeout(() => fail(new Error(`the hub was not ready in ${READY_MS} ms`)), READY_MS);
			createInterface({ input: this.process.stdout }).on('line', (line) => {
				const found = line.match(/^ready (https:\S+)/);
				if (found) {
					clearTimeout(late);
					done(found[1].replace(/\/$/, ''));
				}
			});
			this.ended.then(() => {
				clearTimeout(late);
				fail(new Error(`the hub ended: ${errors.slice(-5).join(' | ')}`));
			});
		});
		this.port = Number(new URL(this.url).port);
		return this;
	}

	async token() {
		return (await readFile(join(this.data, 'admin.token'), 'utf8')).trim();
	}

	async stop(signal = 'SIGTERM') {
		if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
		return this.ended;
	}
}
