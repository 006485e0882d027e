import { Plus, Search, Unplug } from 'lucide-react';
import { useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import type { Device } from '../lib/api';
import { deviceList, watch } from '../lib/devices';
import { hub } from '../lib/hub';
import { arrange, keepOrder, type Show } from '../lib/list';
import { prefs } from '../lib/prefs';
import { devicePath, navigate, place, setParameter } from '../lib/router';
import { useStore } from '../lib/store';
import { open } from '../lib/overlay';
import { Heading, Link, Name, Segments, Time } from '../parts/basics';
import { EnrolCommand } from '../parts/enrol';
import { warm, warmAhead } from '../session/sessions';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { moment, time } from '../text/format';
import s from './devices.module.css';

const ROW = 33;
const SPARE = 10;
const COLUMNS = 6;

export default function Devices() {
	const list = useStore(deviceList);
	const parameters = new URLSearchParams(useStore(place).search);
	const filter = parameters.get('filter') ?? '';
	const wish = parameters.get('show');
	const show: Show = wish === 'online' || wish === 'offline' ? wish : 'all';
	const late = useDeferredValue(filter);
	const rows = useMemo(() => arrange(list.devices.values(), late, show), [list.devices, late, show]);
	const online = useMemo(() => [...list.devices.values()].filter((d) => d.online).length, [list.devices]);
	const total = list.devices.size;
	const loaded = list.asOf > 0;
	useEffect(() => {
		if (loaded) warmAhead(deviceList.get().devices.values());
	}, [loaded]);

	return (
		<main className={s.page} id="page">
			<div className={s.head}>
				<Heading title={t.devices.title}>{t.devices.title}</Heading>
				<p className={`${s.count} num`}>{loaded && total > 0 && <bdi>{t.devices.count(online, total)}</bdi>}</p>
				{total > 0 ? (
					<button type="button" className={u.button} onClick={() => open('enrol')}>
						<Plus size={15} strokeWidth={1.9} aria-hidden />
						{t.devices.add}
					</button>
				) : (
					<span />
				)}
			</div>
			<Stale />
			{total > 0 && (
				<div className={s.tools}>
					<div className={s.filter}>
						<Search size={14} strokeWidth={1.9} aria-hidden />
						<input
							className={u.input}
							type="text"
							data-filter
							role="searchbox"
							aria-label={t.devices.filter}
							placeholder={t.devices.filter}
							value={filter}
							spellCheck={false}
							onChange={(event) => setParameter('filter', event.target.value)}
							onKeyDown={(event) => filterKey(event, rows)}
						/>
						{prefs.get().singleKeys && (
							<kbd className={u.key} aria-hidden>
								/
							</kbd>
						)}
					</div>
					<Segments
						label={t.devices.show}
						value={show}
						options={[
							['all', t.devices.all],
							['online', t.devices.online],
							['offline', t.devices.offline],
						]}
						onChange={(value) => setParameter('show', value === 'all' ? '' : value)}
					/>
					{(filter || show !== 'all') && <span className={`${s.shown} num`}>{t.devices.shown(rows.length, total)}</span>}
				</div>
			)}
			{!loaded && list.state === 'loading' && <p className={u.wait}>{t.loading}</p>}
			{loaded && total === 0 && <Empty />}
			{total > 0 && <Table rows={rows} onClear={() => navigate('/devices', 'replace')} />}
			<Changes devices={list.devices} />
		</main>
	);
}

function filterKey(event: KeyboardEvent<HTMLInputElement>, rows: Device[]): void {
	if (event.key === 'Escape') {
		if (event.currentTarget.value) setParameter('filter', '');
		else event.currentTarget.blur();
	} else if (event.key === 'ArrowDown') {
		event.preventDefault();
		document.querySelector<HTMLElement>('[data-row] a')?.focus();
	} else if (event.key === 'Enter' && rows[0]) navigate(devicePath(rows[0].id));
}

function Stale() {
	const list = useStore(deviceList);
	const link = useStore(hub.link);
	if (list.state !== 'stale' && list.state !== 'failed') return null;
	const retry = () => {
		hub.poke();
		void watch();
	};
	return (
		<div className={s.stale}>
			<div className={u.notice} data-kind="warn" role="status">
				<Unplug size={16} strokeWidth={1.9} aria-hidden />
				<p className="num">
					{link.state === 'lost' ? t.link.lost : t.devices.loadFailed} {list.asOf > 0 && t.devices.stale(time(list.asOf))}
				</p>
				<button type="button" className={u.button} onClick={retry}>
					{t.retry}
				</button>
			</div>
		</div>
	);
}

function Empty() {
	return (
		<div className={u.page}>
			<div className={u.empty}>
				<h2>{t.devices.emptyTitle}</h2>
				<p>{t.devices.emptyText}</p>
				<EnrolCommand />
			</div>
		</div>
	);
}

// Rows have one height, so the window of rows to draw follows from the scroll position alone.
function Table({ rows: sorted, onClear }: { rows: Device[]; onClear: () => void }) {
	const box = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({ top: 0, height: 800 });
	const [current, setCurrent] = useState<string | null>(null);
	const [hold, setHold] = useState<readonly string[] | null>(null);
	const rows = useMemo(() => (hold ? keepOrder(sorted, hold) : sorted), [sorted, hold]);

	useLayoutEffect(() => {
		const element = box.current!;
		const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
		const observer = new ResizeObserver(measure);
		observer.observe(element);
		return () => observer.disconnect();
	}, []);

	const at = Math.max(0, rows.findIndex((row) => row.id === current));
	const first = Math.max(0, Math.floor(view.top / ROW) - SPARE);
	const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + SPARE);
	const shown: number[] = [];
	for (let i = first; i < last; i++) shown.push(i);
	if (at < first) shown.unshift(at);
	else if (at >= last && at < rows.length) shown.push(at);

	const move = (to: number) => {
		const index = Math.min(rows.length - 1, Math.max(0, to));
		const row = rows[index];
		if (!row) return;
		setCurrent(row.id);
		const element = box.current!;
		const top = index * ROW;
		if (top < element.scrollTop) element.scrollTop = top;
		else if (top + 2 * ROW > element.scrollTop + element.clientHeight) element.scrollTop = top + 2 * ROW - element.clientHeight;
		requestAnimationFrame(() => element.querySelector<HTMLElement>(`[data-row="${index}"] a`)?.focus({ preventScroll: true }));
	};
	const key = (event: KeyboardEvent) => {
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const page = Math.max(1, Math.floor(view.height / ROW) - 2);
		const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length }[event.key];
		if (step === undefined) return;
		event.preventDefault();
		if (event.key === 'ArrowUp' && at === 0) document.querySelector<HTMLElement>('[data-filter]')?.focus();
		else move(at + step);
	};

	return (
		<div
			ref={box}
			className={s.scroll}
			onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
			onPointerEnter={() => setHold(rows.map((row) => row.id))}
			onPointerLeave={() => setHold(null)}
		>
			{rows.length === 0 ? (
				<div className={s.none}>
					<p>{t.devices.noneMatch}</p>
					<button type="button" className={u.button} onClick={onClear}>
						{t.devices.clearFilter}
					</button>
				</div>
			) : (
				<table className={s.table} aria-label={t.devices.title} aria-rowcount={rows.length + 1} onKeyDown={key}>
					<thead>
						<tr aria-rowindex={1}>
							<th scope="col" className={s.name}>{t.devices.name}</th>
							<th scope="col" className={s.state}>{t.devices.state}</th>
							<th scope="col">{t.devices.user}</th>
							<th scope="col" className={s.system}>{t.devices.system}</th>
							<th scope="col" className={s.address}>{t.devices.address}</th>
							<th scope="col" className={s.client}>{t.devices.client}</th>
						</tr>
					</thead>
					<tbody>
						{shown.map((index, i) => (
							<Spaced key={rows[index]!.id} gap={index - (i === 0 ? 0 : shown[i - 1]! + 1)}>
								<Row device={rows[index]!} index={index} current={index === at} onFocus={() => setCurrent(rows[index]!.id)} />
							</Spaced>
						))}
						<Space rows={rows.length - 1 - (shown.at(-1) ?? 0)} />
					</tbody>
				</table>
			)}
		</div>
	);
}

