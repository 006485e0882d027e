// One policy as a form: each key is either set here, or shows what holds instead and where that comes from.
import { useState, type FormEvent, type ReactNode } from 'react';
import { api, type Place } from '../lib/api';
import { visible } from '../lib/hostile';
import { placesChanged } from '../lib/place-list';
import { listOf, mistakes, toFields, toPolicy, type Field, type Fields, type Mistake, type Value } from '../lib/places';
import { problemText } from '../lib/problem';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { Notice, Segments } from './basics';
import s from './places.module.css';

type Kind = 'methods' | 'relay' | 'transports' | 'list' | 'ports' | 'number';
interface Row {
	field: Field;
	kind: Kind;
	name: string;
	hint: string;
}
/** What is in the boxes: text until it is saved. */
type Raw = string | string[];
type Draft = Partial<Record<Field, Raw>>;

const rows = (): Row[] => [
	{ field: 'methods', kind: 'methods', name: t.places.methods, hint: t.places.methodsText },
	{ field: 'relay', kind: 'relay', name: t.places.relay, hint: t.places.relayText },
	{ field: 'turnTransports', kind: 'transports', name: t.places.turnTransports, hint: '' },
	{ field: 'interfacesPrefer', kind: 'list', name: t.places.interfacesPrefer, hint: t.places.interfacesText },
	{ field: 'interfacesExclude', kind: 'list', name: t.places.interfacesExclude, hint: '' },
	{ field: 'subnetsPrefer', kind: 'list', name: t.places.subnetsPrefer, hint: t.places.subnetsText },
	{ field: 'subnetsExclude', kind: 'list', name: t.places.subnetsExclude, hint: '' },
	{ field: 'udpPorts', kind: 'ports', name: t.places.udpPorts, hint: t.places.udpPortsText },
	{ field: 'dscp', kind: 'number', name: t.places.dscp, hint: t.places.dscpText },
	{ field: 'deviceKbit', kind: 'number', name: t.places.deviceKbit, hint: t.places.kbitText },
	{ field: 'siteKbit', kind: 'number', name: t.places.siteKbit, hint: t.places.kbitText },
];

function toRaw(kind: Kind, value: Value): Raw {
	if (kind === 'list') return (value as string[]).join('\n');
	if (kind === 'ports') return value === 'any' ? '' : String(value);
	return Array.isArray(value) ? value : String(value);
}

function toValue(kind: Kind, raw: Raw): Value {
	if (kind === 'list') return listOf(String(raw));
	if (kind === 'ports') return String(raw).trim() || 'any';
	if (kind === 'number') return String(raw).trim() === '' ? Number.NaN : Number(raw);
	return raw;
}

const draftOf = (place: Place): Draft => {
	const fields = toFields(place.policy);
	return Object.fromEntries(rows().flatMap(({ field, kind }) => (fields[field] === undefined ? [] : [[field, toRaw(kind, fields[field]!)]])));
};
const fieldsOf = (draft: Draft): Fields =>
	Object.fromEntries(rows().flatMap(({ field, kind }) => (draft[field] === undefined ? [] : [[field, toValue(kind, draft[field]!)]])));

/** What holds, in words. */
function Shown({ row, value }: { row: Row; value: Value }): ReactNode {
	const { kind, field } = row;
	if (kind === 'methods') return (value as string[]).map((method) => t.route[method as 'local']).join(', ');
	if (kind === 'transports') return (value as string[]).map((one) => t.places.transports[one] ?? one).join(', ');
	if (kind === 'relay') return t.places.relays[String(value)];
	if (kind === 'list') {
		const list = value as string[];
		return list.length === 0 ? t.places.emptyList : <bdi dir="ltr" className="mono">{list.map(visible).join(', ')}</bdi>;
	}
	if (kind === 'ports') return value === 'any' ? t.places.anyPort : <bdi className="num">{String(value)}</bdi>;
	return <bdi className="num">{field === 'dscp' ? String(value) : t.places.kbit(Number(value))}</bdi>;
}

interface FormProps {
	place: Place;
	inherited: (field: Field) => { value: Value; from: ReactNode };
}

