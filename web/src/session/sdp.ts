// The little that the console reads from a session description (RFC 8866, RFC 8122, RFC 8839).
import type { Candidate } from '../lib/api';

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

export interface CandidateLine {
	type: Candidate['type'];
	address: string;
	port: number;
	protocol: string;
	/** the address behind a translated or relayed one, with port */
	related: string | null;
}

/** One candidate line (RFC 8839, section 5.1; RFC 6544 for TCP), with or without "a="; null when it is malformed. */
export function candidateLine(line: string): CandidateLine | null {
	const parts = /^(?:a=)?candidate:\S+ \d+ (\S+) \d+ (\S+) (\d{1,5}) typ (host|srflx|prflx|relay)\b(.*)$/i.exec(line.trim());
	if (!parts) return null;
	const [, protocol, address, port, type, rest] = parts as unknown as string[];
	const related = /\braddr (\S+) rport (\d+)/.exec(rest!);
	if (Number(port) > 65535) return null;
	return {
		type: type!.toLowerCase() as Candidate['type'],
		address: address!,
		port: Number(port),
		protocol: protocol!.toLowerCase(),
		related: related ? `${related[1]} ${related[2]}` : null,
	};
}

/** Address of a candidate line, when it is a host candidate. */
export function hostAddress(line: string): string | null {
	const found = candidateLine(line);
	return found?.type === 'host' ? found.address : null;
}

/** A description without the candidates that do not pass. */
export function withoutCandidates(sdp: string, pass: (line: string) => boolean): string {
	const lines = sdp.split('\r\n');
	return lines.filter((line) => !line.startsWith('a=candidate:') || pass(line)).join('\r\n');
}
