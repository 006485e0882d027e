// What stands where the picture will be: the phases of connecting, or what went wrong and what to do about it.
import { useEffect, useState } from 'react';
import type { Device } from '../lib/api';
import { visible } from '../lib/hostile';
import { routePath } from '../lib/router';
import { useStore } from '../lib/store';
import type { Failure, PeerSession, Phase } from '../session/peer';
import { verdictText } from '../session/verdict';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { moment } from '../text/format';
import { Link } from './basics';
import s from './screen-view.module.css';

const STEPS: readonly Phase[] = ['asking', 'finding', 'connected'];
const PATIENCE_MS = 400;

export function Say({ session, device, picture }: { session: PeerSession; device: Device; picture: boolean }) {
	const { phase, failure, endedBy, modules, verdict, told } = useStore(session.state);
	const screen = useStore(session.screen.state);
	const again = (
		<button type="button" className={u.button} onClick={() => void session.connect()}>
			{t.device.connectAgain}
		</button>
	);
	let body;
	if (phase === 'waiting' && !device.online)
		body = <Words title={t.device.offlineTitle} text={t.device.offlineText(moment(device.lastSeen))} />;
	else if (phase === 'waiting') body = failure ? <Why failure={failure} /> : <Words title={t.phase.waiting} />;
	else if (phase === 'failed')
		body = (
			<>
				{failure && <Why failure={failure} said={failure.code === 'no-route' && verdict?.method === 'none' ? verdictText(verdict) : null} />}
				{failure?.code !== 'forgotten' && (
					<span className={u.row}>
						{again}
						{told && (
							<Link className={u.button} to={routePath(device.id, told)}>
								{t.route.report}
							</Link>
						)}
					</span>
				)}
			</>
		);
	else if (phase === 'ended')
		body = (
			<>
				<Words title={(endedBy && t.endedBy[endedBy]) || t.phase.ended} />
				{again}
			</>
		);
	else if (phase === 'rerouting') body = <Words title={t.phase.rerouting} />;
	else if (phase === 'connected' && !modules.includes('screen')) body = <Words title={t.screen.noModule} text={t.screen.noModuleText} />;
	else if (phase === 'connected' && screen.failure)
		body =
			screen.failure.code === 'no-display' ? (
				<Words title={t.screen.noDisplay} text={t.screen.noDisplayText} />
			) : (
				<Why failure={screen.failure} />
			);
	else if (phase === 'connected' && screen.reopening) body = <Words title={t.screen.reopening} />;
	else body = picture ? null : <Steps phase={phase} waiting={phase === 'connected'} />;
	return (
		<div className={s.say} role="status" data-over={picture && body ? '' : undefined}>
			{body}
		</div>
	);
}

function Words({ title, text }: { title: string; text?: string }) {
	return (
		<>
			<h2>{title}</h2>
			{text && <p className="num">{text}</p>}
		</>
	);
}

/** Cause and remedy, the hub's verdict about the route instead where there is one; below it the other side's own words. */
function Why({ failure, said = null }: { failure: Failure; said?: string | null }) {
	const known = Object.hasOwn(t.failure, failure.code) ? t.failure[failure.code] : undefined;
	const [cause, remedy] = known ?? t.failure.internal!;
	return (
		<>
			<h2>{cause}</h2>
			<p>{said ?? remedy}</p>
			{(failure.message || !known) && (
				<small>
					<bdi>{visible(failure.message || t.failureFrom(failure.code))}</bdi>
				</small>
			)}
		</>
	);
}

/** Connecting is mostly over before words could be read, so they appear only when it takes time. */
function Steps({ phase, waiting }: { phase: Phase; waiting: boolean }) {
	const [slow, setSlow] = useState(false);
	useEffect(() => {
		const timer = setTimeout(() => setSlow(true), PATIENCE_MS);
		return () => clearTimeout(timer);
	}, []);
	if (!slow) return <span className="vh">{t.phase[phase]}</span>;
	return (
		<>
			<ol className={s.steps}>
				{STEPS.map((step) => (
					<li key={step} aria-current={step === phase ? 'step' : undefined}>
						{t.phase[step]}
					</li>
				))}
			</ol>
			{waiting && <p>{t.screen.waiting}</p>}
		</>
	);
}
