// The end side of a device's page: what is known about it, and today's sessions.
import { useEffect, useState } from 'react';
import { account } from '../lib/account';
import { api, type Device, type SessionRow } from '../lib/api';
import { visible } from '../lib/hostile';
import { routePath } from '../lib/router';
import { useStore } from '../lib/store';
import type { PeerSession, RouteChange } from '../session/peer';
import { t } from '../text';
import { day, moment, sameDay, time } from '../text/format';
import { Link, Name, Time } from './basics';
import { DevicePlace } from './device-place';
import { RemoveDevice } from './remove-device';
import s from './about.module.css';

const LIMIT = 50;
const SHOWN = 12;

export function About({ device, session }: { device: Device; session: PeerSession }) {
	const { os, version, arch } = device.platform;
	const facts: [string, React.ReactNode, string?][] = [
		[t.device.factSystem, <Name text={`${os} ${version}`.trim()} none={t.unknown} />],
		[t.device.factArch, <Name text={arch} none={t.unknown} />],
		[t.device.factAddress, <Name text={device.address} none={t.unknown} />, 'mono'],
		[t.device.factClient, <Name text={device.client} none={t.unknown} />, 'num'],
		[t.device.factEnrolled, <Time at={device.enrolled}>{day(device.enrolled)}</Time>, 'num'],
		[t.device.factKey, <span title={device.key}><Name text={`${device.key.slice(0, 16)}…`} /></span>, 'mono'],
	];
	if (!device.online && device.lastSeen > 0)
		facts.push([t.device.factSeen, <Time at={device.lastSeen}>{moment(device.lastSeen)}</Time>, 'num']);
	if (device.clockOff) facts.push([t.device.factClock, t.device.clockOff(device.clockOff)]);
	return (
		<>
			<section className={s.sec} aria-labelledby="facts">
				<h2 id="facts">{t.device.facts}</h2>
				<dl className={s.facts}>
					{facts.map(([name, value, style]) => (
						<div key={name} style={{ display: 'contents' }}>
							<dt>{name}</dt>
							<dd className={style}>{value}</dd>
						</div>
					))}
				</dl>
			</section>
			<DevicePlace device={device} />
			<Today device={device} session={session} />
			<div className={s.sec}>
				<RemoveDevice device={device} />
			</div>
		</>
	);
}

interface Event {
	at: number;
	key: string;
	session: string;
	who: Pick<SessionRow, 'user' | 'userName'> | null;
	text: string;
}

function eventsOf(rows: SessionRow[], changes: readonly RouteChange[], now: number): Event[] {
	const ofRow = (row: SessionRow): Event[] => [
		{ at: row.started, key: `${row.id}+`, session: row.id, who: row, text: t.device.began },
		...(row.ended === null ? [] : [{ at: row.ended, key: `${row.id}-`, session: row.id, who: row, text: endText(row.endReason) }]),
	];
	const ofChange = (change: RouteChange): Event => ({
		at: change.at,
		key: `${change.session} ${change.at}`,
		session: change.session,
		who: null,
		text: `${t.route.changed[change.to]}${change.to === 'relayed' ? ` ${t.route.changedOver(t.route.overTransport[change.transport] ?? change.transport)}` : ''}`,
	});
	return [...rows.flatMap(ofRow), ...changes.map(ofChange)]
		.filter((event) => sameDay(event.at, now))
		.sort((a, b) => b.at - a.at)
		.slice(0, SHOWN);
}

function endText(reason: string | null): string {
	if (!reason) return t.device.ended;
	return Object.hasOwn(t.endReason, reason) ? t.endReason[reason]! : t.device.endedAs(visible(reason));
}

function Today({ device, session }: { device: Device; session: PeerSession }) {
	const { phase } = useStore(session.state);
	const { user } = useStore(account);
	const [rows, setRows] = useState<SessionRow[] | null>(null);
	const [failed, setFailed] = useState(false);
	const settled = phase === 'asking' || phase === 'finding' ? 'connecting' : phase;
	useEffect(() => {
		if (settled === 'connecting') return;
		let gone = false;
		api.sessions(device.id, LIMIT).then(
			(got) => !gone && (setRows(got.sessions), setFailed(false)),
			() => !gone && setFailed(true),
		);
		return () => {
			gone = true;
		};
	}, [device.id, settled]);
	const changes = useStore(session.changes);
	const events = rows && eventsOf(rows, changes, Date.now());
	return (
		<section className={s.sec} aria-labelledby="today">
			<h2 id="today">
				{t.device.today}
				<Link to={routePath(device.id, null)}>{t.device.todayRoutes}</Link>
				<Link to="/audit">{t.device.todayAll}</Link>
			</h2>
			{failed && <p className={s.soft}>{t.device.todayFailed}</p>}
			{!failed && events?.length === 0 && <p className={s.soft}>{t.device.todayNone}</p>}
			{events && events.length > 0 && (
				<ul className={`${s.events} num`}>
					{events.map(({ key, at, session: id, who, text }) => (
						<li key={key}>
							<Time at={at}>{time(at)}</Time>
							<p>
								{who ? (
									<>
										<b>{who.user === user?.id ? t.device.you : <Name text={who.userName} />}</b> {text}
									</>
								) : (
									<Link to={routePath(device.id, id)}>{text}</Link>
								)}
							</p>
						</li>
					))}
				</ul>
			)}
		</section>
	);
}