function Spaced({ gap, children }: { gap: number; children: React.ReactNode }) {
	return (
		<>
			<Space rows={gap} />
			{children}
		</>
	);
}

function Space({ rows }: { rows: number }) {
	if (rows <= 0) return null;
	return (
		<tr data-space aria-hidden>
			<td colSpan={COLUMNS} style={{ blockSize: rows * ROW }} />
		</tr>
	);
}

function Row({ device, index, current, onFocus }: { device: Device; index: number; current: boolean; onFocus: () => void }) {
	const to = devicePath(device.id);
	return (
		<tr
			data-row={index}
			data-off={device.online ? undefined : ''}
			aria-rowindex={index + 2}
			onPointerEnter={() => warm(device)}
			onClick={(event) => {
				if (!(event.target as Element).closest('a') && !getSelection()?.toString()) navigate(to);
			}}
		>
			<td className={s.name}>
				<div className={s.device}>
					<span className={u.dot} data-on={device.online} aria-hidden />
					<Link
						to={to}
						tabIndex={current ? 0 : -1}
						onFocus={() => {
							onFocus();
							warm(device);
						}}
					>
						<Name text={device.name} />
					</Link>
				</div>
			</td>
			<td className="num">
				{device.online ? (
					t.devices.stateOnline
				) : device.lastSeen > 0 ? (
					<Time at={device.lastSeen}>{t.devices.offlineSince(moment(device.lastSeen))}</Time>
				) : (
					t.devices.never
				)}
			</td>
			<td>{device.user === null || device.user === '' ? t.devices.nobody : <Name text={device.user} />}</td>
			<td className={s.system}>
				<Name text={`${device.platform.os} ${device.platform.version}`.trim()} none="" />
			</td>
			<td className={`${s.address} mono`}>
				<Name text={device.address} none="" />
			</td>
			<td className={`${s.client} num`}>
				<Name text={device.client} none="" />
			</td>
		</tr>
	);
}

const SUMMARY_MS = 5_000;

/** One polite summary every five seconds instead of a word for each row. */
function Changes({ devices }: { devices: ReadonlyMap<string, Device> }) {
	const [said, setSaid] = useState('');
	const before = useRef(devices);
	const latest = useRef(devices);
	latest.current = devices;
	useEffect(() => {
		const timer = setInterval(() => {
			let on = 0;
			let off = 0;
			for (const [id, device] of latest.current) {
				const was = before.current.get(id);
				if (was && was.online !== device.online) device.online ? on++ : off++;
			}
			before.current = latest.current;
			const parts = [on && t.devices.cameOnline(on), off && t.devices.wentOffline(off)].filter(Boolean);
			if (parts.length) setSaid(`${parts.join(', ')}.`);
		}, SUMMARY_MS);
		return () => clearInterval(timer);
	}, []);
	return (
		<p className="vh" role="status">
			{said}
		</p>
	);
}
