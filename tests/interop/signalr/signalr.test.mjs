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

test('an unknown transport is refused by the client itself', async () => {
	await assert.rejects(staff({ transport: signalR.HttpTransportType.LongPolling }).start(), /disabled|not supported|transport/i);
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

test('a device proves itself, appears online and goes offline', async () => {
	const made = await fetch(`${hub.url}/api/enrolment-tokens`, {
		method: 'POST', body: JSON.stringify({ uses: 1, expiresIn: 600 }),
		headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
	});
	assert.equal(made.ok, true);
	const identity = await enrol(hub.url, (await made.json()).token);
	await withConnection({}, async (connection) => {
		const seen = [];
		connection.on('device', ({ device }) => seen.push(device));
		await connection.invoke('WatchDevices', {});
		await assert.rejects(connectDevice(hub.url, identity, { wrongKey: true }), /wrong-signature: \S/);
		const device = await connectDevice(hub.url, identity);
		await until('the device online', () => seen.some((d) => d.id === identity.id && d.online));
		// longer than the hub's patience: only the pings of both sides keep it
		await new Promise((done) => setTimeout(done, 6000));
		assert.equal(device.state, 'Connected');
		const last = seen.at(-1);
		assert.deepEqual([last.id, last.online, last.name], [identity.id, true, 'interop']);
		await device.stop();
		await until('the device offline', () => seen.at(-1).id === identity.id && !seen.at(-1).online, 5000);
	});
});

test('kill -9 of the hub: the client is back by itself within 5 s', async () => {
	const connection = staff();
	let back = 0;
	connection.onreconnected(() => back++);
	await connection.start();
	await hub.stop('SIGKILL');
	await until('the loss', () => connection.state === 'Reconnecting');
	await hub.start();
	await until('the connection', () => back === 1 && connection.state === 'Connected', 5000);
	assert.equal((await connection.invoke('WatchDevices', {})).devices.length, 1);
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
