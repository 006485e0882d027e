// What lies over the page: palette, list of shortcuts, enrolment. One chunk, loaded on first use.
import { Dialog } from '@base-ui/react/dialog';
import { ArrowRight, CircleStop, Keyboard, LogOut, Monitor, Moon, Network, Plus, ScrollText, Search, Settings, X } from 'lucide-react';
import { useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { signOut } from '../lib/account';
import { deviceList } from '../lib/devices';
import { arrange, wordsOf } from '../lib/list';
import { open, type Overlay } from '../lib/overlay';
import { prefs, toggleTheme } from '../lib/prefs';
import { devicePath, navigate } from '../lib/router';
import { useStore } from '../lib/store';
import { endAll, sessions } from '../session/sessions';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { Name } from './basics';
import { EnrolCommand } from './enrol';
import s from './overlays.module.css';

const MAX_DEVICES = 8;

export default function Overlays({ which }: { which: Exclude<Overlay, null> }) {
	return (
		<Dialog.Root open onOpenChange={(now) => !now && open(null)}>
			<Dialog.Portal>
				<Dialog.Backdrop className={u.backdrop} />
				{which === 'palette' && <Palette />}
				{which === 'shortcuts' && (
					<Simple title={t.keys.title}>
						<Shortcuts />
					</Simple>
				)}
				{which === 'enrol' && (
					<Simple title={t.devices.addTitle}>
						<p>{t.devices.addText}</p>
						<EnrolCommand />
					</Simple>
				)}
			</Dialog.Portal>
		</Dialog.Root>
	);
}

function Simple({ title, children }: { title: string; children: ReactNode }) {
	return (
		<Dialog.Popup className={u.dialog}>
			<Dialog.Title>{title}</Dialog.Title>
			{children}
			<Dialog.Close className={`${u.icon} ${s.close}`} aria-label={t.close}>
				<X size={16} strokeWidth={1.9} aria-hidden />
			</Dialog.Close>
		</Dialog.Popup>
	);
}

function Shortcuts() {
	const { singleKeys } = useStore(prefs);
	const keys: [string, string[]][] = [
		[t.keys.palette, ['Ctrl', 'K']],
		[t.keys.filter, ['/']],
		[t.keys.goDevices, ['g', 'd']],
		[t.keys.goNetwork, ['g', 'n']],
		[t.keys.goAudit, ['g', 'l']],
		[t.keys.goSettings, ['g', 's']],
		[t.keys.move, ['↑', '↓']],
		[t.keys.open, ['Enter']],
		[t.keys.back, ['Esc']],
		[t.keys.list, ['?']],
		[t.keys.giveBack, ['Ctrl', 'Alt', 'Shift']],
	];
	return (
		<>
			{!singleKeys && <p>{t.keys.off}</p>}
			<dl className={s.keys}>
				{keys.map(([what, parts]) => (
					<div key={what} style={{ display: 'contents' }}>
						<dt>{what}</dt>
						<dd>
							{parts.map((part) => (
								<kbd key={part} className={u.key}>
									{part}
								</kbd>
							))}
						</dd>
					</div>
				))}
			</dl>
		</>
	);
}

interface Option {
	id: string;
	group: string;
	icon: typeof Monitor;
	text: ReactNode;
	note?: string;
	run: () => void;
}

function options(words: string[], query: string): Option[] {
	const fits = (text: string) => words.every((word) => text.toLowerCase().includes(word));
	const devices = arrange(deviceList.get().devices.values(), query, 'all').slice(0, MAX_DEVICES);
	const page = (id: string, icon: typeof Monitor, text: string): Option[] =>
		fits(text) ? [{ id, group: t.palette.pages, icon, text, run: () => navigate(`/${id}`) }] : [];
	const action = (id: string, icon: typeof Monitor, text: string, run: () => void): Option[] =>
		fits(text) ? [{ id, group: t.palette.actions, icon, text, run }] : [];
	return [
		...devices.map((device) => ({
			id: `device-${device.id}`,
			group: t.palette.devices,
			icon: Monitor,
			text: <Name text={device.name} />,
			note: device.online ? t.devices.online : t.devices.offline,
			run: () => navigate(devicePath(device.id)),
		})),
		...page('devices', ArrowRight, t.nav.devices),
		...page('network', Network, t.nav.network),
		...page('audit', ScrollText, t.nav.audit),
		...page('settings', Settings, t.nav.settings),
		...action('add', Plus, t.palette.addDevice, () => open('enrol')),
		...(sessions.get().some((session) => session.running) ? action('end', CircleStop, t.palette.endAll, endAll) : []),
		...action('theme', Moon, t.palette.theme, toggleTheme),
		...action('keys', Keyboard, t.palette.shortcuts, () => open('shortcuts')),
		...action('out', LogOut, t.palette.signOut, () => void signOut()),
	];
}

// The combobox pattern: the focus stays in the box, aria-activedescendant names the chosen option.
function Palette() {
	const [query, setQuery] = useState('');
	const [at, setAt] = useState(0);
	const input = useRef<HTMLInputElement>(null);
	const list = useStore(deviceList);
	const found = useMemo(() => options(wordsOf(query), query), [query, list.devices]);
	const chosen = Math.min(at, found.length - 1);

	const run = (option: Option | undefined) => {
		if (!option) return;
		open(null);
		option.run();
	};
	const key = (event: KeyboardEvent) => {
		const step = { ArrowDown: 1, ArrowUp: -1, Home: -found.length, End: found.length }[event.key];
		if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
			event.preventDefault();
			run(found[chosen]);
		} else if (step && found.length) {
			event.preventDefault();
			const to = Math.abs(step) === 1 ? (chosen + step + found.length) % found.length : step < 0 ? 0 : found.length - 1;
			setAt(to);
			document.getElementById(`option-${found[to]!.id}`)?.scrollIntoView({ block: 'nearest' });
		}
	};
	const groups = [...new Set(found.map((option) => option.group))];
	return (
		<Dialog.Popup className={`${u.dialog} ${s.palette}`} initialFocus={input} aria-label={t.palette.label}>
			<div className={s.input}>
				<Search size={16} strokeWidth={1.9} aria-hidden />
				<input
					ref={input}
					role="combobox"
					aria-label={t.palette.placeholder}
					aria-expanded={found.length > 0}
					aria-controls="palette-results"
					aria-activedescendant={found[chosen] && `option-${found[chosen].id}`}
					aria-autocomplete="list"
					placeholder={t.palette.placeholder}
					value={query}
					spellCheck={false}
					autoComplete="off"
					onChange={(event) => {
						setQuery(event.target.value);
						setAt(0);
					}}
					onKeyDown={key}
				/>
				<kbd className={u.key}>Esc</kbd>
			</div>
			<div className={s.results} id="palette-results" role="listbox" aria-label={t.palette.label}>
				{groups.map((group) => (
					<div key={group} role="group" aria-label={group}>
						<h3 role="presentation">{group}</h3>
						{found.map(
							(option, index) =>
								option.group === group && (
									<div
										key={option.id}
										id={`option-${option.id}`}
										role="option"
										aria-selected={index === chosen}
										className={`${u.item} ${s.option}`}
										onPointerMove={() => setAt(index)}
										onClick={() => run(option)}
									>
										<option.icon size={15} strokeWidth={1.9} aria-hidden />
										<bdi>{option.text}</bdi>
										{option.note && <small>{option.note}</small>}
									</div>
								),
						)}
					</div>
				))}
				{found.length === 0 && <p className={s.none}>{t.palette.none}</p>}
			</div>
			<p className="vh" role="status">
				{t.palette.results(found.length)}
			</p>
		</Dialog.Popup>
	);
}
