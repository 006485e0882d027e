// The device signs what it answers (docs/protocol.md, section 3), so nobody in between can put itself into the session:
// the answer has to carry exactly the fingerprint that was signed, with the key of the device that was asked for. The key
// is remembered at the first session; another one is refused.
import { fingerprint, fingerprints } from './sdp';

export type Refusal = 'signature' | 'fingerprint' | 'no-ed25519' | 'key-changed';

const PINNED = 'fairlead.device-keys';

export function fromBase64url(text: string): Uint8Array<ArrayBuffer> | null {
	if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null;
	const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
	return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

export function signedText(session: string, ours: string, theirs: string): Uint8Array<ArrayBuffer> {
	return new TextEncoder().encode(['fairlead-answer-v1', session, ours, theirs].join('\n')) as Uint8Array<ArrayBuffer>;
}

const KEYS_MAX = 32;
const imported = new Map<string, Promise<CryptoKey>>();

/** A device key ready for use. Importing it takes a turn of a busy browser, so this is called ahead of the answer. */
export function deviceKey(key: string): Promise<CryptoKey> {
	const known = imported.get(key);
	if (known) return known;
	const raw = fromBase64url(key);
	if (raw?.length !== 32) return Promise.reject(new Error('not a key'));
	const made = (async () => crypto.subtle.importKey('raw', raw, { name: 'Ed25519' }, false, ['verify']))();
	made.catch(() => imported.delete(key));
	if (imported.size >= KEYS_MAX) imported.clear();
	imported.set(key, made);
	return made;
}

/** null when the answer is genuine, otherwise why it is not. @param key device key, base64url */
export async function checkAnswer(
	answer: { session: string; sdp: string; fingerprint: string; signature: string },
	offer: string,
	key: string,
): Promise<Refusal | null> {
	const ours = fingerprints(offer);
	const theirs = fingerprint(answer.fingerprint);
	const carried = fingerprints(answer.sdp);
	if (!theirs || ours?.length !== 1 || carried?.length !== 1 || carried[0] !== theirs) return 'fingerprint';
	const signature = fromBase64url(answer.signature);
	if (fromBase64url(key)?.length !== 32 || signature?.length !== 64) return 'signature';
	let ready: CryptoKey;
	try {
		ready = await deviceKey(key);
	} catch {
		return 'no-ed25519';
	}
	const text = signedText(answer.session, ours[0]!, theirs);
	return (await crypto.subtle.verify({ name: 'Ed25519' }, ready, signature, text)) ? null : 'signature';
}

type Box = Pick<Storage, 'getItem' | 'setItem'>;

function pins(box: Box): Record<string, string> {
	try {
		const stored: unknown = JSON.parse(box.getItem(PINNED) ?? '{}');
		return stored && typeof stored === 'object' ? (stored as Record<string, string>) : {};
	} catch {
		return {};
	}
}

/** Remembers the key at first sight, for good: a device that is enrolled again has a new id, so the same id with another
 * key is never the same device, whatever the hub says about it having been removed. @returns false when another key is known for this device */
export function pin(device: string, key: string, box: Box = localStorage): boolean {
	const known = pins(box);
	if (Object.hasOwn(known, device)) return known[device] === key;
	try {
		box.setItem(PINNED, JSON.stringify({ ...known, [device]: key }));
	} catch {
		// storage is full or switched off: the key is compared with what the hub says only
	}
	return true;
}