export function PolicyForm({ place, inherited }: FormProps) {
	const [draft, setDraft] = useState<Draft>(() => draftOf(place));
	const [wrong, setWrong] = useState<Partial<Record<Field, Mistake>>>({});
	const [problem, setProblem] = useState<string | null>(null);
	const [saved, setSaved] = useState(false);
	const before = JSON.stringify(toPolicy(toFields(place.policy)));
	const changed = JSON.stringify(toPolicy(fieldsOf(draft))) !== before;
	const change = (field: Field, raw: Raw | undefined) => {
		setSaved(false);
		setDraft(({ [field]: _old, ...rest }) => (raw === undefined ? rest : { ...rest, [field]: raw }));
		setWrong(({ [field]: _was, ...rest }) => rest);
	};
	const submit = async (event: FormEvent) => {
		event.preventDefault();
		const fields = fieldsOf(draft);
		const found = mistakes(fields);
		setWrong(found);
		const first = rows().find(({ field }) => found[field])?.field;
		if (first) {
			document.getElementById(`value-${first}`)?.focus();
			return;
		}
		try {
			await api.changePlace(place.id, { policy: toPolicy(fields) });
			await placesChanged();
			setProblem(null);
			setSaved(true);
		} catch (error) {
			setProblem(`${t.places.saveFailed} ${problemText(error)}`);
		}
	};
	const undo = () => {
		setDraft(draftOf(place));
		setWrong({});
		setProblem(null);
	};
	return (
		<form className={s.policy} onSubmit={(event) => void submit(event)} noValidate aria-label={t.places.policy}>
			{rows().map((row) => (
				<Line key={row.field} row={row} raw={draft[row.field]} mistake={wrong[row.field]} inherited={inherited(row.field)} onChange={(raw) => change(row.field, raw)} />
			))}
			<div className={s.save}>
				{problem && (
					<Notice kind="danger" role="alert">
						<p>{problem}</p>
					</Notice>
				)}
				{saved && (
					<Notice kind="good" role="status">
						<p>{t.places.saved}</p>
					</Notice>
				)}
				<button type="submit" className={`${u.button} ${u.primary}`} disabled={!changed}>
					{t.places.save}
				</button>
				{changed && (
					<button type="button" className={u.button} onClick={undo}>
						{t.places.undo}
					</button>
				)}
			</div>
		</form>
	);
}

interface LineProps {
	row: Row;
	raw: Raw | undefined;
	mistake: Mistake | undefined;
	inherited: { value: Value; from: ReactNode };
	onChange: (raw: Raw | undefined) => void;
}

function Line({ row, raw, mistake, inherited, onChange }: LineProps) {
	const { field, kind, name, hint } = row;
	const set = raw !== undefined;
	return (
		<div className={s.line} role="group" aria-labelledby={`name-${field}`} data-field={field}>
			<div className={s.label}>
				<span id={`name-${field}`}>{name}</span>
				{hint && <small id={`hint-${field}`}>{hint}</small>}
			</div>
			<div className={s.value}>
				{set ? (
					<Control row={row} raw={raw} invalid={mistake !== undefined} onChange={onChange} />
				) : (
					<p>
						<Shown row={row} value={inherited.value} />
						<small>
							{inherited.from ? (
								<>
									{t.places.inheritedFrom} {inherited.from}
								</>
							) : (
								t.places.theDefault
							)}
						</small>
					</p>
				)}
				{mistake && (
					<small className={s.wrong} id={`wrong-${field}`} role="alert">
						{t.places.wrong[mistake]}
					</small>
				)}
			</div>
			<label className={s.set}>
				<input
					type="checkbox"
					aria-labelledby={`set-${field} name-${field}`}
					checked={set}
					onChange={(event) => onChange(event.target.checked ? toRaw(kind, inherited.value) : undefined)}
				/>
				<span id={`set-${field}`}>{t.places.setHere}</span>
			</label>
		</div>
	);
}

interface ControlProps {
	row: Row;
	raw: Raw;
	invalid: boolean;
	onChange: (raw: Raw) => void;
}

function Control({ row, raw, invalid, onChange }: ControlProps) {
	const { field, kind, name, hint } = row;
	const common = {
		id: `value-${field}`,
		'aria-labelledby': `name-${field}`,
		'aria-invalid': invalid || undefined,
		'aria-describedby': [hint && `hint-${field}`, invalid && `wrong-${field}`].filter(Boolean).join(' ') || undefined,
	};
	if (kind === 'relay')
		return (
			<Segments
				label={name}
				value={String(raw)}
				options={(['allowed', 'last-resort', 'forbidden'] as const).map((value) => [value, t.places.relays[value]!] as const)}
				onChange={onChange}
			/>
		);
	if (kind === 'methods' || kind === 'transports') {
		const words = kind === 'methods' ? (['local', 'punched', 'relayed'] as const) : (['udp', 'tcp', 'tls', 'wss'] as const);
		const list = raw as string[];
		return (
			<div className={s.checks} id={common.id} tabIndex={-1}>
				{words.map((value) => (
					<label key={value}>
						<input
							type="checkbox"
							checked={list.includes(value)}
							onChange={(event) => onChange(words.filter((one) => (one === value ? event.target.checked : list.includes(one))))}
						/>
						{kind === 'methods' ? t.route[value as 'local'] : t.places.transports[value]}
					</label>
				))}
			</div>
		);
	}
	if (kind === 'list')
		return (
			<textarea {...common} className={`${u.input} mono`} dir="ltr" rows={Math.min(6, Math.max(2, String(raw).split('\n').length))} value={String(raw)} spellCheck={false} onChange={(event) => onChange(event.target.value)} />
		);
	return (
		<input
			{...common}
			className={`${u.input} num`}
			dir="ltr"
			inputMode={kind === 'number' ? 'numeric' : undefined}
			placeholder={kind === 'ports' ? t.places.anyPort : undefined}
			value={String(raw)}
			autoComplete="off"
			spellCheck={false}
			onChange={(event) => onChange(event.target.value)}
		/>
	);
}
