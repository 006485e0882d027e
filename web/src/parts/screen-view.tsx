// The remote screen: toolbar, standing notice, picture. Watching first; control is taken by a click.
import { Menu } from '@base-ui/react/menu';
import { Popover } from '@base-ui/react/popover';
import { Toolbar } from '@base-ui/react/toolbar';
import { ChevronDown, Clipboard, Eye, Keyboard, Maximize, Minimize, Monitor, MousePointer2 } from 'lucide-react';
import { useEffect, useRef, useState, type CSSProperties, type RefObject } from 'react';
import type { Device } from '../lib/api';
import { visible } from '../lib/hostile';
import { useStore } from '../lib/store';
import { KEYSYM } from '../session/keysym';
import type { PeerSession } from '../session/peer';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { bitRate } from '../text/format';
import { ClipboardPanel } from './clipboard';
import { Name } from './basics';
import { bindInput } from './screen-input';
import { Say } from './screen-say';
import s from './screen-view.module.css';

const STROKE = 1.9;
const K = KEYSYM;
const COMBOS: readonly (readonly [keyof typeof t.screen.combos, readonly number[]])[] = [
	['cad', [K.control, K.alt, K.delete]],
	['altTab', [K.alt, K.tab]],
	['altF4', [K.alt, K.f4]],
	['ctrlAltT', [K.control, K.alt, 0x74]],
	['super', [K.super]],
	['esc', [K.escape]],
	['print', [K.print]],
];

export function ScreenView({ session, device }: { session: PeerSession; device: Device }) {
	const { stream, phase } = useStore(session.state);
	const screen = useStore(session.screen.state);
	const stage = useRef<HTMLElement>(null);
	const watchButton = useRef<HTMLButtonElement>(null);
	const [picture, setPicture] = useState<{ width: number; height: number } | null>(null);
	useEffect(() => {
		if (!stream) setPicture(null);
	}, [stream]);
	const onPicture = (size: { width: number; height: number }) => {
		setPicture(size);
		session.pictured();
	};
	useEffect(() => {
		session.screen.setShown(true);
		return () => session.screen.setShown(false);
	}, [session]);

	const controls = screen.control === 'on' && phase === 'connected';
	const noDisplay = screen.failure !== null;
	return (
		<section className={s.stage} aria-label={t.screen.section} ref={stage}>
			<Tools session={session} stage={stage} watchButton={watchButton} />
			{/* the line is always there: the picture must not move under the pointer when control is taken */}
			<div className={s.line}>
				<ControlNotice session={session} device={device} />
			</div>
			<div className={s.view}>
				<div
					className={s.surface}
					data-stale={phase === 'rerouting' || screen.reopening ? '' : undefined}
					style={{ '--ratio': picture ? picture.width / picture.height : 16 / 9 } as CSSProperties}
				>
					<Video stream={stream} name={device.name} onPicture={onPicture} />
					{(phase !== 'connected' || !picture || noDisplay || screen.reopening) && <Say session={session} device={device} picture={picture !== null} />}
					{controls && <Input session={session} name={device.name} giveBack={() => watchButton.current?.focus()} />}
				</div>
			</div>
		</section>
	);
}

function Video({ stream, name, onPicture }: { stream: MediaStream | null; name: string; onPicture: (size: { width: number; height: number }) => void }) {
	const video = useRef<HTMLVideoElement>(null);
	useEffect(() => {
		const element = video.current!;
		element.srcObject = stream;
		if (stream) element.play().catch(() => {});
		return () => {
			element.srcObject = null;
		};
	}, [stream]);
	return (
		<video
			ref={video}
			muted
			autoPlay
			playsInline
			disablePictureInPicture
			aria-label={t.screen.videoName(visible(name))}
			onResize={({ currentTarget: v }) => v.videoWidth > 0 && onPicture({ width: v.videoWidth, height: v.videoHeight })}
			onLoadedData={({ currentTarget: v }) => v.videoWidth > 0 && onPicture({ width: v.videoWidth, height: v.videoHeight })}
		/>
	);
}

function Input({ session, name, giveBack }: { session: PeerSession; name: string; giveBack: () => void }) {
	const field = useRef<HTMLTextAreaElement>(null);
	const back = useRef(giveBack);
	back.current = giveBack;
	useEffect(() => {
		const element = field.current!;
		element.focus({ preventScroll: true });
		return bindInput(element, element, session.screen, () => back.current());
	}, [session]);
	return (
		<textarea
			ref={field}
			className={s.keys}
			data-keys="theirs"
			aria-label={t.screen.keyboardName(visible(name))}
			autoCapitalize="off"
			autoComplete="off"
			autoCorrect="off"
			spellCheck={false}
			tabIndex={0}
		/>
	);
}

function ControlNotice({ session, device }: { session: PeerSession; device: Device }) {
	const { phase } = useStore(session.state);
	const { control, controller } = useStore(session.screen.state);
	const [typing, setTyping] = useState(false);
	useEffect(() => {
		const look = () => setTyping(document.activeElement?.classList.contains(s.keys!) ?? false);
		document.addEventListener('focusin', look);
		document.addEventListener('focusout', look);
		look();
		return () => {
			document.removeEventListener('focusin', look);
			document.removeEventListener('focusout', look);
		};
	}, [control]);
	if (phase !== 'connected') return null;
	if (control === 'taken')
		return (
			<div className={s.notice} data-kind="calm" role="status">
				<p>
					<Name text={controller || t.screen.somebody} /> {t.screen.otherControls}
				</p>
			</div>
		);
	if (control !== 'on') return null;
	return (
		<div className={s.notice} role="status">
			<p>
				{device.user ? t.screen.youControl : t.screen.nobodyThere} <span>{typing ? t.screen.keysHere : t.screen.keysAway}</span>
			</p>
		</div>
	);
}

