// The sums behind the network page.
import type { PlaceCause, PlaceRoutes } from '../lib/api';

type Counts = Pick<PlaceRoutes, 'sessions' | 'local' | 'punched' | 'relayed' | 'none'>;

export function addUp(places: readonly Counts[]): Counts {
	const sum = { sessions: 0, local: 0, punched: 0, relayed: 0, none: 0 };
	for (const one of places) for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += one[key];
	return sum;
}

const bad = (one: Counts): number => one.relayed + one.none;

/** Places where most sessions were relayed or failed come first; where none were, those with most sessions. */
export function worstFirst(places: readonly PlaceRoutes[]): PlaceRoutes[] {
	return [...places].sort((a, b) => bad(b) - bad(a) || b.punched - a.punched || b.sessions - a.sessions);
}

/** What could be better: everything but the causes of good routes. */
export function problems(place: PlaceRoutes): PlaceCause[] {
	return place.causes
		.filter((cause) => cause.method === 'relayed' || cause.method === 'none' || cause.remedy.length > 0)
		.sort((a, b) => b.count - a.count);
}
