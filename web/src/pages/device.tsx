import { useEffect, useState } from 'react';
import type { Device } from '../lib/api';
import { deviceList } from '../lib/devices';
import { useMedia } from '../lib/media';
import { prefs } from '../lib/prefs';
import { useStore } from '../lib/store';
import { About } from '../parts/about';
import { Heading, Link, Name, Segments } from '../parts/basics';
import { Dock } from '../parts/dock';
import { RouteBadge } from '../parts/route-badge';
import { ScreenView } from '../parts/screen-view';
import { Crumb, Shell } from '../parts/shell';
import type { PeerSession } from '../session/peer';
import { leave, openSession, sessionOf } from '../session/sessions';
import u from '../styles/ui.module.css';
import { t } from '../text';
import s from './device.module.css';

export default function DevicePage({ id }: { id: string }) {
	const list = useStore(deviceList);
	const device = list.devices.get(id);
	const known = device !== undefined;
	const [session, setSession] = useState<PeerSession | null>(() => sessionOf(id) ?? null);
	useEffect(() => {
		if (!known) return;
		const opened = openSession(id);
		setSession(opened);
		return () => leave(opened);
	}, [id, known]);

	return (
		<Shell
			crumb={
				<Crumb>
					<Link to="/devices">{t.nav.devices}</Link>
					{device && (
						<>
							<span aria-hidden>/</span>
							<b>
								<Name text={device.name} />
							</b>
						</>
					)}
				</Crumb>
			}
		>
			{device && session ? <Page device={device} session={session} /> : list.asOf > 0 && !device ? <Unknown /> : <p className={u.wait}>{t.loading}</p>}
		</Shell>
	);
}

function Unknown() {
	return (
		<main className={u.page} id="page">
			<div className={u.empty}>
				<Heading title={t.device.unknown}>{t.device.unknown}</Heading>
				<p>{t.device.unknownText}</p>
				<Link className={u.button} to="/devices">
					{t.device.toDevices}
				</Link>
			</div>
		</main>
	);
}

type Part = 'screen' | 'tools';
const REST_MS = 300;

/** The picture comes first: what stands around it is drawn after it, or when it takes its time. */
function useRest(session: PeerSession): boolean {
	const [rest, setRest] = useState(() => session.state.get().phase !== 'asking' && session.state.get().phase !== 'finding');
	const { pictured } = useStore(session.state);
	useEffect(() => {
		if (rest) return;
		const timer = setTimeout(() => setRest(true), pictured ? 0 : REST_MS);
		return () => clearTimeout(timer);
	}, [rest, pictured]);
	return rest;
}

function Page({ device, session }: { device: Device; session: PeerSession }) {
	const narrow = useMedia('(max-width: 1100px)');
	const single = useMedia('(max-width: 700px), (max-height: 560px)');
	const { dock, dockHeight } = useStore(prefs);
	const [part, setPart] = useState<Part>('screen');
	const rest = useRest(session);
	const about = rest && <About device={device} session={session} />;
	const screen = !single || part === 'screen';
	const tools = !single || part === 'tools';
	return (
		<main className={s.page} id="page">
			<Head device={device} session={session} />
			{single && (
				<div className={s.parts}>
					<Segments<Part>
						label={t.device.tabs}
						value={part}
						options={[
							['screen', t.device.tabScreen],
							['tools', t.device.tabTools],
						]}
						onChange={setPart}
					/>
				</div>
			)}
			<div className={s.body} data-narrow={narrow ? '' : undefined} data-single={single ? '' : undefined}>
				{screen && <ScreenView session={session} device={device} />}
				{!narrow && (
					<aside className={s.aside} aria-label={t.device.aside}>
						{about}
					</aside>
				)}
				{tools && (
					<div className={s.dock} style={single ? undefined : { blockSize: dock ? `min(${dockHeight}px, 48vh)` : 39 }}>
						{rest && <Dock session={session} name={device.name} about={narrow ? about : null} full={single} />}
					</div>
				)}
			</div>
		</main>
	);
}

function Head({ device, session }: { device: Device; session: PeerSession }) {
	const { phase, route } = useStore(session.state);
	const { os, version } = device.platform;
	return (
		<div className={s.head}>
			<span className={u.dot} data-on={device.online} aria-hidden />
			<Heading title={device.name}>
				<Name text={device.name} />
			</Heading>
			<span className={s.who}>
				<span className="vh">{device.online ? t.devices.online : t.devices.offline}, </span>
				{device.user ? (
					<>
						<Name text={device.user} /> {t.device.signedIn}
					</>
				) : (
					t.device.nobody
				)}
				, <Name text={`${os} ${version}`.trim()} />
			</span>
			{phase === 'connected' && route ? (
				<RouteBadge session={session} device={device} />
			) : (
				<span className={s.phase}>{device.online || phase !== 'waiting' ? t.phase[phase] : t.devices.offline}</span>
			)}
			<div className={s.end}>
				{session.running ? (
					<button type="button" className={u.button} onClick={() => session.end()}>
						{phase === 'waiting' ? t.device.stopWaiting : t.device.endSession}
					</button>
				) : (
					<button type="button" className={u.button} onClick={() => void session.connect()}>
						{t.device.connect}
					</button>
				)}
			</div>
		</div>
	);
}
