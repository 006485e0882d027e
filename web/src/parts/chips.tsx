// Running sessions, wherever the person is: one chip each, except on the session's own page.
import { deviceList } from '../lib/devices';
import { devicePath, pageOf, place } from '../lib/router';
import { useStore } from '../lib/store';
import { sessions } from '../session/sessions';
import s from '../styles/ui.module.css';
import { t } from '../text';
import { Link, Name } from './basics';

export function Chips() {
	const list = useStore(sessions);
	const devices = useStore(deviceList).devices;
	const page = pageOf(useStore(place).path);
	const here = page.page === 'device' ? page.id : null;
	const shown = list.filter((session) => session.device !== here && session.running);
	if (shown.length === 0) return null;
	return (
		<div className={s.chips}>
			{shown.map((session) => {
				const { phase } = session.state.get();
				return (
					<Link key={session.device} className={s.chip} to={devicePath(session.device)} title={t.phase[phase]}>
						<span className={s.dot} data-on={phase === 'connected' ? 'true' : 'busy'} aria-hidden />
						<span className="vh">{t.chip(t.phase[phase])}</span>
						<Name text={devices.get(session.device)?.name ?? session.device} />
					</Link>
				);
			})}
		</div>
	);
}
