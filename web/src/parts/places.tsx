// The tree of places and the route policy of the chosen one: what is set there, and what it takes over from above.
import { AlertDialog } from '@base-ui/react/alert-dialog';
import { Plus } from 'lucide-react';
import { useEffect, useState, type FormEvent, type ReactNode } from 'react';
import { api, type Place } from '../lib/api';
import { loadPlaces, placeList, placesChanged } from '../lib/place-list';
import { inherited, inOrder, kindsIn } from '../lib/places';
import { problemText } from '../lib/problem';
import { navigate, place as address } from '../lib/router';
import { useStore } from '../lib/store';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { Link, Name, Notice } from './basics';
import { PolicyForm } from './policy-form';
import s from './places.module.css';

const placePath = (id: string): string => `/settings?view=places${id === 'hub' ? '' : `&place=${encodeURIComponent(id)}`}`;

export function PlaceName({ place }: { place: Place }) {
	return place.parent === null ? <>{t.places.hub}</> : <Name text={place.name} />;
}

export function Places() {
	const { state, problem, places } = useStore(placeList);
	const chosen = new URLSearchParams(useStore(address).search).get('place') ?? 'hub';
	useEffect(() => void loadPlaces(), []);
	const place = places.get(chosen) ?? places.get('hub');
	return (
		<>
			{state === 'failed' && (
				<Notice kind="danger" role="alert">
					<p>{t.places.failed}</p>
					<p>{problem}</p>
					<button type="button" className={u.button} onClick={() => void loadPlaces()}>
						{t.retry}
					</button>
				</Notice>
			)}
			{!place && state !== 'failed' && <p className={u.wait}>{t.loading}</p>}
			{place && (
				<div className={s.places}>
					<nav className={s.tree} aria-label={t.places.tree}>
						<ul>
							{inOrder(places).map((one) => (
								<Row key={one.place.id} place={one.place} depth={one.depth} chosen={one.place.id === place.id} />
							))}
						</ul>
						<Add key={place.id} parent={place} />
					</nav>
					<div className={s.main}>
						<Head key={`${place.id} ${place.name}`} place={place} />
						<PolicyForm
							key={place.id}
							place={place}
							inherited={(field) => {
								const got = inherited(places, place.id, field);
								return { value: got.value, from: got.from && <PlaceName place={got.from} /> };
							}}
						/>
					</div>
				</div>
			)}
		</>
	);
}

function Row({ place, depth, chosen }: { place: Place; depth: number; chosen: boolean }) {
	return (
		<li>
			<Link to={placePath(place.id)} aria-current={chosen ? 'true' : undefined} style={{ paddingInlineStart: 10 + Math.min(depth, 8) * 16 }}>
				<b>
					<PlaceName place={place} />
				</b>
				<span className="num">{t.places.devices(place.devicesBelow)}</span>
			</Link>
		</li>
	);
}

function Problem({ text }: { text: string | null }) {
	if (!text) return null;
	return (
		<Notice kind="danger" role="alert">
			<p>{text}</p>
		</Notice>
	);
}

function Add({ parent }: { parent: Place }) {
	const kinds = kindsIn(parent.kind);
	const [open, setOpen] = useState(false);
	const [problem, setProblem] = useState<string | null>(null);
	const submit = async (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		const name = String(form.get('name') ?? '').trim();
		if (!name) return setProblem(t.places.nameMissing);
		try {
			const { place } = await api.addPlace({ kind: String(form.get('kind')) as Place['kind'], name, parent: parent.id });
			await placesChanged();
			navigate(placePath(place.id));
		} catch (error) {
			setProblem(`${t.places.addFailed} ${problemText(error)}`);
		}
	};
	if (!open)
		return (
			<button type="button" className={u.button} onClick={() => setOpen(true)}>
				<Plus size={15} strokeWidth={1.9} aria-hidden />
				{t.places.add}
			</button>
		);
	return (
		<form className={s.add} onSubmit={(event) => void submit(event)} noValidate aria-label={t.places.add}>
			<p className={s.soft}>
				{t.places.addIn} <PlaceName place={parent} />
			</p>
			<label className={u.field}>
				{t.places.kind}
				<select className={u.input} name="kind" defaultValue={kinds[0]}>
					{kinds.map((kind) => (
						<option key={kind} value={kind}>
							{t.places.kinds[kind]}
						</option>
					))}
				</select>
			</label>
			<label className={u.field}>
				{t.places.name}
				<input className={u.input} name="name" maxLength={128} autoFocus autoComplete="off" />
			</label>
			<Problem text={problem} />
			<div className={u.row}>
				<button type="submit" className={`${u.button} ${u.primary}`}>
					{t.places.addDo}
				</button>
				<button type="button" className={u.button} onClick={() => setOpen(false)}>
					{t.cancel}
				</button>
			</div>
		</form>
	);
}

function Head({ place }: { place: Place }) {
	const [problem, setProblem] = useState<string | null>(null);
	const [name, setName] = useState(place.name);
	const rename = async (event: FormEvent) => {
		event.preventDefault();
		if (!name.trim()) return setProblem(t.places.nameMissing);
		try {
			await api.changePlace(place.id, { name: name.trim() });
			setProblem(null);
			await placesChanged();
		} catch (error) {
			setProblem(problemText(error));
		}
	};
	return (
		<div className={s.head}>
			<h2>
				<PlaceName place={place} />
				<small>
					{place.parent !== null && `${t.places.kinds[place.kind]} · `}
					{t.places.devices(place.devicesBelow)}
				</small>
			</h2>
			{place.parent !== null && (
				<form className={s.rename} onSubmit={(event) => void rename(event)} noValidate>
					<input className={u.input} aria-label={t.places.name} value={name} maxLength={128} autoComplete="off" onChange={(event) => setName(event.target.value)} />
					<button type="submit" className={u.button} disabled={name.trim() === place.name}>
						{t.places.rename}
					</button>
					<Remove place={place} />
				</form>
			)}
			<Problem text={problem} />
		</div>
	);
}

function Remove({ place }: { place: Place }): ReactNode {
	const [problem, setProblem] = useState<string | null>(null);
	const [open, setOpen] = useState(false);
	const remove = async () => {
		try {
			await api.removePlace(place.id);
			setOpen(false);
			navigate(placePath(place.parent ?? 'hub'), 'replace');
			await placesChanged();
		} catch (error) {
			setProblem(`${t.places.removeFailed} ${problemText(error)}`);
		}
	};
	return (
		<AlertDialog.Root open={open} onOpenChange={setOpen}>
			<AlertDialog.Trigger className={u.button}>{t.places.remove}</AlertDialog.Trigger>
			<AlertDialog.Portal>
				<AlertDialog.Backdrop className={u.backdrop} />
				<AlertDialog.Popup className={u.dialog}>
					<AlertDialog.Title>{t.places.removeTitle}</AlertDialog.Title>
					<AlertDialog.Description>
						<b>
							<PlaceName place={place} />
						</b>{' '}
						{t.places.removeText}
					</AlertDialog.Description>
					<Problem text={problem} />
					<div className={`${u.row} ${u.end}`}>
						<AlertDialog.Close className={u.button}>{t.cancel}</AlertDialog.Close>
						<button type="button" className={`${u.button} ${u.risky}`} onClick={() => void remove()}>
							{t.places.remove}
						</button>
					</div>
				</AlertDialog.Popup>
			</AlertDialog.Portal>
		</AlertDialog.Root>
	);
}
