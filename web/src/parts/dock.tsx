// Below the screen: terminals, and on narrow windows what is known about the device.
import { Tabs } from '@base-ui/react/tabs';
import { Info, PanelBottom, Plus, SquareTerminal, X } from 'lucide-react';
import { lazy, Suspense, useEffect, useState, type KeyboardEvent, type PointerEvent, type ReactNode } from 'react';
import { visible } from '../lib/hostile';
import { loadTerminal } from '../lib/pages';
import { prefs, setPrefs } from '../lib/prefs';
import { useStore } from '../lib/store';
import type { PeerSession } from '../session/peer';
import type { Terminal } from '../session/terminal';
import { signalName } from '../session/terminal-protocol';
import u from '../styles/ui.module.css';
import { t } from '../text';
import s from './dock.module.css';

const TerminalView = lazy(loadTerminal);
const STROKE = 1.9;
const LOWEST = 120;
const STEP = 24;
const SOON_MS = 300;

export function Dock({ session, name, about, full }: { session: PeerSession; name: string; about: ReactNode | null; full: boolean }) {
	const terminals = useStore(session.terminals);
	const { phase, modules, pictured } = useStore(session.state);
	const { dock } = useStore(prefs);
	const [chosen, setChosen] = useState('');
	const shown = dock || full;
	const offered = modules.includes('terminal');

	useEffect(() => {
		if (!shown || !offered || session.greeted) return;
		session.greeted = true;
		session.addTerminal();
	}, [shown, offered, session]);

	const ids = [...terminals.map((terminal) => String(terminal.number)), ...(about ? ['about'] : [])];
	const value = ids.includes(chosen) ? chosen : (ids[0] ?? '');
	const add = () => {
		setPrefs({ dock: true });
		session.greeted = true;
		const terminal = session.addTerminal();
		terminal.wantsFocus = true;
		setChosen(String(terminal.number));
	};
	const current = terminals.find((terminal) => String(terminal.number) === value);
	const hide = shown ? t.terminal.hide : t.terminal.show;

	return (
		<section className={s.dock} aria-label={t.terminal.section}>
			{shown && !full && <Handle />}
			<Tabs.Root className={s.root} value={value} onValueChange={(next) => setChosen(String(next))}>
				<div className={s.tabs}>
					{ids.length > 0 && (
						<Tabs.List className={s.list} aria-label={t.terminal.tabs} activateOnFocus>
							{terminals.map((terminal) => (
								<Tabs.Tab key={terminal.number} value={String(terminal.number)} className={s.tab} data-terminal-tab>
									<SquareTerminal size={15} strokeWidth={STROKE} aria-hidden />
									{t.terminal.tab(terminal.number)}
								</Tabs.Tab>
							))}
							{about && (
								<Tabs.Tab value="about" className={s.tab}>
									<Info size={15} strokeWidth={STROKE} aria-hidden />
									{t.device.tabAbout}
								</Tabs.Tab>
							)}
						</Tabs.List>
					)}
					<button type="button" className={u.icon} aria-label={t.terminal.open} title={t.terminal.open} disabled={!offered} onClick={add}>
						<Plus size={16} strokeWidth={STROKE} aria-hidden />
					</button>
					<div className={s.end}>
						{current && shown && (
							<button
								type="button"
								className={u.icon}
								aria-label={t.terminal.closeThis}
								title={t.terminal.closeThis}
								onClick={() => session.closeTerminal(current)}
							>
								<X size={16} strokeWidth={STROKE} aria-hidden />
							</button>
						)}
						{!full && (
							<button type="button" className={u.icon} aria-label={hide} title={hide} aria-expanded={shown} onClick={() => setPrefs({ dock: !dock })}>
								<PanelBottom size={16} strokeWidth={STROKE} aria-hidden />
							</button>
						)}
					</div>
				</div>
				{shown &&
					terminals.map((terminal) => (
						<Tabs.Panel key={terminal.number} value={String(terminal.number)} className={s.panel} keepMounted tabIndex={-1}>
							<One terminal={terminal} name={name} active={value === String(terminal.number)} connected={phase === 'connected'} pictured={pictured} />
						</Tabs.Panel>
					))}
				{shown && about && (
					<Tabs.Panel value="about" className={s.panel}>
						<div className={s.about}>{about}</div>
					</Tabs.Panel>
				)}
			</Tabs.Root>
			{shown && ids.length === 0 && (
				<div className={s.empty}>
					<p>{offered || phase === 'ended' ? t.terminal.none : phase === 'connected' ? t.terminal.noModule : t.terminal.waiting}</p>
					{offered && (
						<button type="button" className={u.button} onClick={add}>
							{t.terminal.start}
						</button>
					)}
				</div>
			)}
		</section>
	);
}

interface OneProps {
	terminal: Terminal;
	name: string;
	active: boolean;
	connected: boolean;
	pictured: boolean;
}

function One({ terminal, name, active, connected, pictured }: OneProps) {
	const { state, exit, failure } = useStore(terminal.state);
	const over = state === 'ended' || state === 'failed';
	const [ready, setReady] = useState(state !== 'waiting');
	useEffect(() => {
		// the picture comes first
		if (!connected || ready) return;
		const timer = setTimeout(() => setReady(true), pictured ? 0 : SOON_MS);
		return () => clearTimeout(timer);
	}, [connected, pictured, ready]);
	return (
		<>
			<div className={s.term}>
				{ready && (
					<Suspense fallback={<p>{t.loading}</p>}>
						<TerminalView terminal={terminal} name={name} active={active} />
					</Suspense>
				)}
				{state === 'waiting' && !connected && <p className={s.over}>{t.terminal.waiting}</p>}
			</div>
			{over && (
				<div className={s.status} role="status">
					<span>
						{exit ? (exit.signal ? t.terminal.killed(signalName(exit.number)) : t.terminal.exited(exit.number)) : t.terminal.failed}
						{failure && (
							<>
								{' '}
								<bdi>{visible(failure)}</bdi>
							</>
						)}
					</span>
					<button type="button" className={u.button} onClick={() => terminal.again()}>
						{t.terminal.again}
					</button>
				</div>
			)}
		</>
	);
}

/** Height of the dock, by pointer or arrow keys. */
function Handle() {
	const { dockHeight } = useStore(prefs);
	const highest = Math.max(LOWEST, Math.round(innerHeight * 0.7));
	const set = (height: number) => setPrefs({ dockHeight: Math.round(Math.min(highest, Math.max(LOWEST, height))) });
	const key = (event: KeyboardEvent) => {
		const step = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
		if (!step) return;
		event.preventDefault();
		set(dockHeight + step);
	};
	const drag = (event: PointerEvent<HTMLDivElement>) => {
		if (event.currentTarget.hasPointerCapture(event.pointerId)) set(innerHeight - event.clientY);
	};
	return (
		<div
			className={s.handle}
			role="separator"
			aria-orientation="horizontal"
			aria-label={t.terminal.size}
			aria-valuenow={dockHeight}
			aria-valuemin={LOWEST}
			aria-valuemax={highest}
			tabIndex={0}
			onKeyDown={key}
			onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
			onPointerMove={drag}
		/>
	);
}
