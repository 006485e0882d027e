// The little that the console reads from a session description (RFC 8866, RFC 8122, RFC 8839).

/** Every SHA-256 certificate fingerprint that is named, in upper-case hex with colons, without repetition; null when one
 * of them uses another hash or is malformed. */
export function fingerprints(sdp: string): string[] | null {
	const found = new Set<string>();
	for (const line of sdp.split(/\r?\n/)) {
		if (!line.startsWith('a=fingerprint:')) continue;
		const value = fingerprint(line.slice('a=fingerprint:'.length));
		if (!value) return null;
		found.add(value);
	}
	return [...found];
}

/** "sha-256 ab:cd…" or the bare hex form, made uniform; null when it is not a SHA-256 fingerprint. */
export function fingerprint(text: string): string | null {
	const bare = text.trim().replace(/^sha-256\s+/i, '').toUpperCase();
	return /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(bare) ? bare : null;
}

/** Address of a candidate line, when it is a host candidate. */
export function hostAddress(candidate: string): string | null {
	const parts = /^(?:a=)?candidate:\S+ \d+ \S+ \d+ (\S+) \d+ typ host\b/.exec(candidate);
	return parts ? parts[1]! : null;
}
