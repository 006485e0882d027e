// Starts the tests in a Node.js that trusts the hub's own authority: NODE_EXTRA_CA_CERTS is read only at its start, and
// the authority exists only once a hub has run in that folder.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hub } from './hub.mjs';

const data = await mkdtemp(join(tmpdir(), 'fairlead-signalr-'));
let status = 1;
try {
	const hub = await new Hub(data).start();
	await hub.stop();
	const tests = join(import.meta.dirname, 'signalr.test.mjs');
	const run = spawnSync(process.execPath, ['--test', '--test-reporter=spec', tests], {
		stdio: 'inherit',
		env: { ...process.env, NODE_EXTRA_CA_CERTS: join(data, 'ca.pem'), FAIRLEAD_DATA: data },
	});
	status = run.status ?? 1;
} finally {
	await rm(data, { recursive: true, force: true });
}
process.exit(status);
