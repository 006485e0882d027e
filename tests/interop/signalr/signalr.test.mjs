import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as signalR from '@microsoft/signalr';
import { connectDevice, enrol } from './device.mjs';
import { Hub } from './hub.mjs';

const WEB_SOCKETS = signalR.HttpTransportType.WebSockets;
const hub = new Hub(process.env.FAIRLEAD_DATA);
let token;

function staff(options = {}) {
	return new signalR.HubConnectionBuilder()
		.withUrl(`${hub.url}/realtime`, { accessTokenFactory: () => token, ...options })
		.withAutomaticReconnect(Array(100).fill(50))
		.configureLogging(signalR.LogLevel.None)
		.build();
}

async function withConnection(options, use) {
	const connection = staff(options);
	await connection.start();
	try {
		await use(connection);
	} finally {
		await connection.stop();
	}
}

async function until(what, fn, ms = 10_000) {
	for (const end = Date.now() + ms; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {
		const value = await fn();
		if (value) return value;
	}
	throw new Error(`waited ${ms} ms for ${what}`);
}

before(async () => {
	await hub.start();
	token = await hub.token();
});
after(() => hub.stop());

test('negotiates, connects, invokes and stops', async () => {
	await withConnection({}, async (connection) => {
		assert.match(connection.connectionId, /^[\w-]{22}$/);
		assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
		assert.ok(Array.isArray((await connection.invoke('IceServers', {})).iceServers));
	});
});

test('connects without negotiation', async () => {
	await withConnection({ skipNegotiation: true, transport: WEB_SOCKETS }, async (connection) => {
		assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
	});
});

for (const name of ['WebSockets', 'ServerSentEvents', 'LongPolling'])
	test(`${name} alone carries everything`, async () => {
		await withConnection({ transport: signalR.HttpTransportType[name] }, async (connection) => {
			assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
			await assert.rejects(connection.invoke('End', { session: 'none', reason: 'user' }), /[a-z-]+: \S/);
			await Promise.all(Array.from({ length: 100 }, () => connection.invoke('IceServers', {})));
			assert.deepEqual(await connection.invoke('WatchDevices', { x: 'x'.repeat(200 * 1024) }), { devices: [] });
		});
	});

test('a hub that goes says so on every transport', async () => {
	for (const name of ['ServerSentEvents', 'LongPolling']) {
		const connection = staff({ transport: signalR.HttpTransportType[name] });
		let back = 0;
		const lost = new Promise((done) => connection.onreconnecting(done));
		connection.onreconnected(() => back++);
		await connection.start();
		assert.deepEqual(await hub.stop(), { code: 0, signal: null });
		await lost;
		await hub.start();
		await until('the connection', () => back === 1, 5000);
		assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
		await connection.stop();
	}
});

test('a connection belongs to who began it, and does not begin again', async () => {
	const ask = (method, path, { key = token, body, accept } = {}) => fetch(`${hub.url}${path}`, {
		method, body, headers: { ...(key && { authorization: `Bearer ${key}` }), ...(accept && { accept }) },
	});
	const negotiate = async () => (await (await ask('POST', '/realtime/negotiate?negotiateVersion=1')).json()).connectionToken;
	const path = `/realtime?id=${await negotiate()}`;
	assert.equal((await ask('POST', path, { body: '{}' })).status, 404); // not begun yet
	assert.equal((await ask('GET', path, { key: null })).status, 401);
	assert.equal((await ask('GET', path.replace('/realtime', '/endpoint'))).status, 404);
	assert.equal((await ask('GET', `${path}x`)).status, 404);
	const first = await ask('GET', path);
	assert.deepEqual([first.status, await first.text()], [200, '']);
	// a message in two pieces, and two messages in one
	const handshake = '{"protocol":"json","version":1}\x1e';
	for (const body of [handshake.slice(0, 9), handshake.slice(9) + '{"type":6}\x1e{"type":1,"invocationId":"7","target":"IceServers","arguments":[{}]}\x1e'])
		assert.equal((await ask('POST', path, { body })).status, 200);
	const told = await (await ask('GET', path)).text();
	assert.match(told, /^\{\}\x1e\{"type":3,"invocationId":"7"/);
	const old = ask('GET', path);
	await new Promise((done) => setTimeout(done, 100));
	const young = ask('GET', path);
	assert.equal((await old).status, 204);
	assert.equal((await ask('DELETE', path)).status, 202);
	assert.equal((await young).status, 204);
	assert.equal((await ask('GET', path)).status, 204);
	assert.equal((await ask('POST', path, { body: handshake })).status, 404);
	assert.equal((await ask('DELETE', path)).status, 404);
	// an open stream is open once
	const other = `/realtime?id=${await negotiate()}`;
	const stream = await ask('GET', other, { accept: 'text/event-stream' });
	assert.match(stream.headers.get('content-type'), /^text\/event-stream/);
	assert.equal((await ask('GET', other, { accept: 'text/event-stream' })).status, 409);
	assert.equal((await ask('POST', other, { body: 'x'.repeat(300 * 1024) })).status, 413);
	await stream.body.cancel();
});

test('a wrong key gets 401, with and without negotiation', async () => {
	for (const options of [{}, { skipNegotiation: true, transport: WEB_SOCKETS }])
		await assert.rejects(staff({ ...options, accessTokenFactory: () => 'wrong' }).start());
});

test('a method that fails rejects with code and sentence', async () => {
	await withConnection({}, async (connection) => {
		await assert.rejects(connection.invoke('Nonsense', {}), /[a-z-]+: \S/);
		await assert.rejects(connection.invoke('Resume', { session: 5 }), /[a-z-]+: \S/);
		await assert.rejects(connection.invoke('WatchDevices'), /[a-z-]+: \S/);
		await assert.rejects(connection.invoke('End', { session: 'none', reason: 'user' }), /[a-z-]+: \S/);
		assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
	});
});

test('streams are refused, the connection lives on', async () => {
	await withConnection({}, async (connection) => {
		const stream = new Promise((complete, error) => connection.stream('Counter', 10).subscribe({ next() {}, complete, error }));
		await assert.rejects(stream, /streams are not offered/);
		const up = new signalR.Subject();
		await connection.send('Upload', up);
		up.next(1);
		up.complete();
		assert.deepEqual(await connection.invoke('WatchDevices', {}), { devices: [] });
	});
});

test('200 invocations under way at once are all answered', async () => {
	await withConnection({}, async (connection) => {
		await Promise.all(Array.from({ length: 200 }, () => connection.invoke('IceServers', {})));
	});
});

test('a message over the limit ends the connection', async () => {
	const connection = staff();
	const lost = new Promise((done) => connection.onreconnecting(done));
	await connection.start();
	await assert.rejects(connection.invoke('WatchDevices', { x: 'x'.repeat(256 * 1024) }));
	await lost;
	await connection.stop();
});

async function deviceLife(transport) {
	const made = await fetch(`${hub.url}/api/enrolment-tokens`, {
		method: 'POST', body: JSON.stringify({ uses: 1, expiresIn: 600 }),
		headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
	});
	assert.equal(made.ok, true);
	const identity = await enrol(hub.url, (await made.json()).token);
	await withConnection({ transport }, async (connection) => {
		const seen = [];
		connection.on('device', ({ device }) => device.id === identity.id && seen.push(device));
		await connection.invoke('WatchDevices', {});
		await assert.rejects(connectDevice(hub.url, identity, { wrongKey: true, transport }), /wrong-signature: \S/);
		const device = await connectDevice(hub.url, identity, { transport });
		await until('the device online', () => seen.some((d) => d.online));
		// longer than the hub's patience: only the pings of both sides keep it
		await new Promise((done) => setTimeout(done, 6000));
		assert.equal(device.state, 'Connected');
		assert.deepEqual([seen.at(-1).online, seen.at(-1).name], [true, 'interop']);
		await device.stop();
		await until('the device offline', () => !seen.at(-1).online, 5000);
	});
}

test('a device proves itself, appears online and goes offline', () => Promise.all(
	[undefined, signalR.HttpTransportType.ServerSentEvents, signalR.HttpTransportType.LongPolling].map(deviceLife)));

test('kill -9 of the hub: the client is back by itself within 5 s', async () => {
	const connection = staff();
	let back = 0;
	connection.onreconnected(() => back++);
	await connection.start();
	await hub.stop('SIGKILL');
	await until('the loss', () => connection.state === 'Reconnecting');
	await hub.start();
	await until('the connection', () => back === 1 && connection.state === 'Connected', 5000);
	assert.equal((await connection.invoke('WatchDevices', {})).devices.length, 3);
	await connection.stop();
});

test('a hub that ends in good order ends its connections', async () => {
	const connection = staff();
	const lost = new Promise((done) => connection.onreconnecting(done));
	await connection.start();
	const end = await hub.stop();
	assert.deepEqual(end, { code: 0, signal: null });
	await lost;
	await connection.stop();
	await hub.start();
});
