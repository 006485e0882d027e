// Where a device stands in the tree of places; choosing another place moves it there.
import { useEffect, useState } from 'react';
import { api, type Device } from '../lib/api';
import { loadPlaces, placeList, placesChanged } from '../lib/place-list';
import { inOrder } from '../lib/places';
import { problemText } from '../lib/problem';
import { visible } from '../lib/hostile';
import { useStore } from '../lib/store';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { Notice } from './basics';
import s from './about.module.css';

const INDENT = '\u2003';

export function DevicePlace({ device }: { device: Device }) {
	const { state, places } = useStore(placeList);
	const [problem, setProblem] = useState<string | null>(null);
	useEffect(() => {
		if (placeList.get().state !== 'ready') void loadPlaces();
	}, []);
	const move = async (place: string) => {
		try {
			await api.moveDevice(device.id, place);
			setProblem(null);
			void placesChanged();
		} catch (error) {
			setProblem(`${t.places.moveFailed} ${problemText(error)}`);
		}
	};
	if (state !== 'ready' || device.place === undefined) return null;
	return (
		<section className={s.sec} aria-labelledby="place">
			<h2 id="place">{t.places.deviceIn}</h2>
			<select className={`${u.input} ${s.place}`} aria-labelledby="place" value={device.place} onChange={(event) => void move(event.target.value)}>
				{inOrder(places).map(({ place, depth }) => (
					<option key={place.id} value={place.id}>
						{INDENT.repeat(Math.min(depth, 8))}
						{place.parent === null ? t.places.hub : visible(place.name)}
					</option>
				))}
			</select>
			{problem && (
				<Notice kind="danger" role="alert">
					<p>{problem}</p>
				</Notice>
			)}
		</section>
	);
}
