// Real browsers that may use nothing but the relay: two connections of one page, both with relay candidates only, over
// each way in that a browser knows. Runs in a network namespace of its own (tests/support/netns).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, createHmac, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './browser.mjs';
import { Child, until } from './rig.mjs';

const BROWSER = process.env.FAIRLEAD_BROWSER ?? 'chromium';
const HOST = '10.77.0.1';
const RELAYED = '11.77.0.1'; // a public one, so that the two meet there without --allow-peer
const NAME = 'relay.test';
// Firefox refuses turns: without a name; Chromium waits for name servers, of which there are none here
const TLS_HOST = BROWSER === 'firefox' ? NAME : HOST;
const SECRET = 'a secret of the tests, long enough';
const MESSAGES = 200;
const run = promisify(execFile);
let folder, relay, browser;

/** A certificate authority of our own, and a certificate for the relay that it signed. */
async function makeCertificate() {
	const at = (name) => join(folder, name);
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	await writeFile(at('ext'), `subjectAltName=DNS:${NAME},IP:${HOST}\nextendedKeyUsage=serverAuth\n`);
	await run('openssl', ['req', '-x509', ...key, '-days', '30', '-subj', '/CN=Fairlead tests', '-keyout', at('ca.key'), '-out', at('ca.pem')]);
	await run('openssl', ['req', '-new', ...key, '-subj', `/CN=${NAME}`, '-keyout', at('key.pem'), '-out', at('request.pem')]);
	await run('openssl', ['x509', '-req', '-in', at('request.pem'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '30',
		'-extfile', at('ext'), '-out', at('cert.pem')]);
	const spki = createPublicKey(new X509Certificate(await readFile(at('cert.pem'))).publicKey.export({ type: 'spki', format: 'pem' }))
		.export({ type: 'spki', format: 'der' });
	return createHash('sha256').update(spki).digest('base64');
}

function credentials() {
	const username = `${Math.floor(Date.now() / 1000) + 600}:browser`;
	return { username, credential: createHmac('sha1', SECRET).update(username).digest('base64') };
}

before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'fairlead-relay-'));
	const spki = await makeCertificate();
	await writeFile(join(folder, 'secret'), `${SECRET}\n`, { mode: 0o600 });
	await run('ip', ['address', 'add', `${RELAYED}/32`, 'dev', 'lo']);
	relay = new Child(join(process.env.FAIRLEAD_BUILD, 'fairlead-relay'), [
		'--listen', `udp:${HOST}:3478`, '--listen', `tcp:${HOST}:3478`, '--listen', `tls:${HOST}:5349`,
		'--cert', join(folder, 'cert.pem'), '--key', join(folder, 'key.pem'), '--secret-file', join(folder, 'secret'),
		'--relay-address', RELAYED,
	]);
	await until('the relay', () => relay.errors.some((line) => line.includes(' ready ')));
	browser = await launch(BROWSER, { trusted: spki, resolved: HOST });
});

after(async () => {
	await browser?.close();
	const end = await relay?.stop('SIGINT');
	if (folder) await rm(folder, { recursive: true });
	assert.equal(end?.code, 0, relay?.errors.join('\n'));
});

/** In the page: two connections that meet at the relay, data both ways, and what their statistics say. */
async function meet({ server, messages }) {
	const config = { iceServers: [server], iceTransportPolicy: 'relay' };
	const ends = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
	const candidates = [[], []];
	const errors = [];
	ends.forEach((end, i) => {
		end.onicecandidate = ({ candidate }) => {
			if (!candidate?.candidate) return;
			candidates[i].push(candidate.candidate);
			ends[1 - i].addIceCandidate(candidate);
		};
		end.onicecandidateerror = (e) => errors.push(`${e.url} ${e.errorCode} ${e.errorText}`);
	});
	const deadline = new Promise((_, fail) => setTimeout(() => fail(new Error(
		`not connected: ${ends.map((e) => `${e.iceGatheringState} ${e.iceConnectionState}`)}; ${JSON.stringify(candidates)}; ${errors}`)), 30_000));
	const got = [];
	const talk = async () => {
		const channel = ends[0].createDataChannel('data');
		const open = new Promise((done) => { channel.onopen = done; });
		ends[1].ondatachannel = ({ channel: other }) => { other.onmessage = ({ data }) => other.send(data); };
		await ends[0].setLocalDescription();
		await ends[1].setRemoteDescription(ends[0].localDescription);
		await ends[1].setLocalDescription();
		await ends[0].setRemoteDescription(ends[1].localDescription);
		await open;
		const all = new Promise((done) => { channel.onmessage = ({ data }) => { if (got.push(data) === messages) done(); }; });
		for (let i = 0; i < messages; i++) channel.send(`${i}:${'x'.repeat(i * 20)}`);
		await all;
	};
	await Promise.race([talk(), deadline]);
	// Chromium says at the transport which pair is used, Firefox at the pair
	const usedBy = async (end) => {
		const stats = [...(await end.getStats()).values()];
		const selected = stats.find((s) => s.type === 'transport')?.selectedCandidatePairId;
		const pair = stats.find((s) => (selected ? s.id === selected : s.type === 'candidate-pair' && s.selected));
		const local = stats.find((s) => s.id === pair?.localCandidateId);
		return local && { type: local.candidateType, relayProtocol: local.relayProtocol };
	};
	const used = [];
	for (const end of ends) {
		for (let tries = 0; !used[ends.indexOf(end)] && tries < 100; tries++) {
			used[ends.indexOf(end)] = await usedBy(end);
			await new Promise((done) => setTimeout(done, 20));
		}
	}
	ends.forEach((end) => end.close());
	return { candidates, used, errors, good: got.every((data, i) => data === `${i}:${'x'.repeat(i * 20)}`), count: got.length };
}

for (const [name, url, protocol] of [
	['turn over UDP', `turn:${HOST}:3478?transport=udp`, 'udp'],
	['turn over TCP', `turn:${HOST}:3478?transport=tcp`, 'tcp'],
	['turns', `turns:${TLS_HOST}:5349?transport=tcp`, 'tls'],
]) test(`${BROWSER}: ${name}`, async () => {
	const said = relay.errors.length;
	const result = await browser.page.eval(meet, { server: { urls: url, ...credentials() }, messages: MESSAGES });
	assert.equal(result.count, MESSAGES);
	assert.ok(result.good, 'the messages came back as they were sent');
	for (const list of result.candidates) {
		assert.ok(list.length > 0);
		for (const candidate of list) assert.match(candidate, / typ relay /, 'nothing but the relay is offered');
	}
	assert.deepEqual(result.used, [{ type: 'relay', relayProtocol: protocol }, { type: 'relay', relayProtocol: protocol }]);
	// the relay says the same
	await until('two allocations in the log', () => relay.errors.slice(said)
		.filter((line) => line.includes('allocated user=browser') && line.includes(`transport=${protocol} `)).length >= 2);
	await until('their end in the log', () => relay.errors.slice(said).filter((line) => line.includes('closed user=browser')).length >= 2);
});
