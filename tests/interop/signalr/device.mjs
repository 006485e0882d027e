// A device as far as the hub can tell: enrolled with an Ed25519 key, connected with the unchanged SignalR client.
import { createHash, createHmac, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import * as signalR from '@microsoft/signalr';

const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
const lines = (...parts) => Buffer.from(parts.join('\n'));

function publicKeyOf(raw) {
	return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw }, format: 'jwk' });
}

export async function enrol(url, token) {
	const [, tokenId, secret, hubHash] = token.split('.');
	const { privateKey, publicKey } = generateKeyPairSync('ed25519');
	const key = publicKey.export({ format: 'jwk' }).x;
	const proof = b64(createHmac('sha256', Buffer.from(secret, 'base64url')).update(lines('fairlead-enrol-v1', key)).digest());
	const body = { tokenId, proof, publicKey: key, name: 'interop', platform: { os: 'linux', version: '1', arch: 'x86_64' }, version: '0.1.0' };
	const answer = await fetch(`${url}/endpoint/enrol`, {
		method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
	});
	if (!answer.ok) throw new Error(`enrol: ${answer.status} ${await answer.text()}`);
	const { device, hubKey, signature } = await answer.json();
	const pinned = b64(createHash('sha256').update(Buffer.from(hubKey, 'base64url')).digest());
	if (pinned !== hubHash) throw new Error('enrol: another hub answered');
	if (!verify(null, lines('fairlead-enrolled-v1', device, key), publicKeyOf(hubKey), Buffer.from(signature, 'base64url')))
		throw new Error('enrol: the answer is not signed by the hub');
	return { id: device, privateKey, hubKey };
}

export async function connectDevice(url, { id, privateKey, hubKey }, { wrongKey = false, transport } = {}) {
	const connection = new signalR.HubConnectionBuilder()
		.withUrl(`${url}/endpoint`, transport ? { transport } : { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets })
		.configureLogging(signalR.LogLevel.None)
		.build();
	connection.keepAliveIntervalInMilliseconds = 2000;
	connection.serverTimeoutInMilliseconds = 5000;
	const challenged = new Promise((done) => connection.on('challenge', done));
	await connection.start();
	const challenge = await challenged;
	const nonce = b64(randomBytes(32));
	const key = wrongKey ? generateKeyPairSync('ed25519').privateKey : privateKey;
	const signature = b64(sign(null, lines('fairlead-device-v1', id, challenge.nonce, nonce), key));
	const status = {
		name: 'interop', platform: { os: 'linux', version: '1', arch: 'x86_64' }, user: null, address: '127.0.0.1',
		modules: ['terminal'], display: false,
	};
	const proof = await connection.invoke('Prove', { device: id, nonce, signature, version: '0.1.0', status, sessions: [] });
	const signed = lines('fairlead-hub-v1', id, nonce, challenge.nonce);
	if (!verify(null, signed, publicKeyOf(hubKey), Buffer.from(proof.signature, 'base64url')))
		throw new Error('Prove: the answer is not signed by the hub');
	return connection;
}
