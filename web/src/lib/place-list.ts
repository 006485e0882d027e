// The tree of places as the hub has it, loaded when a page needs it.
import { account } from './account';
import { api, type Place } from './api';
import { problemText } from './problem';
import { Store } from './store';

export interface PlaceList {
	state: 'none' | 'loading' | 'ready' | 'failed';
	problem: string | null;
	places: ReadonlyMap<string, Place>;
}
const NONE: PlaceList = { state: 'none', problem: null, places: new Map() };
/** Called when this console has changed a place, or what stands in it. */
const watchers = new Set<() => void>();
export const onPlaces = (watcher: () => void): void => void watchers.add(watcher);

export const placeList = new Store<PlaceList>(NONE);

export async function loadPlaces(): Promise<void> {
	const { places, state } = placeList.get();
	if (state === 'none') placeList.set({ state: 'loading', problem: null, places });
	try {
		const got = await api.places();
		placeList.set({ state: 'ready', problem: null, places: new Map(got.places.map((place) => [place.id, place])) });
	} catch (error) {
		placeList.set({ state: 'failed', problem: problemText(error), places });
	}
}

/** Loads what a change has made of the tree. */
export async function placesChanged(): Promise<void> {
	for (const watcher of watchers) watcher();
	await loadPlaces();
}

account.subscribe(() => {
	if (account.get().state === 'out') placeList.set(NONE);
});