function Tools({ session, stage, watchButton }: { session: PeerSession; stage: RefObject<HTMLElement | null>; watchButton: RefObject<HTMLButtonElement | null> }) {
	const { phase, figures } = useStore(session.state);
	const { control, displays, open } = useStore(session.screen.state);
	const ready = phase === 'connected' && open;
	const controls = control === 'on' || control === 'asked';
	const active = displays.find((display) => display.active);
	return (
		<Toolbar.Root className={s.bar} aria-label={t.screen.toolbar}>
			<Toolbar.Group className={u.segments} aria-label={t.screen.mode}>
				<Toolbar.Button ref={watchButton} aria-pressed={!controls} onClick={() => controls && session.screen.takeControl(false)}>
					<Eye size={15} strokeWidth={STROKE} aria-hidden />
					{t.screen.watch}
				</Toolbar.Button>
				<Toolbar.Button aria-pressed={controls} disabled={!ready} onClick={() => session.screen.takeControl(true)}>
					<MousePointer2 size={15} strokeWidth={STROKE} aria-hidden />
					{t.screen.control}
				</Toolbar.Button>
			</Toolbar.Group>
			{displays.length > 1 && (
				<Menu.Root>
					<Toolbar.Button render={<Menu.Trigger />} className={`${u.button} ${u.ghost}`}>
						<Monitor size={15} strokeWidth={STROKE} aria-hidden />
						<span className={s.word}>{active ? t.screen.displayName(displays.indexOf(active) + 1) : t.screen.display}</span>
						<ChevronDown size={14} strokeWidth={STROKE} aria-hidden />
					</Toolbar.Button>
					<Menu.Portal container={stage}>
						<Menu.Positioner sideOffset={6} align="start">
							<Menu.Popup className={u.menu}>
								{displays.map((display, index) => (
									<Menu.Item key={display.id} className={u.item} onClick={() => session.screen.show(display.id)}>
										<Monitor size={15} strokeWidth={STROKE} aria-hidden />
										{t.screen.displayName(index + 1)} <Name text={display.name} />
									</Menu.Item>
								))}
							</Menu.Popup>
						</Menu.Positioner>
					</Menu.Portal>
				</Menu.Root>
			)}
			<Menu.Root>
				<Toolbar.Button render={<Menu.Trigger />} className={`${u.button} ${u.ghost}`} disabled={!ready}>
					<Keyboard size={15} strokeWidth={STROKE} aria-hidden />
					<span className={s.word}>{t.screen.sendKeys}</span>
				</Toolbar.Button>
				<Menu.Portal container={stage}>
					<Menu.Positioner sideOffset={6} align="start">
						<Menu.Popup className={u.menu}>
							{control !== 'on' && <p className={u.item}>{t.screen.combosOff}</p>}
							{COMBOS.map(([name, keysyms]) => (
								<Menu.Item key={name} className={u.item} disabled={control !== 'on'} onClick={() => session.screen.press(keysyms)}>
									{t.screen.combos[name]}
								</Menu.Item>
							))}
						</Menu.Popup>
					</Menu.Positioner>
				</Menu.Portal>
			</Menu.Root>
			<Popover.Root>
				<Toolbar.Button render={<Popover.Trigger />} className={`${u.button} ${u.ghost}`} disabled={!ready}>
					<Clipboard size={15} strokeWidth={STROKE} aria-hidden />
					<span className={s.word}>{t.screen.clipboard}</span>
				</Toolbar.Button>
				<ClipboardPanel screen={session.screen} container={stage} />
			</Popover.Root>
			<span className={`${s.figures} num`}>
				{figures && phase === 'connected' && (
					<bdi>
						{figures.fps > 0
							? t.screen.figures(figures.width, figures.height, figures.fps, bitRate(figures.rate))
							: t.screen.still(figures.width, figures.height)}
					</bdi>
				)}
			</span>
			<FullScreen stage={stage} grab={control === 'on'} />
		</Toolbar.Root>
	);
}

interface KeyboardLock {
	lock?: () => Promise<void>;
	unlock?: () => void;
}

function FullScreen({ stage, grab }: { stage: RefObject<HTMLElement | null>; grab: boolean }) {
	const [full, setFull] = useState(false);
	useEffect(() => {
		const look = () => setFull(document.fullscreenElement !== null && document.fullscreenElement === stage.current);
		document.addEventListener('fullscreenchange', look);
		return () => document.removeEventListener('fullscreenchange', look);
	}, [stage]);
	useEffect(() => {
		// Chromium gives keys such as Alt Tab to a page in full screen that asks for them
		const keyboard = (navigator as { keyboard?: KeyboardLock }).keyboard;
		if (full && grab) void keyboard?.lock?.().catch(() => {});
		return () => keyboard?.unlock?.();
	}, [full, grab]);
	const Icon = full ? Minimize : Maximize;
	const label = full ? t.screen.leaveFullScreen : t.screen.fullScreen;
	const toggle = () => void (full ? document.exitFullscreen() : stage.current?.requestFullscreen())?.catch(() => {});
	return (
		<Toolbar.Button className={u.icon} aria-label={label} title={label} onClick={toggle}>
			<Icon size={16} strokeWidth={STROKE} aria-hidden />
		</Toolbar.Button>
	);
}
