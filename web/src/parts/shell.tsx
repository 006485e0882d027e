// The frame round every page: navigation, search, running sessions, account.
import { LogOut, Monitor, Moon, Network, ScrollText, Search, Settings, Sun, Unplug, KeyRound } from 'lucide-react';
import type { ReactNode } from 'react';
import { account, signOut } from '../lib/account';
import { deviceList } from '../lib/devices';
import { hub } from '../lib/hub';
import { open } from '../lib/overlay';
import { isDark, prefs, toggleTheme } from '../lib/prefs';
import { pageOf, place } from '../lib/router';
import { useStore } from '../lib/store';
import s from '../styles/ui.module.css';
import { t } from '../text';
import { time } from '../text/format';
import { Link, Name } from './basics';
import { Chips } from './chips';
import { Logo } from './icons';

const STROKE = 1.9;

function initials(name: string): string {
	const words = name.trim().split(/\s+/u);
	return [words[0], words.length > 1 ? words.at(-1) : ''].map((word) => [...(word ?? '')][0] ?? '').join('').toUpperCase();
}

export function Shell({ crumb, children }: { crumb: ReactNode; children: ReactNode }) {
	return (
		<div className={s.app}>
			<a className={s.skip} href="#page">
				{t.skip}
			</a>
			<Side />
			<div className={s.main}>
				<Top crumb={crumb} />
				<Banners />
				{children}
			</div>
		</div>
	);
}

function Side() {
	const { path } = useStore(place);
	const { page } = pageOf(path);
	const list = useStore(deviceList);
	const item = (to: string, here: boolean, Icon: typeof Monitor, text: string, count?: number) => (
		<Link className={s.nav} to={to} aria-current={here ? 'page' : undefined}>
			<Icon size={17} strokeWidth={STROKE} aria-hidden />
			<span>{text}</span>
			{count !== undefined && <span className={`${s.count} num`}>{new Intl.NumberFormat(t.language).format(count)}</span>}
		</Link>
	);
	return (
		<nav className={s.side} aria-label={t.nav.label}>
			<div className={s.brand}>
				<Logo />
				<span>{t.product}</span>
			</div>
			{item('/devices', page === 'devices' || page === 'device' || page === 'route', Monitor, t.nav.devices, list.asOf > 0 ? list.devices.size : undefined)}
			{item('/network', page === 'network', Network, t.nav.network)}
			<div className={s.group}>{t.nav.administration}</div>
			{item('/audit', page === 'audit', ScrollText, t.nav.audit)}
			{item('/settings', page === 'settings', Settings, t.nav.settings)}
			<Foot />
		</nav>
	);
}

function Foot() {
	const { user } = useStore(account);
	if (!user) return null;
	return (
		<div className={s.foot}>
			<span className={s.avatar} aria-hidden>
				{initials(user.displayName || user.name)}
			</span>
			<span className={s.who}>
				<b>
					<Name text={user.displayName || user.name} />
				</b>
				<span>{t.nav.staff}</span>
			</span>
			<button type="button" className={s.icon} aria-label={t.nav.signOut} title={t.nav.signOut} onClick={() => void signOut()}>
				<LogOut size={16} strokeWidth={STROKE} aria-hidden />
			</button>
		</div>
	);
}

function Top({ crumb }: { crumb: ReactNode }) {
	useStore(prefs);
	const Theme = isDark() ? Sun : Moon;
	return (
		<header className={s.top}>
			{crumb}
			<button type="button" className={s.find} onClick={() => open('palette')}>
				<Search size={15} strokeWidth={STROKE} aria-hidden />
				<span>{t.nav.find}</span>
				<kbd className={s.key} aria-hidden>
					{/Mac|iPhone|iPad/.test(navigator.platform) ? '⌘ K' : 'Ctrl K'}
				</kbd>
			</button>
			<Chips />
			<button type="button" className={s.icon} aria-label={t.nav.theme} title={t.nav.theme} onClick={toggleTheme}>
				<Theme size={17} strokeWidth={STROKE} aria-hidden />
			</button>
		</header>
	);
}

function Banners() {
	const link = useStore(hub.link);
	const { user, byLink } = useStore(account);
	const { path } = useStore(place);
	const { page } = pageOf(path); // the device list says it by itself
	return (
		<aside aria-label={t.link.label}>
			{link.state === 'lost' && page !== 'devices' && (
				<div className={s.banner} data-kind="warn" role="status">
					<Unplug size={16} strokeWidth={STROKE} aria-hidden />
					<span className="num">{t.link.lostSince(time(link.since))}</span>
					<button type="button" className={s.button} onClick={() => hub.poke()}>
						{t.link.tryNow}
					</button>
				</div>
			)}
			{user && !user.hasPassword && byLink && path !== '/settings' && (
				<div className={s.banner}>
					<KeyRound size={16} strokeWidth={STROKE} aria-hidden />
					<span>{t.link.noPassword}</span>
					<Link className={s.button} to="/settings">
						{t.link.setPassword}
					</Link>
				</div>
			)}
		</aside>
	);
}

export function Crumb({ children }: { children: ReactNode }) {
	return <div className={s.crumb}>{children}</div>;
}
