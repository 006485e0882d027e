// Two libfairlead peers that have nothing but the relay between them, over each transport to it.
// FAIRLEAD_PEER_CLI: the peers; FAIRLEAD_RELAY: the relay.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { NativeSide } from './browser.mjs';

const LISTENERS = ['udp', 'tcp', 'tls', 'wss'];
let relay, folder;
const ports = {};

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'fairlead-relay-'));
	const cert = join(folder, 'cert.pem'), key = join(folder, 'key.pem');
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key,
		'-out', cert, '-days', '2', '-subj', '/CN=localhost'], { stdio: 'ignore' });
	relay = spawn(process.env.FAIRLEAD_RELAY, [...LISTENERS.map((t) => `--listen=${t}:127.0.0.1:0`), `--cert=${cert}`, `--key=${key}`,
		'--relay-address=127.0.0.1', '--allow-peer=127.0.0.0/8', '--user=user:pass', '--threads=2'],
		{ stdio: ['ignore', 'ignore', 'pipe'] });
	for await (const line of createInterface({ input: relay.stderr })) {
		const at = /listening (\w+)=127\.0\.0\.1:(\d+)/.exec(line);
		if (at) ports[at[1]] = at[2];
		if (line.includes(' ready ')) break;
	}
	relay.stderr.resume();
});

after(() => {
	relay?.kill('SIGINT');
	rmSync(folder, { recursive: true });
});

const url = (t) => (t === 'udp' || t === 'tcp' ? `turn:127.0.0.1:${ports[t]}?transport=${t}`
	: `turns:127.0.0.1:${ports[t]}?transport=${t === 'tls' ? 'tcp' : t}`);

/** Candidates of relays alone, in descriptions and by themselves. */
const onlyRelayed = (text) => text.split(/\r?\n/).filter((l) => !l.includes('candidate:') || / typ relay/.test(l)).join('\r\n');

function introduce(from, to, answering) {
	return from.on((e) => {
		if (e.event === 'description') to.do(answering ? 'accept' : 'answer', { sdp: onlyRelayed(e.text) });
		if (e.event === 'candidate' && / typ relay/.test(e.text)) to.do('candidate', { candidate: e.text });
	});
}

async function connectThrough(transport, servers = [{ url: url(transport), username: 'user', credential: 'pass' }]) {
	const a = new NativeSide(process.env.FAIRLEAD_PEER_CLI), b = new NativeSide(process.env.FAIRLEAD_PEER_CLI);
	for (const side of [a, b]) side.do('new', { loopback: true, iceServers: servers });
	introduce(a, b, false);
	introduce(b, a, true);
	const open = a.event('open');
	a.do('open', { label: 'c' });
	a.do('offer');
	return { a, b, channel: (await open).channel };
}

/** What both ends say; one of them may reach the other's relayed address without a relay of its own. */
function routes(...sides) {
	return Promise.all(sides.map((side) => {
		const report = side.event('route-report');
		side.do('route');
		return report;
	}));
}

/** Until one of the ends goes through its relay that way: the two may settle a moment after the channel is open. */
async function relayedBy(transport, ...sides) {
	for (const end = Date.now() + 10_000; Date.now() < end;) {
		if ((await routes(...sides)).some((r) => r.relay === transport)) return;
	}
	assert.fail(`no end says that its relay is reached over ${transport}`);
}

for (const transport of LISTENERS) {
	test(`relayed over ${transport}`, async () => {
		const { a, b, channel } = await connectThrough(transport);
		for (const size of [1, 1000, 60_000]) {
			const echo = a.event('data');
			a.do('send', { channel, text: 'x'.repeat(size) });
			assert.equal((await echo).len, size);
		}
		for (const route of await routes(a, b)) {
			assert.equal(route.method, 'relayed');
			assert.match(route.reason, /^Relayed/);
			assert.ok(['', transport].includes(route.relay));
		}
		await relayedBy(transport, a, b);
		await Promise.all([a.stop(), b.stop()]);
	});
}

test('a wrong password and a relay that is not there do not keep others away', async () => {
	const { a, b } = await connectThrough('udp', [
		{ url: url('udp'), username: 'user', credential: 'wrong' },
		{ url: 'turn:127.0.0.1:9?transport=tcp', username: 'user', credential: 'pass' },
		{ url: 'turn:nowhere.invalid', username: 'user', credential: 'pass' },
		{ url: url('tcp'), username: 'user', credential: 'pass' },
	]);
	await relayedBy('tcp', a, b);
	await Promise.all([a.stop(), b.stop()]);
});
