// The clipboard of the device, both ways, each by its own button: nothing is copied without being asked for.
import { Popover } from '@base-ui/react/popover';
import { useRef, useState, type RefObject } from 'react';
import { visible } from '../lib/hostile';
import { useStore } from '../lib/store';
import type { Screen } from '../session/screen';
import u from '../styles/ui.module.css';
import { t } from '../text';
import s from './screen-view.module.css';

/** @param container where it is put: in full screen nothing outside the screen's section is visible */
export function ClipboardPanel({ screen, container }: { screen: Screen; container: RefObject<HTMLElement | null> }) {
	const { control, clipboard } = useStore(screen.state);
	const popup = useRef<HTMLDivElement>(null);
	const [said, setSaid] = useState('');
	const [typed, setTyped] = useState<string | null>(null);

	const send = (text: string) => setSaid(screen.sendClipboard(text) ? t.screen.clipSent : t.screen.clipLong);
	const sendMine = async () => {
		try {
			send(await navigator.clipboard.readText());
		} catch {
			setTyped('');
			setSaid(t.screen.clipDenied);
		}
	};
	const takeTheirs = async () => {
		try {
			await navigator.clipboard.writeText(clipboard ?? '');
			setSaid(t.screen.clipTaken);
		} catch {
			setSaid('');
		}
	};
	return (
		<Popover.Portal container={container}>
			<Popover.Positioner sideOffset={6} align="start" collisionPadding={12}>
				<Popover.Popup className={`${u.popup} ${s.clip}`} ref={popup} initialFocus={popup}>
					<Popover.Title render={<h2 className="vh" />}>{t.screen.clipTitle}</Popover.Title>
					{control !== 'on' ? (
						<p>{t.screen.clipOff}</p>
					) : (
						<>
							<button type="button" className={u.button} onClick={() => void sendMine()}>
								{t.screen.clipSend}
							</button>
							{typed !== null && (
								<>
									<textarea
										className={u.input}
										rows={3}
										aria-label={t.screen.clipText}
										placeholder={t.screen.clipText}
										value={typed}
										onChange={(event) => setTyped(event.target.value)}
									/>
									<button type="button" className={u.button} disabled={!typed} onClick={() => send(typed)}>
										{t.screen.clipSendText}
									</button>
								</>
							)}
							<h3>{t.screen.clipThere}</h3>
							{clipboard === null ? (
								<p>{t.screen.clipNone}</p>
							) : (
								<>
									<pre tabIndex={0}>{clipboard.split('\n').map(visible).join('\n')}</pre>
									<button type="button" className={u.button} onClick={() => void takeTheirs()}>
										{t.screen.clipTake}
									</button>
								</>
							)}
						</>
					)}
					<p role="status">{said}</p>
				</Popover.Popup>
			</Popover.Positioner>
		</Popover.Portal>
	);
}
