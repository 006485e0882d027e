// Everything about the route of one session, of this moment or of the past: both ends' reports and the hub's verdict.
import { Download } from 'lucide-react';
import { useEffect, useState } from 'react';
import { api, type Device, type Policy, type Route, type SessionDetail, type SessionRow, type Side, type Verdict } from '../lib/api';
import { deviceList } from '../lib/devices';
import { problemText } from '../lib/problem';
import { devicePath, place, routePath } from '../lib/router';
import { useStore } from '../lib/store';
import { Heading, Link, Name, Notice, Segments, Time } from '../parts/basics';
import { RouteGlyph } from '../parts/icons';
import { EndReport } from '../parts/route-end';
import { Diagram } from '../parts/route-diagram';
import { Detail, Fixes, Methods, why } from '../parts/route-why';
import { Crumb, Shell } from '../parts/shell';
import type { PeerSession } from '../session/peer';
import { rttText } from '../session/route-watch';
import { sessions } from '../session/sessions';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { dateTime } from '../text/format';
import s from './route-report.module.css';

const LISTED = 20;

/** What is on record, refreshed when the hub has made up its mind anew. */
function useRecord(device: string, asked: string | null, live: PeerSession | undefined) {
	const [rows, setRows] = useState<SessionRow[] | null>(null);
	const [record, setRecord] = useState<SessionDetail | null>(null);
	const [problem, setProblem] = useState<string | null>(null);
	const [attempt, setAttempt] = useState(0);
	const state = live?.state.get();
	const running = state?.session ?? null;
	const id = asked ?? running ?? rows?.[0]?.id ?? null;
	const mark = running === id ? `${state?.verdict?.cause} ${state?.verdict?.method} ${state?.verdict?.final} ${state?.route?.method}` : '';
	useEffect(() => {
		let gone = false;
		api.sessions(device, LISTED).then(
			(got) => !gone && setRows(got.sessions),
			(error: unknown) => !gone && setProblem(problemText(error)),
		);
		return () => void (gone = true);
	}, [device, running, attempt]);
	useEffect(() => {
		if (!id) return;
		let gone = false;
		api.session(id).then(
			(got) => !gone && (setRecord(got.session), setProblem(null)),
			(error: unknown) => !gone && setProblem(problemText(error)),
		);
		return () => void (gone = true);
	}, [id, mark, attempt]);
	return { rows, id, record: record?.id === id ? record : null, problem, retry: () => setAttempt((n) => n + 1) };
}

export default function RouteReport({ id }: { id: string }) {
	const device = useStore(deviceList).devices.get(id);
	const name = device?.name ?? id;
	const parameters = new URLSearchParams(useStore(place).search);
	const live = useStore(sessions).find((session) => session.device === id);
	const got = useRecord(id, parameters.get('session'), live);
	return (
		<Shell
			crumb={
				<Crumb>
					<Link to="/devices">{t.nav.devices}</Link>
					<span aria-hidden>/</span>
					<Link to={devicePath(id)}>
						<Name text={name} />
					</Link>
					<span aria-hidden>/</span>
					<b>{t.report.title}</b>
				</Crumb>
			}
		>
			<main className={u.page} id="page">
				<Page device={device} deviceId={id} name={name} live={live} got={got} />
			</main>
		</Shell>
	);
}

interface PageProps {
	device: Device | undefined;
	deviceId: string;
	name: string;
	live: PeerSession | undefined;
	got: ReturnType<typeof useRecord>;
}

function Page({ device, deviceId, name, live, got }: PageProps) {
	const { rows, id, record, problem, retry } = got;
	const state = live?.state.get();
	const now = id !== null && state?.session === id ? state : undefined;
	const mine = now?.route ?? record?.routes?.console ?? null;
	const theirs = record?.routes?.device ?? null;
	const route = mine ?? theirs ?? record?.route ?? null;
	const verdict = now?.verdict ?? record?.verdict ?? null;
	const policy: Policy = now?.policy ?? {};
	return (
		<div className={s.report}>
			<div className={s.head}>
				<div>
					<Heading title={t.report.titleOf(name)}>
						{t.report.to} <Name text={name} />
					</Heading>
					<p className={`${u.lead} num`}>
						{now ? t.report.live : record && <Time at={record.started}>{dateTime(record.started)}</Time>}
						{record && (
							<>
								{' · '}
								<Name text={record.userName} />
							</>
						)}
					</p>
				</div>
				{route && <Save name={name} id={id} value={{ session: id, device: deviceId, verdict, routes: { console: mine, device: theirs } }} />}
			</div>
			{problem && !route && (
				<Notice kind="danger" role="alert">
					<p>{t.report.failed}</p>
					<p>{problem}</p>
					<button type="button" className={u.button} onClick={retry}>
						{t.retry}
					</button>
				</Notice>
			)}
			{!route && !problem && (rows === null || (id !== null && record === null)) && <p className={u.wait}>{t.loading}</p>}
			{!route && !problem && rows !== null && (id === null || record !== null) && (
				<div className={s.card}>
					<h2>{t.report.none}</h2>
					<p>{t.report.noneText}</p>
					<Link className={u.button} to={devicePath(deviceId)}>
						{t.report.back}
					</Link>
				</div>
			)}
			{route && <Why route={route} verdict={verdict} mine={mine} theirs={theirs} name={name} address={device?.address ?? ''} policy={policy} />}
			{route && <Ends key={id} mine={mine} theirs={theirs} />}
			<Others rows={rows} device={deviceId} shown={id} />
		</div>
	);
}

