// What the administrator allows for a device (docs/protocol.md, section 1.2), as far as a browser can keep to it. The
// client at the other end keeps to the same policy, with all of it.
import type { Method, Policy, Route, Transport } from '../lib/api';
import { candidateLine } from './sdp';

const ALL: readonly Method[] = ['local', 'punched', 'relayed'];

/** The methods that may be used. */
export function methodsOf(policy: Policy): readonly Method[] {
	const methods = ALL.filter((method) => (policy.methods ?? ALL).includes(method));
	return policy.relay === 'forbidden' ? methods.filter((method) => method !== 'relayed') : methods;
}

/** How a TURN URL reaches the relay (RFC 7065); null for anything else, such as STUN. */
export function turnTransport(url: string): Transport | null {
	if (!/^turns?:/i.test(url)) return null;
	if (/\?transport=wss\b/i.test(url)) return 'wss';
	if (/^turns:/i.test(url)) return 'tls';
	return /\?transport=tcp\b/i.test(url) ? 'tcp' : 'udp';
}

/**
 * The servers that may be asked. TURN in WebSocket frames is for clients of our own: a browser refuses the whole list
 * for it.
 * @param relay false: without relays, also where they are allowed
 */
export function allowedServers(servers: readonly RTCIceServer[], policy: Policy, relay: boolean): RTCIceServer[] {
	const methods = methodsOf(policy);
	const passes = (url: string): boolean => {
		const transport = turnTransport(url);
		if (transport === null) return methods.includes('punched');
		if (transport === 'wss' || !relay || !methods.includes('relayed')) return false;
		return policy.turnTransports?.includes(transport) ?? true;
	};
	return servers.map((s) => ({ ...s, urls: [s.urls].flat().filter(passes) })).filter((s) => s.urls.length > 0);
}

/** What a connection is made with. */
export function configuration(servers: readonly RTCIceServer[], policy: Policy, relay = policy.relay !== 'last-resort'): RTCConfiguration {
	return {
		iceServers: allowedServers(servers, policy, relay),
		bundlePolicy: 'max-bundle',
		rtcpMuxPolicy: 'require',
		iceTransportPolicy: methodsOf(policy).every((method) => method === 'relayed') ? 'relay' : 'all',
	};
}

/** Whether a candidate of either end may take part. A malformed one passes: whoever parses it refuses it. */
export function candidatePasses(line: string, policy: Policy): boolean {
	const found = candidateLine(line);
	const methods = methodsOf(policy);
	if (found?.type === 'relay') return methods.includes('relayed');
	if (found?.type === 'srflx') return methods.includes('punched');
	return true;
}

/**
 * Whether a route that was found may be used. Where this browser hides its own address it cannot tell "local" from
 * "punched" between two untranslated ones; then the client, which can, decides.
 */
export function routePasses(route: Route, policy: Policy): boolean {
	if (route.method === 'none' || methodsOf(policy).includes(route.method)) return true;
	const { pair } = route;
	return route.method === 'punched' && pair !== null && pair.local.address === '' && pair.local.type === 'host' && pair.remote.type === 'host';
}
