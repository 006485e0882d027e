// What came of each of the three methods, for the popover and the report.
import type { Candidate, Method, Policy, Route, Tried } from '../lib/api';
import { methodsOf } from './policy';
import { methodOf } from './route';

export type Outcome = 'used' | 'spare' | 'failed' | 'trying' | 'waiting' | 'untried' | 'impossible' | 'forbidden' | 'held';
export interface Attempt {
	method: Method;
	outcome: Outcome;
	/** of the pair in use, or of the best spare one */
	pair: Tried | null;
	/** checks of all pairs of this method */
	sent: number;
	/** what the relay said when it gave no address */
	said: { error: string | null; code: number | null; state: string } | null;
	/** relays were named at all */
	servers: boolean;
}

/** Shortest first. */
const ORDER: readonly Method[] = ['local', 'punched', 'relayed'];

export const sameEnd = (a: Candidate, b: Candidate): boolean =>
	a.address === b.address && a.port === b.port && a.type === b.type && a.protocol === b.protocol;

/** The pair in use among those that were tried. */
export function usedPair({ pair, tried }: Route): Tried | undefined {
	return pair ? tried.find((way) => sameEnd(way.local, pair.local) && sameEnd(way.remote, pair.remote)) : undefined;
}

function outcomeOf(ways: Tried[], used: boolean): Outcome {
	if (used) return 'used';
	if (ways.length === 0) return 'impossible';
	if (ways.some((way) => way.state === 'succeeded')) return 'spare';
	if (ways.some((way) => way.state === 'in-progress' && way.answered === 0 && way.sent < 4)) return 'trying';
	return ways.some((way) => way.sent > 0) ? 'failed' : 'waiting';
}

export function attempts(route: Route, policy: Policy): Attempt[] {
	const chosen = usedPair(route);
	const hosts = (side: 'local' | 'remote') => (route.candidates ?? []).filter((c) => c.side === side && c.type === 'host');
	const [own, other] = [hosts('local'), hosts('remote').map((c) => c.address).filter((address) => address !== '')];
	const kinds = new Map(route.tried.map((way) => [way, way === chosen ? route.method : methodOf(way.local, way.remote, own, other)]));
	const allowed = methodsOf(policy);
	const rank = ORDER.indexOf(route.method as Method);
	const relays = (route.servers ?? []).filter((server) => /^turns?:/i.test(server.url));
	return ORDER.map((method, at) => {
		const ways = route.tried.filter((way) => kinds.get(way) === method);
		const used = route.method === method;
		const held = method === 'relayed' && policy.relay === 'last-resort' && ways.length === 0;
		const outcome = used || allowed.includes(method) ? outcomeOf(ways, used) : 'forbidden';
		const trouble = method === 'relayed' ? relays.find((server) => server.error || server.state === 'silent') : undefined;
		return {
			method,
			// what would be better than the route in use is not idle because nobody needs it
			outcome: outcome === 'impossible' && held ? 'held' : outcome === 'waiting' && (rank < 0 || at < rank) ? 'untried' : outcome,
			pair: (used ? chosen : ways.find((way) => way.state === 'succeeded')) ?? null,
			sent: ways.reduce((sum, way) => sum + way.sent, 0),
			said: trouble ? { error: trouble.error, code: trouble.code, state: trouble.state } : null,
			servers: relays.length > 0,
		};
	});
}