interface WhyProps {
	route: Route;
	verdict: Verdict | null;
	mine: Route | null;
	theirs: Route | null;
	name: string;
	address: string;
	policy: Policy;
}

function Why({ route, verdict, mine, theirs, name, address, policy }: WhyProps) {
	const now = verdict?.method === route.method ? verdict : null;
	return (
		<section className={s.card} aria-labelledby="why">
			<h2 id="why" className={s.method} data-method={route.method}>
				<RouteGlyph method={route.method} size={26} />
				{t.route[route.method]}
				<bdi className="num">{rttText(route.rtt_ms)}</bdi>
			</h2>
			<div>
				<p className={s.say}>{why(route, now)}</p>
				<Detail route={route} verdict={now} />
			</div>
			<div className={s.pictures}>
				<Diagram route={route} verdict={now} name={name} />
				<div>
					<Fixes level="h3" remedies={now?.remedy ?? []} ends={{ console: mine, device: theirs }} address={address} />
					<Methods route={route} policy={policy} />
				</div>
			</div>
		</section>
	);
}

function Ends({ mine, theirs }: { mine: Route | null; theirs: Route | null }) {
	const [side, setSide] = useState<Side>(mine || !theirs ? 'console' : 'device');
	const route = side === 'console' ? mine : theirs;
	return (
		<section className={s.card} aria-labelledby="ends">
			<div className={s.line}>
				<h2 id="ends">{t.report.seen}</h2>
				<Segments<Side>
					label={t.report.seen}
					value={side}
					options={[
						['console', t.report.seenYou],
						['device', t.report.seenDevice],
					]}
					onChange={setSide}
				/>
			</div>
			{route ? <EndReport route={route} /> : <p className={s.soft}>{t.report.notReported}</p>}
		</section>
	);
}

function Others({ rows, device, shown }: { rows: SessionRow[] | null; device: string; shown: string | null }) {
	if (!rows || rows.length === 0) return null;
	return (
		<section className={s.card} aria-labelledby="others">
			<h2 id="others">{t.report.sessions}</h2>
			<ul className={s.others}>
				{rows.map((row) => {
					const method = row.verdict?.method ?? row.route?.method ?? null;
					return (
						<li key={row.id}>
							<Link to={routePath(device, row.id)} aria-current={row.id === shown ? 'page' : undefined}>
								<Time at={row.started}>
									<span className="num">{dateTime(row.started)}</span>
								</Time>
								<span className={s.way} data-method={method ?? undefined}>
									{method && <RouteGlyph method={method} size={18} />}
									{method ? t.route[method] : t.report.unreported}
								</span>
								<Name text={row.userName} />
								<span className={s.soft}>{row.ended === null ? t.report.running : ''}</span>
							</Link>
						</li>
					);
				})}
			</ul>
		</section>
	);
}

/** The same as JSON, for whoever is to help with it. */
function Save({ name, id, value }: { name: string; id: string | null; value: object }) {
	const save = () => {
		const url = URL.createObjectURL(new Blob([`${JSON.stringify(value, null, '\t')}\n`], { type: 'application/json' }));
		const link = document.createElement('a');
		link.href = url;
		link.download = `route-${name.replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 60) || 'device'}-${id ?? ''}.json`;
		link.click();
		setTimeout(() => URL.revokeObjectURL(url), 1_000);
	};
	return (
		<button type="button" className={u.button} onClick={save}>
			<Download size={15} strokeWidth={1.9} aria-hidden />
			{t.report.download}
		</button>
	);
}
